//! Targets that answer 202, followed to the end of their own operation.

use std::time::Duration;

use fanfold_core::operation::{AttentionReason, Consistency, Outcome, Status, WaitingFor, waiting_for};
use fanfold_core::plan::{Monitor, PollRule};
use fanfold_core::{Event, Operation};
use fanfold_store::{EventNumber, NoteFilter, Page};
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};
use serde_json::json;

use super::stage::{NAMES, Setting, Stage, fakes, spec};

async fn one(fakes: &[FakeTarget], monitor: Monitor, lower: Duration) -> Stage {
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.target.monitor = monitor;
    (setting.target.step.lower, setting.target.undo.lower) = (lower, lower);
    Stage::of(setting).await
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(1500);

fn outcome(operation: &Operation) -> Outcome {
    operation.steps[0].outcome().unwrap()
}

fn polls(fake: &FakeTarget) -> usize {
    fake.seen().iter().filter(|seen| seen.method == "GET").count()
}

/// Each monitor: how a 202 names the operation, and what a poll says while it runs, and once it ended.
fn protocols() -> Vec<(Monitor, Answer, Answer, Answer)> {
    let rule = PollRule {
        path: "/jobs/{{ response.json.job }}".into(),
        done: "response.json.state != 'busy'".into(),
        success: "response.json.state == 'good'".into(),
    };
    let running = || Answer::json(200, &json!({"status": "Running"}));
    let succeeded = || Answer::json(200, &json!({"status": "Succeeded"}));
    let located = |header: &str| Answer::empty(202).header(header, "/jobs/1");
    vec![
        (
            Monitor::Plas,
            Answer::json(202, &json!({"location": "/jobs/1"})),
            Answer::json(200, &json!({"finished": false})),
            Answer::json(200, &json!({"finished": true, "result": {"result": "success"}})),
        ),
        (Monitor::Location, located("location"), Answer::empty(202), Answer::json(200, &json!({"name": "x"}))),
        (Monitor::Location, located("operation-location"), running(), succeeded()),
        (Monitor::Location, located("azure-asyncoperation").header("location", "/things/1"), running(), succeeded()),
        (
            Monitor::Poll(rule),
            Answer::json(202, &json!({"job": 1})),
            Answer::json(200, &json!({"state": "busy"})),
            Answer::json(200, &json!({"state": "good"})),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_monitor_follows_to_the_end() {
    for (monitor, accepted, running, ended) in protocols() {
        let fakes = fakes().await;
        fakes[0].on("POST", "/things", accepted);
        fakes[0].once("GET", "/jobs/1", running);
        fakes[0].on("GET", "/jobs/1", ended);
        let stage = one(&fakes, monitor.clone(), LONG).await;
        let operation = stage.post("{}").await;
        assert_eq!(outcome(&operation), Outcome::Succeeded, "{monitor:?}");
        assert_eq!(polls(&fakes[0]), 2, "{monitor:?}");
        let id = operation.id.to_string();
        for seen in fakes[0].seen() {
            assert_eq!(seen.header("fanfold-operation-id"), Some(id.as_str()));
            assert!(seen.header("traceparent").is_some());
        }
    }
}

/// The first target succeeds, the second one refuses once both were called; the undo of the first is answered 202.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_is_followed_by_each_monitor() {
    for (monitor, accepted, running, ended) in protocols() {
        let fakes = fakes().await;
        let both = Latch::new();
        fakes[0].on("DELETE", "/things/*", accepted);
        fakes[0].once("GET", "/jobs/1", running);
        fakes[0].on("GET", "/jobs/1", ended);
        fakes[1].on("POST", "/things", Reply::from(Answer::empty(409)).after(&both));
        let mut setting = Setting::new(&fakes[..2], spec(&NAMES[..2]));
        setting.target.monitor = monitor.clone();
        let stage = Stage::of(setting).await;
        let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
        fakes[0].wait_for(1).await;
        fakes[1].wait_for(1).await;
        both.open();
        let end = stage.ended(id).await.end().unwrap().clone();
        assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack), "{monitor:?}");
        assert_eq!(polls(&fakes[0]), 2, "{monitor:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_tells_nothing_for_a_while_is_asked_on() {
    for (monitor, accepted, _, ended) in protocols() {
        let fakes = fakes().await;
        fakes[0].on("POST", "/things", accepted);
        fakes[0].once("GET", "/jobs/1", Answer::text(200, "<html>sign in</html>"));
        fakes[0].once("GET", "/jobs/1", Answer::json(401, &json!({"error": "who are you"})));
        fakes[0].once("GET", "/jobs/1", Answer::json(500, &json!({"error": "no"})));
        fakes[0].on("GET", "/jobs/1", ended);
        let stage = one(&fakes, monitor.clone(), LONG).await;
        let operation = stage.post("{}").await;
        assert_eq!(outcome(&operation), Outcome::Succeeded, "{monitor:?}");
        assert_eq!(polls(&fakes[0]), 4, "{monitor:?}");
    }
}

/// Each monitor, how a 202 names the operation, and what a poll says while it runs.
fn followed() -> Vec<(Monitor, Answer, Answer)> {
    let msf = (
        Monitor::Msf,
        Answer::json(202, &json!({"operation_id": "7"})),
        Answer::json(200, &json!({"status": "executing"})),
    );
    protocols().into_iter().map(|(monitor, accepted, running, _)| (monitor, accepted, running)).chain([msf]).collect()
}

/// Follows a target that answers every poll so, and checks that the outcome is unknown, that an operator is told why, and that
/// nothing is sent again. Gives what the history says of its polls.
async fn never_told(monitor: &Monitor, accepted: Answer, polled: Answer, why: &str) -> Vec<Event> {
    let said = format!("{monitor:?} {}", polled.status);
    let fakes = fakes().await;
    fakes[0].on("POST", "/things", accepted);
    fakes[0].on("GET", "*", polled);
    let stage = one(&fakes, monitor.clone(), SHORT).await;
    let operation = stage.post("{}").await;
    assert_eq!(outcome(&operation), Outcome::Unknown, "{said}");
    assert_eq!(operation.end().unwrap().consistency, Consistency::Unknown, "{said}");
    let detail = &operation.steps[0].course.trouble.as_ref().unwrap().detail;
    assert!(detail.contains(why), "{said}: {detail}");
    let notes = stage.store.notes(&NoteFilter::default(), Page::newest(9)).await.unwrap();
    assert_eq!(notes.len(), 1, "{said}");
    assert_eq!(notes[0].attention.reason, AttentionReason::OutcomeUnknown, "{said}");
    assert!(notes[0].attention.detail.contains(detail.as_str()), "{said}: {}", notes[0].attention.detail);
    assert_eq!(fakes[0].seen().iter().filter(|seen| seen.method == "POST").count(), 1, "{said}: it is not sent again");
    let history = stage.store.history(operation.id, EventNumber(0), 100).await.unwrap();
    let polls = |event: &Event| matches!(event, Event::PollsChanged { .. } | Event::LowerEnded { .. });
    history.into_iter().map(|recorded| recorded.event).filter(polls).collect()
}

/// The same of each monitor, none of which ends it before its time: that polls tell nothing is recorded, and logged, once.
async fn never_understood(polled: Answer, why: &str) {
    for (monitor, accepted, _) in followed() {
        let told =
            never_told(&monitor, accepted, polled.clone(), "did not end in time; polls told nothing since").await;
        let [Event::PollsChanged { trouble: Some(trouble), .. }] = told.as_slice() else { panic!("{told:#?}") };
        assert!(trouble.detail.contains(why), "{monitor:?}: {trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_answers_401() {
    never_understood(Answer::empty(401), "answered 401").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_answers_html() {
    let page = Answer::text(200, "<html>sign in</html>").header("content-type", "text/html; charset=utf-8");
    never_understood(page, "with `text/html`, which is not JSON").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_answers_nonsense() {
    never_understood(Answer::json(200, &json!({"status": "Purple"})), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_answers_404() {
    let of_plas = Answer::json(400, &json!({"error_code": "PLAS.0404", "error_msg": "no such operation"}));
    let cases = followed().into_iter().map(|(monitor, accepted, _)| (monitor, accepted, Answer::empty(404)));
    let plas = followed().into_iter().next().map(|(monitor, accepted, _)| (monitor, accepted, of_plas));
    for (monitor, accepted, polled) in cases.chain(plas) {
        let why = "the target does not know its operation any more";
        let told = never_told(&monitor, accepted, polled, why).await;
        assert!(matches!(told.as_slice(), [Event::LowerEnded { .. }]), "at once: {told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_never_ends() {
    for (monitor, accepted, running) in followed() {
        let told = never_told(&monitor, accepted, running, "did not end in time").await;
        assert_eq!(told, [], "{monitor:?}: nothing was wrong with its polls");
    }
}

/// What the operation says that it waits for, of polls that tell nothing.
fn unclear(operation: &Operation) -> Option<String> {
    waiting_for(operation).into_iter().find_map(|waiting| match waiting {
        WaitingFor::LowerOperation { unclear, .. } => unclear.map(|unclear| unclear.trouble.detail),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn that_polls_tell_nothing_is_shown_while_it_is_so_over_a_restart_too() {
    let fakes = fakes().await;
    fakes[0].on("POST", "/things", Answer::empty(202).header("location", "/jobs/1"));
    fakes[0].on("GET", "/jobs/1", Answer::empty(401));
    let stage = one(&fakes, Monitor::Location, LONG).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    let operation = stage.until(id, |operation| unclear(operation).is_some()).await;
    assert_eq!(unclear(&operation).unwrap(), "the poll was answered 401");
    let stage = stage.restarted().await;
    let polled = fakes[0].seen().len();
    fakes[0].wait_for(polled + 2).await;
    assert!(unclear(&stage.engine.operation(id).await.unwrap().unwrap()).is_some());
    fakes[0].on("GET", "/jobs/1", Answer::empty(202));
    stage.until(id, |operation| unclear(operation).is_none()).await;
    fakes[0].on("GET", "/jobs/1", Answer::json(200, &json!({"status": "Succeeded"})));
    assert_eq!(outcome(&*stage.ended(id).await), Outcome::Succeeded);
    let history = stage.store.history(id, EventNumber(0), 100).await.unwrap();
    let said: Vec<bool> = history
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::PollsChanged { trouble, .. } => Some(trouble.is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(said, [true, false], "once, and once that it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_host_is_never_asked() {
    let fakes = fakes().await;
    let accepted = Answer::empty(202).header("location", format!("{}/jobs/1", fakes[1].url()));
    fakes[0].on("POST", "/things", accepted);
    let stage = one(&fakes, Monitor::Location, LONG).await;
    assert_eq!(outcome(&*stage.post("{}").await), Outcome::Unknown);
    assert!(fakes[1].seen().is_empty());
    assert_eq!(polls(&fakes[0]), 0);
}

/// What a target asks to wait is longer than there is time: it is asked once more before it is given up, and no oftener.
#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed_within_the_time_that_is_left() {
    let fakes = fakes().await;
    fakes[0].on("POST", "/things", Answer::empty(202).header("location", "/jobs/1"));
    fakes[0].once("GET", "/jobs/1", Answer::empty(202).header("retry-after", "3600"));
    fakes[0].on("GET", "/jobs/1", Answer::json(200, &json!({"status": "Succeeded"})));
    let stage = one(&fakes, Monitor::Location, Duration::from_secs(3)).await;
    assert_eq!(outcome(&*stage.post("{}").await), Outcome::Succeeded);
    assert_eq!(polls(&fakes[0]), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_goes_on_after_a_restart() {
    let fakes = fakes().await;
    fakes[0].on("POST", "/things", Answer::empty(202).header("location", "/jobs/1"));
    fakes[0].on("GET", "/jobs/1", Answer::empty(202));
    let stage = one(&fakes, Monitor::Location, LONG).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    fakes[0].wait_for(2).await;
    let stage = stage.restarted().await;
    fakes[0].on("GET", "/jobs/1", Answer::json(200, &json!({"status": "Succeeded"})));
    assert_eq!(outcome(&*stage.ended(id).await), Outcome::Succeeded);
    assert_eq!(fakes[0].seen().iter().filter(|seen| seen.method == "POST").count(), 1, "it is not sent again");
}

/// Goal: what signs the address of a lower operation reaches the target, over a restart too, and stands nowhere in clear.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_the_address_of_a_lower_operation_are_sealed() {
    let rule = PollRule {
        path: "/jobs/1?sig_token={{ response.json.sig }}".into(),
        done: "response.status == 200".into(),
        success: "true".into(),
    };
    for (monitor, accepted) in [
        (Monitor::Location, Answer::empty(202).header("location", "/jobs/1?sig_token=hush")),
        (Monitor::Plas, Answer::json(202, &json!({"location": "/jobs/1?sig_token=hush"}))),
        (Monitor::Poll(rule), Answer::json(202, &json!({"sig": "hush"}))),
    ] {
        let fakes = fakes().await;
        fakes[0].on("POST", "/things", accepted);
        fakes[0].on("GET", "/jobs/1", Answer::json(202, &json!({"finished": false})));
        let stage = one(&fakes, monitor.clone(), LONG).await;
        let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
        fakes[0].wait_for(2).await;
        let stage = stage.restarted().await;
        fakes[0].on("GET", "/jobs/1", Answer::json(200, &json!({"finished": true, "result": {"result": "success"}})));
        let operation = stage.ended(id).await;
        assert_eq!(outcome(&operation), Outcome::Succeeded, "{monitor:?}");
        let seen = fakes[0].seen();
        assert!(seen[1..].iter().all(|seen| seen.uri == "/jobs/1?sig_token=hush"), "{seen:?}");
        let history = stage.store.history(id, EventNumber(0), 100).await.unwrap();
        let recorded = format!("{operation:?} {history:?}");
        assert!(recorded.contains("/jobs/1?sig_token=%5Bredacted%5D"), "{recorded}");
        // The value that the rule takes from the answer has a name that does not tell.
        assert!(matches!(monitor, Monitor::Poll(_)) || !recorded.contains("hush"), "{recorded}");
    }
}
