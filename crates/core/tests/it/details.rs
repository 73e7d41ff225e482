//! The detail of an operation in every state, in every dialect.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfold_core::dialect::{Bodies, LetterCase, View, native::OperationDetail};
use fanfold_core::operation::{Operation, TroubleKind};
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Body, Content, Slot, StepIndex};
use serde_json::Value;

use crate::fixtures::{accepted, mount, scenarios, show, trouble, unreachable};

fn detail(name: DialectName, operation: &Operation) -> Value {
    let mount = mount(name);
    let reply = mount.wire().detail(&mount, View { operation, bodies: &Bodies::new() });
    serde_json::from_slice(&reply.body).unwrap()
}

fn golden(name: DialectName, operation: &Operation) -> String {
    let mount = mount(name);
    show(&mount.wire().detail(&mount, View { operation, bodies: &Bodies::new() }))
}

#[test]
fn native() {
    let wanted =
        ["unexecuted", "following", "held", "rolling_back", "completed", "rollback_failed", "unknown", "canceled"];
    for (scenario, operation) in scenarios(DialectName::Native) {
        if wanted.contains(&scenario) {
            insta::assert_snapshot!(format!("native_detail_{scenario}"), golden(DialectName::Native, &operation));
        }
    }
}

#[test]
fn msf() {
    for (scenario, operation) in scenarios(DialectName::Msf) {
        insta::assert_snapshot!(format!("msf_detail_{scenario}"), golden(DialectName::Msf, &operation));
    }
}

#[test]
fn plas() {
    let scenarios = scenarios(DialectName::Plas);
    let shown: Vec<_> = scenarios
        .iter()
        .map(|(scenario, operation)| format!("=== {scenario}\n{}\n", golden(DialectName::Plas, operation)))
        .collect();
    insta::assert_snapshot!("plas_details", shown.join("\n"));
}

#[test]
fn who_submitted_it_is_in_the_native_form_alone_and_older_records_say_nothing_of_it() {
    for name in [DialectName::Native, DialectName::Msf, DialectName::Plas] {
        let old = accepted(name, 1);
        let record = serde_json::to_value(&old).unwrap();
        assert_eq!(record.get("submitted_by"), None, "{name}: as a version wrote it that did not know it");
        assert_eq!(serde_json::from_value::<Operation>(record).unwrap().submitted_by, None);
        let new = Operation { submitted_by: Some("ci".to_owned()), ..old.clone() };
        let read: Operation = serde_json::from_value(serde_json::to_value(&new).unwrap()).unwrap();
        assert_eq!(read.submitted_by.as_deref(), Some("ci"));
        let (mut with, without) = (detail(name, &new), detail(name, &old));
        if name == DialectName::Native {
            assert_eq!(with.as_object_mut().unwrap().remove("submitted_by"), Some("ci".into()));
        }
        assert_eq!(with, without, "{name}");
    }
}

#[test]
fn the_native_form_can_be_read_back() {
    for (name, operation) in scenarios(DialectName::Native) {
        let form =
            OperationDetail::of(&mount(DialectName::Native), View { operation: &operation, bodies: &Bodies::new() });
        let json = serde_json::to_string(&form).unwrap();
        assert_eq!(serde_json::from_str::<OperationDetail>(&json).unwrap(), form, "{name}");
    }
}

#[test]
fn msf_times_are_in_the_zone_of_the_mount() {
    let operation = accepted(DialectName::Msf, 1);
    let mut mount = mount(DialectName::Msf);
    mount.settings.zone = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
    let reply = mount.wire().detail(&mount, View { operation: &operation, bodies: &Bodies::new() });
    let detail: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(detail["occurred_time"], "20180913_105000");
}

#[test]
fn bodies_are_found_wherever_they_stand() {
    let mut operation = accepted(DialectName::Msf, 2);
    let plan = Arc::make_mut(&mut operation.plan);
    plan.request.body = Body(Content::Apart { bytes: 4 });
    plan.steps[0].request.body = Body(Content::Same(Slot::Request));
    plan.steps[1].request.body = Body::inline(vec![0xff, 0x00]);
    let bodies: Bodies = [(Slot::Request, "\"a\\b".into())].into();
    let view = View { operation: &operation, bodies: &bodies };

    let msf = mount(DialectName::Msf);
    let shown: Value = serde_json::from_slice(&msf.wire().detail(&msf, view).body).unwrap();
    assert_eq!(shown["request"]["body"], "\"a\\b");
    assert_eq!(shown["target_clusters"][0]["request"]["body"], "\"a\\b");
    assert_eq!(shown["target_clusters"][1]["request"]["body"], "\u{fffd}\0");

    let native = OperationDetail::of(&mount(DialectName::Native), view);
    let shown = serde_json::to_value(&native).unwrap();
    assert_eq!(shown["targets"][0]["request"]["body"], "\"a\\b");
    assert_eq!(shown["targets"][1]["request"]["body"], serde_json::json!({ "base64": "/wA=" }));
    assert_eq!(view.octets(Slot::StepAnswer(StepIndex(0))), b"");
}

#[test]
fn plas_spells_types_as_the_mount_says() {
    let mut mount = mount(DialectName::Plas);
    let mut spelt = BTreeMap::new();
    for case in [LetterCase::AsInTable, LetterCase::Lower] {
        for verb in [Verb::Create, Verb::Update, Verb::Delete] {
            let mut operation = accepted(DialectName::Plas, 1);
            Arc::make_mut(&mut operation.plan).verb = verb;
            mount.settings.letter_case = case;
            let reply = mount.wire().detail(&mount, View { operation: &operation, bodies: &Bodies::new() });
            let detail: Value = serde_json::from_slice(&reply.body).unwrap();
            spelt.insert(detail["operationType"].as_str().unwrap().to_owned(), verb as u8);
        }
    }
    let words: Vec<_> = spelt.into_keys().collect();
    assert_eq!(words, ["Create", "Delete", "Update", "create", "delete", "update"]);
}

#[test]
fn a_long_plas_reason_is_cut_between_characters() {
    let mut step = unreachable();
    step.course.trouble = Some(trouble(TroubleKind::Unreachable, &"é".repeat(300)));
    let steps = vec![step];
    let failed = crate::fixtures::ended(DialectName::Plas, fanfold_core::operation::Status::Failed, None, steps);
    let shown = detail(DialectName::Plas, &failed);
    assert_eq!(shown["result"]["reason"], "é".repeat(255));
}
