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
    /// The kinds of faults that had their turn, and how often any had.
    pub faults: BTreeSet<String>,
    pub fault_count: usize,
    /// What people and clients did.
    pub deeds: BTreeSet<String>,
    /// How many operations there were.
    pub operations: usize,
    /// How many targets were called.
    pub targets: usize,
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
    let (rude, lost) = (played.world.met(), played.store.met());
    let fault_count = rude.values().sum::<usize>() + lost.len();
    let faults = rude.into_keys().chain(lost.iter().map(scenario::word)).collect();
    let called: BTreeSet<usize> = played.world.seen().iter().map(|seen| seen.target).collect();
    Ok(Verdict {
        breaches,
        shape: shape::of(&operations),
        states: shape::states(&operations),
        faults,
        fault_count,
        deeds: scenario.acts.iter().map(|act| act.what.name()).collect(),
        operations: operations.len(),
        targets: called.len(),
        losses: played.losses,
        story: if is_broken { shape::story(&played, &operations) } else { Vec::new() },
    })
}
