//! Webhooks: who is told of the end of an operation, how it is signed, and what becomes of it if nobody takes it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_core::dialect::Refusal;
use fanfold_core::{Access, Operation, OperationId, Plan};
use fanfold_engine::{
    AllowRule, AllowedHost, Config, NoticeRules, Resolve, Resolved, RetryRequest, RouteCallback, SigningSecret,
    WebhookUrl,
};
use fanfold_store::contract::Lossy;
use fanfold_store::model::Model;
use fanfold_store::{Acceptance, Notice, NoticeFilter, NoticeState, Page, Store};
use fanfold_testkit::fake::{Answer, FakeTarget, Reply, Seen};
use fanfold_testkit::{Latch, PATIENCE};
use sha2::{Digest as _, Sha256};

use super::stage::{NAMES, Setting, Stage, config, fakes, spec};

pub(crate) const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

pub(crate) fn secret(octets: [u8; 32]) -> SigningSecret {
    SigningSecret::read(&format!("whsec_{}", STANDARD.encode(octets))).unwrap()
}

/// A stage with one target and these rules; webhooks are signed with [`OLD`].
async fn stage(targets: &[FakeTarget], change: impl FnOnce(&mut Config)) -> Stage {
    let mut config = config();
    config.notices.secrets = vec![secret(OLD)];
    config.notices.attempts = 2;
    change(&mut config);
    Stage::of(Setting { config, ..Setting::new(&targets[..1], spec(&NAMES[..1])) }).await
}

/// What the route's configuration asks for.
fn route_callback(config: &mut Config, receiver: &FakeTarget) {
    let url = format!("{}/hooks", receiver.url()).parse().unwrap();
    config.notices.callbacks.insert("things".to_owned(), RouteCallback { url, secrets: Vec::new() });
}

async fn post_with_callback(stage: &Stage, url: &str) -> Result<OperationId, Refusal> {
    let accepted = stage.accept_with("POST", "/things", "{}", &[("fanfold-callback-url", url)]).await?;
    Ok(accepted.operation.id)
}

/// The notices about an operation once all of them are settled, in the order in which they were recorded.
async fn settled(stage: &Stage, operation: OperationId) -> Vec<Notice> {
    stage.ended(operation).await;
    let filter = NoticeFilter { operation: Some(operation), ..NoticeFilter::default() };
    let found = async {
        loop {
            let mut notices = stage.store.notices(&filter, Page::newest(9)).await.unwrap();
            if notices.iter().all(|notice| notice.state != NoticeState::Pending) {
                notices.reverse();
                return notices;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("every notice is settled")
}

/// HMAC-SHA-256 by the letter of RFC 2104, so that this does not rest on what the engine itself uses.
fn hmac(key: &[u8; 32], message: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// What a receiver does: which of the signatures are by this key.
fn signed_by(request: &Seen, key: &[u8; 32]) -> Vec<bool> {
    let header = |name| request.header(name).unwrap();
    let signed = [header("webhook-id"), ".", header("webhook-timestamp"), ".", &request.text()].concat();
    let expected = format!("v1,{}", STANDARD.encode(hmac(key, signed.as_bytes())));
    header("webhook-signature").split(' ').map(|signature| signature == expected).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_tells_of_the_end_in_a_signed_event() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    fakes[0].on("POST", "/things", Answer::json(409, &serde_json::json!({ "password": "s3cret" })));
    let stage = stage(&fakes, |config| {
        // What a route configures needs no rule.
        config.notices.allow.clear();
        config.notices.public_url = "https://fanfold.example".to_owned();
        route_callback(config, &receiver);
    })
    .await;
    let operation = stage.post("{\"note\": \"n0te\"}").await;
    let request = &receiver.wait_for(1).await[0];
    assert_eq!((request.method.as_str(), request.uri.as_str()), ("POST", "/hooks"));
    assert_eq!(request.header("content-type"), Some("application/cloudevents+json"));
    assert_eq!(signed_by(request, &OLD), [true]);
    assert_eq!(signed_by(request, &NEW), [false]);
    let event = request.json();
    let id = operation.id.to_string();
    assert_eq!(event["id"], request.header("webhook-id").unwrap());
    for (name, value) in [
        ("specversion", "1.0"),
        ("source", "https://fanfold.example/api/v1/operations"),
        ("type", "io.fanfold.operation.failed"),
        ("subject", id.as_str()),
        ("datacontenttype", "application/json"),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!(event["time"], event["data"]["ended_at"]);
    assert_eq!((&event["data"]["status"], &event["data"]["consistency"]), (&"failed".into(), &"rolled back".into()));
    assert_eq!(
        (&event["data"]["targets"][0]["name"], &event["data"]["response_status"]),
        (&"tokyo".into(), &500.into())
    );
    for part in ["s3cret", "n0te"] {
        assert!(!request.text().contains(part), "messages are not told: {part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_a_receiver_sends_the_same_id_again() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    receiver.once("POST", "/hooks", Reply::Reset { applied: true });
    let stage = stage(&fakes, |config| route_callback(config, &receiver)).await;
    let operation = stage.post("{}").await;
    let seen = receiver.wait_for(2).await;
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    assert_eq!(seen[0].body, seen[1].body);
    let notices = settled(&stage, operation.id).await;
    assert_eq!((notices[0].state, notices[0].attempts), (NoticeState::Delivered, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_record_an_outcome_does_not_have_the_notice_sent_again() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let mut config = config();
    config.notices.secrets = vec![secret(OLD)];
    route_callback(&mut config, &receiver);
    let store = Lossy::new(Arc::new(Model::default()));
    store.refuse_outcomes(3);
    let stored: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let setting = Setting { config, store: Some(stored), ..Setting::new(&fakes[..1], spec(&NAMES[..1])) };
    let stage = Stage::of(setting).await;
    let operation = stage.post("{}").await;
    let notices = settled(&stage, operation.id).await;
    assert_eq!((notices[0].state, notices[0].attempts), (NoticeState::Delivered, 1));
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_changed_while_a_notice_waits() {
    let (fakes, receiver, latch) = (fakes().await, FakeTarget::start().await, Latch::new());
    receiver.once("POST", "/hooks", Reply::from(Answer::empty(500)).after(&latch));
    let stage = stage(&fakes, |config| route_callback(config, &receiver)).await;
    let operation = stage.post("{}").await;
    receiver.wait_for(1).await;
    let mut rules = stage.config.notices.clone();
    rules.secrets = vec![secret(NEW), secret(OLD)];
    stage.engine.replace_notice_rules(rules);
    latch.open();
    settled(&stage, operation.id).await;
    let seen = receiver.seen();
    assert_eq!(signed_by(&seen[0], &OLD), [true]);
    assert_eq!((signed_by(&seen[1], &NEW), signed_by(&seen[1], &OLD)), (vec![true, false], vec![false, true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_signs_with_its_own_secrets() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let stage = stage(&fakes, |config| {
        route_callback(config, &receiver);
        config.notices.callbacks.get_mut("things").unwrap().secrets = vec![secret(NEW)];
    })
    .await;
    let id = post_with_callback(&stage, &format!("{}/mine", receiver.url())).await.unwrap();
    settled(&stage, id).await;
    let seen = receiver.seen();
    let to = |path: &str| seen.iter().find(|request| request.uri == path).unwrap();
    assert_eq!(signed_by(to("/hooks"), &NEW), [true]);
    assert_eq!(signed_by(to("/mine"), &OLD), [true]);
}

/// Accepts an operation, puts other rules in place while its target waits, and lets it end.
async fn changed_meanwhile(stage: &Stage, target: &FakeTarget, change: impl FnOnce(&mut NoticeRules)) -> OperationId {
    let latch = Latch::new();
    target.once("POST", "/things", Reply::from(Answer::empty(204)).after(&latch));
    let accepted = stage.accept("POST", "/things", "{}").await.unwrap();
    let mut rules = stage.config.notices.clone();
    change(&mut rules);
    stage.engine.replace_notice_rules(rules);
    latch.open();
    accepted.operation.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_goes_to_the_address_of_acceptance_though_a_reload_takes_it_out() {
    let (fakes, receiver, other) = (fakes().await, FakeTarget::start().await, FakeTarget::start().await);
    let stage = stage(&fakes, |config| route_callback(config, &receiver)).await;
    let gone = changed_meanwhile(&stage, &fakes[0], |rules| rules.callbacks.clear()).await;
    assert_eq!(settled(&stage, gone).await.len(), 1);
    stage.engine.replace_notice_rules(stage.config.notices.clone());
    let moved = changed_meanwhile(&stage, &fakes[0], |rules| {
        let callback = rules.callbacks.get_mut("things").unwrap();
        callback.url = other.url().parse().unwrap();
        // That it is to be signed with the common ones was promised, too.
        callback.secrets = vec![secret(NEW)];
    });
    let moved = moved.await;
    assert_eq!(settled(&stage, moved).await.len(), 1);
    let seen = receiver.seen();
    assert_eq!(seen.iter().map(|request| request.uri.as_str()).collect::<Vec<_>>(), ["/hooks", "/hooks"]);
    assert!(seen.iter().all(|request| signed_by(request, &OLD) == [true]));
    assert_eq!(other.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_a_route_is_given_later_is_not_sent() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let stage = stage(&fakes, |_| {}).await;
    let url: WebhookUrl = receiver.url().parse().unwrap();
    let given = RouteCallback { url, secrets: Vec::new() };
    let id = changed_meanwhile(&stage, &fakes[0], |rules| drop(rules.callbacks.insert("things".to_owned(), given)));
    let id = id.await;
    assert_eq!(settled(&stage, id).await, []);
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secrets_of_its_route_a_webhook_is_a_dead_letter_until_they_are_back() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let stage = stage(&fakes, |config| {
        route_callback(config, &receiver);
        config.notices.callbacks.get_mut("things").unwrap().secrets = vec![secret(NEW)];
    })
    .await;
    let without_secrets = |rules: &mut NoticeRules| rules.callbacks.get_mut("things").unwrap().secrets.clear();
    let without_route = |rules: &mut NoticeRules| rules.callbacks.clear();
    let changes: [&dyn Fn(&mut NoticeRules); 2] = [&without_secrets, &without_route];
    for (number, change) in changes.into_iter().enumerate() {
        stage.engine.replace_notice_rules(stage.config.notices.clone());
        let id = changed_meanwhile(&stage, &fakes[0], change).await;
        let notices = settled(&stage, id).await;
        assert_eq!((notices[0].state, notices[0].attempts), (NoticeState::Dead, 2));
        let error = notices[0].last_error.as_deref().unwrap();
        assert!(error.contains("\"things\"") && error.contains("`callback = { url"), "{error}");
        assert!(!error.contains(&receiver.url()), "{error}");
        assert_eq!(receiver.seen().len(), number, "it is sent neither unsigned nor signed with what is left");

        stage.engine.replace_notice_rules(stage.config.notices.clone());
        stage.engine.replay_notice(&notices[0].notice.id).await.unwrap();
        assert_eq!(settled(&stage, id).await[0].state, NoticeState::Delivered);
        assert_eq!(signed_by(&receiver.seen()[number], &NEW), [true]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_tells_whom_the_first_operation_told() {
    let (fakes, receiver, other) = (fakes().await, FakeTarget::start().await, FakeTarget::start().await);
    fakes[0].once("POST", "/things", Answer::empty(409));
    let stage = stage(&fakes, |config| route_callback(config, &receiver)).await;
    let first = stage.post("{}").await.id;
    settled(&stage, first).await;
    let mut rules = stage.config.notices.clone();
    rules.callbacks.get_mut("things").unwrap().url = other.url().parse().unwrap();
    stage.engine.replace_notice_rules(rules);
    let request = RetryRequest { access: &Access::full(), id: first, force: false, by: "ann", headers: Vec::new() };
    let retry = stage.engine.retry(request).await.unwrap().operation.id;
    assert_eq!(settled(&stage, retry).await.len(), 1);
    assert_eq!((receiver.seen().len(), other.connections()), (2, 0));
    assert_eq!(receiver.seen()[1].json()["data"]["retry_of"], first.to_string());
}

/// Goal: a secret in an address reaches the receiver and stands nowhere in clear. Method: one by the route and one by the client,
/// over a restart, a failed try and a retry.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_addresses_are_sealed_as_long_as_they_are_needed() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    fakes[0].once("POST", "/things", Answer::empty(409));
    receiver.once("POST", "*", Answer::empty(500));
    let by_route = format!("{}/by-route?token=r0ute", receiver.url());
    let stage = stage(&fakes, |config| {
        let url = by_route.parse().unwrap();
        config.notices.callbacks.insert("things".to_owned(), RouteCallback { url, secrets: Vec::new() });
    })
    .await;
    let first = post_with_callback(&stage, &format!("{}/by-client?a=1&secret=cl1ent", receiver.url())).await.unwrap();
    stage.ended(first).await;
    let stage = stage.restarted().await;
    settled(&stage, first).await;
    // What the route has now is not what it had then.
    let mut rules = stage.config.notices.clone();
    rules.callbacks.clear();
    stage.engine.replace_notice_rules(rules);
    let request = RetryRequest { access: &Access::full(), id: first, force: false, by: "ann", headers: Vec::new() };
    let retry = stage.engine.retry(request).await.unwrap().operation.id;
    for id in [first, retry] {
        let notices = settled(&stage, id).await;
        assert_eq!(notices.iter().map(|notice| notice.state).collect::<Vec<_>>(), [NoticeState::Delivered; 2]);
        let recorded = format!("{notices:?} {:?}", stage.ended(id).await);
        assert!(recorded.contains("/by-route?token=") && recorded.contains("/by-client?a=1&secret="), "{recorded}");
        assert!(!recorded.contains("r0ute") && !recorded.contains("cl1ent"), "{recorded}");
    }
    let mut told: Vec<String> = receiver.seen().into_iter().map(|seen| seen.uri).collect();
    told.sort();
    told.dedup();
    assert_eq!(told, ["/by-client?a=1&secret=cl1ent", "/by-route?token=r0ute"]);
    assert_eq!(receiver.seen().len(), 5, "one try failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_promises_were_recorded_is_told_by_the_name_of_its_route() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let accepted = stage(&fakes, |_| {}).await.accept("POST", "/things", "{}").await.unwrap().operation;
    let mut plan = Plan::clone(&accepted.plan);
    assert!(plan.front.attributes.remove("route_webhook").is_some(), "{:?}", plan.front.attributes);
    let operation = Operation::accepted(accepted.id, accepted.tenant.clone(), Arc::new(plan), accepted.accepted_at);
    let store: Arc<dyn Store> = Arc::new(Model::default());
    let acceptance = Acceptance {
        sealed: Vec::new(),
        idempotency: None,
        lane: String::new(),
        owner: None,
        wake_at: Some(accepted.accepted_at),
        events: Vec::new(),
        operation,
    };
    store.accept(acceptance).await.unwrap();
    let mut config = config();
    config.notices.secrets = vec![secret(OLD)];
    route_callback(&mut config, &receiver);
    config.notices.callbacks.get_mut("things").unwrap().secrets = vec![secret(NEW)];
    let setting = Setting { config, store: Some(store), ..Setting::new(&fakes[..1], spec(&NAMES[..1])) };
    let stage = Stage::of(setting).await;
    assert_eq!(settled(&stage, accepted.id).await[0].state, NoticeState::Delivered);
    assert_eq!(signed_by(&receiver.seen()[0], &NEW), [true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (fakes, receiver, other) = (fakes().await, FakeTarget::start().await, FakeTarget::start().await);
    for status in [301, 302, 303, 307, 308] {
        receiver.on("POST", "/hooks", Answer::empty(status).header("location", other.url()));
        let stage = stage(&fakes, |config| route_callback(config, &receiver)).await;
        let operation = stage.post("{}").await;
        let notices = settled(&stage, operation.id).await;
        assert_eq!((notices[0].state, notices[0].attempts), (NoticeState::Dead, 2));
        let error = notices[0].last_error.as_deref().unwrap();
        assert!(error.contains(&status.to_string()) && error.contains("not followed"), "{error}");
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    receiver.on("POST", "/hooks", Answer::empty(410));
    let stage = stage(&fakes, |config| route_callback(config, &receiver)).await;
    let operation = stage.post("{}").await;
    let notices = settled(&stage, operation.id).await;
    assert_eq!((notices[0].state, notices[0].attempts, receiver.seen().len()), (NoticeState::Dead, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_over_a_restart() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    receiver.once("POST", "/hooks", Reply::Never { applied: true });
    let stage = stage(&fakes, |config| route_callback(config, &receiver)).await;
    // Two notices of one operation to one receiver: the route's own comes first.
    let id = post_with_callback(&stage, &format!("{}/mine", receiver.url())).await.unwrap();
    stage.ended(id).await;
    receiver.wait_for(1).await;
    let stage = stage.restarted().await;
    let notices = settled(&stage, id).await;
    assert!(notices.iter().all(|notice| notice.state == NoticeState::Delivered));
    let seen = receiver.seen();
    let uris: Vec<_> = seen.iter().map(|request| request.uri.as_str()).collect();
    assert_eq!(uris, ["/hooks", "/hooks", "/mine"]);
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_answer_holds_up_nobody_else() {
    let (fakes, hole, receiver) = (fakes().await, FakeTarget::start().await, FakeTarget::start().await);
    hole.on("*", "*", Reply::Never { applied: false });
    let stage = stage(&fakes, |_| {}).await;
    for _ in 0..40 {
        let id = post_with_callback(&stage, &hole.url()).await.unwrap();
        stage.ended(id).await;
    }
    hole.wait_for(4).await;
    let id = post_with_callback(&stage, &receiver.url()).await.unwrap();
    assert_eq!(settled(&stage, id).await[0].state, NoticeState::Delivered);
    assert_eq!(hole.seen().len(), 4, "it has its share, and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_confirms_and_never_ends_its_answer_has_got_it() {
    let (fakes, receiver, never) = (fakes().await, FakeTarget::start().await, Latch::new());
    receiver.on("POST", "/hooks", Reply::Slow(Answer::text(200, "taken"), 1, never));
    let stage = stage(&fakes, |config| {
        config.notices.timeout = Duration::from_millis(500);
        route_callback(config, &receiver);
    })
    .await;
    let operation = stage.post("{}").await;
    let notices = settled(&stage, operation.id).await;
    assert_eq!((notices[0].state, notices[0].attempts), (NoticeState::Delivered, 1), "{notices:?}");
    assert_eq!(receiver.seen().len(), 1);
}

/// Meets a mistake in the program.
#[derive(Debug)]
struct Broken;

impl Resolve for Broken {
    fn resolve<'a>(&'a self, _name: &'a str, _port: u16) -> Resolved<'a> {
        panic!("told to fail")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_program_while_sending_is_a_failed_try() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let stage = stage(&fakes, |config| {
        route_callback(config, &receiver);
        config.notices.callbacks.get_mut("things").unwrap().url = "http://hooks.example/".parse().unwrap();
        config.resolver = Arc::new(Broken);
    })
    .await;
    let operation = stage.post("{}").await;
    let notices = settled(&stage, operation.id).await;
    assert_eq!((notices[0].state, notices[0].attempts), (NoticeState::Dead, 2), "{notices:?}");
    assert!(notices[0].last_error.as_deref().unwrap().contains("mistake in the program"), "{notices:?}");
}

/// Gives these answers, one after the other, and the last one for ever.
#[derive(Debug)]
struct Scripted(Mutex<VecDeque<SocketAddr>>);

impl Scripted {
    fn of(answers: &[SocketAddr]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answers.iter().copied().collect())))
    }
}

impl Resolve for Scripted {
    fn resolve<'a>(&'a self, name: &'a str, _port: u16) -> Resolved<'a> {
        assert_eq!(name, "hooks.example");
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0] };
        Box::pin(async move { Ok(vec![answer]) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_checked_at_acceptance_and_again_at_connection() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let public: SocketAddr = "9.9.9.9:443".parse().unwrap();
    let inside = receiver.address();
    let named = vec![AllowRule { host: AllowedHost::Name("hooks.example".to_owned()), port: None }];
    let url = format!("http://hooks.example:{}/", inside.port());

    // A name alone does not lead inside.
    let refusing = stage(&fakes, |config| {
        config.notices.allow.clone_from(&named);
        config.resolver = Scripted::of(&[inside]);
    })
    .await;
    let refused = post_with_callback(&refusing, &url).await.unwrap_err();
    let Refusal::BadValue { detail } = refused else { panic!("{refused:?}") };
    assert!(detail.contains("[notices] allow") && !detail.contains("127.0.0.1"), "{detail}");

    // Public when it is accepted, inside when it is connected to.
    let changing = stage(&fakes, |config| {
        config.notices.allow.clone_from(&named);
        config.resolver = Scripted::of(&[public, inside]);
    })
    .await;
    let id = post_with_callback(&changing, &url).await.unwrap();
    let notices = settled(&changing, id).await;
    assert_eq!(notices[0].state, NoticeState::Dead);
    assert!(notices[0].last_error.as_deref().unwrap().contains("not allowed"), "{notices:?}");
    assert_eq!(receiver.connections(), 0);

    // Allowed by its network, which the rules of the stage name; what was allowed is what is connected to.
    let fine = stage(&fakes, |config| config.resolver = Scripted::of(&[inside, inside, public])).await;
    let id = post_with_callback(&fine, &url).await.unwrap();
    assert_eq!(settled(&fine, id).await[0].state, NoticeState::Delivered);
    assert_eq!(receiver.seen()[0].header("host"), Some(url[7..].trim_end_matches('/')));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_cannot_ask_for_is_refused_and_nothing_is_recorded() {
    let fakes = fakes().await;
    let stage = stage(&fakes, |config| config.resolver = Scripted::of(&["10.0.0.1:80".parse().unwrap()])).await;
    let long = format!("http://127.0.0.1/{}", "x".repeat(2_048));
    for url in [
        "ftp://127.0.0.1/",
        "127.0.0.1:80",
        "",
        "http://me:s3cret@127.0.0.1/",
        "http://127.0.0.1/#s3cret",
        "http://127.0.0.1:0/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://hooks.example/",
        &long,
    ] {
        let refused = post_with_callback(&stage, url).await.unwrap_err();
        assert!(
            matches!(&refused, Refusal::BadValue { detail } if detail.starts_with("Fanfold-Callback-Url ")),
            "{url}: {refused:?}"
        );
        assert!(!refused.to_string().contains("s3cret"), "{refused}");
    }
    let twice = [("fanfold-callback-url", "http://127.0.0.1/"), ("fanfold-callback-url", "http://127.0.0.1/")];
    assert!(matches!(stage.accept_with("POST", "/things", "{}", &twice).await, Err(Refusal::BadValue { .. })));
    let mut rules = stage.config.notices.clone();
    rules.secrets.clear();
    stage.engine.replace_notice_rules(rules);
    let refused = post_with_callback(&stage, "http://127.0.0.1:1/").await.unwrap_err();
    assert!(refused.to_string().contains("[notices] secrets"), "{refused}");
    assert_eq!(fakes[0].connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_callback_goes_to_nobody_else() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    let stage = stage(&fakes, |_| {}).await;
    let id = post_with_callback(&stage, &format!("{}/a?token=s3cret&b=1", receiver.url())).await.unwrap();
    settled(&stage, id).await;
    assert_eq!(receiver.seen()[0].uri, "/a?token=s3cret&b=1");
    assert_eq!(fakes[0].seen()[0].header("fanfold-callback-url"), None);
    let operation = stage.ended(id).await;
    let recorded = fanfold_core::message::header(&operation.plan.request.headers, "fanfold-callback-url").unwrap();
    assert_eq!(recorded, format!("{}/a?token=[redacted]&b=1", receiver.url()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_with_tls_is_checked() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start_tls().await);
    for (trusted, expected) in [(true, NoticeState::Delivered), (false, NoticeState::Dead)] {
        let stage = stage(&fakes, |config| {
            let authorities = if trusted { fanfold_testkit::fake::AUTHORITY } else { "" };
            config.notices.tls = fanfold_engine::target::Tls::new(authorities.as_bytes(), None).ok();
            route_callback(config, &receiver);
        })
        .await;
        let operation = stage.post("{}").await;
        let notices = settled(&stage, operation.id).await;
        assert_eq!(notices[0].state, expected, "{notices:?}");
    }
    assert_eq!(receiver.seen().len(), 1);
}
