//! What targets answer: to requests, to undos, and to polls of their own operations.

use std::sync::LazyLock;

use bytes::Bytes;
use fanfold_core::operation::{Leg, Reading};
use fanfold_core::route::{
    Answered, Asked, CompiledPolicy, Handling, LOWER_REFERENCE_BYTES_MAX, Poll, PollAddress, RETRY_AFTER_MAX,
    has_dot_segment, is_below, read_answer, retry_after,
};
use fanfold_core::{Headers, TargetName};
use fanfold_engine::target::TargetUrl;

use crate::input::Message;
use crate::site::{Site, now};

/// Where requests go that are answered here.
const PREFIX: &str = "/base";

/// A status with the digits of the target's monitor before it, header fields and a body: `1 202`.
pub(crate) fn lower(octets: &[u8]) {
    let Some(message) = Message::read(octets) else { return };
    let Some((who, status)) = message.first.split_once(' ') else { return };
    let Ok(status @ 100..=599) = status.parse::<u16>() else { return };
    let name = match who {
        "1" => "tokyo",
        "2" => "osaka",
        "3" => "kyoto",
        _ => "kobe",
    };
    for complete in [true, false] {
        look(name, status, &message.headers, &message.body, complete);
    }
}

fn look(name: &str, status: u16, headers: &Headers, body: &Bytes, complete: bool) {
    static POLICIES: LazyLock<Vec<(TargetName, CompiledPolicy)>> = LazyLock::new(policies);
    let Some((name, policy)) = POLICIES.iter().find(|(known, _)| known.as_str() == name) else { return };
    let target = policy.target(name).expect("the policy is this target's");
    let url: TargetUrl = format!("http://target.example{PREFIX}").parse().expect("this is an address");
    let answer = Answered { status, headers, body, complete };
    let asked = Asked { scheme: url.scheme(), authority: url.authority(), path: "/base/things/1", below: PREFIX };
    for leg in [Leg::Forward, Leg::Undo] {
        let (reading, _) = read_answer(target, leg, &asked, &answer, now());
        match reading {
            Reading::LowerAccepted { reference } => {
                assert_eq!(status, 202, "only a 202 is followed");
                assert!(reference.len() <= LOWER_REFERENCE_BYTES_MAX);
                let wire = match target.poll_address(&reference).expect("what is followed is polled somewhere") {
                    PollAddress::BelowPrefix(path) => url.join(&path),
                    PollAddress::FromRoot(path) => {
                        assert!(is_below(PREFIX, &path), "{path} is beside the target");
                        url.from_root(&path)
                    }
                };
                let wire = wire.unwrap_or_else(|bad| panic!("{reference:?} cannot be polled: {bad}"));
                assert!(is_below(PREFIX, wire.path()) && !has_dot_segment(wire.path()), "{wire} has left its target");
            }
            Reading::NotTakenOn { retry_after: Some(wait) } => assert!(wait <= RETRY_AFTER_MAX),
            _ => {}
        }
    }
    if let Some(wait) = retry_after(headers, now()) {
        assert!(wait <= RETRY_AFTER_MAX, "{wait:?}");
    }
    match target.read_poll(&answer, now()) {
        Poll::Ended { answer, .. } => assert!((100..=599).contains(&answer.status), "{}", answer.status),
        Poll::StillRunning { retry_after: wait } | Poll::Unclear { retry_after: wait, .. } => {
            assert!(wait.is_none_or(|wait| wait <= RETRY_AFTER_MAX));
        }
    }
}

/// A policy for each target, as a route would have it.
fn policies() -> Vec<(TargetName, CompiledPolicy)> {
    let site = Site::get();
    let route = site.table.routes().iter().find_map(|route| match &route.handling {
        Handling::Operation(route) if route.is_selected_by_request() => Some(route),
        Handling::Operation(_) | Handling::Pass(_) => None,
    });
    let policy = route.expect("one route selects among all targets").policy();
    let compiled = || CompiledPolicy::new(policy).expect("the policy of a configuration compiles");
    policy.targets.keys().map(|name| (name.clone(), compiled())).collect()
}
