//! Every `msf` detail obeys the table of fields of its protocol, whatever state the operation is in.

use fanfold_core::dialect::{Bodies, ListEntry, View};
use fanfold_core::operation::{
    Cause, Gate, Operation, Phase, Purpose, Send, Stage, Status, Step, StepPhase, UndoEnd, UndoPhase,
};
use fanfold_core::plan::DialectName;
use serde_json::{Map, Value};

use crate::fixtures::{
    at, backing_off, begun, canceled, ended, mount, no_undo, not_consistent, probing, refused, scenarios, sending,
    skipped, succeeded, undoing, undone, unknown, unreachable,
};

/// What a field holds, as the table has it.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Time,
    Status,
    Phase,
    Method,
    Code,
    Rollback,
    Error,
    Consistency,
    Outcome,
    Object(&'static [Field]),
    List(&'static [Field]),
}

/// One row: name, whether the key must be there, whether it may be null, what it holds.
type Field = (&'static str, bool, bool, Kind);

const REQUEST: &[Field] =
    &[("uri", true, false, Kind::Text), ("method", true, false, Kind::Method), ("body", true, false, Kind::Text)];
const RESPONSE: &[Field] = &[("status_code", true, false, Kind::Code), ("body", true, false, Kind::Text)];
const CLUSTER_RESPONSE: &[Field] = &[("status_code", false, true, Kind::Code), ("body", false, true, Kind::Text)];
const CLUSTER: &[Field] = &[
    ("cluster_id", true, false, Kind::Text),
    ("request", true, false, Kind::Object(REQUEST)),
    ("response", false, true, Kind::Object(CLUSTER_RESPONSE)),
];
const UNDO_REQUEST: &[Field] =
    &[("uri", true, false, Kind::Text), ("method", true, false, Kind::Method), ("body", false, true, Kind::Text)];
const UNDO_CLUSTER: &[Field] = &[
    ("cluster_id", true, false, Kind::Text),
    ("request", true, false, Kind::Object(UNDO_REQUEST)),
    ("response", false, true, Kind::Object(CLUSTER_RESPONSE)),
];
const ROLLBACKS: &[Field] = &[
    ("result", true, false, Kind::Rollback),
    ("occurred_time", true, false, Kind::Time),
    ("target_clusters", false, true, Kind::List(UNDO_CLUSTER)),
];
const DETAIL: &[Field] = &[
    ("operation_id", true, false, Kind::Text),
    ("occurred_time", true, false, Kind::Time),
    ("last_update_time", true, false, Kind::Time),
    ("status", true, false, Kind::Status),
    ("sub_status", false, false, Kind::Phase),
    ("request", true, true, Kind::Object(REQUEST)),
    ("response", false, true, Kind::Object(RESPONSE)),
    ("target_clusters", false, true, Kind::List(CLUSTER)),
    ("rollbacks", false, true, Kind::Object(ROLLBACKS)),
];
const ERROR_CLUSTER: &[Field] = &[
    ("cluster_id", true, false, Kind::Text),
    ("request_results", true, false, Kind::Outcome),
    ("error_code", false, true, Kind::Error),
    ("error_message", false, true, Kind::Text),
    ("data_consistency", true, false, Kind::Consistency),
];
const ERROR: &[Field] = &[
    ("error_code", true, false, Kind::Error),
    ("error_message", true, false, Kind::Text),
    ("data_consistency", true, false, Kind::Consistency),
    ("target_clusters", false, true, Kind::List(ERROR_CLUSTER)),
];

/// Checks an object against its table. In lists (`bodies` is false) no `body` may be there at all.
fn check(object: &Map<String, Value>, fields: &[Field], bodies: bool) -> Result<(), String> {
    if let Some(key) = object.keys().find(|key| !fields.iter().any(|field| field.0 == *key)) {
        return Err(format!("`{key}` is not in the table"));
    }
    for (name, required, nullable, kind) in fields {
        let at = |error| format!("{name}: {error}");
        match object.get(*name) {
            Some(_) if *name == "body" && !bodies => return Err("a body in a list".to_owned()),
            None if *required && (*name != "body" || bodies) => return Err(at("absent".to_owned())),
            None => {}
            Some(Value::Null) if !nullable => return Err(at("null".to_owned())),
            Some(Value::Null) => {}
            Some(value) => check_value(value, *kind, bodies).map_err(at)?,
        }
    }
    Ok(())
}

fn check_value(value: &Value, kind: Kind, bodies: bool) -> Result<(), String> {
    let one_of = |words: &[&str]| value.as_str().is_some_and(|text| words.contains(&text));
    let fits = match kind {
        Kind::Text => value.is_string(),
        Kind::Time => value.as_str().is_some_and(is_time),
        Kind::Status => one_of(&Status::ALL.map(Status::as_str)),
        Kind::Phase => one_of(&Phase::ALL.map(Phase::as_str)),
        Kind::Method => one_of(&["POST", "PUT", "DELETE", "PATCH"]),
        Kind::Code => value.as_u64().is_some_and(|code| (100..600).contains(&code)),
        Kind::Rollback => one_of(&["completed", "failed", "none"]),
        Kind::Error => {
            value.as_str().is_some_and(|code| code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()))
        }
        Kind::Consistency => one_of(&["rolled back", "updated", "not consistent", "unknown"]),
        Kind::Outcome => one_of(&["success", "failed"]),
        Kind::Object(fields) => return check(value.as_object().ok_or("no object")?, fields, bodies),
        Kind::List(fields) => {
            let entries = value.as_array().ok_or("no array")?;
            return entries.iter().try_for_each(|entry| check(entry.as_object().ok_or("no object")?, fields, bodies));
        }
    };
    if fits { Ok(()) } else { Err(format!("{value} does not fit")) }
}

fn is_time(text: &str) -> bool {
    let form = |(place, byte): (usize, u8)| if place == 8 { byte == b'_' } else { byte.is_ascii_digit() };
    text.len() == 15 && text.bytes().enumerate().all(form)
}

/// What the table says in words about fields that depend on each other.
fn check_together(detail: &Map<String, Value>) -> Result<(), String> {
    let status = detail["status"].as_str().unwrap();
    if ["completed", "failed"].contains(&status) && detail.get("response").is_none_or(Value::is_null) {
        return Err("no response although it has ended".to_owned());
    }
    if (status == "executing") != detail.contains_key("sub_status") {
        return Err("`sub_status` goes with `executing`".to_owned());
    }
    let terminal = ["completed", "failed", "canceled"].contains(&status);
    let rolled_back = detail.get("rollbacks").is_some_and(|rollbacks| !rollbacks.is_null());
    if rolled_back && (!terminal || status == "completed") {
        return Err("`rollbacks` where none has ended".to_owned());
    }
    if status == "failed" && !rolled_back {
        return Err("a failed operation tells of its rollback".to_owned());
    }
    Ok(())
}

fn judge(operation: &Operation) -> Result<(), String> {
    let mount = mount(DialectName::Msf);
    let view = View { operation, bodies: &Bodies::new() };
    let full: Value = serde_json::from_slice(&mount.wire().detail(&mount, view).body).unwrap();
    let full = full.as_object().unwrap();
    check(full, DETAIL, true)?;
    check_together(full)?;

    let brief = mount.wire().listing().unwrap().entry(&mount, ListEntry::Operation(operation));
    let brief: Value = serde_json::from_slice(&brief).unwrap();
    check(brief.as_object().unwrap(), DETAIL, false)?;
    check_together(brief.as_object().unwrap())?;

    if matches!(operation.status(), Status::Failed | Status::Canceled) {
        let error = full["response"]["body"].as_str().unwrap();
        let error: Value = serde_json::from_str(error).map_err(|error| error.to_string())?;
        check(error.as_object().ok_or("no error body")?, ERROR, true)?;
        let listed = error["target_clusters"].as_array().map_or(0, Vec::len);
        if listed != operation.steps.len() {
            return Err("the error body does not list all clusters".to_owned());
        }
    }
    Ok(())
}

fn running_steps() -> Vec<Step> {
    let reading = |purpose, not_before| StepPhase::Reading { purpose, tries: 0, not_before, gate: Gate::Permit };
    vec![
        Step::default(),
        Step { phase: reading(Purpose::Before, None), ..Step::default() },
        Step { phase: reading(Purpose::After, Some(at(9))), ..succeeded() },
        sending(Send::Due { gate: Gate::Held }),
        sending(Send::Calling { since: at(5) }),
        backing_off(),
        probing(),
        Step { phase: StepPhase::AwaitingPerson { since: at(4) }, ..probing() },
    ]
}

fn ended_steps() -> Vec<Step> {
    let mut steps = vec![succeeded(), refused(), unreachable(), not_consistent(), unknown(), skipped(), no_undo()];
    let ends = [UndoEnd::Undone, UndoEnd::Failed, UndoEnd::Conflict, UndoEnd::Unknown, UndoEnd::NotPossible];
    steps.extend(ends.map(undone));
    steps
}

fn undoing_steps() -> Vec<Step> {
    let reading = UndoPhase::Reading { purpose: Purpose::Compare, tries: 0, not_before: None, gate: Gate::Permit };
    let mut steps = ended_steps();
    steps.extend([UndoPhase::Queued, UndoPhase::Settling { until: at(40) }, reading].map(undoing));
    steps.push(undoing(UndoPhase::Sending(Send::BackingOff { until: at(50) })));
    steps
}

#[test]
fn every_scenario_obeys_the_table() {
    for (name, operation) in scenarios(DialectName::Msf) {
        assert_eq!(judge(&operation), Ok(()), "{name}");
    }
}

#[test]
fn every_pair_of_running_steps_obeys_the_table() {
    let steps: Vec<_> = running_steps().into_iter().chain(ended_steps()).collect();
    let deciding = Stage::Deciding { cause: Cause::StepsFailed, since: at(6) };
    let stages = [Stage::Forward, Stage::Closing(canceled()), Stage::Closing(Cause::DeadlinePassed), deciding];
    for stage in stages {
        for one in &steps {
            for other in &steps {
                let operation = begun(DialectName::Msf, stage.clone(), vec![one.clone(), other.clone()]);
                assert_eq!(judge(&operation), Ok(()), "{operation:?}");
            }
        }
    }
}

#[test]
fn every_pair_of_steps_that_are_undone_obeys_the_table() {
    for cause in [Cause::StepsFailed, canceled()] {
        for one in undoing_steps() {
            for other in undoing_steps() {
                let stage = Stage::RollingBack { cause: cause.clone(), since: at(20) };
                let operation = begun(DialectName::Msf, stage, vec![one.clone(), other]);
                assert_eq!(judge(&operation), Ok(()), "{operation:?}");
            }
        }
    }
}

#[test]
fn every_pair_of_ended_steps_obeys_the_table() {
    let ends =
        [(Status::Completed, None), (Status::Failed, Some(Cause::StepsFailed)), (Status::Canceled, Some(canceled()))];
    for (status, cause) in ends {
        for one in ended_steps() {
            for other in ended_steps() {
                let operation = ended(DialectName::Msf, status, cause.clone(), vec![one.clone(), other]);
                assert_eq!(judge(&operation), Ok(()), "{operation:?}");
            }
        }
    }
}

#[test]
fn the_judge_finds_what_is_wrong() {
    let mount = mount(DialectName::Msf);
    let (_, operation) = scenarios(DialectName::Msf).into_iter().find(|(name, _)| *name == "completed").unwrap();
    let view = View { operation: &operation, bodies: &Bodies::new() };
    let good: Value = serde_json::from_slice(&mount.wire().detail(&mount, view).body).unwrap();
    let broken = |change: fn(&mut Value)| {
        let mut detail = good.clone();
        change(&mut detail);
        let detail = detail.as_object().unwrap();
        check(detail, DETAIL, true).and_then(|()| check_together(detail)).is_err()
    };
    assert!(!broken(|_| {}));
    assert!(broken(|detail| detail["request"]["body"] = Value::Null));
    assert!(broken(|detail| detail["occurred_time"] = "2018-09-13T01:50:00Z".into()));
    assert!(broken(|detail| detail["response"] = Value::Null));
    assert!(broken(|detail| detail["sub_status"] = "calling".into()));
    assert!(broken(|detail| detail["extra"] = 1.into()));
    assert!(broken(|detail| detail["target_clusters"][0]["cluster_id"] = 1.into()));
}
