//! What is configured for one target. Timeouts are not part of it: they belong to the plan, and come with each request.

use std::fmt;
use std::time::Duration;

use fanfold_core::TargetName;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::breaker::BreakerConfig;
use super::tls::Tls;
use super::url::TargetUrl;

/// One target as the configuration gives it.
#[derive(Clone, PartialEq)]
pub struct TargetConfig {
    /// Its name.
    pub name: TargetName,
    /// Where it is.
    pub url: TargetUrl,
    /// Fields that every request to it carries: credentials, mostly. Never recorded, never in `Debug`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How its certificate is checked, and what ours is; `None`: the platform's authorities, no certificate of ours.
    pub tls: Option<Tls>,
    /// Forward attempts and passed-through requests on the wire at once, from all nodes together.
    pub max_in_flight: usize,
    /// Undo attempts on the wire at once; they come on top, so that a full target can still be rolled back.
    pub undo_max_in_flight: usize,
    /// Passed-through requests that may wait for a permit; further ones are refused. Steps and undos are not counted: how many
    /// of them wait is bounded by how many operations run.
    pub pass_waiting_max: usize,
    /// When calls stop for a while.
    pub breaker: BreakerConfig,
    /// How long a connection may have been idle and still carry a request that is not safe to repeat.
    pub reuse_idle: Duration,
}

impl TargetConfig {
    /// A target with the documented defaults.
    pub fn new(name: TargetName, url: TargetUrl) -> Self {
        Self {
            name,
            url,
            headers: Vec::new(),
            tls: None,
            max_in_flight: 64,
            undo_max_in_flight: 16,
            pass_waiting_max: 256,
            breaker: BreakerConfig::default(),
            reuse_idle: Duration::from_secs(1),
        }
    }

    /// The configured fields as they are put on a request, each marked as sensitive.
    pub(super) fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let mut value = value.clone();
            value.set_sensitive(true);
            map.append(name, value);
        }
        map
    }
}

impl fmt::Debug for TargetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetConfig")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("tls", &self.tls)
            .field("max_in_flight", &self.max_in_flight)
            .field("undo_max_in_flight", &self.undo_max_in_flight)
            .field("pass_waiting_max", &self.pass_waiting_max)
            .field("breaker", &self.breaker)
            .field("reuse_idle", &self.reuse_idle)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_show_in_debug_output() {
        let mut config = TargetConfig::new("tokyo".into(), "https://a".parse().unwrap());
        config.headers.push((http::header::AUTHORIZATION, HeaderValue::from_static("Bearer hunter2")));
        for shown in [format!("{config:?}"), format!("{:?}", config.header_map())] {
            assert!(shown.contains("authorization") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
