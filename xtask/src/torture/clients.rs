//! Clients: they start operations, repeat requests whose answer was lost, repeat others to see the same answer, and cancel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_testkit::{Http, HttpAnswer};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::oracle::{Breach, fixed};
use super::plans::{PLANS, Plan, SHARED};
use super::receiver;
use super::world::World;

/// Operations that have not ended beyond which clients wait: the load is bounded.
const RUNNING_MAX: usize = 400;

/// The wait before a server that is not there is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// An operation whose acceptance was answered.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) id: String,
    pub(super) plan: &'static Plan,
    /// The kinds of notices that tell of its end.
    pub(super) notices: Vec<&'static str>,
    /// What people asked of it that was answered with success, by the event that records it.
    pub(super) asked: Vec<&'static str>,
    /// What never changes again, as a client saw it after the end.
    pub(super) remembered: Option<Value>,
    request: Arc<Request>,
    /// In which life of the server it was accepted.
    life: u64,
}

/// What the clients know.
#[derive(Debug, Default)]
pub(super) struct Book {
    accepted: Mutex<HashMap<String, Accepted>>,
    /// Ids in the order of their acceptance.
    order: Mutex<Vec<String>>,
    pub(super) count: AtomicUsize,
    /// Retries that were accepted.
    retries: Mutex<Vec<String>>,
}

/// A client's request, which it repeats until it knows what became of it.
#[derive(Debug)]
struct Request {
    plan: &'static Plan,
    path: String,
    query: String,
    key: String,
    start_at: Option<Timestamp>,
    callback: Option<String>,
}

/// One client.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) http: Http,
    pub(super) world: Arc<World>,
    pub(super) book: Arc<Book>,
    /// The URL of who is to be told.
    pub(super) receiver: String,
    pub(super) stop: watch::Receiver<bool>,
}

impl Book {
    fn accepted(&self) -> MutexGuard<'_, HashMap<String, Accepted>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self) -> MutexGuard<'_, Vec<String>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Accepted> {
        self.accepted().values().cloned().collect()
    }

    pub(super) fn get(&self, id: &str) -> Option<Accepted> {
        self.accepted().get(id).cloned()
    }

    /// Something was asked of an operation, and answered with success: this event has to be in its history.
    pub(super) fn was_asked(&self, id: &str, event: &'static str) {
        if let Some(one) = self.accepted().get_mut(id) {
            one.asked.push(event);
        }
    }

    fn remember(&self, id: &str, seen: Value) {
        if let Some(one) = self.accepted().get_mut(id) {
            one.remembered = Some(seen);
        }
    }

    pub(super) fn note_retry(&self, id: String) {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    pub(super) fn retries(&self) -> Vec<String> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of those accepted before the latest so many.
    fn one_before(&self, latest: usize, draw: impl FnOnce(usize) -> usize) -> Option<Accepted> {
        let order = self.order();
        let count = order.len().saturating_sub(latest);
        let id = (count > 0).then(|| order[draw(count)].clone())?;
        self.accepted().get(&id).cloned()
    }

    fn note(&self, request: &Arc<Request>, id: &str, life: u64) {
        let mut notices = Vec::new();
        notices.extend((!request.query.is_empty()).then_some("msf"));
        notices.extend(request.plan.is_hooked().then_some("webhook"));
        notices.extend(request.callback.is_some().then_some("callback"));
        let (id, plan, request) = (id.to_owned(), request.plan, Arc::clone(request));
        let one = Accepted { id: id.clone(), plan, notices, asked: Vec::new(), remembered: None, request, life };
        if self.accepted().insert(id.clone(), one).is_none() {
            self.order().push(id);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Client {
    /// Starts operations until told to stop.
    pub(super) async fn run(self) {
        let mut count = 0;
        while !self.stopped() {
            count += 1;
            let request = Arc::new(self.request(count));
            let Some(id) = self.accept(&request).await else { continue };
            self.book.note(&request, &id, self.world.lives());
            self.afterwards(&request, &id).await;
            while running(&self.http).await > RUNNING_MAX && !self.stopped() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn request(&self, count: usize) -> Request {
        let (world, number) = (&self.world, self.number);
        let plan = &PLANS[world.draw(PLANS.len())];
        let value = if plan.shared { format!("{}", world.draw(SHARED)) } else { format!("{number}-{count}") };
        let start_at = (world.draw(15) == 0).then(|| now() + Duration::from_millis(100 + world.draw(400) as u64));
        let callback = (world.draw(8) == 0).then(|| format!("{}/hook/callback", self.receiver));
        Request {
            plan,
            path: plan.path.replace("{}", &value),
            query: if plan.path.starts_with("/v1/") { receiver::query(&self.receiver) } else { String::new() },
            key: format!("key-{number}-{count}"),
            start_at,
            callback,
        }
    }

    /// What a client does once its request is accepted.
    async fn afterwards(&self, request: &Arc<Request>, id: &str) {
        let path = format!("/api/v1/operations/{id}");
        match self.world.draw(24) {
            0 => {
                let answer = self.http.try_request("POST", &format!("{path}/cancel"), b"").await;
                self.count("canceled", &answer);
            }
            1 => self.repeat(request, id, "at_once").await,
            2..=4 => {
                let older = self.book.one_before(40, |bound| self.world.draw(bound));
                if let Some(one) = older.filter(|one| one.life != self.world.lives()) {
                    self.repeat(&one.request, &one.id, "after_a_restart").await;
                }
            }
            5 => self.extend(&path, id).await,
            6..=9 => self.follow(&path, id).await,
            _ => {}
        }
    }

    /// Waits for the end a little, and remembers what it saw.
    async fn follow(&self, path: &str, id: &str) {
        let answer = self.http.try_request("GET", &format!("{path}?wait=1s"), b"").await;
        let Some(detail) = answer.ok().and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok()) else {
            return;
        };
        if !detail["ended_at"].is_null() {
            self.world.count("client", "saw_the_end");
            self.book.remember(id, fixed(&detail));
        }
    }

    async fn extend(&self, path: &str, id: &str) {
        let http = self.http.clone().with("content-type", "application/json");
        let answer = http.try_request("POST", &format!("{path}/extend"), b"{\"by\":\"30s\"}").await;
        self.count("extended", &answer);
        if answer.is_ok_and(|answer| answer.status == 200) {
            self.book.was_asked(id, "deadline_extended");
        }
    }

    fn count(&self, what: &'static str, answer: &std::io::Result<HttpAnswer>) {
        if answer.as_ref().is_ok_and(|answer| answer.status < 300) {
            self.world.count("person", what);
        }
    }

    /// Asks until there is an answer. `None`: it was refused, or the run is over.
    async fn accept(&self, request: &Request) -> Option<String> {
        loop {
            let reduced = self.world.is_reduced();
            match self.send(request, "{\"size\":3}").await {
                Ok(answer) if answer.status == 202 => return id_of(&answer),
                // Locked by another one, which is as it should be.
                Ok(answer) if answer.status == 409 && request.plan.on_locked().is_some() => {
                    self.world.count("lock", "rejected");
                    return None;
                }
                Ok(answer) if answer.status >= 500 => {}
                Ok(answer) if answer.status == 404 && request.plan.is_removable() => {
                    if !reduced && !self.world.is_reduced() {
                        self.blame(request, &answer);
                    }
                    return None;
                }
                Ok(answer) => {
                    self.blame(request, &answer);
                    return None;
                }
                Err(_) => {}
            }
            if self.stopped() {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn blame(&self, request: &Request, answer: &HttpAnswer) {
        let what = format!("{} {}: {} {}", request.plan.method, request.path, answer.status, answer.text());
        self.world.blame(Breach::WrongAnswer, what);
    }

    /// The same request with the same key is the same operation; another one with the same key is refused.
    async fn repeat(&self, request: &Request, id: &str, when: &str) {
        let missing = |answer: &HttpAnswer| answer.status == 404 && request.plan.is_removable();
        if let Ok(answer) = self.send(request, "{\"size\":3}").await
            && answer.status < 500
            && !missing(&answer)
        {
            self.world.count("key", &format!("same_{when}"));
            if id_of(&answer).as_deref() != Some(id) {
                let what =
                    format!("the same request, {when}, became {id} and {:?} ({})", id_of(&answer), answer.status);
                self.world.blame(Breach::WrongAnswer, what);
            }
        }
        if let Ok(answer) = self.send(request, "{\"size\":4}").await
            && answer.status < 500
            && !missing(&answer)
        {
            self.world.count("key", &format!("other_{when}"));
            if !matches!(answer.status, 400 | 422) {
                let what = format!("another request with the key of {id}, {when}, was answered {}", answer.status);
                self.world.blame(Breach::WrongAnswer, what);
            }
        }
    }

    async fn send(&self, request: &Request, size: &str) -> std::io::Result<HttpAnswer> {
        let mut http = self.http.clone().with("content-type", "application/json");
        if request.plan.dedupe {
            self.world.count("key", "made_by_the_server");
        } else {
            http = http.with("idempotency-key", &request.key);
        }
        if let Some(at) = &request.start_at {
            http = http.with("fanfold-start-at", &at.to_string());
        }
        if let Some(url) = &request.callback {
            http = http.with("fanfold-callback-url", url);
        }
        // Restores compare contents, so each is another one.
        let body = format!("{{\"key\":\"{}\",\"body\":{size}}}", request.key);
        http.try_request(request.plan.method, &format!("{}{}", request.path, request.query), body.as_bytes()).await
    }
}

/// Operations that have not ended; none while the server is not there.
async fn running(http: &Http) -> usize {
    let Ok(answer) = http.try_request("GET", "/api/v1/status", b"").await else { return 0 };
    let Ok(status) = serde_json::from_slice::<Value>(&answer.body) else { return 0 };
    let count = |name: &str| status["operations"][name].as_u64().unwrap_or(0);
    usize::try_from(count("unexecuted") + count("executing")).unwrap_or(usize::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn id_of(answer: &HttpAnswer) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let id = body.get("id").or_else(|| body.get("operation_id"))?;
    Some(id.as_str()?.to_owned())
}
