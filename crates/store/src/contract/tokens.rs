use std::collections::BTreeSet;

use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::{Access, Role, Scope, TenantId};

use super::Factory;
use super::fixtures::{at, token};
use crate::{
    Change, Error, Limits, NewToken, Order, Page, REVOKED_KEPT, Revoked, Store, Swept, Token, TokenChanges,
    TokenCreated, TokenUse, USES_MAX,
};

async fn create(store: &dyn Store, token: NewToken) -> Token {
    assert_eq!(store.create_token(token.clone()).await, Ok(TokenCreated::New), "{token:?}");
    token.into()
}

fn by(name: &str, second: i64) -> Revoked {
    Revoked { at: at(second), by: name.to_owned() }
}

fn of(tenant: &str, token: NewToken) -> NewToken {
    NewToken { access: Access { tenant: tenant.into(), ..token.access }, ..token }
}

async fn live(store: &dyn Store) -> Vec<TokenId> {
    store.live_tokens().await.unwrap().tokens.iter().map(|token| token.id).collect()
}

pub(super) async fn a_token_comes_back_as_it_was_created(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let strange = "a\0b\u{10ffff}'\"\\%";
    let scope = Scope {
        routes: Some(["create".to_owned(), strange.to_owned()].into()),
        targets: Some(["tokyo".into(), "osaka".into()].into()),
    };
    let access = Access { tenant: strange.into(), roles: [Role::Read, Role::Submit].into(), scope };
    let given = NewToken { access, created_by: strange.to_owned(), expires_at: Some(at(9)), ..token(1, strange) };
    let full = create(&*store, given).await;
    let nothing = Access { roles: BTreeSet::new(), ..Access::full() };
    let plain = create(&*store, NewToken { access: nothing, ..token(2, "") }).await;
    assert_eq!(store.token(full.id).await, Ok(Some(full.clone())));
    assert_eq!(store.token(plain.id).await, Ok(Some(plain.clone())));
    assert_eq!(store.token(token(3, "").id).await, Ok(None));
    let strange = TenantId::from(strange);
    assert_eq!(store.tokens(Some(&strange), Page::newest(9)).await, Ok(vec![full.clone()]));
    assert_eq!(store.live_tokens().await.unwrap().tokens, [full, plain], "expired or not");
}

pub(super) async fn a_name_stands_for_one_token_that_is_not_revoked(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let first = create(&*store, token(1, "deploy")).await;
    let taken = TokenCreated::NameTaken { by: first.id };
    assert_eq!(store.create_token(token(2, "deploy")).await, Ok(taken));
    create(&*store, token(3, "Deploy")).await;
    create(&*store, of("other", token(4, "deploy"))).await;
    assert_eq!(store.revoke_token(first.id, None, by("anna", 9)).await, Ok(Change::Made));
    create(&*store, token(2, "deploy")).await;
    let again = TokenCreated::NameTaken { by: token(2, "").id };
    assert_eq!(store.create_token(token(5, "deploy")).await, Ok(again));
}

pub(super) async fn an_id_and_a_digest_are_used_once(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let first = create(&*store, token(1, "a")).await;
    let other = SecretDigest::from([99; 32]);
    assert_eq!(store.create_token(NewToken { digest: other, ..token(1, "b") }).await, Err(Error::Conflict));
    assert_eq!(store.create_token(NewToken { digest: first.digest, ..token(2, "b") }).await, Err(Error::Conflict));
    // Also when it is revoked: whoever has the secret must not come back by it.
    store.revoke_token(first.id, None, by("anna", 9)).await.unwrap();
    assert_eq!(store.create_token(NewToken { digest: first.digest, ..token(2, "b") }).await, Err(Error::Conflict));
    assert_eq!(live(&*store).await, []);
}

pub(super) async fn tokens_are_bounded(fresh: Factory<'_>) {
    let store = fresh(Limits { tokens_max: 2, ..Limits::default() });
    let first = create(&*store, NewToken { expires_at: Some(at(0)), ..token(1, "a") }).await;
    create(&*store, of("other", token(2, "b"))).await;
    assert_eq!(store.create_token(token(3, "c")).await, Ok(TokenCreated::TooMany));
    store.revoke_token(first.id, None, by("anna", 9)).await.unwrap();
    create(&*store, token(3, "c")).await;
    assert_eq!(live(&*store).await, [token(2, "").id, token(3, "").id]);
}

pub(super) async fn no_tenant_takes_all_tokens_from_the_others(fresh: Factory<'_>) {
    let store = fresh(Limits { tokens_max: 5, tenant_tokens_max: 2, ..Limits::default() });
    let first = create(&*store, of("other", token(1, "a"))).await;
    create(&*store, of("other", token(2, "b"))).await;
    let one_more = of("other", token(3, "c"));
    assert_eq!(store.create_token(one_more.clone()).await, Ok(TokenCreated::TenantTooMany));
    create(&*store, of("third", token(4, "a"))).await;
    create(&*store, token(5, "a")).await;
    store.revoke_token(first.id, None, by("anna", 9)).await.unwrap();
    create(&*store, one_more).await;
    // The house's own is bounded by what is for all.
    create(&*store, token(6, "b")).await;
    assert_eq!(store.create_token(token(7, "c")).await, Ok(TokenCreated::TooMany));
    store.revoke_token(token(4, "").id, None, by("anna", 9)).await.unwrap();
    create(&*store, token(7, "c")).await;
}

pub(super) async fn a_token_is_revoked_once(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, other) = (create(&*store, token(1, "a")).await, create(&*store, of("other", token(2, "a"))).await);
    let not_there = |answer| matches!(answer, Err(Error::NotFound { .. }));
    let own = TenantId::default();
    assert!(not_there(store.revoke_token(other.id, Some(&own), by("anna", 3)).await), "another tenant's");
    assert!(not_there(store.revoke_token(token(3, "").id, None, by("anna", 3)).await));
    assert_eq!(live(&*store).await, [first.id, other.id]);
    assert_eq!(store.revoke_token(first.id, Some(&own), by("anna", 4)).await, Ok(Change::Made));
    assert_eq!(store.revoke_token(first.id, None, by("bert", 5)).await, Ok(Change::AlreadySo));
    assert_eq!(store.token(first.id).await.unwrap().unwrap().revoked, Some(by("anna", 4)), "the first one counts");
    assert_eq!(store.revoke_token(other.id, None, by("anna", 6)).await, Ok(Change::Made));
    assert_eq!(live(&*store).await, []);
    assert_eq!(store.tokens(None, Page::newest(9)).await.unwrap().len(), 2, "they stay listed");
}

pub(super) async fn a_change_shows_in_a_number(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut last = store.tokens_changed().await.unwrap();
    let mut grows = async |expected: bool, what: &str| {
        let now = store.tokens_changed().await.unwrap();
        assert_eq!((now > last, now == last), (expected, !expected), "{what}");
        assert_eq!(store.live_tokens().await.unwrap().changes, now, "{what}");
        last = now;
    };
    grows(false, "nothing").await;
    let first = create(&*store, token(1, "a")).await;
    grows(true, "created").await;
    drop(store.create_token(token(2, "a")).await);
    grows(false, "refused").await;
    store.touch_tokens(&[TokenUse { id: first.id, at: at(5) }]).await.unwrap();
    grows(false, "used").await;
    store.revoke_token(first.id, None, by("anna", 9)).await.unwrap();
    grows(true, "revoked").await;
    drop(store.revoke_token(first.id, None, by("anna", 10)).await);
    grows(false, "revoked already").await;
    store.sweep_access(at(9) + REVOKED_KEPT, 9).await.unwrap();
    grows(false, "deleted").await;
    assert_ne!(last, TokenChanges::default());
}

pub(super) async fn the_latest_use_is_kept(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, second) = (create(&*store, token(1, "a")).await.id, create(&*store, token(2, "b")).await.id);
    let used = |id, second| TokenUse { id, at: at(second) };
    let nowhere = token(3, "").id;
    let uses = [used(first, 20), used(nowhere, 9), used(first, 30), used(first, 10), used(second, 5)];
    store.touch_tokens(&uses).await.unwrap();
    store.touch_tokens(&[used(first, 29), used(second, 6)]).await.unwrap();
    store.touch_tokens(&[]).await.unwrap();
    let last = async |id| store.token(id).await.unwrap().unwrap().last_used_at;
    assert_eq!((last(first).await, last(second).await), (Some(at(30)), Some(at(6))));
    assert_eq!(store.token(nowhere).await, Ok(None));
    let too_many = vec![used(nowhere, 1); USES_MAX + 1];
    assert!(matches!(store.touch_tokens(&too_many).await, Err(Error::Invalid { .. })));
    store.touch_tokens(&too_many[1..]).await.unwrap();
}

pub(super) async fn tokens_are_listed(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut all = Vec::new();
    for number in 1..=5 {
        all.push(create(&*store, token(number, &format!("t{number}"))).await);
    }
    let foreign = create(&*store, of("other", token(6, "t1"))).await;
    let tenant = TenantId::default();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut found: Vec<Token> = Vec::new();
        for length in [2, 2, 1, 0] {
            let after = found.last().map(|token| token.id);
            let page = store.tokens(Some(&tenant), Page { order, after, limit: 2 }).await.unwrap();
            assert_eq!(page.len(), length);
            found.extend(page);
        }
        assert_eq!(found, all, "{order:?}");
        all.reverse();
    }
    assert_eq!(store.tokens(None, Page::newest(2)).await, Ok(vec![foreign, all[4].clone()]));
}

pub(super) async fn a_revoked_token_is_deleted_in_the_end(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    for number in 1..=4 {
        create(&*store, NewToken { expires_at: Some(at(0)), ..token(number, &format!("t{number}")) }).await;
    }
    for (number, second) in [(1, 30), (2, 10), (3, 20)] {
        store.revoke_token(token(number, "").id, None, by("anna", second)).await.unwrap();
    }
    let sweep = async |second: i64, batch| store.sweep_access(at(second) + REVOKED_KEPT, batch).await.unwrap();
    let left = async || {
        let all = store.tokens(None, Page { order: Order::OldestFirst, ..Page::newest(9) }).await.unwrap();
        all.iter().map(|token| token.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sweep(9, 9).await, Swept::default());
    assert_eq!(sweep(25, 1).await, Swept { deleted: 1, more: true });
    assert_eq!(left().await, ["t1", "t3", "t4"], "the longest revoked first");
    assert_eq!(sweep(25, 9).await, Swept { deleted: 1, more: false });
    assert_eq!(left().await, ["t1", "t4"]);
    assert_eq!(sweep(1_000_000, 9).await, Swept { deleted: 1, more: false });
    assert_eq!(left().await, ["t4"], "expired, and not revoked");
}
