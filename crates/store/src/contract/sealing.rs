//! Sealing keys that are changed, which needs a database that is opened again and again.

use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::{Operation, Slot};

use super::fixtures::{accept, acceptance, at, end, plan};
use crate::{Acceptance, Error, KeyCount, RESEAL_BYTES_MAX, RESEAL_MAX, Resealed, SealingKey, Store};

/// Opens one database with these keys, of which the first seals; whoever had it open before has gone away by then.
pub type Reopen<'a> = &'a (dyn Fn(&[&SealingKey]) -> Result<Arc<dyn Store>, Error> + Send + Sync);

/// Each has two messages.
const OPERATIONS: u64 = 70;
const _: () = assert!(2 * OPERATIONS as usize > 2 * RESEAL_MAX, "there are several batches");

async fn sealed(store: &dyn Store, number: u64) -> Operation {
    let original = |slot| (slot, Bytes::from(format!("{slot} of {number}")));
    let sealed = [Slot::Request, Slot::Callback].map(original).into();
    accept(store, Acceptance { sealed, ..acceptance(number, at(1), plan()) }).await.0
}

async fn all_open(store: &dyn Store, operations: &[Operation]) {
    for (number, operation) in operations.iter().enumerate() {
        for slot in [Slot::Request, Slot::Callback] {
            let opened = store.sealed(operation.id, slot).await.unwrap().unwrap();
            assert_eq!(opened, format!("{slot} of {number}"));
        }
    }
}

fn counts(of: &[(&SealingKey, u64)]) -> Vec<KeyCount> {
    of.iter().map(|(key, messages)| KeyCount { id: key.id(), messages: *messages }).collect()
}

fn refused(opened: Result<Arc<dyn Store>, Error>, words: &str) {
    let error = opened.map(drop).expect_err("it is needed");
    assert!(matches!(error, Error::Key { .. }) && error.to_string().contains(words), "{error}");
}

pub(super) async fn a_key_is_changed(reopen: Reopen<'_>) {
    let (old, new) = (SealingKey([1; 32]), SealingKey([2; 32]));
    let store = reopen(&[&old]).unwrap();
    let mut operations = Vec::new();
    for number in 0..OPERATIONS {
        operations.push(sealed(&*store, number).await);
    }
    assert_eq!(store.reseal().await, Ok(Resealed::Idle), "there is one key");
    drop(store);

    // It can be read before it seals.
    let store = reopen(&[&old, &new]).unwrap();
    operations.push(sealed(&*store, OPERATIONS).await);
    let all = 2 * (OPERATIONS + 1);
    assert_eq!(store.sealing_keys().await.unwrap(), counts(&[(&old, all), (&new, 0)]));
    drop(store);

    let store = reopen(&[&new, &old]).unwrap();
    operations.push(sealed(&*store, OPERATIONS + 1).await);
    assert_eq!(store.sealing_keys().await.unwrap(), counts(&[(&new, 2), (&old, all)]));
    all_open(&*store, &operations).await;
    assert_eq!(store.reseal().await, Ok(Resealed::Some { resealed: RESEAL_MAX }));
    let left = all - RESEAL_MAX as u64;
    assert_eq!(store.sealing_keys().await.unwrap(), counts(&[(&new, 2 + RESEAL_MAX as u64), (&old, left)]));
    drop(store);

    // In the middle of it both are needed, and it goes on.
    refused(reopen(&[&new]), &format!("{left} messages are sealed with the key {}", old.id()));
    refused(reopen(&[&old]), &format!("{} messages are sealed with the key {}", 2 + RESEAL_MAX, new.id()));
    let store = reopen(&[&new, &old]).unwrap();
    all_open(&*store, &operations).await;
    let mut resealed = 0;
    loop {
        match store.reseal().await.unwrap() {
            Resealed::Some { resealed: some } => resealed += some,
            Resealed::Whole { resealed: rest } => break resealed += rest,
            other @ (Resealed::Idle | Resealed::Later | Resealed::Done) => panic!("there is more to do: {other:?}"),
        }
    }
    assert_eq!((resealed as u64, store.sealing_keys().await.unwrap()), (left, counts(&[(&new, all + 2), (&old, 0)])));
    assert_eq!(store.reseal().await, Ok(Resealed::Done));
    drop(store);

    let store = reopen(&[&new]).unwrap();
    all_open(&*store, &operations).await;
    end(&*store, &operations[0], at(2)).await;
    assert_eq!(store.sealed(operations[0].id, Slot::Request).await, Ok(None));
    assert_eq!(store.sealed(operations[0].id, Slot::Callback).await.unwrap().unwrap(), "callback of 0");
    drop(store);
    refused(reopen(&[&old]), &format!("{} messages are sealed with the key {}", all + 1, new.id()));
}

/// Large messages go in smaller batches, and one that is larger than a batch goes alone; what is cut is not the end.
pub(super) async fn large_messages_are_sealed_anew(reopen: Reopen<'_>) {
    let (old, new) = (SealingKey([1; 32]), SealingKey([2; 32]));
    let store = reopen(&[&old]).unwrap();
    let half = RESEAL_BYTES_MAX / 2 - 100;
    let sizes = [half, half, half, RESEAL_BYTES_MAX + 1, 1];
    for (number, size) in (0..).zip(sizes) {
        let sealed = vec![(Slot::Request, Bytes::from(vec![b'x'; size]))];
        accept(&*store, Acceptance { sealed, ..acceptance(number, at(1), plan()) }).await;
    }
    drop(store);
    let store = reopen(&[&new, &old]).unwrap();
    for resealed in [2, 1, 1] {
        assert_eq!(store.reseal().await, Ok(Resealed::Some { resealed }));
    }
    assert_eq!(store.reseal().await, Ok(Resealed::Whole { resealed: 1 }));
    assert_eq!(store.reseal().await, Ok(Resealed::Done));
}
