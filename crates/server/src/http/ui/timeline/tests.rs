use serde_json::{Value, json};

use super::*;

fn detail(targets: Vec<Value>) -> OperationDetail {
    let detail = json!({
        "id": "0165d09e-e940-7101-8101-010101010101", "route": "create", "dialect": "native", "tenant": "default",
        "verb": "create", "resource": "/v1/cps", "status": "failed", "phase": null, "cause": null,
        "consistency": "rolled back", "accepted_at": "2026-11-26T10:00:00Z", "updated_at": "2026-11-26T10:00:10Z",
        "started_at": "2026-11-26T10:00:00Z", "ended_at": "2026-11-26T10:00:10Z", "revision": 9,
        "links": {"self": "/o", "history": "/o/history"}, "waiting_for": [], "deadline_at": null, "resource_id": null,
        "request": {"method": "POST", "uri": "/v1/cps", "headers": [], "body": null},
        "targets": targets, "rollback": null, "response": null,
    });
    serde_json::from_value(detail).unwrap()
}

fn target(name: &str, undo: bool) -> Value {
    let request = json!({"method": "POST", "uri": "/", "headers": [], "body": null});
    let undo = undo.then(
        || json!({"outcome": "undone", "phase": null, "attempts": 1, "request": null, "response": null, "error": null}),
    );
    json!({
        "name": name, "id": name, "wave": 0, "outcome": "failed", "phase": null, "attempts": 1, "probes": 0,
        "consistency": null, "request": request, "response": null, "error": null, "undo": undo,
    })
}

/// One that was never called.
fn skipped(name: &str) -> Value {
    let mut target = target(name, false);
    target["outcome"] = json!("skipped");
    target["attempts"] = json!(0);
    target
}

fn history(entries: &[(f64, Value)]) -> Vec<HistoryEntry> {
    let entry = |(sequence, (second, entry)): (u64, &(f64, Value))| {
        let mut whole = json!({"sequence": sequence, "at": format!("2026-11-26T10:00:{second:06.3}Z")});
        whole.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    };
    (1..).zip(entries).map(entry).collect()
}

fn bars(lane: &Lane) -> Vec<(&str, &str, &str)> {
    lane.bars.iter().map(|bar| (bar.x.as_str(), bar.width.as_str(), bar.class)).collect()
}

#[test]
fn attempts_waits_and_undos_stand_to_scale() {
    let started = |target: &str, leg: &str| json!({"event": "attempt_started", "target": target, "leg": leg});
    let answered = |target: &str, leg: &str, meaning: &str| json!({"event": "attempt_answered", "target": target, "leg": leg, "meaning": meaning});
    let history = history(&[
        (1.0, started("tokyo", "forward")),
        (1.0, started("osaka", "forward")),
        (2.0, answered("tokyo", "forward", "succeeded")),
        (2.0, answered("osaka", "forward", "not_taken_on")),
        (5.0, started("osaka", "forward")),
        (6.0, answered("osaka", "forward", "not_applied")),
        (7.0, json!({"event": "cancel_requested", "by": "x"})),
        (7.5, started("tokyo", "undo")),
        (9.5, answered("tokyo", "undo", "succeeded")),
    ]);
    let detail = detail(vec![target("tokyo", true), target("osaka", false), skipped("nagoya")]);
    let picture = Picture::of(&detail, &history, false, "2026-11-26T11:00:00Z".parse().unwrap());
    let names: Vec<_> = picture.lanes.iter().map(|lane| (lane.name.as_str(), lane.is_undo)).collect();
    assert_eq!(names, [("tokyo", false), ("tokyo", true), ("osaka", false), ("nagoya", false)]);
    assert_eq!(bars(&picture.lanes[0]), [("0.000%", "10.000%", "bar-queue"), ("10.000%", "10.000%", "bar-good")]);
    assert_eq!(bars(&picture.lanes[1]), [("75.000%", "20.000%", "bar-good")]);
    let osaka = [
        ("0.000%", "10.000%", "bar-queue"),
        ("10.000%", "10.000%", "bar-doubt"),
        ("20.000%", "30.000%", "bar-pause"),
        ("50.000%", "10.000%", "bar-bad"),
    ];
    assert_eq!(bars(&picture.lanes[2]), osaka);
    assert_eq!(picture.lanes[3].summary, "nagoya, request: was not called");
    assert_eq!(picture.marks[0].0, "70.000%");
    assert_eq!(picture.span, "10.0 s");
    let ticks: Vec<_> = picture.ticks.iter().map(|tick| tick.label.as_str()).collect();
    assert_eq!(ticks, ["0", "+2 s", "+4 s", "+6 s", "+8 s", "+10 s"]);
}

#[test]
fn the_axis_has_few_round_times() {
    let begin: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
    for (whole, step, marks) in [
        (0.000_005, 0.000_001, 6),
        (0.3, 0.05, 7),
        (1.0, 0.2, 6),
        (2.5, 0.5, 6),
        (47.0, 10.0, 5),
        (3_000.0, 600.0, 6),
        (86_400.0 * 3.5, 86_400.0, 4),
        (86_400.0 * 11.0, 172_800.0, 6),
        (86_400.0 * 400.0, 86_400.0 * 67.0, 6),
    ] {
        assert_eq!(tick_step(Duration::from_secs_f64(whole)), Duration::from_secs_f64(step), "{whole}");
        let scale = Scale::new(begin, begin + SignedDuration::from_secs_f64(whole));
        let labels: std::collections::BTreeSet<_> = scale.ticks().into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels.len(), marks, "{whole}: {labels:?}");
    }
}

/// What a lane has after its target took an operation of its own on, and this came.
fn followed(then: &[(f64, Value)]) -> Vec<(String, &'static str)> {
    let on = |event: &str| json!({"event": event, "target": "tokyo", "leg": "forward"});
    let mut accepted = on("attempt_answered");
    accepted["meaning"] = json!("lower_operation_accepted");
    let mut entries = vec![(0.0, on("attempt_started")), (1.0, accepted)];
    entries.extend_from_slice(then);
    let detail = detail(vec![target("tokyo", false)]);
    let picture = Picture::of(&detail, &history(&entries), false, "2026-11-26T11:00:00Z".parse().unwrap());
    let bars = picture.lanes[0].bars.iter().filter(|bar| bar.title.starts_with("followed"));
    bars.map(|bar| (bar.title.clone(), bar.class)).collect()
}

#[test]
fn a_followed_operation_that_is_given_up_is_in_doubt_from_then_on() {
    let doubt = [("followed: in doubt, or to be tried again, 3.000 s".to_owned(), "bar-doubt")];
    let time = json!({"event": "time_came", "meaning": "lower_operation", "target": "tokyo", "leg": "forward"});
    assert_eq!(followed(&[(4.0, time)]), doubt);
    let deadline = json!({"event": "time_came", "meaning": "deadline"});
    assert_eq!(followed(&[(4.0, deadline)]), doubt);
}

#[test]
fn what_polls_wait_for_does_not_end_what_is_followed() {
    let gate = |gate: &str| json!({"event": "gate_changed", "meaning": gate, "target": "tokyo", "leg": "forward"});
    let deadline = json!({"event": "time_came", "meaning": "deadline"});
    let bars = followed(&[(2.0, gate("held")), (3.0, gate("permit")), (4.0, deadline)]);
    assert_eq!(bars.iter().map(|(_, class)| *class).collect::<Vec<_>>(), ["bar-follow", "bar-doubt"]);
}

#[test]
fn a_history_that_is_cut_off_tells_nothing_of_later() {
    let started = json!({"event": "attempt_started", "target": "tokyo", "leg": "forward"});
    let detail = detail(vec![target("tokyo", false), target("osaka", false)]);
    let history = history(&[(1.0, started.clone()), (2.0, json!({"event": "cancel_requested", "by": "x"}))]);
    let picture = Picture::of(&detail, &history, true, "2026-11-26T11:00:00Z".parse().unwrap());
    assert_eq!(bars(&picture.lanes[0]), [("0.000%", "10.000%", "bar-queue"), ("10.000%", "10.000%", "bar-busy")]);
    assert_eq!(picture.lanes[1].summary, "osaka, request: what was sent is not in the picture");
}
