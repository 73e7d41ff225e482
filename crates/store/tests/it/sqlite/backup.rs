//! Backups of a database that is in use.

use std::fs;

use fanfold_core::Slot;
use fanfold_core::operation::Status;
use fanfold_store::contract::fixtures::{accept, accept_plain, acceptance, at, commit, ended, large, plan};
use fanfold_store::contract::random::exported;
use fanfold_store::sqlite::{Sqlite, back_up, key_beside, read_key};
use fanfold_store::{Acceptance, Commit, Error, Limits};

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
    let key = read_key(&key_beside(&database), made.key_id.as_deref()).unwrap();
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
