//! What operations wait for, as the documentation tells it.

use fanfold_core::operation::{Call, Leg, Purpose, TroubleKind, Unclear, WaitingFor};
use fanfold_core::{StepIndex, TargetName};

use crate::fixtures::{at, trouble};

const PAGE: &str = include_str!("../../../../docs/api.md");

/// The kind after this one, each with all its members.
fn next(before: Option<&WaitingFor>) -> Option<WaitingFor> {
    let call = || Call { step: StepIndex(0), target: TargetName::from("osaka"), leg: Leg::Forward };
    let until = at(60);
    Some(match before {
        None => WaitingFor::StartTime { until },
        Some(WaitingFor::StartTime { .. }) => WaitingFor::Lock { key: "a".to_owned(), position: Some(1), holder: None },
        Some(WaitingFor::Lock { .. }) => WaitingFor::Dispatch,
        Some(WaitingFor::Dispatch) => WaitingFor::Permit(call()),
        Some(WaitingFor::Permit(_)) => WaitingFor::Breaker(call()),
        Some(WaitingFor::Breaker(_)) => WaitingFor::HeldTarget(call()),
        Some(WaitingFor::HeldTarget(_)) => WaitingFor::MissingTarget(call()),
        Some(WaitingFor::MissingTarget(_)) => WaitingFor::Backoff { call: call(), until },
        Some(WaitingFor::Backoff { .. }) => WaitingFor::Settle { call: call(), until },
        Some(WaitingFor::Settle { .. }) => WaitingFor::Answer { call: call(), since: until },
        Some(WaitingFor::Answer { .. }) => WaitingFor::Resource { call: call(), purpose: Purpose::Before },
        Some(WaitingFor::Resource { .. }) => {
            let trouble = trouble(TroubleKind::Nonsense, "401");
            let unclear = Some(Unclear { since: until, trouble });
            WaitingFor::LowerOperation { call: call(), reference: "7".to_owned(), until, unclear }
        }
        Some(WaitingFor::LowerOperation { .. }) => WaitingFor::Probe { call: call(), until: Some(until) },
        Some(WaitingFor::Probe { .. }) => WaitingFor::Person { target: Some(call().target), since: until },
        Some(WaitingFor::Person { .. }) => WaitingFor::Response,
        Some(WaitingFor::Response) => WaitingFor::Release { since: until, as_of: at(0) },
        Some(WaitingFor::Release { .. }) => return None,
    })
}

#[test]
fn each_kind_is_documented_with_its_members() {
    let (_, page) = PAGE.split_once("#### What it waits for").unwrap();
    let mut kind = next(None);
    while let Some(waiting) = &kind {
        let json = serde_json::to_value(waiting).unwrap();
        let members = json.as_object().unwrap();
        let name = members["for"].as_str().unwrap();
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/api.md lacks a row for {name}"));
        for member in members.keys().filter(|member| *member != "for") {
            assert!(row.contains(&format!("`{member}`")), "docs/api.md lacks {member} of {name}");
        }
        kind = next(kind.as_ref());
    }
}
