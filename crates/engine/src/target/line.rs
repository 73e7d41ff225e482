//! The way to a server that is no target: one that is asked who somebody is. It connects, sends and reads as for a target, and has
//! neither permits nor a breaker.

use std::sync::Arc;

use fanfold_core::TargetName;

use super::config::TargetConfig;
use super::link::Link;
use super::send::{Broke, Outgoing, Received};
use super::tls::{BadTls, Tls};
use super::url::TargetUrl;
use crate::lookup::Lookups;
use crate::network::Network;

/// Connections to one server.
pub(crate) struct Line(Link);

impl Line {
    /// To the server at `url`. `authorities` (PEM, may be empty) are trusted beside those of the platform. Nothing is connected yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(crate) fn new(
        url: TargetUrl,
        authorities: &[u8],
        network: Option<Arc<dyn Network>>,
        lookups: Lookups,
    ) -> Result<Self, BadTls> {
        // The name shows nowhere: what it is for are the metrics of targets.
        let mut config = TargetConfig::new(TargetName::from("issuer"), url);
        if !authorities.is_empty() {
            config.tls = Some(Tls::new(authorities, None)?);
        }
        Ok(Self(Link::new(&config, network, lookups, || Tls::new(&[], None))?))
    }

    /// Sends one request, and reads the answer up to a bound. Redirects are not followed.
    ///
    /// # Errors
    /// If there is no answer.
    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<Received, Broke> {
        self.0.send(outgoing, &|| true).await.map_err(|miss| miss.broke)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Line").field(&self.0.url).finish()
    }
}
