use serde_json::json;

use super::super::plans::PLANS;
use super::*;

const ID: &str = "op";

fn journal(entries: &[Entry]) -> Journal {
    let file = tempfile::NamedTempFile::new().unwrap();
    let journal = Journal::create(file.path()).unwrap();
    for entry in entries {
        journal.add(entry.clone());
        if entry.applied {
            journal.change(entry.target, ID, |truth| {
                truth.stands = entry.leg == Leg::Forward;
                truth.applied += u32::from(entry.leg == Leg::Forward);
            });
        }
    }
    journal
}

fn entry(target: &'static str, leg: Leg, attempt: u32, told: Told, applied: bool) -> Entry {
    Entry { number: 0, target, operation: ID.into(), leg, attempt, at_ms: 0, told, applied, path: "/a".into() }
}

fn detail(outcome: &str, consistency: &str) -> Value {
    let status = if outcome == "succeeded" { "completed" } else { "failed" };
    json!({ "status": status, "consistency": consistency,
            "targets": [{ "name": "tokyo", "outcome": outcome, "consistency": consistency }] })
}

fn started(leg: &str) -> Value {
    json!({ "event": "attempt_started", "target": "tokyo", "leg": leg, "at": "2026-01-01T00:00:01Z" })
}

fn broke(kind: &str) -> Value {
    json!({ "event": "attempt_broke", "target": "tokyo", "leg": "forward", "meaning": "maybe_sent",
            "error": { "kind": kind }, "at": "2026-01-01T00:00:02Z" })
}

/// What is found wrong with an operation that a note tells of.
fn found(plan: &str, detail: &Value, history: &[Value], entries: &[Entry], before: Before) -> Vec<Breach> {
    found_with(true, plan, detail, history, entries, before)
}

fn found_with(
    noted: bool,
    plan: &str,
    detail: &Value,
    history: &[Value],
    entries: &[Entry],
    before: Before,
) -> Vec<Breach> {
    let journal = journal(entries);
    let plan = PLANS.iter().find(|one| one.name == plan).unwrap();
    let starts = Starts { all: vec![("2026-01-01T00:00:00Z".parse().unwrap(), before)], adopted_within: None };
    let seen = journal.of(ID);
    let name = detail["targets"][0]["name"].clone();
    let notes = if noted { vec![json!({ "target": name })] } else { Vec::new() };
    let (notes, remembered) = (&notes, None);
    let case = Case {
        id: ID,
        plan,
        detail,
        history,
        seen: &seen,
        starts: &starts,
        notes,
        remembered,
        journal: &journal,
        first: None,
    };
    let mut wrong: Vec<Breach> = judge(&case).into_iter().map(|(wrong, _)| wrong).collect();
    wrong.sort_unstable();
    wrong.dedup();
    wrong
}

#[test]
fn a_clean_course_is_not_blamed() {
    let entries = [entry("tokyo", Leg::Forward, 1, Told::Done, true)];
    let history = [started("forward")];
    assert_eq!(found("no-undo", &detail("succeeded", "updated"), &history, &entries, Before::Nothing), []);
}

#[test]
fn a_repeat_in_doubt_is_found() {
    let entries =
        [entry("tokyo", Leg::Forward, 1, Told::Nothing, false), entry("tokyo", Leg::Forward, 2, Told::Done, true)];
    let history = [started("forward"), broke("broken"), started("forward")];
    let said = detail("succeeded", "updated");
    assert_eq!(found("no-undo", &said, &history, &entries, Before::Nothing), [Breach::BlindRepeat]);
    assert_eq!(found("put", &said, &history, &entries, Before::Nothing), []);
}

#[test]
fn false_claims_are_found() {
    let entries = [entry("tokyo", Leg::Forward, 1, Told::Nothing, true)];
    let history = [started("forward"), broke("timed_out")];
    let found = |outcome, claim| found("no-undo", &detail(outcome, claim), &history, &entries, Before::Nothing);
    assert_eq!(found("failed", "rolled back"), [Breach::WrongConsistency]);
    assert_eq!(found("skipped", "rolled back"), [Breach::WrongConsistency]);
    assert_eq!(found("unknown", "unknown"), []);
}

#[test]
fn a_needless_doubt_is_found() {
    let entries = [entry("tokyo", Leg::Forward, 1, Told::Done, true)];
    let said = detail("unknown", "unknown");
    let by_kill = [started("forward"), broke("process_ended")];
    assert_eq!(found("no-undo", &said, &by_kill, &entries, Before::Kill), []);
    assert_eq!(found("no-undo", &said, &by_kill, &entries, Before::Stop), [Breach::BrokenByStop]);
    let accepted = json!({ "event": "attempt_answered", "target": "tokyo", "leg": "forward", "meaning": "lower_operation_accepted" });
    let too_late = json!({ "event": "time_came", "meaning": "deadline" });
    assert_eq!(found("no-undo", &said, &[started("forward"), accepted.clone(), too_late], &entries, Before::Kill), []);
    let forgotten = [started("forward"), accepted];
    assert_eq!(found("no-undo", &said, &forgotten, &entries, Before::Kill), [Breach::NeedlessUnknown]);
    let by_itself = [started("forward"), broke("broken")];
    assert_eq!(found("no-undo", &said, &by_itself, &entries, Before::Kill), [Breach::NeedlessUnknown]);
}

#[test]
fn a_forward_attempt_after_an_undo_and_undos_out_of_order_are_found() {
    let late = [entry("tokyo", Leg::Undo, 1, Told::Gone, false), entry("tokyo", Leg::Forward, 1, Told::Done, true)];
    let history = [started("forward"), started("undo")];
    assert_eq!(
        found("no-undo", &detail("succeeded", "updated"), &history, &late, Before::Nothing),
        [Breach::ForwardAfterUndo]
    );
    let swapped = [entry("tokyo", Leg::Undo, 1, Told::Done, true), entry("nagoya", Leg::Undo, 1, Told::Done, true)];
    assert_eq!(
        found("sequence-undo", &detail("skipped", "rolled back"), &history, &swapped, Before::Nothing),
        [Breach::ForwardAfterUndo]
    );
}

#[test]
fn a_send_without_a_record_and_a_stuck_operation_are_found() {
    let entries = [entry("tokyo", Leg::Forward, 1, Told::Done, true)];
    let said = detail("succeeded", "updated");
    assert_eq!(found("no-undo", &said, &[], &entries, Before::Nothing), [Breach::UnrecordedSend]);
    let stuck = json!({ "status": "executing", "waiting_for": [] });
    assert_eq!(found("no-undo", &stuck, &[], &[], Before::Nothing), [Breach::Stuck]);
}

#[test]
fn turns_that_interleave_are_found() {
    let requests = |order: &[&str]| {
        (1..).zip(order).map(|(number, operation)| (number, (*operation).to_owned())).collect::<Vec<_>>()
    };
    let lock = |order: &[&str]| overlaps(&BTreeMap::from([("/r/1".to_owned(), requests(order))])).len();
    assert_eq!(lock(&["a", "a", "b", "c"]), 0);
    assert_eq!(lock(&["a", "b", "a"]), 1);
}

#[test]
fn what_is_left_without_a_note_is_found() {
    let entries = [entry("tokyo", Leg::Forward, 1, Told::Nothing, true)];
    let history = [started("forward"), broke("timed_out")];
    let found = |noted, detail: &Value| found_with(noted, "no-undo", detail, &history, &entries, Before::Nothing);
    assert_eq!(found(true, &detail("unknown", "unknown")), []);
    assert_eq!(found(false, &detail("unknown", "unknown")), [Breach::Unflagged]);
}

#[test]
fn a_status_and_a_consistency_that_do_not_fit_the_targets_are_found() {
    let entries = [entry("tokyo", Leg::Forward, 1, Told::Done, true)];
    let history = [started("forward")];
    let found = |said: &Value| found("no-undo", said, &history, &entries, Before::Nothing);
    let mut said = detail("succeeded", "updated");
    assert_eq!(found(&said), []);
    said["consistency"] = json!("rolled back");
    assert_eq!(found(&said), [Breach::WrongConsistency]);
    let mut said = detail("succeeded", "updated");
    said["status"] = json!("failed");
    assert_eq!(found(&said), [Breach::WrongConsistency]);
}

#[test]
fn what_is_not_as_it_was_at_the_end_differs() {
    let said = detail("succeeded", "updated");
    let mut later = said.clone();
    assert_eq!(fixed(&said), fixed(&later));
    later["targets"][0]["outcome"] = json!("failed");
    assert_ne!(fixed(&said), fixed(&later));
}

#[test]
fn a_doubt_that_was_settled_later_is_found() {
    let entries =
        [entry("tokyo", Leg::Forward, 1, Told::Nothing, false), entry("tokyo", Leg::Forward, 2, Told::Done, true)];
    let answered = json!({ "event": "attempt_answered", "target": "tokyo", "leg": "forward", "meaning": "succeeded" });
    let history = [started("forward"), broke("broken"), started("forward"), answered];
    let said = detail("unknown", "unknown");
    assert_eq!(found("put", &said, &history, &entries, Before::Nothing), [Breach::NeedlessUnknown]);
}

#[test]
fn a_probe_that_told_something_settles_a_doubt_once_the_target_has_settled() {
    let entries = [entry("tokyo", Leg::Forward, 1, Told::Nothing, false)];
    let found = |meaning: &str, at: &str| {
        let probed =
            json!({ "event": "probe_answered", "target": "tokyo", "leg": "probe", "meaning": meaning, "at": at });
        let history = [started("forward"), broke("broken"), probed];
        found("probe", &detail("unknown", "unknown"), &history, &entries, Before::Nothing)
    };
    assert_eq!(found("unclear", "2026-01-01T00:00:09Z"), []);
    assert_eq!(found("not_applied", "2026-01-01T00:00:02Z"), []);
    assert_eq!(found("not_applied", "2026-01-01T00:00:03Z"), [Breach::NeedlessUnknown]);
    assert_eq!(found("applied", "2026-01-01T00:00:02Z"), [Breach::NeedlessUnknown]);
}
