//! Routes: from configuration and a request to a plan, and from answers to what they mean.
//!
//! - From configuration: [`spec`] is compiled to a [`RouteTable`], which tells every [`Problem`].
//! - At acceptance: [`RouteTable::find`], [`OperationRoute::plan`], and [`seal`] for what is shown and kept.
//! - While it runs: [`CompiledPolicy`] renders undos, probes and results, [`read_answer`] and [`CompiledTarget::read_poll`] say
//!   what targets meant.

mod accept;
mod compile;
mod compiled;
#[cfg(test)]
mod fixtures;
mod form;
mod handling;
mod headers;
mod later;
mod location;
mod path;
mod pattern;
mod poll;
mod preview;
mod problem;
mod reading;
mod redact;
mod redact_json;
mod render;
mod request;
mod retry_after;
mod scope;
mod sees;
mod select;
mod sketch;
pub mod spec;
mod table;
mod template;

pub use accept::{Incoming, Issued, KEY_BYTES_MAX, Planned};
pub use compiled::{CompiledPolicy, CompiledProbe, CompiledTarget, CompiledUndo, UndoTemplate};
pub use handling::{Handling, OperationRoute, Route};
pub use headers::{CALLBACK, RETRY_OF};
pub use location::{Asked, is_below};
pub use path::has_dot_segment;
pub use poll::{Poll, PollAddress};
pub use preview::{Preview, UndoPreview};
pub use problem::{Place, Problem};
pub use reading::{LOWER_REFERENCE_BYTES_MAX, read_answer, strong_etag};
pub use redact::{REDACTED, seal};
pub use render::{OperationValues, StepValues, TargetResult, restore_request};
pub use retry_after::{RETRY_AFTER_MAX, retry_after};
pub use scope::Answered;
pub use sketch::Sketch;
pub use table::{Found, RouteTable};
pub use template::{TEMPLATE_FUEL, TEMPLATE_OUTPUT_BYTES_MAX, TemplateError};
