//! `Prefer: wait=N` (RFC 7240): a client that would rather wait than ask again.

use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;

/// The field that says which preference was honoured.
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How many whole seconds the client would wait for the end of its operation, at most `max`. A preference that cannot be
/// understood is none (RFC 7240, section 2); of several the first counts.
pub(super) fn wait(headers: &HeaderMap, max: Duration) -> Option<Duration> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let first = values.flat_map(|value| value.split(',')).find_map(named_wait)?;
    let bare = first.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(first);
    if bare.is_empty() || !bare.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    // More digits than fit ask for more than the bound anyway.
    let asked = bare.parse().map_or(max, Duration::from_secs).min(max);
    (!asked.is_zero()).then_some(asked)
}

/// The value, if this is the preference `wait`; parameters after a semicolon have no meaning for it.
fn named_wait(preference: &str) -> Option<&str> {
    let (name, value) = preference.split(';').next()?.split_once('=')?;
    name.trim().eq_ignore_ascii_case("wait").then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_read_as_its_rfc_has_it() {
        for (values, seconds) in [
            (&["wait=10"][..], Some(10)),
            (&["respond-async, Wait = \"5\""], Some(5)),
            (&["return=minimal", "wait=7;x=1"], Some(7)),
            (&["wait=3, wait=9"], Some(3)),
            (&["wait=99999"], Some(300)),
            (&["wait=99999999999999999999999"], Some(300)),
            (&["wait=0"], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["wait"], None),
            (&["await=3"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, value.parse().unwrap());
            }
            let read = wait(&headers, Duration::from_secs(300));
            assert_eq!(read, seconds.map(Duration::from_secs), "{values:?}");
        }
    }
}
