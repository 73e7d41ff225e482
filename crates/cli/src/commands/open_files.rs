//! How many files this process may open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside the connections of clients: the store, targets, receivers of notices, the log.
const OTHER_FILES: u64 = 1_024;

/// Raises the limit as far as this process may, and says so if it does not suffice for this many connections.
pub(super) fn raise(connections_max: usize) {
    let needed = (connections_max as u64).saturating_add(OTHER_FILES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    } else if raised < needed {
        tracing::warn!(
            open_files = raised,
            needed,
            "fewer files may be open than connections_max needs; raise the hard limit (ulimit -Hn, LimitNOFILE), or make \
             connections_max smaller"
        );
    }
}
