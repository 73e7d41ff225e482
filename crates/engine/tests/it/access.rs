//! Tokens and the audit trail.

use fanfold_core::access::SecretDigest;
use fanfold_core::access::audit::Action;
use fanfold_core::{Access, TenantId};
use fanfold_engine::{Error, TokenOutcome, TokenRequest};
use fanfold_store::contract::fixtures::{at, audit_entry};
use fanfold_store::{AuditFilter, Change, Page, TokenUse};

use super::stage::{NAMES, Stage, fakes, spec};

fn request(name: &str) -> TokenRequest {
    TokenRequest { name: name.to_owned(), access: Access::full(), expires_at: Some(at(9)), by: "anna".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_created_with_a_secret_of_its_own_and_revoked() {
    let stage = Stage::new(&fakes().await, spec(&NAMES[..1])).await;
    let engine = &stage.engine;
    let mut made = Vec::new();
    for name in ["deploy", "watch"] {
        let TokenOutcome::Created { token, secret } = engine.create_token(request(name)).await.unwrap() else {
            panic!("nothing stands against it")
        };
        let recorded = stage.store.token(token.id).await.unwrap().unwrap();
        assert_eq!((recorded.name.as_str(), recorded.digest), (name, SecretDigest::of(secret.expose())));
        assert_eq!((recorded.created_by.as_str(), recorded.expires_at), ("anna", Some(at(9))));
        made.push((token.id, secret));
    }
    assert!(made[0].0 != made[1].0 && made[0].1 != made[1].1);
    let again = engine.create_token(request("deploy")).await.unwrap();
    assert!(matches!(again, TokenOutcome::NameTaken { by } if by == made[0].0), "{again:?}");

    engine.touch_tokens(&[TokenUse { id: made[0].0, at: at(5) }]).await.unwrap();
    assert_eq!(stage.store.token(made[0].0).await.unwrap().unwrap().last_used_at, Some(at(5)));
    let other = TenantId::from("other");
    let refused = engine.revoke_token(made[0].0, Some(&other), "bert".to_owned()).await;
    assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
    assert_eq!(engine.revoke_token(made[0].0, None, "bert".to_owned()).await.unwrap(), Change::Made);
    assert_eq!(engine.revoke_token(made[0].0, None, "carl".to_owned()).await.unwrap(), Change::AlreadySo);
    assert_eq!(stage.store.token(made[0].0).await.unwrap().unwrap().revoked.unwrap().by, "bert");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_written_down() {
    let stage = Stage::new(&fakes().await, spec(&NAMES[..1])).await;
    let entry = audit_entry(at(1), "anna", Action::Drain);
    let number = stage.engine.record_audit(entry.clone()).await.unwrap();
    let found = stage.store.audit(&AuditFilter::default(), Page::newest(9)).await.unwrap();
    assert_eq!(found.iter().map(|found| (found.number, &found.entry)).collect::<Vec<_>>(), [(number, &entry)]);
}
