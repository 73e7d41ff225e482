//! What an export shows, and what it keeps to itself.

use std::sync::Arc;

use fanfold_core::access::audit::{Action, Outcome};
use fanfold_core::operation::Status;
use fanfold_core::{Access, Effect, Event, Operation, Plan, Scope, Slot, TenantId};
use fanfold_store::contract::fixtures::{
    accept, accept_plain, acceptance, at, audit_entry, commit, ended, keyed, large, note, notice, plan, request, token,
};
use fanfold_store::export::{self, Export};
use fanfold_store::model::Model;
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{
    Acceptance, Audit as _, AuditFilter, AuditNumber, Commit, Filter, Limits, NewAuditEntry, NewNotice, NewToken,
    ReadAll, Revoked, Tokens as _,
};
use serde_json::Value;
use tempfile::TempDir;

async fn lines(store: &dyn ReadAll, filter: Filter) -> Vec<Value> {
    let mut export = Export::new(store, filter);
    let mut lines = Vec::new();
    while let Some(line) = export.next().await.expect("the store can be read") {
        assert_eq!(line.iter().filter(|octet| **octet == b'\n').count(), 1);
        lines.push(serde_json::from_slice(&line).expect("a line is JSON"));
    }
    lines
}

#[tokio::test]
async fn an_operation_is_one_line_with_all_that_belongs_to_it() {
    let store = Model::new(Limits::default());
    let mut plan = Plan { request: request("/things", large(b'x')), fingerprint: Some("secret mark".into()), ..plan() };
    plan.front.attributes.insert("callback".into(), "https://user.example/hook?token=s3cret&a=1".into());
    let new = keyed("a client's key", 7, acceptance(1, at(1), plan));
    let events = vec![(at(1), Event::Dispatched)];
    let sealed = vec![(Slot::Request, large(b's'))];
    let (operation, _) = accept(&store, Acceptance { owner: Some("me".into()), sealed, events, ..new }).await;
    let mut end = Commit::new(ended(&operation, Status::Completed, at(9)));
    end.effects = vec![Effect::OpenAttention(note(Some(0), "tokyo"))];
    end.notices = vec![NewNotice { url: "https://user.example/hook?token=s3cret".into(), ..notice("n1", at(9)) }];
    commit(&store, end).await;
    let [line] = lines(&store, Filter::default()).await.try_into().unwrap();
    assert_eq!(line["format"], 1);
    assert_eq!(line["id"], operation.id.to_string());
    assert_eq!(line["operation"]["revision"], 1);
    assert_eq!((&line["lane"], &line["owner"]), (&"lane".into(), &"me".into()));
    assert_eq!(line["has_idempotency_key"], true);
    assert_eq!(line["policy"], operation.plan.policy.hash().as_str());
    assert_eq!(line["bodies"]["request"], "x".repeat(5_000));
    assert_eq!(line["events"][0]["event"], "dispatched");
    assert_eq!((&line["notes"][0]["id"], &line["notes"][0]["reason"]), (&1.into(), &"outcome_unknown".into()));
    assert_eq!((&line["notices"][0]["id"], &line["notices"][0]["state"]), (&"n1".into(), &"pending".into()));
    let text = line.to_string();
    for kept in ["s3cret", "secret mark", "a client's key", "ssss"] {
        assert!(!text.contains(kept), "{kept} is shown: {text}");
    }
}

#[tokio::test]
async fn operations_come_in_the_order_of_their_ids_page_by_page() {
    let store = Model::new(Limits::default());
    for number in (1..=250).rev() {
        accept_plain(&store, number).await;
    }
    let ids: Vec<String> = lines(&store, Filter::default()).await.iter().map(|line| line["id"].to_string()).collect();
    assert!(ids.len() == 250 && ids.is_sorted());
    let some = Filter { since: Some(at(100)), until: Some(at(110)), ..Filter::default() };
    assert_eq!(lines(&store, some).await.len(), 10);
    assert!(lines(&store, Filter { tenant: TenantId::from("other"), ..Filter::default() }).await.is_empty());
}

fn accepted(number: u64) -> Operation {
    acceptance(number, at(number.cast_signed()), plan()).operation
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_one_picture_while_the_store_goes_on() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("fanfold.db");
    let store: Arc<Sqlite> = Sqlite::open(Config::new(&path)).unwrap();
    let first = accept_plain(&*store, 1).await;
    let picture = Sqlite::open_to_read(&path).unwrap();
    accept_plain(&*store, 2).await;
    commit(&*store, Commit::new(ended(&first, Status::Completed, at(9)))).await;
    let [line] = lines(picture.as_ref(), Filter::default()).await.try_into().unwrap();
    assert_eq!((&line["id"], &line["operation"]["revision"]), (&accepted(1).id.to_string().into(), &0.into()));
    drop(picture);
    store.close().await.unwrap();
    // It can be read without a server too.
    let later = Sqlite::open_to_read(&path).unwrap();
    assert_eq!(lines(later.as_ref(), Filter::default()).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_database_of_this_version_is_read() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("fanfold.db");
    let refused = |what: &str| {
        let error = Sqlite::open_to_read(&path).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused("no such file");
    std::fs::write(&path, b"").unwrap();
    refused("no database of Fanfold");
}

#[tokio::test]
async fn the_audit_trail_and_tokens_have_lines_of_their_own() {
    let store = Model::new(Limits::default());
    let entry = NewAuditEntry {
        operation: Some(accepted(1).id),
        target: Some("tokyo".into()),
        subject: Some("7".into()),
        outcome: Outcome::Refused { reason: "it has ended".into() },
        ..audit_entry(at(1), "anna", Action::Cancel)
    };
    store.record_audit(entry).await.unwrap();
    store.record_audit(audit_entry(at(2), "bert", Action::SignIn)).await.unwrap();
    let (lines, last) = export::audit(&store, &AuditFilter::default(), None).await.unwrap();
    assert_eq!(
        String::from_utf8(lines.concat()).unwrap(),
        "{\"format\":1,\"number\":1,\"at\":\"2027-01-15T08:00:01Z\",\"tenant\":\"default\",\"by\":\"anna\",\"credential\":\"token\",\
         \"from\":\"192.0.2.7:51000\",\"action\":\"cancel\",\"operation\":\"01a3185c-53e8-7000-8000-000000000001\",\
         \"target\":\"tokyo\",\"subject\":\"7\",\"detail\":null,\"outcome\":\"refused\",\"reason\":\"it has ended\"}\n\
         {\"format\":1,\"number\":2,\"at\":\"2027-01-15T08:00:02Z\",\"tenant\":\"default\",\"by\":\"bert\",\"credential\":\"token\",\
         \"from\":\"192.0.2.7:51000\",\"action\":\"sign_in\",\"operation\":null,\"target\":null,\"subject\":null,\"detail\":null,\
         \"outcome\":\"done\"}\n"
    );
    assert_eq!(last, Some(AuditNumber(2)));
    assert_eq!(export::audit(&store, &AuditFilter::default(), last).await.unwrap(), (Vec::new(), None));

    let scope = Scope { targets: Some(["tokyo".into()].into()), routes: None };
    let access = Access { scope, ..Access::full() };
    let new = NewToken { access, expires_at: Some(at(9)), ..token(1, "deploy") };
    store.create_token(new.clone()).await.unwrap();
    store.revoke_token(new.id, None, Revoked { at: at(5), by: "bert".into() }).await.unwrap();
    let (lines, last) = export::tokens(&store, Some(&TenantId::default()), None).await.unwrap();
    assert_eq!(
        String::from_utf8(lines.concat()).unwrap(),
        "{\"format\":1,\"id\":\"01a3185c-53e8-7101-8101-010101010101\",\"tenant\":\"default\",\"name\":\"deploy\",\
         \"roles\":[\"admin\"],\"targets\":[\"tokyo\"],\"created_at\":\"2027-01-15T08:00:01Z\",\"created_by\":\"anna\",\
         \"expires_at\":\"2027-01-15T08:00:09Z\",\"revoked_at\":\"2027-01-15T08:00:05Z\",\"revoked_by\":\"bert\",\
         \"last_used_at\":null}\n"
    );
    assert_eq!(last, Some(new.id));
    assert_eq!(export::tokens(&store, Some(&"other".into()), None).await.unwrap(), (Vec::new(), None));
}
