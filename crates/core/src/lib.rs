//! What Fanfold knows and decides, without doing anything: operations and how they change ([`operation`]), plans as
//! data ([`plan`]), how they are made from configuration and a request ([`route`]) or for a retry ([`retry`]), the wire formats ([`dialect`]), who may do what ([`access`]), what differs
//! between tenants ([`tenant`]), and what happened in words ([`story`]) and as a trace ([`trace`]).
//!
//! Nothing here performs IO, waits, reads a clock or draws a random number: time, ids and jitter are arguments.
//! The engine performs what is decided here, the store records it, the server translates it.

#![warn(missing_docs)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod access;
pub mod dialect;
pub mod id;
pub mod message;
pub mod operation;
pub mod plan;
pub mod refusal;
pub mod retry;
pub mod route;
pub mod story;
pub mod tenant;
pub mod text;
pub mod trace;

pub use access::{Access, Role, Scope};
pub use id::{OperationId, PolicyHash, Revision, StepIndex, TargetName, TenantId};
pub use message::{Answer, Body, Content, Headers, Request, Slot};
pub use operation::{Context, Effect, Effects, Event, IllegalEvent, Operation, transition};
pub use plan::Plan;
pub use tenant::PerTenant;
