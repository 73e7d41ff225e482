//! Receivers of notices: their addresses, how their hosts are found, and the secrets that are shared with them. Values only;
//! sending is in `notify`.

mod address;
mod signature;

pub(crate) use address::Host;
pub use address::{BadWebhookUrl, Resolve, Resolved, SystemResolver, WebhookUrl};
pub(crate) use signature::signatures;
pub use signature::{BadSecret, SigningSecret};
