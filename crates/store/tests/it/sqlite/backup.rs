//! Backups of a database that is in use.

use std::fs;
use std::path::Path;

use fanfold_core::Slot;
use fanfold_core::operation::Status;
use fanfold_store::contract::fixtures::{
    accept, accept_plain, acceptance, at, commit, ended, large, notice, plan, session, token,
};
use fanfold_store::contract::random::exported;
use fanfold_store::sqlite::{Config, Sqlite, back_up, key_beside, read_key};
use fanfold_store::{
    Acceptance, Commit, Error, Limits, NoticeId, NoticeState, ReadNotices as _, ReadTokens as _, SessionBegun,
    SessionOf, Sessions as _,
};
use jiff::Timestamp;

use super::{directory, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_what_is_in_the_log_and_opens_like_any_database() {
    let root = directory();
    let store = open(&root, Limits::default());
    let sealed = vec![(Slot::Request, large(b's'))];
    let new = Acceptance { sealed: sealed.clone(), ..acceptance(1, at(1), plan()) };
    let (first, _) = accept(&*store, new).await;
    let second = accept_plain(&*store, 2).await;
    commit(&*store, Commit::new(ended(&second, Status::Completed, at(3)))).await;
    // Nothing of it has been copied into the file proper yet.
    assert!(fs::metadata(root.path().join("fanfold.db-wal")).unwrap().len() > 0);
    let (database, to) = (root.path().join("fanfold.db"), root.path().join("copy.db"));
    let made = back_up(&database, &to, at(4)).unwrap();
    assert_eq!((made.operations, made.open), (2, 1));
    assert_eq!(made.bytes, fs::metadata(&to).unwrap().len());
    // One file alone, in which nothing stands in clear that is sealed.
    assert_eq!(fs::read(&to).unwrap()[18..20], [1, 1], "it has no log of its own");
    assert!(!fs::read(&to).unwrap().windows(32).any(|octets| octets == [b's'; 32]));
    let original = exported(Sqlite::open_to_read(&database).unwrap().as_ref()).await;
    assert_eq!(exported(Sqlite::open_to_read(&to).unwrap().as_ref()).await, original);

    // What happens afterwards is not in it.
    accept_plain(&*store, 3).await;
    let key = read_key(&key_beside(&database), made.key_ids.as_deref()).unwrap();
    fs::write(key_beside(&to), key).unwrap();
    let copy = Sqlite::open(fanfold_store::sqlite::Config::new(&to)).unwrap();
    assert_eq!(fanfold_store::Sealed::sealed(&*copy, first.id, Slot::Request).await.unwrap(), Some(large(b's')));
    assert_eq!(fanfold_store::ReadOperations::counts(&*copy, None).await.unwrap().values().sum::<u64>(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_backed_up_is_refused() {
    let root = directory();
    let (database, to) = (root.path().join("fanfold.db"), root.path().join("copy.db"));
    assert!(matches!(back_up(&database, &to, at(1)), Err(Error::Unusable { .. })));
    let store = open(&root, Limits::default());
    accept_plain(&*store, 1).await;
    fs::write(&to, "something").unwrap();
    assert!(back_up(&database, &to, at(1)).is_err(), "what is there is not overwritten");
    assert!(matches!(read_key(&key_beside(&database), Some("another")), Err(Error::Key { .. })));
}

/// What a restore has left to be done once it is in place.
async fn restore(path: &Path, from: &Path) -> (Timestamp, u64) {
    let restoring = Sqlite::restore(path, from, at(99)).expect("nothing stands in its way");
    let as_of = restoring.as_of();
    assert!(matches!(Sqlite::open(Config::new(path)), Err(Error::Locked { .. })));
    (as_of, restoring.finish(at(100)).await.expect("nothing stands in its way"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_leaves_no_notice_to_be_sent_and_knows_when_the_backup_was_made() {
    let root = directory();
    let store = open(&root, Limits::default());
    let first = accept_plain(&*store, 1).await;
    let end = Commit { notices: vec![notice("n", at(5))], ..Commit::new(ended(&first, Status::Completed, at(3))) };
    commit(&*store, end).await;
    let begun = session(3, SessionOf::Token(token(1, "").id));
    assert_eq!(store.begin_session(begun).await, Ok(SessionBegun::New));
    let (database, to) = (root.path().join("fanfold.db"), root.path().join("copy.db"));
    back_up(&database, &to, at(4)).unwrap();
    fs::copy(key_beside(&database), key_beside(&to)).unwrap();
    store.close().await.unwrap();

    let restored = root.path().join("restored.db");
    assert_eq!(restore(&restored, &to).await, (at(4), 1));
    let store = Sqlite::open(Config::new(&restored)).unwrap();
    let found = store.notice(&NoticeId("n".to_owned())).await.unwrap().unwrap();
    assert_eq!((found.state, found.settled_at), (NoticeState::Dead, Some(at(100))));
    // Whoever has signed out since does not come back by it.
    assert_eq!(store.live_tokens().await.unwrap().sessions, []);
    store.close().await.unwrap();
    // Of a mere copy it is only known when the latest of it was recorded.
    let copied = root.path().join("copied.db");
    fs::copy(key_beside(&database), key_beside(&copied)).unwrap();
    assert_eq!(restore(&copied, &database).await.0, at(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_takes_the_place_of_nothing() {
    let root = directory();
    let store = open(&root, Limits::default());
    let (database, to) = (root.path().join("fanfold.db"), root.path().join("copy.db"));
    back_up(&database, &to, at(1)).unwrap();
    let refused = |path: &Path, what: &str| {
        let error = Sqlite::restore(path, &to, at(2)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused(&database, "locked");
    store.close().await.unwrap();
    refused(&database, "takes the place of no database");
    fs::remove_file(&database).unwrap();
    fs::write(root.path().join("fanfold.db-wal"), "what a crash has left").unwrap();
    refused(&database, "the log of a database that was there before");
    fs::remove_file(root.path().join("fanfold.db-wal")).unwrap();
    let restoring = Sqlite::restore(&database, &to, at(2)).unwrap();
    assert!(!restoring.is_resumed());
    // Broken off, it is not to be used, and is gone on with.
    drop(restoring);
    let error = Sqlite::open(Config::new(&database)).unwrap_err().to_string();
    assert!(error.contains("is not finished"), "{error}");
    let restoring = Sqlite::restore(&database, &to, at(3)).unwrap();
    assert!(restoring.is_resumed() && restoring.as_of() == at(1));
    restoring.finish(at(4)).await.unwrap();
    assert!(Sqlite::open(Config::new(&database)).is_ok());
}
