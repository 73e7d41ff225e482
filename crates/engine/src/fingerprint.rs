//! What makes a request the same one as another: an HMAC, so that a record tells nothing about a request that it does not show.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_core::message::header;
use fanfold_core::route::Incoming;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::given::RetryOf;

/// An HMAC over what makes a request the same one: method, path, query without the dialect's parameters, content type, body.
pub(crate) fn of_request(key: &[u8; 32], incoming: &Incoming) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    let content_type = header(&incoming.headers, "content-type").unwrap_or_default();
    let query = incoming.target_query.as_deref().unwrap_or_default();
    for part in [incoming.method.as_str(), &incoming.path, query, content_type] {
        // The length keeps parts from running into each other.
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.update(&incoming.body);
    mac.finalize().into_bytes().into()
}

/// The same of a request to retry an operation; `again` is the fingerprint of the accepted request, if it is sent again for that.
pub(crate) fn of_retry(key: &[u8; 32], wanted: &RetryOf, again: Option<&[u8; 32]>) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(b"retry");
    mac.update(wanted.id.as_bytes());
    mac.update(&[u8::from(wanted.force)]);
    mac.update(again.map_or(&[], |again| again.as_slice()));
    mac.finalize().into_bytes().into()
}

/// How a record has it.
pub(crate) fn text(fingerprint: &[u8; 32]) -> String {
    STANDARD.encode(fingerprint)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn fingerprints_tell_requests_apart() {
        let incoming = |path: &str, query: &str, body: &'static str| Incoming {
            method: http::Method::POST,
            path: path.to_owned(),
            query: None,
            target_query: Some(query.to_owned()),
            headers: fanfold_core::Headers::new(),
            body: Bytes::from_static(body.as_bytes()),
            captures: std::collections::BTreeMap::new(),
        };
        let one = of_request(&[1; 32], &incoming("/a", "b", "c"));
        assert_eq!(one, of_request(&[1; 32], &incoming("/a", "b", "c")));
        for other in [incoming("/ab", "", "c"), incoming("/a", "", "bc"), incoming("/a", "b", "d")] {
            assert_ne!(one, of_request(&[1; 32], &other));
        }
        assert_ne!(one, of_request(&[2; 32], &incoming("/a", "b", "c")));
    }
}
