//! Who is told of the end of operations, and does not always listen.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_testkit::fake::Service;
use fanfold_testkit::{Answer, FakeTarget, Reply, Seen};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::config::{NOTICE_TRIES, SECRETS};
use super::oracle::Breach;
use super::world::World;

/// What is told, by the kind of notice.
pub(super) const KINDS: [&str; 3] = ["msf", "webhook", "callback"];

/// Where redirects lead: nobody comes here.
const ELSEWHERE: &str = "/elsewhere";

pub(super) struct Receiver {
    target: FakeTarget,
    told: Arc<Mutex<Told>>,
}

/// What came, by operation and kind.
type Told = HashMap<String, BTreeMap<&'static str, Story>>;

/// One notice, as it came.
#[derive(Debug, Default)]
struct Story {
    /// Its id.
    id: String,
    /// When it came first, counted over all of the operation.
    place: usize,
    /// Whether the last try was confirmed, or refused for good.
    settled: bool,
    confirmed: bool,
    /// Whether it may be a dead letter: refused, or tried often enough.
    given_up: bool,
    tries: usize,
}

struct Ear {
    world: Arc<World>,
    told: Arc<Mutex<Told>>,
}

/// What the receiver does with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Confirm,
    Slow,
    Fail,
    Reset,
    Never,
    /// Confirmed, but the answer is lost.
    Deaf,
    Redirect,
    Gone,
}

impl Receiver {
    pub(super) async fn start(world: Arc<World>) -> Self {
        let told = Arc::default();
        let target = FakeTarget::start().await;
        target.serve(Ear { world, told: Arc::clone(&told) });
        Self { target, told }
    }

    pub(super) fn url(&self) -> String {
        self.target.url()
    }

    /// Whether the end of this operation was confirmed here, by a notice of this kind.
    pub(super) fn confirmed(&self, operation: &str, kind: &str) -> bool {
        lock(&self.told).get(operation).and_then(|kinds| kinds.get(kind)).is_some_and(|story| story.confirmed)
    }
}

/// What a client adds to its request to be told at `url`.
pub(super) fn query(url: &str) -> String {
    let (address, port) = url.trim_start_matches("http://").rsplit_once(':').unwrap_or_default();
    format!("?notification_address={address}&notification_port={port}")
}

impl Service for Ear {
    fn answer(&self, request: &Seen) -> Option<Reply> {
        let Some((kind, operation, id)) = self.read(request) else { return Some(Answer::empty(400).into()) };
        let manner = self.manner();
        self.write_down(kind, &operation, &id, manner);
        self.world.count("receiver", manner.word());
        Some(match manner {
            Manner::Confirm => Answer::empty(200).into(),
            Manner::Slow => Reply::from(Answer::empty(204)).after(&self.world.latch(Duration::from_millis(150))),
            Manner::Fail => Answer::empty(500).into(),
            Manner::Reset | Manner::Deaf => Reply::Reset { applied: manner == Manner::Deaf },
            Manner::Never => Reply::Never { applied: false },
            Manner::Redirect => Answer::empty(307).header("location", ELSEWHERE).into(),
            Manner::Gone => Answer::empty(410).into(),
        })
    }
}

impl Ear {
    fn manner(&self) -> Manner {
        if !self.world.has_faults() {
            return Manner::Confirm;
        }
        match self.world.draw(80) {
            0..=7 => Manner::Fail,
            8..=12 => Manner::Reset,
            13..=15 => Manner::Deaf,
            16..=17 => Manner::Never,
            18..=21 => Manner::Redirect,
            22..=23 => Manner::Gone,
            24..=33 => Manner::Slow,
            _ => Manner::Confirm,
        }
    }

    /// Kind of notice, operation and id; whatever is wrong with it is blamed.
    fn read(&self, request: &Seen) -> Option<(&'static str, String, String)> {
        let blame = |what: &str| self.world.blame(Breach::WrongAnswer, format!("a notice at {}: {what}", request.uri));
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Some(operation) = request.path().strip_prefix("/v1/operations/") {
            if request.method != "PUT" || body["operation_id"] != operation {
                blame("it is not about the operation in its path");
                return None;
            }
            return Some(("msf", operation.to_owned(), operation.to_owned()));
        }
        let kind = KINDS.into_iter().find(|kind| request.path().strip_prefix("/hook/") == Some(*kind));
        let Some(kind) = kind else {
            blame("nobody asked for it, or a redirect was followed");
            return None;
        };
        let id = request.header("webhook-id").unwrap_or_default().to_owned();
        if !is_signed(request, &id) {
            blame("none of its signatures is right");
        }
        let ended = ["completed", "failed", "canceled"].map(Value::from).contains(&body["data"]["status"]);
        if body["id"] != id.as_str() || body["specversion"] != "1.0" || !ended {
            blame("it is no event of an end");
        }
        Some((kind, body["subject"].as_str()?.to_owned(), id))
    }

    fn write_down(&self, kind: &'static str, operation: &str, id: &str, manner: Manner) {
        let mut told = lock(&self.told);
        let kinds = told.entry(operation.to_owned()).or_default();
        let place = kinds.len();
        // What came to an end and is sent again by a person may come at any time.
        let given_up = kinds.values().any(|story| story.given_up);
        let ahead = kinds.iter().find(|(other, story)| **other != kind && !story.settled);
        if let (Some((ahead, _)), false) = (ahead, given_up) {
            let what = format!("{operation}: {kind} came before {ahead} was settled");
            self.world.blame(Breach::NoticeOutOfOrder, what);
        }
        let first = Story { id: id.to_owned(), place, ..Story::default() };
        let story = kinds.entry(kind).or_insert(first);
        if story.id != id {
            self.world
                .blame(Breach::NoticeOutOfOrder, format!("{operation}: {kind} has the ids {} and {id}", story.id));
        }
        story.settled = matches!(manner, Manner::Confirm | Manner::Slow | Manner::Gone);
        story.confirmed |= matches!(manner, Manner::Confirm | Manner::Slow);
        story.tries += 1;
        story.given_up |= manner == Manner::Gone || story.tries >= NOTICE_TRIES;
        let later = kinds.get(kind).map_or(0, |story| story.place);
        let went_back = kinds.values().any(|story| story.place > later);
        if went_back && !given_up {
            self.world.blame(Breach::NoticeOutOfOrder, format!("{operation}: {kind} came again after a later one"));
        }
    }
}

impl Manner {
    fn word(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::Slow => "slow",
            Self::Fail => "failed",
            Self::Reset => "reset",
            Self::Never => "never",
            Self::Deaf => "answer_lost",
            Self::Redirect => "redirected",
            Self::Gone => "gone",
        }
    }
}

/// Whether one of its signatures is by one of the secrets (Standard Webhooks).
fn is_signed(request: &Seen, id: &str) -> bool {
    let timestamp = request.header("webhook-timestamp").unwrap_or_default();
    let given = request.header("webhook-signature").unwrap_or_default();
    SECRETS.iter().any(|secret| {
        let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of every length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(&request.body);
        let right = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        given.split(' ').any(|one| one == right)
    })
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}
