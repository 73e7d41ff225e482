use serde_json::{Value, json};

use super::*;

fn detail(more: Value) -> OperationDetail {
    let mut detail = json!({
        "id": "0165d09e-e940-7101-8101-010101010101", "route": "create-cp", "dialect": "msf", "tenant": "default",
        "verb": "create", "resource": "/v1/cps", "status": "executing", "phase": "calling", "cause": null,
        "consistency": null, "accepted_at": "2018-09-13T01:50:00Z", "updated_at": "2018-09-13T01:50:05Z",
        "started_at": "2018-09-13T01:50:01Z", "ended_at": null, "revision": 9,
        "links": {"self": "/o", "history": "/o/history"},
        "waiting_for": [], "deadline_at": null, "resource_id": null,
        "request": {"method": "POST", "uri": "/v1/cps", "headers": [], "body": "{\"vlan\":\n100}"},
        "targets": [target("tokyo", "succeeded"), target("osaka", "failed"), target("sapporo", "skipped")],
        "rollback": null, "response": null,
    });
    detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(detail).unwrap()
}

fn target(name: &str, outcome: &str) -> Value {
    json!({
        "name": name, "id": name, "wave": 0, "outcome": outcome, "phase": null, "attempts": 1, "probes": 0,
        "consistency": "rolled back", "request": {"method": "POST", "uri": "/v1/cps", "headers": [], "body": null},
        "response": null, "error": null, "undo": null,
    })
}

fn history(entries: &[Value]) -> Vec<HistoryEntry> {
    let entry = |(sequence, entry): (u64, &Value)| {
        let mut whole = json!({"sequence": sequence, "at": format!("2018-09-13T01:50:00.{:03}Z", sequence * 7)});
        whole.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    };
    (1..).zip(entries).map(entry).collect()
}

fn answer(status: u16, body: &str) -> Value {
    json!({"status": status, "headers": [], "body": body, "complete": true})
}

#[test]
fn a_rollback_is_told_from_the_request_to_the_data() {
    let history = history(&[
        json!({"event": "lock_granted"}),
        json!({"event": "dispatched"}),
        json!({"event": "attempt_started", "target": "tokyo", "leg": "forward"}),
        json!({"event": "attempt_started", "target": "osaka", "leg": "forward"}),
        json!({"event": "attempt_answered", "target": "osaka", "leg": "forward", "meaning": "not_taken_on",
            "retry_after_ms": 1500, "response": answer(503, "")}),
        json!({"event": "attempt_answered", "target": "tokyo", "leg": "forward", "meaning": "succeeded",
            "response": answer(201, "{\"id\":\"1\"}")}),
        json!({"event": "time_came", "meaning": "step", "target": "osaka", "leg": "forward"}),
        json!({"event": "attempt_started", "target": "osaka", "leg": "forward"}),
        json!({"event": "attempt_answered", "target": "osaka", "leg": "forward", "meaning": "not_applied",
            "response": answer(409, "{\"error\":\"full\"}")}),
        json!({"event": "attempt_started", "target": "tokyo", "leg": "undo",
            "request": {"method": "DELETE", "uri": "/v1/cps/1", "headers": [], "body": null}}),
        json!({"event": "attempt_answered", "target": "tokyo", "leg": "undo", "meaning": "succeeded",
            "response": answer(204, "")}),
        json!({"event": "response_composed", "response": answer(500, "{}")}),
    ]);
    let detail = detail(json!({
        "status": "failed", "phase": null, "cause": {"kind": "steps_failed"}, "consistency": "rolled back",
        "ended_at": "2018-09-13T01:50:01.5Z",
        "rollback": {"result": "completed", "began_at": "2018-09-13T01:50:01Z"},
        "response": answer(500, &"x".repeat(200)),
    }));
    insta::assert_snapshot!(Story::of(&detail, &history).lines(Paint::PLAIN).join("\n"));
}

#[test]
fn whatever_happens_there_are_words_for_it() {
    let error = json!({"kind": "timed_out", "detail": "no answer within 30 s"});
    let on = |event: &str, meaning: &str| json!({"event": event, "meaning": meaning, "target": "tokyo"});
    let undo = |event: &str, meaning: &str| {
        json!({"event": event, "meaning": meaning, "target": "tokyo", "leg": "undo",
        "response": answer(412, "\u{1b}[2J"), "error": error})
    };
    let history = history(&[
        on("gate_changed", "breaker"),
        on("gate_changed", "held"),
        on("gate_changed", "missing"),
        on("gate_changed", "permit"),
        json!({"event": "resource_read", "meaning": "present", "target": "tokyo", "purpose": "before"}),
        json!({"event": "resource_read", "meaning": "absent", "target": "tokyo", "purpose": "after"}),
        json!({"event": "resource_read", "meaning": "failed", "target": "tokyo", "purpose": "compare", "error": error}),
        json!({"event": "resource_read", "meaning": "unusable", "target": "tokyo", "purpose": "settle"}),
        json!({"event": "attempt_answered", "meaning": "lower_operation_accepted", "target": "tokyo", "leg": "forward",
            "response": answer(202, "{}"), "reference": "77"}),
        json!({"event": "attempt_answered", "meaning": "unknown", "target": "tokyo", "leg": "forward",
            "response": answer(202, "{}"),
            "error": {"kind": "nonsense", "detail": "the target answered 202: the target has no `monitor`"}}),
        json!({"event": "polls_changed", "meaning": "unclear", "target": "tokyo", "leg": "forward",
            "error": {"kind": "refused", "detail": "the poll was answered 401"}}),
        json!({"event": "polls_changed", "meaning": "clear", "target": "tokyo", "leg": "undo"}),
        json!({"event": "lower_ended", "meaning": "maybe_applied", "target": "tokyo", "leg": "forward",
            "response": answer(500, "?")}),
        json!({"event": "attempt_broke", "meaning": "not_sent", "target": "tokyo", "leg": "forward", "error": error}),
        json!({"event": "attempt_broke", "meaning": "maybe_sent", "target": "tokyo", "leg": "undo", "error": error}),
        undo("attempt_answered", "precondition_failed"),
        undo("attempt_answered", "gone"),
        undo("undo_not_rendered", ""),
        on("time_came", "deadline"),
        on("probe_answered", "not_applied"),
        json!({"event": "cancel_requested", "by": "ann"}),
        json!({"event": "person_chose", "by": "ann", "meaning": "roll_back"}),
        json!({"event": "person_resolved", "by": "ann", "meaning": "not_applied", "target": "osaka"}),
        json!({"event": "deadline_extended", "by": "ann"}),
        json!({"event": "something_new", "meaning": "of_a_later_version"}),
    ]);
    insta::assert_snapshot!(Story::of(&detail(json!({})), &history).lines(Paint::PLAIN).join("\n"));
}
