//! Whatever a client, a template or the target itself makes of a path, a request stays at its target: at its scheme, host and
//! port, and below its prefix. Beside the target stands a stranger to whom hostile values try to lead.

use std::time::Duration;

use fanfold_core::operation::Outcome;
use fanfold_core::plan::{Monitor, PollRule, ProbeRule, RequestTemplate, UndoRule};
use fanfold_core::{Operation, OperationId};
use fanfold_testkit::fake::{Answer, FakeTarget, Reply, Seen};
use serde_json::json;

use super::stage::{NAMES, Setting, Stage, fakes, spec};

/// Where requests are to stay.
const BELOW: &str = "/base";

/// Values that try to get out of a segment, where `EVIL` is the address of the stranger.
const HOSTILE: &[&str] = &[
    "..",
    ".",
    "../..",
    "../../x",
    "..\\..\\x",
    "..;a=b",
    "%2e%2e",
    "%2E%2E%2fx",
    "%252e%252e",
    "..%2f..%2fx",
    "..%5c..%5cx",
    "//EVIL/x",
    "\\\\EVIL\\x",
    "/\\EVIL",
    "http://EVIL/x",
    "http:EVIL",
    "@EVIL/x",
    ":80@EVIL",
    "x@EVIL",
    "?x=//EVIL",
    "#//EVIL",
    "x HTTP/1.1\r\nhost: EVIL\r\nx-evil: 1\r\n\r\n",
    "x\r\nx-evil: 1",
    "x\nx-evil: 1",
    "x\0",
    "\u{2025}/\u{ff0e}\u{ff0e}\u{ff0f}x",
    "",
    " ",
    "\t",
    "plain",
];

struct World {
    fakes: [FakeTarget; 3],
    evil: FakeTarget,
}

impl World {
    async fn new() -> Self {
        Self { fakes: fakes().await, evil: FakeTarget::start().await }
    }

    fn values(&self) -> impl Iterator<Item = String> {
        HOSTILE.iter().map(|value| value.replace("EVIL", &self.evil.address().to_string()))
    }

    /// Looks at everything that was sent so far.
    fn check(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for fake in &self.fakes {
            let host = fake.address().to_string();
            for seen in fake.seen() {
                let path = seen.path();
                assert!(path == BELOW || path.starts_with("/base/"), "it left the prefix: {}", seen.uri);
                assert!(path.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\'), "{}", seen.uri);
                let plain = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
                let mut segments = plain.split(['/', '\\']);
                assert!(
                    segments.all(|segment| !matches!(segment.split(';').next(), Some("." | ".."))),
                    "it climbs: {}",
                    seen.uri
                );
                assert_eq!(seen.header("host"), Some(host.as_str()), "{}", seen.uri);
                assert_eq!(seen.headers.iter().filter(|(name, _)| name == "host").count(), 1, "{}", seen.uri);
                assert_eq!(seen.header("x-evil"), None, "{}", seen.uri);
                all.push(seen);
            }
        }
        assert_eq!(self.evil.connections(), 0, "the stranger was called");
        all
    }
}

fn template(path: &str) -> RequestTemplate {
    RequestTemplate { path: Some(path.to_owned()), ..RequestTemplate::default() }
}

async fn stage(world: &World, targets: usize, change: impl FnOnce(&mut Setting<'_>)) -> Stage {
    let mut setting = Setting { below: BELOW, ..Setting::new(&world.fakes[..targets], spec(&NAMES[..targets])) };
    setting.spec.undo = None;
    (setting.target.step.attempts, setting.target.undo.attempts) = (1, 1);
    change(&mut setting);
    Stage::of(setting).await
}

/// Ends the operation if the request was accepted.
async fn ended(stage: &Stage, method: &str, uri: &str, body: &serde_json::Value) -> Option<std::sync::Arc<Operation>> {
    let accepted = stage.accept(method, uri, &body.to_string()).await.ok()?;
    Some(stage.ended(accepted.operation.id).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_in_the_template_of_a_request_stays_in_its_place() {
    let world = World::new().await;
    let stage = stage(&world, 1, |setting| {
        let headers = [("x-id".to_owned(), "{{ request.json.id }}".to_owned())].into();
        let query = Some("id={{ request.json.id }}".to_owned());
        setting.spec.request =
            RequestTemplate { headers, query, ..template("/v1/{{ request.json.id }}/{{ request.json.id }}x") };
    })
    .await;
    let mut accepted = 0;
    for value in world.values() {
        accepted += usize::from(ended(&stage, "POST", "/things", &json!({ "id": value })).await.is_some());
    }
    let seen = world.check();
    assert!(accepted > 10 && accepted < HOSTILE.len(), "{accepted}");
    assert_eq!(seen.len(), accepted);
    assert!(seen.iter().all(|seen| seen.path().split('/').count() == 5 && seen.uri.matches(['?', '&']).count() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_brings_several_segments_stays_below_the_prefix() {
    let world = World::new().await;
    let stage = stage(&world, 1, |setting| {
        setting.spec.request = template("/{{ request.json.id | segments }}");
    })
    .await;
    let mut accepted = 0;
    for value in world.values().chain(["a/b".to_owned(), "/a".to_owned(), "a//b".to_owned()]) {
        accepted += usize::from(ended(&stage, "POST", "/things", &json!({ "id": value })).await.is_some());
    }
    let seen = world.check();
    assert_eq!(seen.len(), accepted);
    assert!(seen.iter().any(|seen| seen.path() == "/base/a/b") && seen.iter().all(|seen| !seen.path().contains("//")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_segment_stays_in_its_place() {
    let world = World::new().await;
    for templated in [true, false] {
        let stage = stage(&world, 1, |setting| {
            setting.pattern = "/things/{id}/{*rest}";
            if templated {
                setting.spec.request = template("/v2/{{ path.id }}/{{ path.rest | segments }}");
            }
        })
        .await;
        for value in world.values() {
            let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC).to_string();
            for raw in [value.clone(), encoded.clone(), encoded.replace('%', "%25")] {
                for path in [format!("/things/{raw}/x"), format!("/things/x/{raw}"), format!("/things/x/y{raw}/z")] {
                    // Not every one finds the route; those that do not are refused.
                    let Ok(path) = path.parse::<http::Uri>() else { continue };
                    if stage.has_route("POST", path.path()) {
                        ended(&stage, "POST", path.path(), &json!({})).await;
                    }
                }
            }
        }
        let seen = world.check();
        assert!(seen.len() > 20, "{}", seen.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_made_of_a_targets_answer_stays_at_that_target() {
    let world = World::new().await;
    let stage = stage(&world, 2, |setting| {
        let headers = [("x-id".to_owned(), "{{ response.headers.location }}".to_owned())].into();
        let undo =
            RequestTemplate { method: Some("DELETE".into()), headers, ..template("/things/{{ response.json.id }}") };
        setting.spec.undo = Some(UndoRule::Request(Box::new(undo)));
    })
    .await;
    for value in world.values() {
        let location = value.replace(|c: char| !(' '..='~').contains(&c), "");
        let created = Answer::json(201, &json!({ "id": value })).header("location", location);
        let answered = fanfold_testkit::Latch::new();
        world.fakes[0].on("POST", "/base/things", created);
        world.fakes[1].on("POST", "/base/things", Reply::from(Answer::empty(409)).after(&answered));
        let id: OperationId = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
        stage.until(id, |operation| operation.steps[0].outcome() == Some(Outcome::Succeeded)).await;
        answered.open();
        stage.ended(id).await;
    }
    let seen = world.check();
    let undos: Vec<_> = seen.iter().filter(|seen| seen.method == "DELETE").collect();
    assert!(undos.len() > 10 && undos.len() < HOSTILE.len(), "{}", undos.len());
    assert!(undos.iter().all(|undo| undo.path().split('/').count() == 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_stays_at_its_target() {
    let world = World::new().await;
    world.fakes[0].on("POST", "/base/things", Reply::Close { applied: true });
    let stage = stage(&world, 1, |setting| {
        let (path, applied) = ("/things/{{ request.json.id }}".to_owned(), "response.status == 200".to_owned());
        setting.spec.probe = Some(ProbeRule { path, applied });
    })
    .await;
    for value in world.values() {
        ended(&stage, "POST", "/things", &json!({ "id": value })).await;
    }
    let seen = world.check();
    assert!(seen.iter().filter(|seen| seen.method == "GET").count() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_what_is_restored_stay_where_the_change_went() {
    let world = World::new().await;
    world.fakes[0].on("GET", "*", Answer::text(200, "before").header("etag", "\"1\""));
    world.fakes[0].on("PUT", "*", Answer::text(200, "after").header("etag", "\"2\"").header("location", "//EVIL/x"));
    world.fakes[1].on("GET", "*", Answer::text(200, "before").header("etag", "\"1\""));
    world.fakes[1].on("PUT", "*", Answer::empty(409));
    let stage = stage(&world, 2, |setting| {
        (setting.method, setting.pattern) = ("PUT", "/things/{*rest}");
        setting.spec.order = fanfold_core::plan::Order::Sequence;
        setting.spec.undo = Some(UndoRule::Restore);
    })
    .await;
    for value in world.values() {
        let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC).to_string();
        for path in [format!("/things/{encoded}"), format!("/things/{}", encoded.replace("%2F", "/"))] {
            if stage.has_route("PUT", &path) {
                ended(&stage, "PUT", &path, &json!({})).await;
            }
        }
    }
    let seen = world.check();
    let of = |method: &str| seen.iter().filter(|seen| seen.method == method).count();
    assert!(of("GET") > 20 && of("PUT") > 20, "{} {}", of("GET"), of("PUT"));
}

/// What a target answers that was asked to accept, for a value.
type Accepts = fn(&str) -> Answer;

fn printable(value: &str) -> String {
    value.replace(|c: char| !(' '..='~').contains(&c), "")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_of_the_target_is_followed_at_that_target_alone() {
    let rule = PollRule {
        path: "/jobs/{{ response.json.id }}".into(),
        done: "response.status == 200".into(),
        success: "true".into(),
    };
    let followed: [(Monitor, Accepts); 4] = [
        (Monitor::Msf, |value| Answer::json(202, &json!({ "operation_id": value }))),
        (Monitor::Poll(rule), |value| Answer::json(202, &json!({ "id": value }))),
        (Monitor::Plas, |value| Answer::json(202, &json!({ "location": value }))),
        (Monitor::Location, |value| Answer::empty(202).header("location", printable(value))),
    ];
    for (monitor, accepts) in followed {
        let world = World::new().await;
        world.fakes[0].on("GET", "*", Answer::json(200, &json!({ "status": "completed", "finished": true })));
        let stage = stage(&world, 1, |setting| {
            setting.target.monitor = monitor.clone();
            setting.target.step.lower = Duration::from_secs(1);
        })
        .await;
        let evil = world.evil.address().to_string();
        let own = world.fakes[0].address().to_string();
        let besides = ["/ops/1", "/", "/basement/1", "/base/../ops/1", "/base/%2e%2e/ops/1", "/base/..%2fops"];
        let absolute = besides.map(|path| format!("http://{own}{path}"));
        let strange = [
            format!("http://{evil}/base/x"),
            format!("//{evil}/base/x"),
            format!("http://{own}@{evil}/base/x"),
            format!("https://{own}/base/x"),
            format!("http://{own}\\@{evil}/base/x"),
            "../../x".to_owned(),
        ];
        let values = world.values().chain(besides.map(str::to_owned)).chain(absolute).chain(strange);
        for value in values.collect::<Vec<_>>() {
            world.fakes[0].on("POST", "/base/things", accepts(&value));
            let operation = ended(&stage, "POST", "/things", &json!({})).await.unwrap();
            assert!(operation.steps[0].outcome().is_some());
        }
        let polls = world.check().iter().filter(|seen| seen.method == "GET").count();
        assert!(polls > 0, "{monitor:?}: some are harmless");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_beside_the_prefix_are_followed_where_that_is_configured() {
    for (monitor_prefix, expected) in [(None, Outcome::Unknown), (Some("/ops"), Outcome::Succeeded)] {
        let world = World::new().await;
        world.fakes[0].on("POST", "/base/things", Answer::empty(202).header("location", "/ops/7"));
        world.fakes[0].on("GET", "/ops/7", Answer::empty(204));
        let stage = stage(&world, 1, |setting| {
            setting.target.monitor = Monitor::Location;
            setting.monitor_prefix = monitor_prefix;
        })
        .await;
        let operation = ended(&stage, "POST", "/things", &json!({})).await.unwrap();
        assert_eq!(operation.steps[0].outcome(), Some(expected));
        let polls = world.fakes[0].seen().iter().filter(|seen| seen.method == "GET").count();
        assert_eq!(polls, usize::from(monitor_prefix.is_some()));
        if let Some(trouble) = &operation.steps[0].course.trouble {
            assert!(trouble.detail.contains("monitor_prefix"), "{trouble:?}");
        }
    }
}
