use fanfold_core::Access;
use fanfold_core::access::SecretDigest;

use super::Factory;
use super::fixtures::{at, session, token};
use crate::{Change, Error, Limits, Revoked, Session, SessionBegun, SessionOf, Store, TokenCreated};

async fn begin(store: &dyn Store, session: Session) -> Session {
    assert_eq!(store.begin_session(session.clone()).await, Ok(SessionBegun::New), "{session:?}");
    session
}

async fn all(store: &dyn Store) -> Vec<Session> {
    store.live_tokens().await.unwrap().sessions
}

fn of(number: u8) -> SessionOf {
    SessionOf::Token(token(number, "").id)
}

pub(super) async fn a_session_comes_back_as_it_was_begun(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let strange = "a\0b\u{10ffff}'\"\\%".to_owned();
    let access = Access { tenant: strange.as_str().into(), ..Access::full() };
    let before = store.tokens_changed().await.unwrap();
    let mut begun = Vec::new();
    // The token need not be there: whether it is is for those to see who let somebody in by it.
    for (number, of) in [
        (1, of(7)),
        (2, SessionOf::FixedToken(SecretDigest::from([9; 32]))),
        (3, SessionOf::Vouched { name: strange.clone(), issuer: "corp".to_owned(), access }),
    ] {
        begun.push(begin(&*store, session(number, of)).await);
    }
    begun.push(begin(&*store, Session { tenant: strange.as_str().into(), ..session(4, of(8)) }).await);
    assert_eq!(all(&*store).await, begun);
    let now = store.tokens_changed().await.unwrap();
    assert!(now > before);
    assert_eq!(store.live_tokens().await.unwrap().changes, now);
}

pub(super) async fn a_session_ends_once_and_its_digest_shows_in_nothing_else(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (one, other) = (begin(&*store, session(1, of(1))).await, begin(&*store, session(2, of(1))).await);
    assert_eq!(store.begin_session(one.clone()).await, Err(Error::Conflict));
    // Digests of tokens are another matter.
    assert_eq!(store.create_token(token(1, "a")).await, Ok(TokenCreated::New));
    let before = store.tokens_changed().await.unwrap();
    assert_eq!(store.end_session(one.digest).await, Ok(Change::Made));
    let ended = store.tokens_changed().await.unwrap();
    assert!(ended > before);
    assert_eq!(store.end_session(one.digest).await, Ok(Change::AlreadySo));
    assert_eq!(store.tokens_changed().await, Ok(ended));
    assert_eq!(all(&*store).await, [other]);
    assert_eq!(store.live_tokens().await.unwrap().tokens.len(), 1);
}

pub(super) async fn of_one_holder_the_oldest_sessions_end(fresh: Factory<'_>) {
    let store = fresh(Limits { sessions_each_max: 2, sessions_max: 4, ..Limits::default() });
    // Not in the order of their digests.
    let first = begin(&*store, Session { created_at: at(1), ..session(9, of(1)) }).await;
    let mut begun = Vec::new();
    for (number, holder) in [(2, 1), (3, 2), (4, 2)] {
        begun.push(begin(&*store, session(number, of(holder))).await);
    }
    assert!(all(&*store).await.contains(&first));
    // One that takes the place of another is not one more.
    begun.push(begin(&*store, session(5, of(1))).await);
    assert_eq!(all(&*store).await, begun);
}

pub(super) async fn the_sessions_of_a_token_end_when_it_is_revoked(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    for number in [1, 2] {
        assert_eq!(store.create_token(token(number, &number.to_string())).await, Ok(TokenCreated::New));
    }
    let of_another = begin(&*store, session(1, of(2))).await;
    let fixed = begin(&*store, session(2, SessionOf::FixedToken(token(1, "").digest))).await;
    for number in [3, 4] {
        begin(&*store, session(number, of(1))).await;
    }
    let before = store.tokens_changed().await.unwrap();
    let revoked = Revoked { at: at(9), by: "anna".to_owned() };
    let strange = store.revoke_token(token(1, "").id, Some(&"other".into()), revoked.clone()).await;
    assert!(matches!(strange, Err(Error::NotFound { .. })), "{strange:?}");
    assert_eq!(all(&*store).await.len(), 4);
    assert_eq!(store.revoke_token(token(1, "").id, None, revoked).await, Ok(Change::Made));
    assert_eq!(all(&*store).await, [of_another, fixed]);
    assert!(store.tokens_changed().await.unwrap() > before);
}

pub(super) async fn sessions_are_bounded_and_what_has_expired_does_not_count(fresh: Factory<'_>) {
    let store = fresh(Limits { tenant_sessions_max: 2, sessions_each_max: 1, ..Limits::default() });
    let theirs = |session| Session { tenant: "other".into(), ..session };
    begin(&*store, theirs(session(1, of(1)))).await;
    let second = begin(&*store, theirs(session(2, of(2)))).await;
    assert_eq!(store.begin_session(theirs(session(3, of(3)))).await, Ok(SessionBegun::TooMany));
    let after = begin(&*store, theirs(session(61, of(3)))).await;
    assert_eq!(all(&*store).await, [second.clone(), after.clone()], "what has expired is deleted");
    // One that takes the place of another is not one more.
    let instead = begin(&*store, theirs(session(55, of(3)))).await;
    assert_eq!(all(&*store).await, [second, instead]);
}

/// Goal: neither a tenant that takes all it can nor several of them keep anybody else out. Method: bounds of a few, and what is
/// left after each further session.
pub(super) async fn no_tenant_keeps_others_from_signing_in(fresh: Factory<'_>) {
    let store = fresh(Limits { sessions_max: 6, tenant_sessions_max: 3, ..Limits::default() });
    let theirs = |tenant: &str, session| Session { tenant: tenant.into(), ..session };
    // Not in the order of their digests.
    begin(&*store, theirs("many", Session { created_at: at(1), ..session(29, of(1)) })).await;
    for number in [2, 3] {
        begin(&*store, theirs("many", session(number, of(number)))).await;
    }
    assert_eq!(store.begin_session(theirs("many", session(4, of(4)))).await, Ok(SessionBegun::TooMany));
    begin(&*store, theirs("some", session(5, of(5)))).await;
    begin(&*store, theirs("some", session(6, of(5)))).await;
    begin(&*store, session(7, of(7))).await;
    let left = async || all(&*store).await.iter().map(|session| session.created_at).collect::<Vec<_>>();
    let seconds = |seconds: &[i64]| seconds.iter().copied().map(at).collect::<Vec<_>>();
    assert_eq!(left().await, seconds(&[2, 3, 5, 6, 7, 1]));
    begin(&*store, session(8, of(8))).await;
    assert_eq!(left().await, seconds(&[2, 3, 5, 6, 7, 8]), "of the tenant that has most");
    begin(&*store, session(9, of(9))).await;
    assert_eq!(left().await, seconds(&[3, 5, 6, 7, 8, 9]), "of those that have most the oldest");
    begin(&*store, session(10, of(10))).await;
    assert_eq!(left().await, seconds(&[3, 5, 6, 8, 9, 10]), "the house's own are no exception");
    for number in [11, 12] {
        begin(&*store, theirs("more", session(number, of(number)))).await;
    }
    assert_eq!(left().await, seconds(&[3, 6, 9, 10, 11, 12]));
}
