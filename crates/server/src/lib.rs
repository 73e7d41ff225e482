//! The front doors of Fanfold: everything that clients, operators and their tools reach over HTTP.
//!
//! The server translates and nothing else: requests into calls of the engine and questions to the store, what comes back
//! into the words of a dialect. It decides nothing about operations, knows no SQL, and calls no target except to pass a
//! request through.
//!
//! Where to look: `http/` is the server; its `service` is the one way in, `door` says which rule answers a request.

mod http;

#[cfg(feature = "hostile")]
#[doc(hidden)]
pub use crate::http::hostile;
pub use crate::http::{
    Authentication, BadServerTls, CertificateName, ClientCertificates, Error, FixedCertificate, FixedToken, Front,
    Pace, Parts, Server, ServerConfig, Tls, Validity,
};
