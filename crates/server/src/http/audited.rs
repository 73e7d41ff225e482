//! What people do goes into the audit trail: that it was asked for, before it is done, and then what came of it. Where the trail
//! cannot be written, nothing is done.

use fanfold_core::access::audit::{Action, Outcome};
use fanfold_core::{OperationId, TargetName};
use fanfold_store::NewAuditEntry;

use super::auth::Caller;
use super::outcome::Stop;
use super::server::Shared;

/// What is done, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Audited {
    pub(super) action: Action,
    pub(super) operation: Option<OperationId>,
    pub(super) target: Option<TargetName>,
    /// The id of anything else, or what chooses many.
    pub(super) subject: Option<String>,
    /// What exactly is asked for, where that is more.
    pub(super) detail: Option<String>,
}

impl Audited {
    /// Something that concerns the whole server.
    pub(super) fn server(action: Action) -> Self {
        Self { action, operation: None, target: None, subject: None, detail: None }
    }

    /// Something with one operation. A text that is no id is told as it is.
    pub(super) fn operation(action: Action, id: &str) -> Self {
        match id.parse() {
            Ok(id) => Self { operation: Some(id), ..Self::server(action) },
            Err(_) => Self::other(action, id),
        }
    }

    /// Something with one target.
    pub(super) fn target(action: Action, name: &str) -> Self {
        Self { target: Some(name.into()), ..Self::server(action) }
    }

    /// Something with anything else.
    pub(super) fn other(action: Action, subject: &str) -> Self {
        Self { subject: Some(subject.to_owned()), ..Self::server(action) }
    }

    fn entry(&self, shared: &Shared, caller: &Caller, outcome: Outcome) -> NewAuditEntry {
        NewAuditEntry {
            at: shared.clock.now(),
            tenant: caller.access.tenant.clone(),
            by: caller.name.clone(),
            credential: caller.credential.as_str().to_owned(),
            from: caller.from.map_or_else(|| "here".to_owned(), |from| from.to_string()),
            action: self.action,
            operation: self.operation,
            target: self.target.clone(),
            subject: self.subject.clone(),
            detail: self.detail.clone(),
            outcome,
        }
    }
}

impl Shared {
    /// Records that somebody was refused what is not even begun.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn record_refusal(&self, caller: &Caller, what: &Audited, reason: String) -> Result<(), Stop> {
        self.engine.record_audit(what.entry(self, caller, Outcome::Refused { reason })).await?;
        Ok(())
    }

    /// Does something that goes into the trail.
    ///
    /// # Errors
    /// Those of what is done; the store's where the trail cannot be written, and then nothing was done.
    pub(super) async fn audited<T>(
        &self,
        caller: &Caller,
        what: Audited,
        doing: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        self.audited_making(caller, what, |_| None, doing).await
    }

    /// The same of something that makes what has an id only then: `id` gives it.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn audited_making<T>(
        &self,
        caller: &Caller,
        mut what: Audited,
        id: impl FnOnce(&T) -> Option<String>,
        doing: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        self.engine.record_audit(what.entry(self, caller, Outcome::Asked)).await?;
        let done = doing.await;
        let outcome = match &done {
            Ok(made) => {
                what.subject = id(made).or(what.subject);
                Outcome::Done
            }
            Err(Stop::Refused(refusal)) => Outcome::Refused { reason: refusal.to_string() },
            Err(Stop::TooSlow) => Outcome::Refused { reason: "the request did not come in time".to_owned() },
        };
        if let Err(error) = self.engine.record_audit(what.entry(self, caller, outcome)).await {
            // It is done, and that it was asked for stands there.
            tracing::error!(%error, action = %what.action, "what came of something cannot be written into the audit trail");
        }
        done
    }
}
