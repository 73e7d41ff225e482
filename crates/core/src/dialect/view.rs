//! An operation together with its bodies, as dialects and templates see it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Body, Content, Operation, Slot};

/// Bodies that stand apart from the record, by slot.
pub type Bodies = BTreeMap<Slot, Bytes>;

/// An operation with all that is needed to show it in full.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The record.
    pub operation: &'a Operation,
    /// The bodies that stand apart from it.
    pub bodies: &'a Bodies,
}

impl<'a> View<'a> {
    /// The octets of the body in `slot`; empty where there is none.
    pub fn octets(&self, slot: Slot) -> &'a [u8] {
        let mut slot = slot;
        // A body may be the same as another one's, which is never the same as a third one's: two looks are enough.
        for _ in 0..2 {
            match self.body(slot).map(|body| &body.0) {
                None | Some(Content::Empty) => return &[],
                Some(Content::Inline(octets)) => return octets,
                Some(Content::Apart { .. }) => return self.bodies.get(&slot).map_or(&[], |octets| octets),
                Some(Content::Same(other)) => slot = *other,
            }
        }
        &[]
    }

    fn body(&self, slot: Slot) -> Option<&'a Body> {
        self.operation.message_body(slot)
    }
}
