//! The keys of one issuer as they are read, kept and read again.
//!
//! A token is checked against keys that are at hand; nobody waits for the issuer while they are young. They are read ahead of their
//! time. When they are due and the issuer is away, the old ones hold on for a bounded time. A token that names a key which is not among
//! them makes the issuer be asked, but seldom: names of keys can be made up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::keys::{self, KeySet};
use crate::identity::address::IssuerAddress;
use crate::identity::config::{IssuerConfig, KeysFrom};
use crate::identity::flight::{Flights, Landing};
use crate::identity::issuers::{NotVerified, Way};
use crate::identity::metrics::Metrics;
use crate::identity::remote::{Question, Remote, unexpected};
use crate::identity::trouble::Trouble;
use crate::target::BadTls;

/// How long keys are young where their issuer does not say.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The shortest and the longest such time, whatever the issuer says.
const LIFETIME_MIN: Duration = Duration::from_secs(5 * 60);
const LIFETIME_MAX: Duration = Duration::from_secs(12 * 3600);

/// How long keys are used at the most while their issuer cannot be asked.
const KEPT_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long the issuer is left alone after it was asked, whatever keys tokens name.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(30);

/// How long the issuer is left alone after it could not be asked.
const FAILED_PAUSE: Duration = Duration::from_secs(10);

/// How long reading keys may take, the document that says where they are included.
const READING_MAX: Duration = Duration::from_secs(12);

/// The longest document that says where the keys are, in octets.
const DISCOVERY_BYTES_MAX: u64 = 64 * 1024;

/// Where that document is, below the issuer (OpenID Connect Discovery, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The keys of one issuer.
#[derive(Debug)]
pub(in crate::identity) enum Source {
    /// They do not change.
    Given(Arc<KeySet>),
    /// They are read.
    Read {
        /// What does it.
        reader: Arc<Reader>,
        /// Whether it does.
        flights: Flights<(), ()>,
    },
}

/// Reads the keys of an issuer, and keeps them.
#[derive(Debug)]
pub(in crate::identity) struct Reader {
    issuer: String,
    from: From,
    remote: Remote,
    shelf: Mutex<Shelf>,
    trouble: Trouble,
    metrics: Metrics,
}

#[derive(Debug)]
enum From {
    Discovery { document: IssuerAddress, issuer: String },
    Address(IssuerAddress),
}

/// What is at hand, and how the last reading went.
#[derive(Debug, Clone, Default)]
struct Shelf {
    keys: Option<Kept>,
    last: Option<Reading>,
}

#[derive(Debug, Clone)]
struct Kept {
    keys: Arc<KeySet>,
    since: Instant,
    lifetime: Duration,
}

/// A reading that has ended.
#[derive(Debug, Clone, Copy)]
struct Reading {
    ended: Instant,
    failed: bool,
}

/// What to do for somebody who needs keys.
#[derive(Debug, Clone, PartialEq)]
enum Course {
    /// These will do.
    Use(Arc<KeySet>),
    /// These will do, and are to be read again meanwhile.
    UseAndRead(Arc<KeySet>),
    /// They are to be read first.
    Read,
    /// The issuer is not asked before this time has passed.
    Wait(Duration),
}

/// What to do for somebody who needs a key that is not at hand.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Further {
    /// The keys are to be read.
    Read,
    /// The issuer was asked a moment ago, and has no other keys.
    Nothing,
    /// The issuer is not asked before this time has passed.
    Wait(Duration),
}

impl Shelf {
    /// What to do for a token, whatever key it names.
    fn course(&self, now: Instant) -> Course {
        let wait = self.wait(now);
        let Some(kept) = self.keys.as_ref().filter(|kept| now.duration_since(kept.since) < KEPT_MAX) else {
            return wait.map_or(Course::Read, Course::Wait);
        };
        let keys = Arc::clone(&kept.keys);
        let age = now.duration_since(kept.since);
        if age < kept.lifetime / 4 * 3 || wait.is_some() {
            Course::Use(keys)
        } else if age < kept.lifetime {
            Course::UseAndRead(keys)
        } else {
            Course::Read
        }
    }

    /// What to do for a token that names a key which is not at hand.
    fn further(&self, now: Instant) -> Further {
        if let Some(wait) = self.wait(now) {
            return Further::Wait(wait);
        }
        match self.last {
            Some(last) if now.duration_since(last.ended) < UNKNOWN_KEY_PAUSE => Further::Nothing,
            Some(_) | None => Further::Read,
        }
    }

    /// How long the issuer is to be left alone because it could not be asked.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let failed = self.last.filter(|last| last.failed)?;
        FAILED_PAUSE.checked_sub(now.duration_since(failed.ended)).filter(|left| !left.is_zero())
    }

    /// What is at hand, however old, if it may be used at all.
    fn usable(&self, now: Instant) -> Option<Arc<KeySet>> {
        let kept = self.keys.as_ref().filter(|kept| now.duration_since(kept.since) < KEPT_MAX);
        kept.map(|kept| Arc::clone(&kept.keys))
    }
}

impl Source {
    /// The one that is configured. Nothing is read yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(in crate::identity) fn new(config: &IssuerConfig, way: &Way, metrics: &Metrics) -> Result<Self, BadTls> {
        let (from, address) = match &config.keys {
            KeysFrom::Given(keys) => return Ok(Self::Given(Arc::new(keys.clone()))),
            KeysFrom::Discovery(base) => {
                let document = base.below(DISCOVERY);
                (From::Discovery { document, issuer: config.issuer.clone() }, base)
            }
            KeysFrom::Address(address) => (From::Address(address.clone()), address),
        };
        let reader = Reader {
            issuer: config.name.clone(),
            from,
            remote: way.to(address, &config.authorities)?,
            shelf: Mutex::default(),
            trouble: Trouble::new(&config.name),
            metrics: metrics.clone(),
        };
        Ok(Self::Read { reader: Arc::new(reader), flights: Flights::new(1) })
    }

    /// The keys, at hand or read now.
    pub(in crate::identity) async fn keys(&self) -> Result<Arc<KeySet>, NotVerified> {
        let (reader, flights) = match self {
            Self::Given(keys) => return Ok(Arc::clone(keys)),
            Self::Read { reader, flights } => (reader, flights),
        };
        let course = reader.shelf().course(Instant::now());
        match course {
            Course::Use(keys) => return Ok(keys),
            Course::UseAndRead(keys) => {
                // Nobody waits for it.
                drop(begin(reader, flights));
                return Ok(keys);
            }
            Course::Wait(left) => return Err(NotVerified::Unavailable { retry_after: left }),
            Course::Read => {}
        }
        land(begin(reader, flights)).await;
        let usable = reader.shelf().usable(Instant::now());
        usable.ok_or(NotVerified::Unavailable { retry_after: FAILED_PAUSE })
    }

    /// The keys as they are now, for a token that names a key which is not among `known`; `None` if there are no others.
    pub(in crate::identity) async fn newer_keys(
        &self,
        known: &Arc<KeySet>,
    ) -> Result<Option<Arc<KeySet>>, NotVerified> {
        let Self::Read { reader, flights } = self else { return Ok(None) };
        let under_way = flights.under_way(&());
        let newest = |reader: &Reader| reader.shelf().usable(Instant::now()).filter(|keys| !Arc::ptr_eq(keys, known));
        // Somebody else may have had them read since ours were looked at.
        if let (None, Some(keys)) = (&under_way, newest(reader)) {
            return Ok(Some(keys));
        }
        let further = reader.shelf().further(Instant::now());
        let landing = match (under_way, further) {
            (Some(landing), _) => Some(landing),
            (None, Further::Read) => begin(reader, flights),
            (None, Further::Nothing) => return Ok(None),
            (None, Further::Wait(left)) => return Err(NotVerified::Unavailable { retry_after: left }),
        };
        land(landing).await;
        let wait = reader.shelf().wait(Instant::now());
        match wait {
            Some(left) => Err(NotVerified::Unavailable { retry_after: left }),
            None => Ok(newest(reader)),
        }
    }
}

fn begin(reader: &Arc<Reader>, flights: &Flights<(), ()>) -> Option<Landing<()>> {
    let reader = Arc::clone(reader);
    flights.join(&(), || async move { reader.read().await })
}

async fn land(landing: Option<Landing<()>>) {
    if let Some(landing) = landing {
        // A reading that a mistake in the program ended has read nothing, which is looked at next.
        landing.wait().await;
    }
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Reader {
    /// Reads the keys once, and keeps them; or notes that this failed.
    async fn read(&self) {
        let read = timeout(READING_MAX, self.try_read()).await;
        let read = read.unwrap_or_else(|_| Err(format!("its keys were not read within {READING_MAX:?}")));
        self.metrics.asked(&self.issuer, read.is_ok());
        let now = Instant::now();
        match read {
            Ok((keys, lifetime)) => {
                self.trouble.over();
                self.metrics.keys_read(&self.issuer);
                let mut shelf = self.shelf();
                // Whoever holds these can tell by that that there are no others.
                let same = shelf.keys.take().map(|kept| kept.keys).filter(|kept| **kept == keys);
                let keys = same.unwrap_or_else(|| Arc::new(keys));
                *shelf = Shelf {
                    keys: Some(Kept { keys, since: now, lifetime }),
                    last: Some(Reading { ended: now, failed: false }),
                };
            }
            Err(why) => {
                self.trouble.met(&why);
                self.shelf().last = Some(Reading { ended: now, failed: true });
            }
        }
    }

    async fn try_read(&self) -> Result<(KeySet, Duration), String> {
        let discovered;
        let address = match &self.from {
            From::Address(address) => address,
            From::Discovery { document, issuer } => {
                discovered = self.discover(document, issuer).await?;
                &discovered
            }
        };
        let (headers, body) = self.get(address, keys::BYTES_MAX as u64).await?;
        let keys = KeySet::read(&body).map_err(|bad| bad.to_string())?;
        Ok((keys, lifetime(&headers)))
    }

    /// Where the document says that the keys are.
    async fn discover(&self, document: &IssuerAddress, issuer: &str) -> Result<IssuerAddress, String> {
        let (_, body) = self.get(document, DISCOVERY_BYTES_MAX).await?;
        let said: Document = serde_json::from_slice(&body)
            .map_err(|error| format!("{document} is no OpenID Connect configuration: {error}"))?;
        // Section 4.3: else whoever can write one document of the host could answer for every issuer there.
        if said.issuer != issuer {
            return Err(format!("{document} is of another issuer: write issuer as it stands there, if it is meant"));
        }
        let keys: IssuerAddress =
            said.jwks_uri.parse().map_err(|bad| format!("the jwks_uri of {document} is not good: {bad}"))?;
        if keys.origin() != document.origin() {
            let host = keys.authority();
            return Err(format!("its keys are at another host, {host}: set jwks_url, if that is right"));
        }
        Ok(keys)
    }

    async fn get(&self, address: &IssuerAddress, answer_bytes_max: u64) -> Result<(HeaderMap, bytes::Bytes), String> {
        let question = Question {
            method: Method::GET,
            path: address.path(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            answer_bytes_max,
        };
        let received = self.remote.ask(question).await.map_err(|why| format!("{address}: {why}"))?;
        if received.status != StatusCode::OK {
            return Err(format!("{address}: {}", unexpected(&received)));
        }
        Ok((received.headers, received.body))
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Its parts are set together, or one alone.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the issuer says that its keys are young (RFC 9111, section 5.2.2), within our own bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let fields = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<String> =
        fields.flat_map(|value| value.split(',')).map(|one| one.trim().to_ascii_lowercase()).collect();
    if directives.iter().any(|one| one == "no-store" || one == "no-cache") {
        return LIFETIME_MIN;
    }
    let seconds = directives.iter().find_map(|one| one.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    seconds.map_or(LIFETIME, Duration::from_secs).clamp(LIFETIME_MIN, LIFETIME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An octet key pair that RFC 8037 shows, and another one.
    fn keys(x: &str) -> Arc<KeySet> {
        let text = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{x}"}}]}}"#);
        Arc::new(KeySet::read(text.as_bytes()).unwrap())
    }

    fn shelf(since: Option<Instant>, last: Option<(Instant, bool)>) -> Shelf {
        let keys = keys("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        Shelf {
            keys: since.map(|since| Kept { keys, since, lifetime: LIFETIME }),
            last: last.map(|(ended, failed)| Reading { ended, failed }),
        }
    }

    #[test]
    fn young_keys_are_used_older_ones_read_ahead_and_due_ones_waited_for() {
        let began = Instant::now();
        let kept = shelf(Some(began), Some((began, false)));
        let keys = kept.usable(began).unwrap();
        let at = |minutes: u64| kept.course(began + Duration::from_secs(minutes * 60));
        assert_eq!(at(0), Course::Use(Arc::clone(&keys)));
        assert_eq!(at(44), Course::Use(Arc::clone(&keys)));
        assert_eq!(at(45), Course::UseAndRead(keys));
        assert_eq!(at(60), Course::Read);
        assert_eq!(shelf(None, None).course(began), Course::Read);
    }

    #[test]
    fn old_keys_hold_on_while_the_issuer_is_away_but_not_for_ever() {
        let began = Instant::now();
        let away = |after: Duration| {
            let now = began + after;
            (shelf(Some(began), Some((now, true))), now)
        };
        let (kept, now) = away(KEPT_MAX - Duration::from_secs(60));
        assert_eq!(kept.course(now), Course::Use(kept.usable(now).unwrap()));
        assert_eq!(kept.course(now + FAILED_PAUSE), Course::Read, "it is asked again and again");
        let (kept, now) = away(KEPT_MAX);
        assert_eq!(kept.course(now), Course::Wait(FAILED_PAUSE));
        assert_eq!(kept.usable(now), None);
        assert_eq!(kept.course(now + FAILED_PAUSE), Course::Read);
    }

    #[test]
    fn names_of_keys_that_are_made_up_do_not_make_the_issuer_be_asked_each_time() {
        let began = Instant::now();
        let kept = shelf(Some(began), Some((began, false)));
        assert_eq!(kept.further(began), Further::Nothing);
        assert_eq!(kept.further(began + UNKNOWN_KEY_PAUSE), Further::Read);
        let away = shelf(Some(began), Some((began, true)));
        assert_eq!(away.further(began), Further::Wait(FAILED_PAUSE));
        assert_eq!(away.further(began + FAILED_PAUSE), Further::Nothing);
    }

    #[test]
    fn what_the_issuer_says_of_its_keys_holds_within_bounds() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, http::HeaderValue::from_static(value));
            }
            lifetime(&headers)
        };
        assert_eq!(of(&[]), LIFETIME);
        assert_eq!(of(&["public, max-age=7200"]), Duration::from_secs(7200));
        assert_eq!(of(&["public", "MAX-AGE=\"7200\", must-revalidate"]), Duration::from_secs(7200));
        assert_eq!(of(&["max-age=1"]), LIFETIME_MIN);
        assert_eq!(of(&["max-age=99999999999"]), LIFETIME_MAX);
        assert_eq!(of(&["max-age=7200, no-store"]), LIFETIME_MIN);
        assert_eq!(of(&["max-age=-1"]), LIFETIME);
        assert_eq!(of(&["max-age=x"]), LIFETIME);
    }
}
