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
        (3, SessionOf::Vouched { name: strange, issuer: "corp".to_owned(), access }),
    ] {
        begun.push(begin(&*store, session(number, of)).await);
    }
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
    assert_eq!(store.begin_session(session(6, of(3))).await, Ok(SessionBegun::TooMany));
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
    let store = fresh(Limits { sessions_max: 2, ..Limits::default() });
    begin(&*store, session(1, of(1))).await;
    let second = begin(&*store, session(2, of(2))).await;
    assert_eq!(store.begin_session(session(3, of(3))).await, Ok(SessionBegun::TooMany));
    let after = begin(&*store, session(61, of(3))).await;
    assert_eq!(all(&*store).await, [second, after], "what has expired is deleted");
}
