//! The same request again, with its idempotency key (G9): the same answer, whatever stands against such a request by now.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::dialect::Refusal;
use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, RequestTemplate};
use fanfold_core::route::spec::OperationSpec;
use fanfold_engine::{AcceptOutcome, Clock as _, Resolve, Resolved, SystemClock};
use fanfold_store::{Filter, Page, Store};
use fanfold_testkit::fake::{Answer, FakeTarget};
use jiff::SignedDuration;

use super::doubtful::lossy;
use super::patrol::soon;
use super::retry::retry_with;
use super::stage::{NAMES, Setting, Stage, fakes, spec};
use super::webhooks::{OLD, secret};

type Headers<'a> = &'a [(&'a str, &'a str)];

const KEY: Headers<'_> = &[("idempotency-key", "k")];
const OTHER_KEY: Headers<'_> = &[("idempotency-key", "other")];

async fn post(stage: &Stage, body: &str, headers: Headers<'_>) -> Result<AcceptOutcome, Refusal> {
    stage.accept_with("POST", "/things", body, headers).await
}

/// The first answer to a request with this key.
async fn first(stage: &Stage, headers: Headers<'_>) -> OperationId {
    let outcome = post(stage, "{}", headers).await.unwrap();
    assert!(!outcome.repeated);
    stage.ended(outcome.operation.id).await.id
}

/// The same request gets the same operation again.
fn is_same(again: Result<AcceptOutcome, Refusal>, first: OperationId) {
    let again = again.unwrap();
    assert_eq!((again.operation.id, again.repeated), (first, true));
}

async fn recorded(store: &dyn Store) -> usize {
    store.list(&Filter::default(), Page::newest(10)).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_while_nothing_new_is_accepted() {
    let fakes = fakes().await;
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let id = first(&stage, KEY).await;
    stage.engine.drain(true);
    for stopping in [false, true] {
        if stopping {
            stage.engine.stop(Duration::ZERO).await;
        }
        is_same(post(&stage, "{}", KEY).await, id);
        let reused = post(&stage, "{\"n\":2}", KEY).await;
        assert!(matches!(reused, Err(Refusal::KeyReused { first, by_route: false }) if first == id), "{reused:?}");
        for headers in [OTHER_KEY, &[]] {
            let refused = post(&stage, "{}", headers).await;
            assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{refused:?}");
        }
    }
    assert_eq!((recorded(&*stage.store).await, fakes[0].seen().len()), (1, 1));
}

/// Finds a host until that is over.
#[derive(Debug, Default)]
struct Found {
    is_over: AtomicBool,
}

impl Resolve for Found {
    fn resolve<'a>(&'a self, _name: &'a str, port: u16) -> Resolved<'a> {
        let is_over = self.is_over.load(Ordering::SeqCst);
        Box::pin(async move {
            if is_over { Err(io::Error::other("no such host")) } else { Ok(vec![([127, 0, 0, 1], port).into()]) }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_though_its_callback_is_not_found_any_more() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    receiver.on("POST", "/*", Answer::empty(204));
    let host = Arc::new(Found::default());
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.config.notices.secrets = vec![secret(OLD)];
    setting.config.resolver = Arc::clone(&host) as Arc<dyn Resolve>;
    let stage = Stage::of(setting).await;
    let url = format!("http://hooks.example:{}/", receiver.address().port());
    let headers = |key| [("idempotency-key", key), ("fanfold-callback-url", url.as_str())];
    let id = first(&stage, &headers("k")).await;
    host.is_over.store(true, Ordering::SeqCst);
    let refused = post(&stage, "{}", &headers("other")).await;
    assert!(matches!(refused, Err(Refusal::BadValue { .. } | Refusal::Unavailable { .. })), "{refused:?}");
    is_same(post(&stage, "{}", &headers("k")).await, id);
    // Nor is it asked for another address than the first one's, which is told.
    is_same(post(&stage, "{}", KEY).await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_though_nobody_may_be_notified_any_more() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    receiver.on("POST", "/*", Answer::empty(204));
    let native = [("idempotency-key", "k"), ("fanfold-callback-url", &receiver.url())];
    let msf = format!("/v1/things?notification_address=127.0.0.1&notification_port={}", receiver.address().port());
    for (dialect, uri, headers) in [(DialectName::Native, "/things", &native[..]), (DialectName::Msf, &msf, KEY)] {
        let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
        setting.dialect = dialect;
        setting.spec.request.path = Some("/things".to_owned());
        setting.config.notices.secrets = vec![secret(OLD)];
        let stage = Stage::of(setting).await;
        let accepted = stage.accept_with("POST", uri, "{}", headers).await.unwrap().operation.id;
        let mut rules = stage.config.notices.clone();
        rules.allow.clear();
        stage.engine.replace_notice_rules(rules);
        let other: Vec<_> = [("idempotency-key", "other")].into_iter().chain(headers[1..].iter().copied()).collect();
        let refused = stage.accept_with("POST", uri, "{}", &other).await;
        assert!(matches!(refused, Err(Refusal::BadValue { .. })), "{refused:?}");
        is_same(stage.accept_with("POST", uri, "{}", headers).await, accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_though_the_route_would_refuse_it_by_now() {
    let fakes = fakes().await;
    let mut stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let id = first(&stage, KEY).await;
    let path = Some("/things/{{ request.json.name }}".to_owned());
    stage.configure(OperationSpec {
        request: RequestTemplate { path, ..RequestTemplate::default() },
        ..spec(&NAMES[..1])
    });
    assert!(post(&stage, "{}", OTHER_KEY).await.is_err());
    is_same(post(&stage, "{}", KEY).await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_retry_is_answered_whatever_has_become_of_what_it_retries() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Answer::empty(409));
    fakes[0].once("POST", "/things", Answer::empty(409));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    // What is deleted is not remembered either.
    setting.config.ended_max = 0;
    let stage = Stage::of(setting).await;
    let failed = stage.post("{}").await.id;
    let other_failed = stage.post("{}").await.id;
    let start_at = (SystemClock.now() + SignedDuration::from_hours(1)).to_string();
    let later = [KEY[0], ("fanfold-start-at", &start_at)];
    let second = retry_with(&stage, failed, false, &later).await.unwrap();
    assert!(!second.repeated);
    let second = second.operation.id;
    is_same(retry_with(&stage, failed, false, &later).await, second);
    // Forced it asks for something else.
    let reused = retry_with(&stage, failed, true, &later).await;
    assert!(matches!(reused, Err(Refusal::KeyReused { first, .. }) if first == second), "{reused:?}");
    // Without the key it is another one, of which there can be none.
    let refused = retry_with(&stage, failed, false, OTHER_KEY).await;
    assert!(matches!(refused, Err(Refusal::NotPossible { .. })), "{refused:?}");

    stage.engine.drain(true);
    is_same(retry_with(&stage, failed, false, &later).await, second);
    let reused = retry_with(&stage, other_failed, false, KEY).await;
    assert!(matches!(reused, Err(Refusal::KeyReused { first, .. }) if first == second), "{reused:?}");
    let refused = retry_with(&stage, other_failed, false, OTHER_KEY).await;
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{refused:?}");

    // What has ended is deleted, and nobody is at work on it any more; the retry is yet to start.
    soon("nobody is at work on it", || stage.engine.in_memory(failed).is_none()).await;
    stage.store.sweep(SystemClock.now() + SignedDuration::from_hours(72), 10).await.unwrap();
    assert!(stage.engine.operation(failed).await.unwrap().is_none());
    is_same(retry_with(&stage, failed, false, &later).await, second);
    let refused = retry_with(&stage, failed, false, OTHER_KEY).await;
    assert!(matches!(refused, Err(Refusal::NotFound { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_waits_until_its_key_can_be_looked_up() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    let id = first(&stage, KEY).await;
    let bad = |key| [("idempotency-key", key), ("fanfold-start-at", "tomorrow")];
    store.hide_keys(true);
    for key in ["k", "other"] {
        let refused = post(&stage, "{}", &bad(key)).await;
        assert!(matches!(refused, Err(Refusal::StoreUnreachable { .. })), "{refused:?}");
    }
    // A request against which nothing stands needs no such look-up.
    is_same(post(&stage, "{}", KEY).await, id);
    store.hide_keys(false);
    is_same(post(&stage, "{}", &bad("k")).await, id);
    let refused = post(&stage, "{}", &bad("other")).await;
    assert!(matches!(refused, Err(Refusal::BadValue { .. })), "{refused:?}");
    assert_eq!(recorded(&*below).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_accepts_what_was_lost_while_it_drains() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.fail_reads(true);
    assert!(post(&stage, "{}", KEY).await.is_err());
    let lost = below.list(&Filter::default(), Page::newest(1)).await.unwrap()[0].id;
    stage.engine.drain(true);
    // The key is enough to accept it, also while it cannot be read.
    assert!(post(&stage, "{}", KEY).await.unwrap_err().to_string().contains("accepted before"));
    store.fail_reads(false);
    is_same(post(&stage, "{}", KEY).await, lost);
    assert_eq!(stage.ended(lost).await.status(), Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_new_is_made_of_a_repetition_whose_operation_is_canceled_while_it_drains() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.fail_commits(true);
    assert!(post(&stage, "{}", KEY).await.is_err());
    let lost = below.list(&Filter::default(), Page::newest(1)).await.unwrap()[0].id;
    // In memory: its cancel is under way, and cannot be recorded yet.
    while stage.engine.in_memory(lost).is_none() {
        tokio::task::yield_now().await;
    }
    stage.engine.drain(true);
    let (again, ()) = tokio::join!(post(&stage, "{}", KEY), async {
        tokio::task::yield_now().await;
        store.fail_commits(false);
    });
    assert!(matches!(again, Err(Refusal::Unavailable { .. })), "{again:?}");
    assert_eq!(stage.ended(lost).await.status(), Status::Canceled);
    assert_eq!((recorded(&*below).await, fakes[0].seen().len()), (1, 0));
}
