//! Receivers of notices: their addresses, and the secrets that are shared with them. Values only; sending is in `notify`,
//! and what their hosts' names stand for in `lookup`.

mod address;
mod signature;

pub(crate) use address::Host;
pub use address::{BadWebhookUrl, WebhookUrl, is_host_name};
pub(crate) use signature::signatures;
pub use signature::{BadSecret, SigningSecret};
