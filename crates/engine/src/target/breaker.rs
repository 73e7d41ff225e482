//! The breaker of one target: after some breaks in a row nothing is sent for a while, then one attempt tries it out.
//! Pure: it is told the time. Who waits, and in which order, is `admission`'s.

use std::time::Duration;

use tokio::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Breaks in a row that open it; 0: it never opens.
    pub after: u32,
    /// How long it stays open before one attempt is let through.
    pub retry_after: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { after: 5, retry_after: Duration::from_secs(10) }
    }
}

#[derive(Debug)]
pub(super) struct Breaker {
    config: BreakerConfig,
    state: State,
    /// So many attempts in a row broke, those that tried the target out included.
    breaks: u32,
    /// Since when it does not let everything through.
    opened: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Attempts go through.
    Closed,
    /// None goes through until then.
    Open { until: Instant },
    /// One attempt is on the wire to try the target out.
    Trying,
    /// The next attempt tries the target out.
    Ready,
}

/// How an attempt got past the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// It was closed.
    Plain,
    /// It was open long enough, and this attempt decides what it does next.
    Trial,
}

/// What the breaker does, as far as others need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Closed,
    Open { until: Instant },
    HalfOpen,
}

impl Breaker {
    pub(super) fn new(config: BreakerConfig) -> Self {
        Self { config, state: State::Closed, breaks: 0, opened: None }
    }

    /// Takes over other settings. An open breaker stays open for as long as it was to.
    pub(super) fn configure(&mut self, config: BreakerConfig) {
        self.config = config;
        if config.after == 0 {
            self.answered();
        }
    }

    /// Lets one attempt through, if it may go now.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Pass> {
        match self.position(now) {
            Position::Closed => Some(Pass::Plain),
            Position::HalfOpen if self.state != State::Trying => {
                self.state = State::Trying;
                Some(Pass::Trial)
            }
            Position::HalfOpen | Position::Open { .. } => None,
        }
    }

    /// The target answered as one that works. An attempt that began before the breaker opened tells it just as well.
    pub(super) fn answered(&mut self) {
        (self.state, self.breaks, self.opened) = (State::Closed, 0, None);
    }

    /// An attempt broke.
    pub(super) fn broke(&mut self, pass: Pass, now: Instant) {
        let until = now + self.config.retry_after;
        match (self.state, pass) {
            (State::Closed, _) => {
                self.breaks = self.breaks.saturating_add(1);
                if self.config.after != 0 && self.breaks >= self.config.after {
                    (self.state, self.opened) = (State::Open { until }, Some(now));
                }
            }
            (State::Trying, Pass::Trial) => {
                self.breaks = self.breaks.saturating_add(1);
                self.state = State::Open { until };
            }
            // These began before the breaker opened, and tell nothing that it does not know.
            (State::Open { .. } | State::Ready | State::Trying, _) => {}
        }
    }

    /// An attempt ended without telling anything of the target.
    pub(super) fn abandoned(&mut self, pass: Pass) {
        if pass == Pass::Trial && self.state == State::Trying {
            self.state = State::Ready;
        }
    }

    /// How many attempts in a row have broken: those that opened it, and those that tried the target out since.
    pub(super) fn breaks(&self) -> u32 {
        self.breaks
    }

    /// Since when it does not let everything through; `None` while it does.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.opened
    }

    pub(super) fn position(&self, now: Instant) -> Position {
        match self.state {
            State::Closed => Position::Closed,
            State::Open { until } if now < until => Position::Open { until },
            State::Open { .. } | State::Trying | State::Ready => Position::HalfOpen,
        }
    }

    /// When an open breaker may let an attempt through, if nothing else happens; `None`: now, or after the one on the wire.
    pub(super) fn opens_again(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::Trying | State::Ready => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_breaker(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(BreakerConfig { after: 3, retry_after: Duration::from_secs(10) });
        for _ in 0..3 {
            assert_eq!(breaker.admit(now), Some(Pass::Plain));
            breaker.broke(Pass::Plain, now);
        }
        breaker
    }

    #[test]
    fn only_breaks_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerConfig { after: 3, retry_after: Duration::from_secs(10) });
        for _ in 0..5 {
            breaker.broke(Pass::Plain, now);
            breaker.broke(Pass::Plain, now);
            breaker.answered();
        }
        assert_eq!(breaker.position(now), Position::Closed);
        assert_eq!(open_breaker(now).admit(now), None);
    }

    #[test]
    fn it_lets_one_attempt_through_after_its_time_and_follows_its_end() {
        let now = Instant::now();
        let later = now + Duration::from_secs(10);
        let mut breaker = open_breaker(now);
        assert_eq!(breaker.admit(later - Duration::from_millis(1)), None);
        assert_eq!(breaker.admit(later), Some(Pass::Trial));
        assert_eq!(breaker.admit(later), None);
        // One that began before it opened changes nothing.
        breaker.broke(Pass::Plain, later);
        assert_eq!(breaker.position(later), Position::HalfOpen);
        breaker.broke(Pass::Trial, later);
        assert_eq!(breaker.opens_again(), Some(later + Duration::from_secs(10)));
        assert_eq!((breaker.breaks(), breaker.opened()), (4, Some(now)), "it has been open all the time");
        assert_eq!(breaker.admit(later + Duration::from_secs(10)), Some(Pass::Trial));
        breaker.answered();
        assert_eq!(breaker.admit(later), Some(Pass::Plain));
        assert_eq!((breaker.breaks(), breaker.opened()), (0, None));
    }

    #[test]
    fn a_trial_that_tells_nothing_makes_room_for_another() {
        let now = Instant::now();
        let later = now + Duration::from_secs(10);
        let mut breaker = open_breaker(now);
        assert_eq!(breaker.admit(later), Some(Pass::Trial));
        breaker.abandoned(Pass::Trial);
        assert_eq!(breaker.admit(later), Some(Pass::Trial));
    }

    #[test]
    fn zero_switches_it_off() {
        let now = Instant::now();
        let mut breaker = open_breaker(now);
        breaker.configure(BreakerConfig { after: 0, retry_after: Duration::from_secs(10) });
        for _ in 0..100 {
            breaker.broke(Pass::Plain, now);
        }
        assert_eq!(breaker.admit(now), Some(Pass::Plain));
    }
}
