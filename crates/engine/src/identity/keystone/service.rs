//! Our own token, with which Keystone is asked about those of others.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::wire;
use crate::identity::config::Credentials;
use crate::identity::remote::{Question, Remote, unexpected};

/// How long before its end our token is replaced.
const MARGIN: Duration = Duration::from_secs(60);

/// How long Keystone is left alone after it gave us no token. Many lock a user out who shows a wrong password too often.
const FAILED_PAUSE: Duration = Duration::from_secs(30);

/// The longest answer that is read, in octets.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// The field in which a new token comes, and in which a token is shown that is asked about.
pub(super) const SUBJECT_TOKEN: &str = "x-subject-token";

/// Our own token. One is asked for at a time.
#[derive(Debug)]
pub(super) struct Service {
    credentials: Credentials,
    /// Path and query of where one is asked for.
    path: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Own>,
    /// How many there were.
    count: u64,
    failed: Option<(Instant, String)>,
}

/// A token of our own. Its text is marked as sensitive, so that it is not shown.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) text: HeaderValue,
    /// Which it is of all that there were.
    number: u64,
    renewed_at: Timestamp,
}

impl Service {
    pub(super) fn new(credentials: Credentials, path: String) -> Self {
        Self { credentials, path, state: Mutex::default() }
    }

    /// The token that we have, or a new one if there is none, it ends soon, or it is the one that Keystone does not take any more.
    pub(super) async fn token(&self, remote: &Remote, refused: Option<&Own>, now: Timestamp) -> Result<Own, Failed> {
        let mut state = self.state.lock().await;
        let refused = refused.map(|own| own.number);
        if let Some(own) = state.token.as_ref().filter(|own| Some(own.number) != refused && now < own.renewed_at) {
            return Ok(own.clone());
        }
        if let Some((at, why)) = &state.failed
            && let Some(left) = FAILED_PAUSE.checked_sub(at.elapsed()).filter(|left| !left.is_zero())
        {
            return Err(Failed { why: why.clone(), retry_after: left });
        }
        state.token = None;
        let asked = self.ask(remote, now).await;
        match asked {
            Ok((text, renewed_at)) => {
                let own = Own { text, number: state.count, renewed_at };
                *state = State { token: Some(own.clone()), count: state.count + 1, failed: None };
                Ok(own)
            }
            Err(why) => {
                state.failed = Some((Instant::now(), why.clone()));
                Err(Failed { why, retry_after: FAILED_PAUSE })
            }
        }
    }

    async fn ask(&self, remote: &Remote, now: Timestamp) -> Result<(HeaderValue, Timestamp), String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let question = Question {
            method: Method::POST,
            path: &self.path,
            headers,
            body: Bytes::from(wire::request(&self.credentials).to_string()),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let received = remote.ask(question).await?;
        match received.status {
            StatusCode::CREATED => {}
            StatusCode::UNAUTHORIZED => return Err("it does not take the credentials of [auth.keystone]".to_owned()),
            _ => return Err(format!("asked for a token of our own, {}", unexpected(&received))),
        }
        let mut text = received.headers.get(SUBJECT_TOKEN).cloned().ok_or("its answer has no token for us")?;
        text.set_sensitive(true);
        let described = wire::read(&received.body).map_err(|at| format!("its answer describes no token: {at}"))?;
        Ok((text, renewal(described.expires_at, now)))
    }
}

/// Why there is no token of our own.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) retry_after: Duration,
}

/// When a token is replaced: somewhat before its end, but not at once again if it is short.
fn renewal(expires_at: Timestamp, now: Timestamp) -> Timestamp {
    let left = expires_at.duration_since(now).max(SignedDuration::ZERO);
    let margin = SignedDuration::try_from(MARGIN).expect("a minute is no long time").min(left / 2);
    expires_at.checked_sub(margin).unwrap_or(expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_before_its_end() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(renewal(at(3600), at(0)), at(3540));
        assert_eq!(renewal(at(60), at(0)), at(30));
        assert_eq!(renewal(at(10), at(20)), at(10));
    }
}
