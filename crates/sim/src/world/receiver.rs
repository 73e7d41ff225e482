//! The receiver of notices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fanfold_core::OperationId;

use super::answer::{Out, Reply};
use super::{Request, World};
use crate::scenario::Manner;

/// For whom a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Audience {
    /// The client, in the words of its dialect.
    Dialect,
    /// Whom the route names, in a webhook.
    Route,
    /// Whom the client names, in a webhook.
    Caller,
}

/// What came in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Letters {
    /// What was confirmed.
    confirmed: BTreeSet<(OperationId, Audience)>,
    /// The ids under which webhooks came.
    ids: BTreeMap<(OperationId, Audience), BTreeSet<String>>,
    /// What no webhook may be.
    pub(crate) wrong: Vec<String>,
}

impl Letters {
    pub(crate) fn has_reached(&self, operation: OperationId, audience: Audience) -> bool {
        self.confirmed.contains(&(operation, audience))
    }

    /// The ids under which one end was told.
    pub(crate) fn ids(&self, operation: OperationId, audience: Audience) -> usize {
        self.ids.get(&(operation, audience)).map_or(0, BTreeSet::len)
    }
}

impl World {
    pub(super) fn at_receiver(&self, request: &Request, manner: Manner) -> Vec<(Duration, Out)> {
        let manner = if matches!(manner, Manner::Takes(_)) { Manner::Accepts { applied: true } } else { manner };
        let reply = if manner.applies() { Reply::bare(200) } else { manner.refusal() };
        let mut state = self.state();
        if let Some((operation, audience)) = addressed(request) {
            if audience != Audience::Dialect {
                let id = request.header("webhook-id").unwrap_or_default();
                if id.is_empty() || request.header("webhook-signature").is_none() {
                    state.letters.wrong.push(format!("{operation}: a webhook without an id or a signature"));
                }
                state.letters.ids.entry((operation, audience)).or_default().insert(id.to_owned());
            }
            // The head of a good answer is enough.
            let confirms = matches!(
                manner,
                Manner::Polite
                    | Manner::Slow(_)
                    | Manner::Works(_)
                    | Manner::Page
                    | Manner::ClosesIdle
                    | Manner::HalfBody
                    | Manner::Accepts { .. }
            );
            if confirms {
                state.letters.confirmed.insert((operation, audience));
            }
        }
        manner.say(&reply)
    }
}

/// What a notice is about, and for whom.
fn addressed(request: &Request) -> Option<(OperationId, Audience)> {
    let audience = match request.path.as_str() {
        "/hook/route" => Audience::Route,
        "/hook/caller" => Audience::Caller,
        path => return Some((path.rsplit('/').next()?.parse().ok()?, Audience::Dialect)),
    };
    let event: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
    Some((event.get("subject")?.as_str()?.parse().ok()?, audience))
}
