//! What a reload replaces as a whole: mounts, routes and whom they tell, the limits of passing through, and our own address.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_core::dialect::{Mount, Settings};
use fanfold_core::plan::DialectName;
use fanfold_core::route::RouteTable;
use fanfold_engine::RouteCallback;
use fanfold_engine::target::PassLimits;

use super::Error;
use super::origin::Origin;
use super::wire::Peer;

/// The limits of a target for which none are given.
const PASS_LIMITS: PassLimits =
    PassLimits { connect: Duration::from_secs(3), response: Duration::from_secs(30), idle: Duration::from_secs(30) };

/// Which requests are answered, and how.
#[derive(Debug)]
pub struct Front {
    /// The longest prefix first.
    mounts: Vec<Arc<Mount>>,
    native: Arc<Mount>,
    routes: Arc<RouteTable>,
    pass_limits: BTreeMap<TargetName, PassLimits>,
    public: Option<Origin>,
    callbacks: BTreeMap<String, RouteCallback>,
}

impl Front {
    /// A front of these mounts and routes. `pass_limits` are by target; `public_url` is how clients reach this server, without
    /// a slash at the end (`None`: links are relative, and only loopback names are taken for ours).
    ///
    /// # Errors
    /// [`Error::BadPublicUrl`].
    pub fn new(
        mounts: Vec<Mount>,
        routes: Arc<RouteTable>,
        pass_limits: BTreeMap<TargetName, PassLimits>,
        public_url: Option<String>,
    ) -> Result<Self, Error> {
        let public = public_url.as_deref().map(origin).transpose()?;
        let settings = Settings { public_url: public_url.unwrap_or_default(), ..Settings::default() };
        let native = Mount { settings, ..Mount::new(DialectName::Native, "") };
        let mut mounts: Vec<_> = mounts.into_iter().map(Arc::new).collect();
        mounts.sort_by_key(|mount| Reverse(mount.prefix.len()));
        Ok(Self { mounts, native: Arc::new(native), routes, pass_limits, public, callbacks: BTreeMap::new() })
    }

    /// The same front, with who is told of every end of a route's operations, by the name of the route.
    #[must_use]
    pub fn with_callbacks(self, callbacks: BTreeMap<String, RouteCallback>) -> Self {
        Self { callbacks, ..self }
    }

    /// Who is told of every end of this route's operations.
    pub(super) fn callback(&self, route: &str) -> Option<&RouteCallback> {
        self.callbacks.get(route)
    }

    /// The native API as a mount.
    pub(super) fn native(&self) -> &Arc<Mount> {
        &self.native
    }

    /// All mounts but the native API, the longest prefix first.
    pub(super) fn mounts(&self) -> &[Arc<Mount>] {
        &self.mounts
    }

    pub(super) fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The mounts that a path lies below, the longest prefix first.
    pub(super) fn mounts_over<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Arc<Mount>> {
        self.mounts.iter().filter(move |mount| mount.below(path).is_some())
    }

    /// The mount of a route.
    pub(super) fn mount(&self, dialect: DialectName, prefix: &str) -> Arc<Mount> {
        if dialect == DialectName::Native {
            return Arc::clone(&self.native);
        }
        let found = self.mounts.iter().find(|mount| mount.dialect == dialect && mount.prefix == prefix);
        // A route without its mount is a mistake of the configuration; its requests still get an answer in its dialect.
        found.map_or_else(|| Arc::new(Mount::new(dialect, prefix)), Arc::clone)
    }

    pub(super) fn pass_limits(&self, target: &TargetName) -> PassLimits {
        self.pass_limits.get(target).copied().unwrap_or(PASS_LIMITS)
    }

    /// Whether a browser on the other side of this connection speaks https, here or to a proxy in front. Nothing else decides about
    /// it.
    pub(super) fn is_https(&self, peer: &Peer) -> bool {
        peer.is_encrypted || self.public.as_ref().is_some_and(Origin::is_https)
    }

    /// Where the pages of this server come from, by its configured address.
    pub(super) fn public(&self) -> Option<&Origin> {
        self.public.as_ref()
    }
}

fn origin(url: &str) -> Result<Origin, Error> {
    Origin::of(url).ok_or_else(|| Error::BadPublicUrl(url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_comes_first() {
        let mounts = ["/v1", "/v1/deep", "/v2"].map(|prefix| Mount::new(DialectName::Msf, prefix));
        let front = Front::new(mounts.into(), Arc::default(), BTreeMap::new(), None).unwrap();
        let over: Vec<_> = front.mounts_over("/v1/deep/x").map(|mount| mount.prefix.as_str()).collect();
        assert_eq!(over, ["/v1/deep", "/v1"]);
    }

    #[test]
    fn a_public_url_has_a_host() {
        for (url, good) in [("https://fanfold.example", true), ("http://[::1]:8080", true), ("/x", false), ("", false)]
        {
            let front = Front::new(Vec::new(), Arc::default(), BTreeMap::new(), Some(url.to_owned()));
            assert_eq!(front.is_ok(), good, "{url}");
        }
    }
}
