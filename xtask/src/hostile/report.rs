//! What it was like, in words.

use std::fmt;

use super::client::Waits;
use super::full::{CONNECTIONS_MAX, Full};

/// What was counted and measured.
#[derive(Debug)]
pub struct Report {
    pub(super) connections: usize,
    pub(super) reopened: u64,
    pub(super) attacks: u64,
    pub(super) closed: u64,
    pub(super) lower: u64,
    pub(super) wrong: Vec<String>,
    pub(super) panics: usize,
    pub(super) hangs: u64,
    pub(super) before_kib: u64,
    pub(super) peak_kib: u64,
    pub(super) after_kib: u64,
    pub(super) peak_kib_max: u64,
    /// On one connection, and on a new one each.
    pub(super) alone: (Waits, Waits),
    pub(super) among: (Waits, Waits),
    pub(super) full: Full,
}

impl Report {
    /// Whether nothing broke. How long anybody waited is told and not judged: it is the machine's as well.
    pub fn is_good(&self) -> bool {
        let is_served = self.among.0.count() > 0 && self.among.1.count() > 0;
        self.wrong.is_empty()
            && self.panics == 0
            && self.hangs == 0
            && self.peak_kib <= self.peak_kib_max
            && is_served
            && self.full.is_good()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |kib: u64| kib as f64 / 1024.0;
        writeln!(
            f,
            "  {} idle and slow connections (closed and come again: {}), {} attacks ({} closed while they were sending), \
             {} calls of a rude target",
            self.connections, self.reopened, self.attacks, self.closed, self.lower
        )?;
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "  NOT AS IT SHOULD BE: {wrong}"))?;
        writeln!(f, "  panics {}, hangs {}", self.panics, self.hangs)?;
        writeln!(
            f,
            "  resident MiB: {:.1} before, {:.1} at the most (bound: {:.1}), {:.1} after",
            mib(self.before_kib),
            mib(self.peak_kib),
            mib(self.peak_kib_max),
            mib(self.after_kib)
        )?;
        writeln!(f, "  a good client alone:         {}", self.alone.0)?;
        writeln!(f, "    on new connections:        {}", self.alone.1)?;
        writeln!(f, "  among all of that:           {}", self.among.0)?;
        writeln!(f, "    on new connections:        {}", self.among.1)?;
        writeln!(f, "  with no connection free:     {}", self.full.within)?;
        write!(
            f,
            "  beyond a connections_max of {CONNECTIONS_MAX}: {} waited, {} of these were answered once there was room",
            self.full.waited, self.full.served_after
        )
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |percent| self.percentile_ms(percent);
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms of {}", at(50), at(99), at(100), self.count())
    }
}
