//! Random requests about the audit trail.

use fanfold_core::access::audit::{Action, Outcome};
use jiff::{SignedDuration, Timestamp};

use super::generator::Generator;
use super::requests::{Kind, Reply, if_any, reply};
use crate::contract::fixtures::audit_entry;
use crate::{AuditFilter, AuditNumber, NewAuditEntry, Order, Page, Store};

#[derive(Debug)]
pub(super) enum AuditRequest {
    Record(Box<NewAuditEntry>),
    List(AuditFilter, Page<AuditNumber>),
}

impl AuditRequest {
    pub(super) fn random(generator: &mut Generator) -> Self {
        if generator.once_in(2) {
            return Self::Record(Box::new(entry(generator)));
        }
        let order = generator.one_of(&[Order::NewestFirst, Order::OldestFirst]);
        let after = generator.perhaps(3, |generator| AuditNumber(generator.below(300)));
        Self::List(filter(generator), Page { order, after, limit: generator.one_of(&[0, 3, 5_000]) })
    }

    pub(super) async fn send(&self, store: &dyn Store) -> Reply {
        match self {
            Self::Record(entry) => reply(store.record_audit((**entry).clone()).await, |_| Some(Kind::RecordAudit)),
            Self::List(filter, page) => reply(store.audit(filter, *page).await, if_any(Kind::Audit)),
        }
    }
}

fn action(generator: &mut Generator) -> Action {
    generator.one_of(&[Action::Cancel, Action::Hold, Action::SignIn])
}

fn by(generator: &mut Generator) -> String {
    generator.one_of(&["anna", "bert", "carl"]).to_owned()
}

fn entry(generator: &mut Generator) -> NewAuditEntry {
    // Clocks of nodes are not quite the same.
    let (at, by, action) = (generator.soon(), by(generator), action(generator));
    NewAuditEntry {
        tenant: generator.tenant(),
        operation: generator.perhaps(3, Generator::operation).flatten(),
        target: generator.perhaps(4, |_| "tokyo".into()),
        subject: generator.perhaps(3, |generator| format!("notice/{}", generator.below(9))),
        detail: generator.perhaps(3, |_| "looked at it".to_owned()),
        outcome: match generator.below(3) {
            0 => Outcome::Asked,
            1 => Outcome::Done,
            _ => Outcome::Refused { reason: "it has ended".to_owned() },
        },
        ..audit_entry(at, &by, action)
    }
}

fn filter(generator: &mut Generator) -> AuditFilter {
    let ago = |generator: &mut Generator| -> Timestamp {
        generator.now() - SignedDuration::from_secs(i64::try_from(generator.below(2_000)).unwrap())
    };
    AuditFilter {
        tenant: generator.perhaps(2, Generator::tenant),
        by: generator.perhaps(3, by),
        action: generator.perhaps(3, action),
        operation: generator.perhaps(9, Generator::operation).flatten(),
        since: generator.perhaps(3, ago),
        until: generator.perhaps(3, ago),
    }
}
