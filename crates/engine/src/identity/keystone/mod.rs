//! Tokens of OpenStack Keystone: it is asked about each, with a token of our own, and what it says is remembered for a while.

mod cache;
mod service;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_core::access::SecretDigest;
use fanfold_core::route::retry_after;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::TOKEN_BYTES_MAX;
use super::config::KeystoneConfig;
use super::flight::Flights;
use super::issuers::{Identity, NotVerified, Way};
use super::metrics::{KEYSTONE, Metrics};
use super::reason::Reason;
use super::remote::{Question, Remote, unexpected};
use super::trouble::Trouble;
use crate::target::{BadTls, Received, from_wire};
use cache::{Cache, Known};
use service::{Own, SUBJECT_TOKEN, Service};

/// About how many tokens Keystone is asked at once; further ones wait.
const ON_WIRE_MAX: usize = 32;

/// How many tokens are asked about or wait for it; whoever shows a further one is to come again.
const UNDER_WAY_MAX: usize = 512;

/// When whoever found too many others is to come again.
const CROWDED_PAUSE: Duration = Duration::from_secs(1);

/// How long Keystone is left alone after it could not be asked.
const FAILED_PAUSE: Duration = Duration::from_secs(2);

/// The longest time that Keystone can have itself be left alone for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long asking about a token may take, with all that comes before it.
const QUESTION_MAX: Duration = Duration::from_secs(20);

/// The longest answer that is read, in octets. The catalogue is left out, so it is a description alone.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// The field in which we show who we are.
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// A Keystone, and what it said.
#[derive(Debug)]
pub(super) struct Keystone {
    config: KeystoneConfig,
    asker: Arc<Asker>,
    flights: Flights<SecretDigest, Answer>,
}

/// Asks it.
#[derive(Debug)]
struct Asker {
    remote: Remote,
    path: String,
    service: Service,
    on_wire: Semaphore,
    cache: Mutex<Cache>,
    /// Until when it is left alone.
    paused: Mutex<Option<Instant>>,
    trouble: Trouble,
    metrics: Metrics,
}

/// What came of asking about a token.
#[derive(Debug, Clone)]
enum Answer {
    Known(Known),
    Unavailable { retry_after: Duration },
}

/// Why nothing came of it.
#[derive(Debug)]
enum Missed {
    /// Keystone is left alone for so long.
    LeftAlone(Duration),
    /// It was asked, or would have been.
    Failed {
        why: String,
        retry_after: Duration,
        /// Whether it would be the same with other tokens. What only one token brings about must not keep others out.
        for_all: bool,
    },
}

impl Keystone {
    /// The one that is configured. Nothing is asked yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(super) fn new(config: KeystoneConfig, way: &Way, metrics: Metrics) -> Result<Self, BadTls> {
        let path = config.address.below(wire::TOKENS).path().to_owned();
        let asker = Asker {
            remote: way.to(&config.address, &config.authorities)?,
            service: Service::new(config.credentials.clone(), path.clone()),
            path,
            on_wire: Semaphore::new(ON_WIRE_MAX),
            cache: Mutex::new(Cache::new(config.cache)),
            paused: Mutex::default(),
            trouble: Trouble::new(KEYSTONE),
            metrics,
        };
        Ok(Self { config, asker: Arc::new(asker), flights: Flights::new(UNDER_WAY_MAX) })
    }

    /// Whether it is configured so.
    pub(super) fn is_configured(&self, config: &KeystoneConfig) -> bool {
        self.config == *config
    }

    /// Who shows this token.
    pub(super) async fn verify(&self, shown: &str, now: Timestamp) -> Result<Identity, NotVerified> {
        let token = read(shown)?;
        let digest = SecretDigest::of(shown);
        let known = self.asker.cache().get(&digest, Instant::now());
        let answer = match known {
            Some(known) => Answer::Known(known),
            None => self.ask(digest, token, now).await,
        };
        match answer {
            Answer::Known(Known::Good(described)) => Ok(wire::identity(&described, &self.config, now)?),
            Answer::Known(Known::Bad) => Err(Reason::Unknown.into()),
            Answer::Unavailable { retry_after } => Err(NotVerified::Unavailable { retry_after }),
        }
    }

    async fn ask(&self, digest: SecretDigest, token: HeaderValue, now: Timestamp) -> Answer {
        if let Some(retry_after) = self.asker.pause() {
            return Answer::Unavailable { retry_after };
        }
        let asker = Arc::clone(&self.asker);
        let landing = self.flights.join(&digest, || async move { asker.look_at(digest, token, now).await });
        let Some(landing) = landing else { return Answer::Unavailable { retry_after: CROWDED_PAUSE } };
        // A mistake in the program ends a question without an answer.
        landing.wait().await.unwrap_or(Answer::Unavailable { retry_after: FAILED_PAUSE })
    }
}

/// A token in the form in which it is shown to Keystone.
fn read(shown: &str) -> Result<HeaderValue, Reason> {
    if shown.len() > TOKEN_BYTES_MAX {
        return Err(Reason::TooLong);
    }
    if shown.is_empty() || !shown.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(Reason::Malformed("it has spaces, or signs that are not ASCII"));
    }
    let mut token = HeaderValue::from_str(shown).map_err(|_| Reason::Malformed("no header can carry it"))?;
    token.set_sensitive(true);
    Ok(token)
}

impl Asker {
    /// Asks about a token in its turn, and remembers what was said.
    async fn look_at(&self, digest: SecretDigest, token: HeaderValue, now: Timestamp) -> Answer {
        let asked = timeout(QUESTION_MAX, self.in_turn(token, now)).await;
        // It may have waited for its turn all the time, which says nothing about the others.
        let asked = asked.unwrap_or_else(|_| {
            let why = format!("no answer within {QUESTION_MAX:?}");
            Err(Missed::Failed { why, retry_after: FAILED_PAUSE, for_all: false })
        });
        match asked {
            Ok(known) => {
                self.metrics.asked(KEYSTONE, true);
                self.trouble.over();
                self.cache().put(digest, &known, Instant::now());
                Answer::Known(known)
            }
            Err(Missed::LeftAlone(left)) => Answer::Unavailable { retry_after: left },
            Err(Missed::Failed { why, retry_after, .. }) => {
                self.metrics.asked(KEYSTONE, false);
                self.trouble.met(&why);
                Answer::Unavailable { retry_after }
            }
        }
    }

    async fn in_turn(&self, token: HeaderValue, now: Timestamp) -> Result<Known, Missed> {
        let _permit = self.on_wire.acquire().await.expect("nobody closes the semaphore of questions");
        // Those before may have found out that it is of no use.
        if let Some(left) = self.pause() {
            return Err(Missed::LeftAlone(left));
        }
        let asked = self.ask(token, now).await;
        // While the permit is held, for the next one to see it.
        if let Err(Missed::Failed { retry_after, for_all: true, .. }) = &asked {
            *lock(&self.paused) = Some(Instant::now() + *retry_after);
        }
        asked
    }

    /// Asks, and once more with a new token of our own if the one at hand is not taken any more.
    async fn ask(&self, token: HeaderValue, now: Timestamp) -> Result<Known, Missed> {
        let own = self.own_token(None, now).await?;
        let received = self.show(&own, token.clone()).await?;
        if received.status != StatusCode::UNAUTHORIZED {
            return understood(&received, now);
        }
        let own = self.own_token(Some(&own), now).await?;
        let received = self.show(&own, token).await?;
        understood(&received, now)
    }

    async fn own_token(&self, refused: Option<&Own>, now: Timestamp) -> Result<Own, Missed> {
        let token = self.service.token(&self.remote, refused, now).await;
        token.map_err(|service::Failed { why, retry_after }| Missed::Failed { why, retry_after, for_all: true })
    }

    async fn show(&self, own: &Own, token: HeaderValue) -> Result<Received, Missed> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTH_TOKEN, own.text.clone());
        headers.insert(HeaderName::from_static(SUBJECT_TOKEN), token);
        let question = Question {
            method: Method::GET,
            path: &self.path,
            headers,
            body: bytes::Bytes::new(),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        self.remote.ask(question).await.map_err(unreachable)
    }

    /// How long it is left alone yet.
    fn pause(&self) -> Option<Duration> {
        let until = (*lock(&self.paused))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        lock(&self.cache)
    }
}

fn unreachable(why: String) -> Missed {
    Missed::Failed { why, retry_after: FAILED_PAUSE, for_all: true }
}

/// What an answer to a question about a token means.
fn understood(received: &Received, now: Timestamp) -> Result<Known, Missed> {
    let failed = |why: String, for_all: bool| {
        let asked = retry_after(&from_wire(&received.headers), now);
        let retry_after = asked.unwrap_or(FAILED_PAUSE).clamp(FAILED_PAUSE, PAUSE_MAX);
        Missed::Failed { why, retry_after, for_all }
    };
    match received.status {
        StatusCode::OK => {
            let described = wire::read(&received.body);
            let described =
                described.map_err(|at| failed(format!("its answer does not describe a token: {at}"), false))?;
            Ok(Known::Good(Arc::new(described)))
        }
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Ok(Known::Bad),
        StatusCode::UNAUTHORIZED => {
            Err(failed("it does not take the token that it gave us a moment ago".to_owned(), true))
        }
        StatusCode::FORBIDDEN => {
            let why = "the user of [auth.keystone] may not look at tokens of others: give it a role that may \
                       (identity:validate_token)";
            Err(failed(why.to_owned(), true))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Err(failed(format!("asked about a token, {}", unexpected(received)), true))
        }
        _ => Err(failed(format!("asked about a token, {}", unexpected(received)), false)),
    }
}

/// None of what is locked here has a half-way state.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
