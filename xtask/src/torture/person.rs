//! The people around the server: they answer what operations ask, truthfully, hold and release targets, drain and resume,
//! acknowledge what has ended, and send dead letters again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanfold_testkit::{Http, HttpAnswer};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::clients::Book;
use super::oracle::Breach;
use super::plans::PLAIN;
use super::world::World;

/// How often they look.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// How long after a question came up they look at the target: longer than any target acts late.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Operations among which one is retried.
const RETRY_AMONG: usize = 20;

/// Dead letters that are sent again at once.
const REPLAY_MAX: usize = 20;

pub(super) struct Person {
    pub(super) http: Http,
    pub(super) world: Arc<World>,
    pub(super) book: Arc<Book>,
}

impl Person {
    /// Looks after the server until told that all is calm.
    pub(super) async fn run(self, mut calm: watch::Receiver<bool>) {
        let mut known: HashMap<u64, Instant> = HashMap::new();
        while !*calm.borrow_and_update() {
            self.answer(&mut known).await;
            let faults = self.world.has_faults();
            match if faults { self.world.draw(48) } else { usize::MAX } {
                0..=3 => self.hold().await,
                // One of several says nothing of the others.
                4 if self.world.nodes == 1 => self.drain().await,
                5..=6 => self.acknowledge().await,
                7..=8 => drop(self.replay(REPLAY_MAX).await),
                9..=20 => self.retry().await,
                _ => {}
            }
            // A failed undo holds its target, until somebody has looked.
            if !faults || self.world.draw(6) == 0 {
                for target in PLAIN {
                    drop(self.post(&format!("/api/v1/targets/{target}/release"), "").await);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn answer(&self, known: &mut HashMap<u64, Instant>) {
        for note in self.list("/api/v1/attention?state=open&limit=1000", "attention").await {
            let (Some(id), Some(operation)) = (note["id"].as_u64(), note["operation"].as_str()) else { continue };
            let answers = note["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
            if answers.is_empty() || known.entry(id).or_insert_with(Instant::now).elapsed() < PATIENCE {
                continue;
            }
            let (answer, event) = match note["target"].as_str() {
                Some(target) if self.world.journal.truth(target, operation).stands => {
                    (json!("applied"), "person_resolved")
                }
                Some(_) => (json!("not_applied"), "person_resolved"),
                None => (answers[self.world.draw(answers.len())].clone(), "person_chose"),
            };
            let body = json!({ "answer": answer, "remark": "looked at the target" }).to_string();
            // It may have been answered in the meantime, or the server is not there: then the note is found again.
            let answered = self.post(&format!("/api/v1/attention/{id}/resolve"), &body).await;
            if answered.is_some_and(|answer| matches!(answer.status, 200 | 202)) {
                self.world.count("person", answer.as_str().unwrap_or_default());
                self.book.was_asked(operation, event);
            }
        }
    }

    /// Holds a target for a moment. It is released whatever comes in between.
    async fn hold(&self) {
        let target = PLAIN[self.world.draw(PLAIN.len())];
        self.act(&format!("/api/v1/targets/{target}/hold"), "held").await;
        tokio::time::sleep(Duration::from_millis(50 + self.world.draw(250) as u64)).await;
        loop {
            let answer = self.post(&format!("/api/v1/targets/{target}/release"), "").await;
            // One that is not configured at the moment is released later.
            if answer.is_some_and(|answer| matches!(answer.status, 200 | 404)) {
                return self.world.count("person", "released");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Drains the server for a moment: nothing is accepted meanwhile.
    async fn drain(&self) {
        let life = self.world.lives();
        if self.act("/api/v1/drain", "drained").await {
            let http = self.http.clone().with("content-type", "application/json");
            let answer = http.try_request("POST", &format!("/n/while-drained-{life}"), b"{}").await;
            // A server that was started again accepts.
            if answer.is_ok_and(|answer| answer.status < 500) && life == self.world.lives() {
                self.world.blame(Breach::WrongAnswer, "a server that drains accepted an operation");
            }
            tokio::time::sleep(Duration::from_millis(self.world.draw(100) as u64)).await;
        }
        while !self.act("/api/v1/resume", "resumed").await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Closes a note of an operation that has ended.
    async fn acknowledge(&self) {
        let notes = self.list("/api/v1/attention?state=open&limit=200", "attention").await;
        let note = notes.iter().find(|note| note["operation_ended"] == true).and_then(|note| note["id"].as_u64());
        if let Some(id) = note {
            self.act(&format!("/api/v1/attention/{id}/acknowledge"), "acknowledged").await;
        }
    }

    /// Retries what failed last, or was canceled; asked again with the same key, it is the same retry.
    async fn retry(&self) {
        let status = ["failed", "canceled"][self.world.draw(2)];
        let ended = self.list(&format!("/api/v1/operations?status={status}&limit={RETRY_AMONG}"), "operations").await;
        if ended.is_empty() {
            return;
        }
        let first = ended[self.world.draw(ended.len())]["id"].as_str().unwrap_or_default().to_owned();
        let path = format!("/api/v1/operations/{first}/retry");
        let http = self.http.clone().with("idempotency-key", &format!("retry-{first}"));
        let mut ids = Vec::new();
        for _ in 0..2 {
            let Ok(answer) = http.try_request("POST", &path, b"").await else { continue };
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            match answer.status {
                202 => ids.extend(body["id"].as_str().map(str::to_owned)),
                // Nothing is left to do, something is unknown, or it was retried before, or is locked.
                409 => self.world.count("retry", "refused"),
                404 | 500.. => {}
                status => self.world.blame(Breach::WrongAnswer, format!("a retry of {first} was answered {status}")),
            }
        }
        ids.dedup();
        if ids.len() > 1 {
            self.world.blame(Breach::Twice, format!("a retry of {first} became {ids:?}"));
        }
        if let Some(id) = ids.pop() {
            self.world.count("person", "retried");
            self.book.note_retry(id);
        }
    }

    /// Sends dead letters again; says how many there were.
    pub(super) async fn replay(&self, at_the_most: usize) -> usize {
        let dead = self.list(&format!("/api/v1/notices?state=dead&limit={at_the_most}"), "notices").await;
        for id in dead.iter().filter_map(|notice| notice["id"].as_str()) {
            self.act(&format!("/api/v1/notices/{id}/replay"), "replayed").await;
        }
        dead.len()
    }

    async fn act(&self, path: &str, word: &str) -> bool {
        let done = self.post(path, "").await.is_some_and(|answer| answer.status == 200);
        if done {
            self.world.count("person", word);
        }
        done
    }

    async fn post(&self, path: &str, body: &str) -> Option<HttpAnswer> {
        let http = self.http.clone().with("content-type", "application/json");
        http.try_request("POST", path, body.as_bytes()).await.ok()
    }

    /// The entries of a list; none while the server is not there.
    async fn list(&self, path: &str, name: &str) -> Vec<Value> {
        let Ok(read) = self.http.try_request("GET", path, b"").await else { return Vec::new() };
        let list = serde_json::from_slice::<Value>(&read.body).unwrap_or_default();
        list[name].as_array().cloned().unwrap_or_default()
    }
}
