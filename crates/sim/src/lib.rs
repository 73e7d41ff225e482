//! The simulation: the whole engine on one thread, with a clock, a network, targets and a store that are made up.
//!
//! A [`Scenario`] says what happens from outside in one history; it is drawn from a seed, and can be written down. It is
//! played (`play`) over the real engine and the model store: time stands still while anything is to be done (`clock`), each
//! target behaves as told and remembers what it truly did (`world`, `network`), writes fail as told, and power is lost between
//! any two of them (`store`): then everything that ran is gone, and another process starts on what was recorded. In the end
//! all faults cease, and the history is judged (`oracle`) by what the guarantees say.

mod clock;
mod network;
mod oracle;
mod play;
mod random;
mod routes;
pub mod run;
pub mod scenario;
mod shape;
mod store;
mod world;

use std::collections::BTreeSet;

use anyhow::Result;

pub use oracle::{Breach, Guarantee};
pub use scenario::Scenario;

/// What a history showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What was broken.
    pub breaches: Vec<Breach>,
    /// The hash of its shape: what happened, without ids and times.
    pub shape: u64,
    /// States and events that were met.
    pub states: BTreeSet<String>,
    /// Faults that had their turn.
    pub faults: BTreeSet<String>,
    /// How many operations there were.
    pub operations: usize,
    /// How often power was lost.
    pub losses: usize,
    /// What was recorded and what reached targets, line by line, where something was broken.
    pub story: Vec<String>,
}

/// Plays a scenario and judges it. The same scenario gives the same verdict each time.
///
/// # Errors
/// If it cannot be played at all.
pub fn simulate(scenario: &Scenario) -> Result<Verdict> {
    let played = play::play(scenario)?;
    let operations = played.store.operations();
    let breaches = oracle::judge(scenario, &played, &operations);
    let is_broken = !breaches.is_empty();
    let mut faults = played.world.met();
    faults.extend(played.store.met().iter().map(|fault| {
        let words = format!("{fault:?}");
        words.split('(').next().unwrap_or_default().to_owned()
    }));
    Ok(Verdict {
        breaches,
        shape: shape::of(scenario, &operations),
        states: shape::states(&operations),
        faults,
        operations: operations.len(),
        losses: played.losses,
        story: if is_broken { shape::story(&played, &operations) } else { Vec::new() },
    })
}
