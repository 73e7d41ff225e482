//! Messages as they were before redaction, for sending and for rendering. They are read when they are needed and not kept.

use bytes::Bytes;
use fanfold_core::{Answer, Content, Operation, Request, Slot};
use fanfold_store::Error;

use crate::shared::Shared;

/// The original request in `slot`, its body inline; `None` if there is none.
pub(super) async fn request(shared: &Shared, op: &Operation, slot: Slot) -> Result<Option<Request>, Error> {
    let Some(public) = op.request_in(slot) else { return Ok(None) };
    let mut original = if public.sealed { opened(shared, op, slot).await? } else { public.clone() };
    original.body = fanfold_core::Body::inline(body(shared, op, slot, &original.body.0).await?);
    Ok(Some(original))
}

/// The original answer in `slot`, its body inline; `None` if there is none.
pub(super) async fn answer(shared: &Shared, op: &Operation, slot: Slot) -> Result<Option<Answer>, Error> {
    let Some(public) = op.answer_in(slot) else { return Ok(None) };
    let mut original: Answer = if public.sealed { opened(shared, op, slot).await? } else { public.clone() };
    original.body = fanfold_core::Body::inline(body(shared, op, slot, &original.body.0).await?);
    Ok(Some(original))
}

async fn opened<T: serde::de::DeserializeOwned>(shared: &Shared, op: &Operation, slot: Slot) -> Result<T, Error> {
    let lost =
        |detail: String| Error::Corrupt { detail: format!("the sealed {slot} of operation {}: {detail}", op.id) };
    let octets = shared.store.sealed(op.id, slot).await?.ok_or_else(|| lost("is missing".to_owned()))?;
    serde_json::from_slice(&octets).map_err(|error| lost(error.to_string()))
}

async fn body(shared: &Shared, op: &Operation, slot: Slot, content: &Content) -> Result<Bytes, Error> {
    match content {
        Content::Empty => Ok(Bytes::new()),
        Content::Inline(octets) => Ok(octets.clone()),
        Content::Apart { .. } => {
            let missing = || Error::Corrupt { detail: format!("the body {slot} of operation {} is missing", op.id) };
            shared.store.body(op.id, slot).await?.ok_or_else(missing)
        }
        // The one that a body is the same as never points on to a third.
        Content::Same(other) => {
            let other_request = Box::pin(request(shared, op, *other)).await?;
            let inline = other_request.map(|request| request.body.0);
            match inline {
                Some(Content::Inline(octets)) => Ok(octets),
                Some(Content::Empty | Content::Apart { .. } | Content::Same(_)) | None => Ok(Bytes::new()),
            }
        }
    }
}
