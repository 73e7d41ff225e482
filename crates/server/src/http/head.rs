//! The head of a request: its size, and its fields as the record keeps them.

use fanfold_core::Headers;
use fanfold_core::dialect::Refusal;
use http::HeaderMap;
use http::request::Parts;

use super::ServerConfig;
use super::framing::Doubt;

/// What stands around a name and a value: a colon, a space and the end of the line.
const FIELD_OVERHEAD: usize = 4;

/// Refuses a head that is larger than configured, or leaves in doubt where its request ends.
pub(super) fn check(head: &Parts, config: &ServerConfig) -> Result<(), Refusal> {
    if let Some(doubt) = head.extensions.get::<Doubt>() {
        return Err(Refusal::Unparsable { detail: format!("the request could be read in two ways: {doubt}") });
    }
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
    let bytes = head.method.as_str().len() + target + fields.sum::<usize>();
    let max = config.head_bytes_max;
    if bytes > max {
        let detail = format!("the request line and the header fields are larger than {max} bytes");
        return Err(Refusal::HeadTooLarge { detail });
    }
    let max = config.header_fields_max;
    if head.headers.len() > max {
        return Err(Refusal::HeadTooLarge { detail: format!("there are more than {max} header fields") });
    }
    Ok(())
}

/// The fields as text, names in lower case. A value that is not UTF-8 is refused: the record is text, and a changed value
/// must not be passed on as if it were the client's.
pub(super) fn fields(headers: &HeaderMap) -> Result<Headers, Refusal> {
    let text = headers.iter().map(|(name, value)| match std::str::from_utf8(value.as_bytes()) {
        Ok(value) => Ok((name.as_str().to_owned(), value.to_owned())),
        Err(_) => Err(Refusal::BadValue { detail: format!("the value of the header field `{name}` is not UTF-8") }),
    });
    text.collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn head(value: &str, fields: usize) -> Parts {
        let mut request = http::Request::get("/abc?d=e").header("host", value);
        for _ in 1..fields {
            request = request.header("x", "y");
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_bounds_are_exact() {
        let config = ServerConfig { head_bytes_max: 20, header_fields_max: 2, ..ServerConfig::default() };
        assert_eq!(check(&head("a", 1), &config), Ok(()));
        assert!(check(&head("ab", 1), &config).is_err());
        let config = ServerConfig { head_bytes_max: 1000, ..config };
        assert_eq!(check(&head("a", 2), &config), Ok(()));
        assert!(matches!(check(&head("a", 3), &config), Err(Refusal::HeadTooLarge { .. })));
    }

    #[test]
    fn values_are_kept_exactly_or_refused() {
        let mut headers = HeaderMap::new();
        headers.append("X-Name", HeaderValue::from_bytes("Zoë".as_bytes()).unwrap());
        assert_eq!(fields(&headers), Ok(vec![("x-name".to_owned(), "Zoë".to_owned())]));
        headers.append("x-other", HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(matches!(fields(&headers), Err(Refusal::BadValue { detail }) if detail.contains("x-other")));
    }
}
