//! The configuration that foreign bytes are tried with.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use fanfold_core::TargetName;
use fanfold_core::dialect::Mount;
use fanfold_core::plan::DialectName;
use fanfold_core::route::RouteTable;
use fanfold_core::route::spec::{RouteSpec, TargetSpec};
use jiff::Timestamp;

use crate::configuration;

/// What requests are tried with.
pub(crate) struct Site {
    pub(crate) table: Arc<RouteTable>,
    pub(crate) routes: Vec<RouteSpec>,
    pub(crate) targets: BTreeMap<TargetName, TargetSpec>,
    mounts: Vec<Mount>,
}

impl Site {
    /// The one.
    pub(crate) fn get() -> &'static Self {
        static SITE: LazyLock<Site> = LazyLock::new(|| {
            let text = include_str!("site.toml").to_owned();
            let (settings, _) = configuration::read(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
            let targets = settings.targets.into_iter().map(|(name, target)| (name, target.spec)).collect();
            Site { table: settings.table, routes: settings.routes, targets, mounts: settings.mounts }
        });
        &SITE
    }

    /// Where a dialect is spoken.
    pub(crate) fn mount(&self, dialect: DialectName) -> Mount {
        let found = self.mounts.iter().find(|mount| mount.dialect == dialect);
        found.cloned().unwrap_or_else(|| Mount::new(dialect, ""))
    }
}

/// When everything happens.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("this is a time of our age")
}
