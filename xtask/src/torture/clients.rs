//! Clients: they start operations, repeat requests whose answer was lost, repeat others to see the same answer, and cancel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_testkit::{Http, HttpAnswer};
use serde_json::Value;
use tokio::sync::watch;

use super::plans::{PLANS, Plan};
use super::target::World;

/// Operations that have not ended beyond which clients wait: the load is bounded.
const RUNNING_MAX: usize = 400;

/// The wait before a server that is not there is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// An operation whose acceptance was answered.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) id: String,
    pub(super) plan: &'static Plan,
    pub(super) noticed: bool,
}

/// What the clients know.
#[derive(Debug, Default)]
pub(super) struct Book {
    accepted: Mutex<HashMap<String, Accepted>>,
    pub(super) count: AtomicUsize,
    /// Answers that must not be: another operation for the same key, for instance.
    pub(super) wrong: Mutex<Vec<String>>,
}

/// A client's request, which it repeats until it knows what became of it.
struct Request {
    plan: &'static Plan,
    path: String,
    query: String,
    key: String,
}

impl Book {
    fn accepted(&self) -> MutexGuard<'_, HashMap<String, Accepted>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Accepted> {
        self.accepted().values().cloned().collect()
    }

    pub(super) fn is_wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn note(&self, request: &Request, id: &str) {
        let Request { plan, query, .. } = request;
        let one = Accepted { id: id.to_owned(), plan, noticed: !query.is_empty() };
        if self.accepted().insert(id.to_owned(), one).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts operations until told to stop.
pub(super) async fn run(
    number: usize,
    http: Http,
    world: Arc<World>,
    book: Arc<Book>,
    notify: String,
    mut stop: watch::Receiver<bool>,
) {
    let mut count = 0;
    while !*stop.borrow_and_update() {
        count += 1;
        let plan = &PLANS[world.draw(PLANS.len())];
        let value = if plan.shared { format!("{}", world.draw(6)) } else { format!("{number}-{count}") };
        let (path, key) = (plan.path.replace("{}", &value), format!("key-{number}-{count}"));
        let query = if plan.path.starts_with("/v1/") { notify.clone() } else { String::new() };
        let request = Request { plan, path, query, key };
        let Some(id) = accept(&http, &book, &request, &stop).await else { continue };
        book.note(&request, &id);
        match world.draw(20) {
            0 => drop(post(&http, &format!("/api/v1/operations/{id}/cancel")).await),
            1 => repeat(&http, &book, &request, &id).await,
            2..=5 => drop(http.try_request("GET", &format!("/api/v1/operations/{id}?wait=1s"), b"").await),
            _ => {}
        }
        while running(&http).await > RUNNING_MAX && !*stop.borrow_and_update() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Operations that have not ended; none while the server is not there.
async fn running(http: &Http) -> usize {
    let Ok(answer) = http.try_request("GET", "/api/v1/status", b"").await else { return 0 };
    let Ok(status) = serde_json::from_slice::<Value>(&answer.body) else { return 0 };
    let count = |name: &str| status["operations"][name].as_u64().unwrap_or(0);
    usize::try_from(count("unexecuted") + count("executing")).unwrap_or(usize::MAX)
}

/// Asks until there is an answer. `None`: it was refused, or the run is over.
async fn accept(http: &Http, book: &Book, request: &Request, stop: &watch::Receiver<bool>) -> Option<String> {
    loop {
        match send(http, request, "{\"size\":3}").await {
            Ok(answer) if answer.status == 202 => return id_of(&answer),
            // Locked by another one, which is as it should be.
            Ok(answer) if answer.status == 409 => return None,
            Ok(answer) if answer.status >= 500 => {}
            Ok(answer) => {
                book.is_wrong(format!("{} {}: {} {}", request.plan.method, request.path, answer.status, answer.text()));
                return None;
            }
            Err(_) => {}
        }
        if *stop.borrow() {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same request with the same key is the same operation; another one with the same key is refused.
async fn repeat(http: &Http, book: &Book, request: &Request, id: &str) {
    if let Ok(answer) = send(http, request, "{\"size\":3}").await
        && answer.status == 202
        && id_of(&answer).as_deref() != Some(id)
    {
        book.is_wrong(format!("the same request became {} and {:?}", id, id_of(&answer)));
    }
    if let Ok(answer) = send(http, request, "{\"size\":4}").await
        && !matches!(answer.status, 400 | 422 | 500..)
    {
        book.is_wrong(format!("another request with the key of {id} was answered {}", answer.status));
    }
}

async fn send(http: &Http, request: &Request, size: &str) -> std::io::Result<HttpAnswer> {
    let with = http.clone().with("idempotency-key", &request.key).with("content-type", "application/json");
    // Restores compare contents, so each is another one.
    let body = format!("{{\"key\":\"{}\",\"body\":{size}}}", request.key);
    with.try_request(request.plan.method, &format!("{}{}", request.path, request.query), body.as_bytes()).await
}

async fn post(http: &Http, path: &str) -> std::io::Result<HttpAnswer> {
    http.try_request("POST", path, b"").await
}

fn id_of(answer: &HttpAnswer) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let id = body.get("id").or_else(|| body.get("operation_id"))?;
    Some(id.as_str()?.to_owned())
}
