//! How much is accepted and ends each second, over the last minutes: what the charts show. Kept in memory, of this process alone.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fanfold_engine::{Engine, OperationTotals};
use tokio::time::Instant;

/// How often it is looked.
pub(super) const PACE: Duration = Duration::from_secs(1);

/// How many looks are kept: five minutes.
pub(super) const KEPT: usize = 300;

/// What this process has done so far, and what it does at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    ended: OperationTotals,
    running: u64,
}

/// What happened between two looks, per second; what was so at the later one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rate {
    pub(super) accepted: f64,
    pub(super) refused: f64,
    pub(super) completed: f64,
    pub(super) failed: f64,
    pub(super) canceled: f64,
    pub(super) running: f64,
}

/// The latest looks.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<Looks>);

#[derive(Debug, Default)]
struct Looks {
    last: Option<(Instant, Totals)>,
    rates: VecDeque<Rate>,
}

impl Rates {
    /// Takes a look in.
    pub(super) fn look(&self, at: Instant, totals: Totals) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, was)) = looks.last {
            let span = at.duration_since(before).as_secs_f64();
            if span > 0.0 {
                looks.rates.push_back(Rate::between(was, totals, span));
            }
            if looks.rates.len() > KEPT {
                looks.rates.pop_front();
            }
        }
        looks.last = Some((at, totals));
    }

    /// The oldest first.
    pub(super) fn all(&self) -> Vec<Rate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rates.iter().copied().collect()
    }
}

/// A look at what has happened.
pub(super) fn totals(engine: &Engine) -> Totals {
    Totals { ended: engine.metrics().totals(), running: engine.running() as u64 }
}

impl Rate {
    fn between(before: Totals, after: Totals, span: f64) -> Self {
        let (was, is) = (before.ended, after.ended);
        #[expect(clippy::cast_precision_loss, reason = "counts of one second are far below what an f64 tells exactly")]
        let per_second = |was: u64, is: u64| is.saturating_sub(was) as f64 / span;
        #[expect(clippy::cast_precision_loss, reason = "operations in memory are far below what an f64 tells exactly")]
        let running = after.running as f64;
        Self {
            accepted: per_second(was.accepted, is.accepted),
            refused: per_second(was.refused, is.refused),
            completed: per_second(was.completed, is.completed),
            failed: per_second(was.failed, is.failed),
            canceled: per_second(was.canceled, is.canceled),
            running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_between_two_looks_is_told_per_second() {
        let (rates, began) = (Rates::default(), Instant::now());
        let look = |second, accepted| {
            rates.look(
                began + PACE * second,
                Totals { ended: OperationTotals { accepted, ..OperationTotals::default() }, running: 7 },
            )
        };
        look(0, 100);
        look(2, 110);
        // Two looks at one time make no rate; the next one does.
        look(2, 111);
        look(3, 112);
        let found: Vec<_> = rates.all().iter().map(|rate| (rate.accepted, rate.running)).collect();
        assert_eq!(found, [(5.0, 7.0), (1.0, 7.0)]);
    }

    #[test]
    fn only_the_latest_looks_are_kept() {
        let (rates, began) = (Rates::default(), Instant::now());
        for second in 0..400 {
            rates.look(began + PACE * second, Totals::default());
        }
        assert_eq!(rates.all().len(), KEPT);
    }
}
