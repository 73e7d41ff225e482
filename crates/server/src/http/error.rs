//! What can go wrong, by what the caller can do about it.

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration gives an address of this server that is none: correct it.
    #[error("{0:?} is not a URL with a host, such as \"https://fanfold.example\"")]
    BadPublicUrl(String),
}
