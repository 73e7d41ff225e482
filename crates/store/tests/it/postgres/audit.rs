//! The trail against whoever writes into the database past the store.

use fanfold_core::access::audit::Action;
use fanfold_store::contract::fixtures::{at, audit_entry};
use fanfold_store::{Audit as _, AuditFilter, Limits, Page, ReadAudit as _};

use super::{database, open, other};

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_not_changed_in_passing() {
    let Some(url) = database() else { return };
    let store = open(&url, Limits::default()).await;
    store.record_audit(audit_entry(at(1), "anna", Action::Drain)).await.unwrap();
    let (sql, _running) = other(&url).await;
    for change in ["UPDATE audit SET by = 'nobody'", "TRUNCATE audit"] {
        let error = sql.batch_execute(change).await.unwrap_err();
        let refused = error.as_db_error().expect("the database refuses it").message().to_owned();
        assert!(refused.contains("never changed"), "{refused}");
    }
    let found = store.audit(&AuditFilter::default(), Page::newest(9)).await.unwrap();
    assert_eq!(found[0].entry, audit_entry(at(1), "anna", Action::Drain));
}
