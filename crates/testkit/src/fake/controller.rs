//! A lower controller that speaks `msf`: answers 202 with an operation of its own, which ends after some polls.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{Answer, Reply, Seen, Service};
use crate::http::{Http, HttpAnswer};

/// Where a controller keeps its operations.
const OPERATIONS: &str = "/v1/operations";

/// A lower controller. Clones share its operations.
#[derive(Debug, Clone)]
pub struct Controller(Arc<Mutex<State>>);

/// How an operation of a lower controller ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Completed, with this status and body.
    Completed(u16, String),
    /// Failed, with an error body of this code and `data_consistency`.
    Failed(&'static str, &'static str),
    /// Failed, with this status and body as they are.
    FailedWith(u16, String),
    /// Canceled.
    Canceled,
    /// Never: it executes until [`Controller::finish`] ends it.
    Never,
}

#[derive(Debug)]
struct State {
    /// Polls that are answered with `executing` before an operation ends.
    polls: u32,
    /// How the next ones end, before `ending`.
    next: VecDeque<Ending>,
    ending: Ending,
    operations: BTreeMap<String, Lower>,
    accepted: u64,
}

#[derive(Debug, Clone)]
struct Lower {
    method: String,
    uri: String,
    body: String,
    notify: Option<String>,
    polls_left: u32,
    ending: Ending,
}

impl Controller {
    /// A controller whose operations complete at the first poll, with 200 and `{}`.
    #[expect(clippy::new_without_default, reason = "what it does is worth saying")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            polls: 0,
            next: VecDeque::new(),
            ending: Ending::Completed(200, "{}".to_owned()),
            operations: BTreeMap::new(),
            accepted: 0,
        })))
    }

    /// Operations accepted from now on execute for so many polls before they end.
    #[must_use]
    pub fn polls(self, polls: u32) -> Self {
        self.lock().polls = polls;
        self
    }

    /// Operations accepted from now on end so.
    #[must_use]
    pub fn ends(self, ending: Ending) -> Self {
        self.lock().ending = ending;
        self
    }

    /// The next operation accepted (after those already told of) ends so.
    pub fn next_ends(&self, ending: Ending) {
        self.lock().next.push_back(ending);
    }

    /// The ids of the operations accepted so far, oldest first.
    pub fn operations(&self) -> Vec<String> {
        self.lock().operations.keys().cloned().collect()
    }

    /// Ends an operation that executes, whatever polls it had left. Panics if there is none of this id.
    pub fn finish(&self, id: &str, ending: Ending) {
        let mut state = self.lock();
        let lower = state.operations.get_mut(id).expect("an operation of this controller");
        (lower.polls_left, lower.ending) = (0, ending);
    }

    /// Forgets an operation: queries for it are answered with 404.
    pub fn forget(&self, id: &str) {
        self.lock().operations.remove(id);
    }

    /// Sends the notification of an operation to whoever asked for it. Panics if nobody did.
    pub async fn notify(&self, id: &str) -> HttpAnswer {
        let lower = self.lock().operations.get(id).cloned().expect("an operation of this controller");
        let address = lower.notify.clone().expect("an operation whose caller asked for a notification");
        Http::new(&address).put(&format!("{OPERATIONS}/{id}"), &lower.detail(id)).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Controller {
    fn answer(&self, request: &Seen) -> Option<Reply> {
        let mut state = self.lock();
        let rest = request.path().strip_prefix(OPERATIONS);
        let answer = match (request.method.as_str(), rest) {
            ("GET", Some(rest)) => state.query(rest.trim_start_matches('/')),
            ("POST" | "PUT" | "PATCH" | "DELETE", None) => state.accept(request),
            _ => error(404, "030001", "rolled back"),
        };
        Some(answer.into())
    }
}

impl State {
    fn accept(&mut self, request: &Seen) -> Answer {
        self.accepted += 1;
        // Fixed width, so that ids sort by age.
        let id = format!("lower-{:06}", self.accepted);
        let address = request.query("notification_address").zip(request.query("notification_port"));
        let lower = Lower {
            method: request.method.clone(),
            uri: request.uri.clone(),
            body: request.text(),
            notify: address.map(|(address, port)| format!("http://{address}:{port}")),
            polls_left: self.polls,
            ending: self.next.pop_front().unwrap_or_else(|| self.ending.clone()),
        };
        self.operations.insert(id.clone(), lower);
        Answer::json(202, &json!({"operation_id": id}))
    }

    fn query(&mut self, id: &str) -> Answer {
        let Some(lower) = self.operations.get_mut(id) else {
            return error(404, "030001", "rolled back");
        };
        let detail = lower.detail(id);
        lower.polls_left = lower.polls_left.saturating_sub(1);
        Answer::json(200, &detail)
    }
}

impl Lower {
    fn detail(&self, id: &str) -> Value {
        let (status, response) = self.result();
        let mut detail = json!({
            "operation_id": id,
            "occurred_time": "20260101_000000",
            "last_update_time": "20260101_000000",
            "status": status,
            "request": {"uri": self.uri, "method": self.method, "body": self.body},
        });
        if let Some((status_code, body)) = response {
            detail["response"] = json!({"status_code": status_code, "body": body});
        }
        detail
    }

    fn result(&self) -> (&'static str, Option<(u16, String)>) {
        if self.polls_left > 0 {
            return ("executing", None);
        }
        match &self.ending {
            Ending::Never => ("executing", None),
            Ending::Canceled => ("canceled", None),
            Ending::Completed(status, body) => ("completed", Some((*status, body.clone()))),
            Ending::FailedWith(status, body) => ("failed", Some((*status, body.clone()))),
            Ending::Failed(code, consistency) => ("failed", Some((500, error_body(code, consistency).to_string()))),
        }
    }
}

fn error(status: u16, code: &str, consistency: &str) -> Answer {
    Answer::json(status, &error_body(code, consistency))
}

fn error_body(code: &str, consistency: &str) -> Value {
    json!({"error_code": code, "error_message": "told to fail", "data_consistency": consistency})
}
