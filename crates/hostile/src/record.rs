//! What is read back: records and events as a store, an export and a backup have them.

use fanfold_core::plan::Policy;
use fanfold_core::{Answer, Event, Operation, Plan, Request, Slot};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A text that can be read as one of them is written as what is read as the same.
pub(crate) fn record(octets: &[u8]) {
    same::<Operation>(octets);
    same::<Event>(octets);
    same::<Plan>(octets);
    same::<Policy>(octets);
    same::<Request>(octets);
    same::<Answer>(octets);
    let text = String::from_utf8_lossy(octets);
    if let Ok(slot) = text.parse::<Slot>() {
        assert_eq!(slot.to_string().parse(), Ok(slot), "{text:?}");
    }
}

fn same<T: DeserializeOwned + Serialize + PartialEq>(octets: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(octets) else { return };
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again = serde_json::from_slice::<T>(&written);
    let kind = std::any::type_name::<T>();
    let again = again.unwrap_or_else(|error| panic!("{kind}: {error} in {}", String::from_utf8_lossy(&written)));
    assert!(again == read, "{kind}: {} is read as something else", String::from_utf8_lossy(&written));
}
