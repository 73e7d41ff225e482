//! Which header fields of a client's request are recorded, which are forwarded, and which nobody may set.

use crate::message::Headers;

/// Forwarded to every target.
const FORWARDED: [&str; 5] = ["accept", "accept-language", "content-encoding", "content-language", "content-type"];

/// Neither recorded nor forwarded, unless a route names them.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "x-auth-token"];

/// Of one connection, and never of a request (RFC 9110, section 7.6.1); `Content-Length` follows from the body, and `Expect` is
/// answered by the server.
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Set by Fanfold itself on every attempt.
const OWN: [&str; 5] = ["fanfold-attempt", "fanfold-operation-id", "fanfold-resource-id", "traceparent", "tracestate"];

/// In which a client says who is to be told of the end of its operation: nobody else's business.
pub const CALLBACK: &str = "fanfold-callback-url";

/// In which a client says that it sends the request of an operation again, so that what is left of it can be retried.
pub const RETRY_OF: &str = "fanfold-retry-of";

/// What to do about a name that no header can have.
pub(crate) const NAME_HINT: &str = "use letters, digits and `-`, as in `x-request-id`";

/// The fields of a client's request that the record keeps: all but those of the connection, and credentials that no route names.
pub(crate) fn recorded(headers: &Headers, named: &[String]) -> Headers {
    let of_connection = named_by_connection(headers);
    let is_kept = |name: &str| {
        let is_credential = CREDENTIALS.contains(&name) && !is_named(name, named);
        !is_credential && !HOP_BY_HOP.contains(&name) && !of_connection.iter().any(|other| other == name)
    };
    headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect()
}

/// The fields among recorded ones that are forwarded.
pub(crate) fn forwarded(recorded: &Headers, named: &[String]) -> Headers {
    let is_sent = |name: &str| FORWARDED.contains(&name) || is_named(name, named);
    recorded.iter().filter(|(name, _)| is_sent(name)).cloned().collect()
}

/// Why configuration may not name this field for forwarding; `None`: it may.
pub(crate) fn why_not_forwarded(name: &str) -> Option<&'static str> {
    if HOP_BY_HOP.contains(&name) {
        return Some("is a matter of one connection and never forwarded");
    }
    if name == "host" {
        return Some("names the target and is never forwarded");
    }
    if name == CALLBACK || name == RETRY_OF {
        return Some("is meant for Fanfold and never forwarded");
    }
    if OWN.contains(&name) {
        return Some("is set by Fanfold on every attempt");
    }
    None
}

/// Why a template may not set this field; `None`: it may.
pub(crate) fn why_not_set(name: &str) -> Option<&'static str> {
    if name == "idempotency-key" {
        return Some("is set by Fanfold on every attempt");
    }
    why_not_forwarded(name)
}

/// Sets a field, in place of any others of that name.
pub(crate) fn set(headers: &mut Headers, name: &str, value: String) {
    headers.retain(|(other, _)| other != name);
    headers.push((name.to_owned(), value));
}

/// Whether a media type is JSON: `application/json` or one with the suffix `+json`.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence == "application/json" || essence.ends_with("+json")
}

/// Whether a media type is that of an HTML form.
pub(crate) fn is_form(content_type: &str) -> bool {
    essence(content_type) == "application/x-www-form-urlencoded"
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_named(name: &str, named: &[String]) -> bool {
    named.iter().any(|other| other == name)
}

/// A client may make further fields a matter of the connection by naming them.
fn named_by_connection(headers: &Headers) -> Vec<String> {
    let values = headers.iter().filter(|(name, _)| name == "connection").flat_map(|(_, value)| value.split(','));
    values.map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn names(headers: &Headers) -> Vec<&str> {
        headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    const SENT: [(&str, &str); 16] = [
        ("host", "fanfold"),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("content-language", "en"),
        ("content-length", "5"),
        ("accept", "*/*"),
        ("accept", "text/plain"),
        ("accept-language", "en"),
        ("authorization", "Bearer t"),
        ("x-auth-token", "t"),
        ("cookie", "c=1"),
        ("idempotency-key", "k"),
        ("if-match", "\"1\""),
        ("x-custom", "1"),
        ("x-hop", "1"),
        ("connection", "keep-alive, X-Hop"),
    ];

    #[test]
    fn only_the_listed_fields_are_forwarded() {
        let recorded = recorded(&headers(&SENT), &[]);
        let always = ["content-type", "content-encoding", "content-language", "accept", "accept", "accept-language"];
        assert_eq!(names(&forwarded(&recorded, &[])), always);
        assert_eq!(names(&recorded), [&["host"], &always[..], &["idempotency-key", "if-match", "x-custom"]].concat());
    }

    #[test]
    fn what_a_route_names_is_forwarded_unless_it_belongs_to_the_connection() {
        let named: Vec<String> = ["authorization", "if-match", "x-hop", "x-custom"].map(str::to_owned).into();
        let forwarded = forwarded(&recorded(&headers(&SENT), &named), &named);
        assert_eq!(names(&forwarded)[6..], ["authorization", "if-match", "x-custom"]);
        for name in ["host", "connection", "te", "transfer-encoding", "fanfold-attempt", "fanfold-callback-url"] {
            assert!(why_not_forwarded(name).is_some(), "{name}");
        }
        assert_eq!(why_not_forwarded("idempotency-key"), None);
        assert!(why_not_set("idempotency-key").is_some());
    }

    #[test]
    fn media_types_are_compared_without_parameters() {
        assert!(is_json("Application/JSON; charset=utf-8"));
        assert!(is_json("application/problem+json"));
        assert!(!is_json("text/json-like"));
        assert!(is_form("application/x-www-form-urlencoded;charset=UTF-8"));
    }
}
