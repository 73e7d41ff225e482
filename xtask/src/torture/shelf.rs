//! Things with versions at one target, which operations change and restore, and which somebody else changes in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fanfold_testkit::{Answer, Seen};
use serde_json::json;

use super::journal::Leg;
use super::oracle::Breach;
use super::plans::{CONTESTED, SHARED};
use super::world::World;

/// How often somebody else changes something.
const STRANGE_EVERY: Duration = Duration::from_millis(4);

/// Below this path nothing has an entity tag.
const UNTAGGED: &str = "/r/u/";

#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    things: HashMap<String, Thing>,
    versions: u64,
}

#[derive(Debug)]
struct Thing {
    body: Bytes,
    version: u64,
    by: Writer,
    /// Operations that have read it since it was written, and in which life of the server.
    readers: HashMap<String, u64>,
    /// Operations that read what they had written themselves before somebody else wrote, and in which life of the server: what
    /// was read may be lost with it.
    knew: HashMap<String, u64>,
}

/// Who wrote something last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Writer {
    Operation(String),
    Stranger,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) applied: bool,
    /// Whether it wrote over what somebody else had written, as could have been known.
    pub(super) over_another: bool,
    /// Whether it changed what somebody else had written since the operation read it.
    pub(super) unseen: bool,
}

const NOT_WRITTEN: Written = Written { applied: false, over_another: false, unseen: false };

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `PUT`, `DELETE` under conditions (RFC 9110, section 13.1).
    pub(super) fn write(&self, request: &Seen, operation: &str, leg: Leg, life: u64) -> (Answer, Written) {
        let path = request.path();
        let mut state = self.state();
        let present = state.things.get(path);
        let tagged = !path.starts_with(UNTAGGED);
        let tag = present.filter(|_| tagged).map(|thing| format!("\"{}\"", thing.version));
        let holds = request.header("if-match").is_none_or(|wanted| Some(wanted) == tag.as_deref())
            && request.header("if-none-match").is_none_or(|_| present.is_none());
        if !holds {
            return (Answer::empty(412), NOT_WRITTEN);
        }
        let over_another = leg == Leg::Undo
            && present.is_some_and(|thing| {
                let noticed = thing.readers.contains_key(operation) && thing.knew.get(operation) == Some(&life);
                thing.by == Writer::Stranger && (tagged || noticed)
            });
        let unseen = present.is_some_and(|thing| {
            thing.by == Writer::Stranger && !thing.readers.contains_key(operation) && leg == Leg::Forward
        });
        let written = Written { applied: true, over_another, unseen };
        if request.method == "DELETE" {
            let there = state.things.remove(path).is_some();
            return if there { (Answer::empty(204), written) } else { (Answer::empty(404), NOT_WRITTEN) };
        }
        let version = state.put(path, request.body.clone(), Writer::Operation(operation.to_owned()));
        let answer = Answer::json(200, &json!({ "ok": true }));
        (if tagged { answer.header("etag", format!("\"{version}\"")) } else { answer }, written)
    }

    pub(super) fn read(&self, path: &str, operation: &str, life: u64) -> Answer {
        let mut state = self.state();
        let Some(thing) = state.things.get_mut(path) else { return Answer::empty(404) };
        thing.readers.insert(operation.to_owned(), life);
        let answer = Answer::text(200, thing.body.clone()).header("content-type", "application/json");
        if path.starts_with(UNTAGGED) { answer } else { answer.header("etag", format!("\"{}\"", thing.version)) }
    }
}

impl State {
    fn put(&mut self, path: &str, body: Bytes, by: Writer) -> u64 {
        self.versions += 1;
        let version = self.versions;
        let knew = match (self.things.get(path), &by) {
            (Some(before), Writer::Stranger) => match &before.by {
                Writer::Operation(id) => before.readers.get(id).map(|life| (id.clone(), *life)).into_iter().collect(),
                Writer::Stranger => before.knew.clone(),
            },
            (None, _) | (Some(_), Writer::Operation(_)) => HashMap::new(),
        };
        let thing = Thing { body, version, by, readers: HashMap::new(), knew };
        self.things.insert(path.to_owned(), thing);
        version
    }
}

/// Somebody else, who changes what operations change.
pub(super) async fn stranger(world: Arc<World>, shelves: Vec<Arc<Shelf>>) {
    let mut count = 0;
    loop {
        tokio::time::sleep(STRANGE_EVERY).await;
        if !world.has_faults() {
            continue;
        }
        count += 1;
        let path = format!("{}{}", CONTESTED[world.draw(CONTESTED.len())], world.draw(SHARED));
        let body = json!({ "stranger": count }).to_string();
        shelves[world.draw(shelves.len())].state().put(&path, body.into(), Writer::Stranger);
        world.count("stranger", "wrote");
    }
}

/// Blames a write over what somebody else had written.
pub(super) fn judge(world: &World, target: &str, path: &str, operation: &str, written: Written) {
    if written.over_another {
        world.blame(Breach::Overwritten, format!("{operation}: its undo wrote over a stranger's {path} at {target}"));
    }
}
