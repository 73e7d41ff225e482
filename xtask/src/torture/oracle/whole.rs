//! What has to hold of an operation as a whole: its status, its consistency, and that whatever is left is flagged.

use serde_json::{Value, json};

use super::{Breach, Case, Verdict, text};

/// Judges the whole of an operation that has ended.
pub(super) fn judge(case: &Case<'_>, verdict: &mut Verdict) {
    if let Some(first) = case.first {
        retry(case, first, verdict);
    } else {
        status(case, verdict);
    }
    consistency(case, verdict);
    flags(case, verdict);
    if let Some(remembered) = case.remembered
        && *remembered != fixed(case.detail)
    {
        verdict.push((Breach::ChangedAfterEnd, format!("it was {remembered}, and is {}", fixed(case.detail))));
    }
}

/// What never changes again once an operation has ended.
pub(in crate::torture) fn fixed(detail: &Value) -> Value {
    let of_target = |target: &Value| {
        let undo = &target["undo"]["outcome"];
        json!([target["name"], target["outcome"], target["consistency"], target["response"], undo])
    };
    let targets: Vec<Value> = targets(detail).iter().map(of_target).collect();
    let names = ["status", "cause", "consistency", "started_at", "ended_at", "rollback", "response"];
    json!([names.map(|name| detail[name].clone()), targets])
}

fn targets(detail: &Value) -> &[Value] {
    detail["targets"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Completed is what enough targets succeeded at, unless its end was decided while they were still at it.
fn status(case: &Case<'_>, verdict: &mut Verdict) {
    let targets = targets(case.detail);
    let succeeded = targets.iter().filter(|target| target["outcome"] == "succeeded").count();
    let required = case.plan.required().unwrap_or(targets.len());
    let completed = case.detail["status"] == "completed";
    let enough = succeeded >= required;
    let decided_before = ["canceled", "deadline_passed"].map(Value::from).contains(&case.detail["cause"]["kind"]);
    if completed && !enough || enough && !completed && !decided_before {
        let what = format!("{} with {succeeded} of {required} needed targets", case.detail["status"]);
        verdict.push((Breach::WrongConsistency, what));
    }
}

/// A retry calls what is not there, of what failed or was canceled.
fn retry(case: &Case<'_>, first: &Value, verdict: &mut Verdict) {
    let id = text(&first["id"]);
    if !["failed", "canceled"].map(Value::from).contains(&first["status"]) || first["retried_by"] != case.id {
        verdict.push((
            Breach::Twice,
            format!("it retries {id}, which is {} and names {}", first["status"], first["retried_by"]),
        ));
    }
    for target in targets(case.detail) {
        let name = text(&target["name"]);
        let before = targets(first).iter().find(|one| one["name"] == name);
        let was = before.map(|one| text(&one["consistency"])).unwrap_or_default();
        let truth = case.journal.truth(name, id);
        if was != "rolled back" || truth.stands && !truth.unseen {
            verdict.push((Breach::BlindRepeat, format!("at {name}: a retry calls what {id} left `{was}` ({truth:?})")));
        }
    }
}

/// One unknown makes it unknown; targets that differ make it inconsistent.
fn consistency(case: &Case<'_>, verdict: &mut Verdict) {
    let all: Vec<&str> = targets(case.detail).iter().map(|target| text(&target["consistency"])).collect();
    let together = match all.first() {
        _ if all.contains(&"unknown") => "unknown",
        Some(first) if all.iter().all(|one| one == first) => first,
        _ => "not consistent",
    };
    if case.detail["consistency"] != together {
        let what = format!("{} of targets that are {all:?}", case.detail["consistency"]);
        verdict.push((Breach::WrongConsistency, what));
    }
}

/// Whatever is left as nobody asked for was to be undone, and there is a note about it.
fn flags(case: &Case<'_>, verdict: &mut Verdict) {
    let completed = case.detail["status"] == "completed";
    let as_it_is =
        case.history.iter().any(|entry| entry["event"] == "person_chose" && entry["meaning"] == "end_as_it_is");
    for target in targets(case.detail) {
        let name = text(&target["name"]);
        let noted = case.notes.iter().any(|note| note["target"] == name);
        let claim = text(&target["consistency"]);
        if matches!(claim, "unknown" | "not consistent") && !noted {
            verdict.push((Breach::Unflagged, format!("at {name}: `{claim}` without a note")));
        }
        if completed || as_it_is {
            continue;
        }
        let truth = case.journal.truth(name, case.id);
        if truth.stands && !truth.unseen && !noted {
            verdict.push((Breach::Unflagged, format!("at {name}: its change stands, and there is no note")));
        }
        if case.plan.undo() != "none" && target["outcome"] == "succeeded" && target["undo"].is_null() {
            verdict.push((Breach::Unflagged, format!("at {name}: it succeeded, and no undo was tried")));
        }
    }
}
