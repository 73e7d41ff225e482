//! Addresses that are told of ends, with secrets in them. They are needed after the end, for notices and for retries, so they
//! stay sealed until the operation is purged; what the record and the outbox have is the public form.

use std::collections::BTreeMap;

use bytes::Bytes;
use fanfold_core::plan::Redaction;
use fanfold_core::{OperationId, Plan, Slot};
use fanfold_store::Error;

use super::promise::ATTRIBUTE as WEBHOOK_ATTRIBUTE;
use super::webhook::CALLBACK_ATTRIBUTE;
use crate::shared::Shared;

/// Where the record has each, as the last word of an attribute.
const ATTRIBUTES: [(&str, Slot); 2] = [(CALLBACK_ATTRIBUTE, Slot::Callback), (WEBHOOK_ATTRIBUTE, Slot::Webhook)];

/// Leaves the public forms in a plan that is about to be recorded, and gives what is to be sealed.
pub(crate) fn take_out(plan: &mut Plan) -> Vec<(Slot, Bytes)> {
    let mut originals = Vec::new();
    for (name, slot) in ATTRIBUTES {
        let Some(text) = plan.front.attributes.get_mut(name) else { continue };
        let (words, address) = parts(text);
        let public = Redaction::standard().reference(address);
        if public != address {
            originals.push((slot, Bytes::copy_from_slice(address.as_bytes())));
            *text = format!("{words}{public}");
        }
    }
    originals
}

/// Puts the originals back into attributes that come from the record of this operation, for another one.
///
/// # Errors
/// Those of the store.
pub(crate) async fn put_back(
    shared: &Shared,
    of: OperationId,
    attributes: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    for (name, slot) in ATTRIBUTES {
        let Some(text) = attributes.get_mut(name) else { continue };
        let (words, address) = parts(text);
        if Redaction::is_public_reference(address)
            && let Some(original) = shared.store.sealed(of, slot).await?
        {
            *text = format!("{words}{}", String::from_utf8_lossy(&original));
        }
    }
    Ok(())
}

/// The original of the address that the outbox has.
///
/// # Errors
/// Why it cannot be had.
pub(super) async fn address(
    shared: &Shared,
    slot: Option<Slot>,
    of: OperationId,
    recorded: &str,
) -> Result<String, String> {
    let Some(slot) = slot.filter(|_| Redaction::is_public_reference(recorded)) else { return Ok(recorded.to_owned()) };
    let original = shared.store.sealed(of, slot).await;
    let original = original.map_err(|error| format!("the address cannot be read: {error}"))?;
    // A client may have written what stands for a secret.
    Ok(original.map_or_else(|| recorded.to_owned(), |original| String::from_utf8_lossy(&original).into_owned()))
}

/// What stands before the address, and the address.
fn parts(text: &str) -> (&str, &str) {
    let at = text.rfind(' ').map_or(0, |at| at + 1);
    text.split_at(at)
}
