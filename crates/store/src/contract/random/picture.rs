//! Everything that can be read of a store.

use std::fmt::Debug;

use fanfold_core::{OperationId, Scope, Slot, StepIndex, TenantId};

use crate::contract::fixtures::at;
use crate::{
    AttentionId, AuditFilter, DueNotices, EventNumber, Filter, LIST_MAX, NoteFilter, NoticeFilter, Order, Page, Store,
};

/// Those whose operations are in a history.
pub(super) fn tenants() -> [TenantId; 2] {
    [TenantId::default(), TenantId::from("other")]
}

/// Everything that can be read of a store, line by line.
pub(super) struct Picture {
    lines: Vec<String>,
}

impl Picture {
    /// Takes the picture. `operations`: those that may be there.
    pub(super) async fn take(store: &dyn Store, operations: &[OperationId]) -> Self {
        let mut picture = Self { lines: Vec::new() };
        for id in operations {
            picture.add_operation(store, *id).await;
        }
        for tenant in tenants() {
            picture.add_tenant(store, &tenant).await;
        }
        picture.add("holds", store.holds().await.unwrap());
        picture.add("live tokens", store.live_tokens().await.unwrap());
        let page = Page { order: Order::OldestFirst, after: None, limit: LIST_MAX };
        picture.add("audit", store.audit(&AuditFilter::default(), page).await.unwrap());
        picture.add("tokens", store.tokens(None, Page::newest(LIST_MAX)).await.unwrap());
        picture.add("counts", store.counts(None).await.unwrap());
        picture.add("latest event", store.latest_event().await.unwrap());
        picture.add("open", store.open_operations(None, usize::MAX).await.unwrap());
        let far = at(1_000_000_000);
        picture.add("lanes", store.lanes(far).await.unwrap());
        for lane in ["a", "b", "c"] {
            picture.add(lane, store.due(lane, far, usize::MAX).await.unwrap());
        }
        picture.add(
            "due notices",
            store
                .due_notices(DueNotices { now: far, after: String::new(), each: usize::MAX, limit: usize::MAX })
                .await
                .unwrap(),
        );
        picture
    }

    fn add(&mut self, what: &str, value: impl Debug) {
        self.lines.push(format!("{what}: {value:?}"));
    }

    async fn add_operation(&mut self, store: &dyn Store, id: OperationId) {
        let operation = store.operation(id).await.unwrap();
        self.add(&format!("operation {id}"), &operation);
        if operation.is_none() {
            return;
        }
        self.add("bodies", store.bodies(id).await.unwrap());
        self.add("history", store.history(id, EventNumber::default(), LIST_MAX).await.unwrap());
        self.add("lock", store.lock_place(id).await.unwrap());
        for slot in [Slot::Request, Slot::Before(StepIndex(0)), Slot::Before(StepIndex(1))] {
            self.add("sealed", store.sealed(id, slot).await.unwrap());
        }
    }

    async fn add_tenant(&mut self, store: &dyn Store, tenant: &TenantId) {
        let filter = Filter { tenant: tenant.clone(), ..Filter::default() };
        let mut after = None;
        loop {
            let page = Page { order: Order::NewestFirst, after, limit: 37 };
            let found = store.list(&filter, page).await.unwrap();
            let Some(last) = found.last() else { break };
            after = Some(last.id);
            self.add("list", found.iter().map(|operation| operation.id).collect::<Vec<_>>());
        }
        let notes = NoteFilter { tenant: tenant.clone(), ..NoteFilter::default() };
        let page = Page { order: Order::OldestFirst, after: Some(AttentionId(0)), limit: LIST_MAX };
        self.add("notes", store.notes(&notes, page).await.unwrap());
        let notices = NoticeFilter { tenant: tenant.clone(), ..NoticeFilter::default() };
        let page = Page { order: Order::OldestFirst, after: Some(0), limit: LIST_MAX };
        self.add("notices", store.notices(&notices, page).await.unwrap());
        self.add("events", store.events(tenant, &Scope::default(), EventNumber::default(), LIST_MAX).await.unwrap());
        let scope = Scope { routes: Some(["create".to_owned()].into()), targets: Some(["tokyo".into()].into()) };
        let page = Page { order: Order::OldestFirst, after: None, limit: LIST_MAX };
        let notes = NoteFilter { scope: scope.clone(), ..notes };
        self.add("notes of a scope", store.notes(&notes, page).await.unwrap());
        let page = Page { order: Order::OldestFirst, after: None, limit: LIST_MAX };
        let notices = NoticeFilter { scope: scope.clone(), ..notices };
        self.add("notices of a scope", store.notices(&notices, page).await.unwrap());
        self.add("events of a scope", store.events(tenant, &scope, EventNumber::default(), LIST_MAX).await.unwrap());
    }

    /// Compares, and shows the first line that differs.
    pub(super) fn expect(&self, expected: &Self, seed: u64, step: u32) {
        for (found, expected) in self.lines.iter().zip(&expected.lines) {
            assert_eq!(found, expected, "seed {seed}, picture after step {step}");
        }
        assert_eq!(self.lines.len(), expected.lines.len(), "seed {seed}, picture after step {step}");
    }
}
