//! The wire formats: data in, data out.
//!
//! A dialect reads what is special in a request and writes every answer. It never decides about an operation, and never sees
//! a socket, a store or a clock. To add one: a folder here that implements [`Dialect`], a variant of [`DialectName`], and
//! its line in [`dialect`].

mod accept;
mod completed;
mod failure;
mod mount;
pub mod msf;
pub mod native;
mod own;
pub mod plas;
mod query;
mod reply;
mod view;

use std::fmt;

pub use crate::refusal::Refusal;
pub use accept::{Acceptance, Accepting};
pub use failure::PassFailure;
pub use mount::{LetterCase, Mount, Settings};
pub use own::{Head, ListFormat, OwnRequest};
pub use reply::{ListEntry, ListFrame, NextPage, NoticeRequest, Reply};
pub use view::{Bodies, View};

use crate::operation::End;
use crate::plan::{DialectName, Verb};
use crate::{Answer, Operation};

/// One wire format.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// Reads a request as one of the dialect's own: `None` if its path is none of the dialect's own paths.
    fn own(&self, head: Head<'_>) -> Option<Result<OwnRequest, Refusal>>;

    /// Whether operations of this kind can be shown in this dialect; a route with another verb is a mistake of the configuration.
    fn allows(&self, verb: Verb) -> bool;

    /// Reads what the dialect has to say about a request that a route accepts.
    fn accept(&self, request: &Accepting<'_>) -> Result<Acceptance, Refusal>;

    /// The answer to an accepted request.
    fn accepted(&self, mount: &Mount, operation: &Operation) -> Reply;

    /// Whose operation it is, where the dialect keeps operations below a resource of their owner ([`OwnRequest::Detail`]).
    fn owner<'a>(&self, _operation: &'a Operation) -> Option<&'a str> {
        None
    }

    /// How its lists are written; `None` if it never asks for one ([`OwnRequest::List`]).
    fn listing(&self) -> Option<&dyn Listing> {
        None
    }

    /// One operation in full.
    fn detail(&self, mount: &Mount, view: View<'_>) -> Reply;

    /// A refusal in the dialect's words.
    fn refuse(&self, refusal: &Refusal) -> Reply;

    /// The final response of an operation whose end is decided, where its route has no template for it.
    fn final_response(&self, view: View<'_>, end: &End) -> Answer;

    /// A pass-through request that its target did not answer.
    fn pass_failed(&self, failure: &PassFailure) -> Reply;

    /// Who is told of the end of an operation, and how, where the dialect itself provides for it.
    fn notice(&self, _mount: &Mount, _view: View<'_>) -> Option<NoticeRequest> {
        None
    }
}

/// Lists of operations, written piece by piece: the head, the entries with separators between them, the tail.
pub trait Listing {
    /// Everything around the entries. `next` is where the following page starts, if there is one.
    fn frame(&self, mount: &Mount, format: ListFormat, next: Option<NextPage<'_>>) -> ListFrame;

    /// One entry.
    fn entry(&self, mount: &Mount, entry: ListEntry<'_>) -> Vec<u8>;
}

/// The wire format of that name.
pub fn dialect(name: DialectName) -> &'static dyn Dialect {
    match name {
        DialectName::Native => &native::Native,
        DialectName::Msf => &msf::Msf,
        DialectName::Plas => &plas::Plas,
    }
}
