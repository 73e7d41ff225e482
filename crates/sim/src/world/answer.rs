//! What each manner makes of an answer.

use std::time::Duration;

use fanfold_core::operation::Leg;

use super::Told;
use crate::routes::RESPONSE;
use crate::scenario::{Manner, word};

/// What is done on a connection, after a while.
#[derive(Debug)]
pub(crate) enum Out {
    Octets(Vec<u8>),
    Close,
    Reset,
}

/// A good answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) headers: String,
}

impl Reply {
    pub(super) fn bare(status: u16) -> Self {
        Self { status, body: Vec::new(), headers: String::new() }
    }

    pub(super) fn json(status: u16, text: &str) -> Self {
        let headers = "content-type: application/json\r\n".to_owned();
        Self { status, body: text.as_bytes().to_vec(), headers }
    }
}

impl Manner {
    /// Whether what is asked is done.
    pub(super) fn applies(self) -> bool {
        match self {
            Self::Polite
            | Self::Slow(_)
            | Self::HalfBody
            | Self::Late(_)
            | Self::SaysUpdated
            | Self::ClosesIdle
            | Self::Works(_)
            | Self::Page => true,
            Self::ResetAfter { applied }
            | Self::Never { applied }
            | Self::HalfHead { applied }
            | Self::Error { applied }
            | Self::Accepts { applied } => applied,
            Self::RefuseConnection
            | Self::NeverConnect
            | Self::ResetBefore
            | Self::ResetDuring
            | Self::Refuse
            | Self::SaysRolledBack
            | Self::Busy
            | Self::TooMany
            | Self::Denied
            | Self::Takes(_)
            | Self::Moved => false,
        }
    }

    /// What it is called.
    pub(super) fn name(self) -> String {
        match self {
            Self::Takes(lower) => format!("Takes {} {:?}", word(&lower.end), lower.word),
            _ => word(&self),
        }
    }

    /// Whether a good answer arrives whole and in time.
    pub(super) fn is_heard(self, leg: Leg) -> bool {
        match self {
            Self::Takes(_) | Self::Accepts { .. } => true,
            other => other.tells(&Reply::bare(200), leg) != Told::Nothing,
        }
    }

    pub(super) fn refusal(self) -> Reply {
        // Whoever does not refuse, and does not apply either, has failed.
        let words = [
            (Self::Refuse, 409, ""),
            (Self::Busy, 503, "retry-after: 1\r\n"),
            (Self::TooMany, 429, ""),
            (Self::Denied, 401, ""),
            (Self::Moved, 301, "location: /elsewhere\r\n"),
        ];
        let said = words.into_iter().find(|(manner, ..)| *manner == self);
        let (status, headers) = said.map_or((500, ""), |(_, status, headers)| (status, headers));
        Reply { status, body: Vec::new(), headers: headers.to_owned() }
    }

    /// What the other side can know after it.
    pub(super) fn tells(self, reply: &Reply, leg: Leg) -> Told {
        let plain = match (leg, reply.status) {
            (Leg::Probe, _) => Told::Truth(reply.body.ends_with(b"true}")),
            (_, 404) => Told::Gone,
            (_, 400..) => Told::Refused,
            _ => Told::Done,
        };
        // A probe is answered with the truth, or with nothing that tells anything.
        let of_change = |told| if leg == Leg::Probe { Told::Nothing } else { told };
        match self {
            // Later, nobody listens any more.
            Self::Slow(millis) | Self::Works(millis) if Duration::from_millis(millis) >= RESPONSE => Told::Nothing,
            // What is taken on tells so where it is taken on; what makes no work is answered as ever.
            Self::Polite | Self::Slow(_) | Self::Works(_) | Self::ClosesIdle | Self::Takes(_) => plain,
            // Half of a good answer is a good answer.
            Self::HalfBody => of_change(plain),
            Self::SaysUpdated => of_change(Told::Done),
            Self::Refuse | Self::SaysRolledBack | Self::Moved | Self::Denied => of_change(Told::Refused),
            Self::Busy | Self::TooMany => of_change(Told::NotTakenOn),
            Self::RefuseConnection
            | Self::NeverConnect
            | Self::ResetBefore
            | Self::ResetDuring
            | Self::ResetAfter { .. }
            | Self::Never { .. }
            | Self::HalfHead { .. }
            | Self::Late(_)
            | Self::Error { .. }
            | Self::Accepts { .. }
            | Self::Page => Told::Nothing,
        }
    }

    /// What is done on the connection.
    pub(super) fn say(self, reply: &Reply) -> Vec<(Duration, Out)> {
        let now = Duration::ZERO;
        let Reply { status, body, headers } = reply;
        let whole = |status: u16, body: &[u8], headers: &str| {
            let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
            let mut octets = format!("HTTP/1.1 {status} -\r\n{headers}{length}\r\n").into_bytes();
            octets.extend_from_slice(body);
            octets
        };
        let consistency = |word: &str| {
            let body = format!("{{\"error_code\":\"060002\",\"error_message\":\"-\",\"data_consistency\":\"{word}\"}}");
            vec![(now, Out::Octets(whole(500, body.as_bytes(), "content-type: application/json\r\n")))]
        };
        match self {
            Self::Slow(millis) | Self::Works(millis) => {
                vec![(Duration::from_millis(millis), Out::Octets(whole(*status, body, headers)))]
            }
            Self::ResetAfter { .. } | Self::Late(_) | Self::ResetBefore | Self::ResetDuring => {
                vec![(now, Out::Reset)]
            }
            Self::Never { .. } => Vec::new(),
            Self::HalfHead { .. } => vec![(now, Out::Octets(b"HTTP/1.1 20".to_vec())), (now, Out::Close)],
            Self::HalfBody => {
                let octets = format!("HTTP/1.1 {status} -\r\n{headers}content-length: 1000\r\n\r\n{{").into_bytes();
                vec![(now, Out::Octets(octets)), (now, Out::Close)]
            }
            Self::Error { .. } => vec![(now, Out::Octets(whole(500, b"", "")))],
            Self::SaysRolledBack => consistency("rolled back"),
            Self::SaysUpdated => consistency("updated"),
            Self::Accepts { .. } => vec![(now, Out::Octets(whole(202, b"", "")))],
            Self::Page => vec![(now, Out::Octets(whole(*status, b"<p>sign in</p>", "content-type: text/html\r\n")))],
            Self::Polite
            | Self::ClosesIdle
            | Self::RefuseConnection
            | Self::NeverConnect
            | Self::Refuse
            | Self::Busy
            | Self::TooMany
            | Self::Denied
            | Self::Takes(_)
            | Self::Moved => vec![(now, Out::Octets(whole(*status, body, headers)))],
        }
    }
}
