//! The trail against whoever writes into the file past the store.

use fanfold_core::access::audit::Action;
use fanfold_store::contract::fixtures::{at, audit_entry};
use fanfold_store::{Audit as _, AuditFilter, Limits, Page, ReadAudit as _};
use rusqlite::Connection;

use super::{directory, open};

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_not_changed_in_passing() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    store.record_audit(audit_entry(at(1), "anna", Action::Drain)).await.unwrap();
    store.close().await.unwrap();
    let sql = Connection::open(directory.path().join("fanfold.db")).unwrap();
    let refused = sql.execute("UPDATE audit SET by = 'nobody'", []).unwrap_err().to_string();
    assert!(refused.contains("never changed"), "{refused}");
    drop(sql);
    let store = open(&directory, Limits::default());
    let found = store.audit(&AuditFilter::default(), Page::newest(9)).await.unwrap();
    assert_eq!(found[0].entry, audit_entry(at(1), "anna", Action::Drain));
}
