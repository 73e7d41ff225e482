//! How a target deals with a request.

use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::operation::Leg;

use super::answer::{Out, Reply};
use super::{Change, Place, Request, Seen, State, Told, World};
use crate::scenario::{Lower, LowerEnd, Manner, Monitor};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) target: usize,
    pub(super) operation: OperationId,
    pub(super) leg: Leg,
}

impl World {
    /// Deals with a request.
    pub(crate) fn answer(&self, place: Place, request: &Request, manner: Manner) -> Vec<(Duration, Out)> {
        match place {
            Place::Target(target) => self.at_target(target, request, manner),
            Place::Receiver => self.at_receiver(request, manner),
        }
    }

    fn at_target(&self, target: usize, request: &Request, manner: Manner) -> Vec<(Duration, Out)> {
        let monitor = self.monitors.get(target).copied().unwrap_or_default();
        let mut state = self.state();
        let now = state.now();
        state.catch_up(now);
        let operation = request.header("fanfold-operation-id").and_then(|id| id.parse().ok());
        let attempt = request.header("fanfold-attempt").and_then(|number| number.parse().ok());
        let key = request.header("idempotency-key").unwrap_or_default().to_owned();
        let leg = match request.method.as_str() {
            "GET" => Leg::Probe,
            _ if key.trim_matches('"').ends_with("-undo") => Leg::Undo,
            _ => Leg::Forward,
        };
        let (Some(operation), Some(attempt)) = (operation, attempt) else {
            // Reads and polls are no attempts.
            let polled = state.poll(target, monitor, &request.path, manner.is_heard(leg));
            let manner = manner.of_read(polled.is_some());
            let reply = polled.unwrap_or_else(|| state.read(target, &request.path));
            return manner.say(&if manner.applies() { reply } else { manner.refusal() });
        };
        let asked = Asked { target, operation, leg };
        let manner = if leg == Leg::Probe { manner.of_read(true) } else { manner.of_change(monitor) };
        let (reply, told, applied) = state.deal(asked, request, manner, monitor);
        // A target says what it does not know, but nothing that is not true.
        let is_false = matches!(manner, Manner::SaysUpdated | Manner::Accepts { applied: true }) && !applied;
        let manner = if is_false { Manner::Polite } else { manner };
        let told = told.unwrap_or_else(|| manner.tells(&reply, leg));
        let has_words = !state.words.is_empty();
        drop(state);
        if has_words {
            self.news.notify_one();
        }
        let recorded = self.is_recorded(operation, target, leg, attempt);
        self.state().seen.push(Seen { target, operation, leg, attempt, key, told, applied, at: now, recorded });
        manner.say(&reply)
    }
}

impl Manner {
    /// As it can be towards a read or a probe.
    fn of_read(self, is_data: bool) -> Self {
        match self {
            Self::Takes(_) | Self::Accepts { .. } => Self::Polite,
            // What is read of a resource is taken for what stands there.
            Self::Page if !is_data => Self::Polite,
            Self::Works(millis) => Self::Slow(millis),
            other => other,
        }
    }

    /// As it can be towards a change: who cannot be followed has done it at once, or not at all.
    fn of_change(self, monitor: Monitor) -> Self {
        match (self, monitor) {
            (Self::Page, _) => Self::Polite,
            (Self::Takes(_) | Self::Accepts { .. }, Monitor::None) => Self::Accepts { applied: true },
            (Self::Takes(lower), Monitor::Unset) => Self::Accepts { applied: lower.end.applies() },
            (other, _) => other,
        }
    }
}

impl State {
    pub(super) fn read(&self, target: usize, path: &str) -> Reply {
        match self.resources.get(&(target, path.to_owned())) {
            Some((body, version)) => Reply {
                status: 200,
                body: body.clone(),
                headers: format!("etag: \"{version}\"\r\ncontent-type: application/json\r\n"),
            },
            None => Reply::bare(404),
        }
    }

    /// Does what is asked, now, later, or not at all; tells whether anything changes, and what is told if it is not as usual.
    fn deal(
        &mut self,
        asked: Asked,
        request: &Request,
        manner: Manner,
        monitor: Monitor,
    ) -> (Reply, Option<Told>, bool) {
        if asked.leg == Leg::Probe {
            let stands = self.truths.get(&(asked.target, asked.operation)).is_some_and(|truth| truth.stands);
            let reply = if manner.applies() {
                Reply::json(200, &format!("{{\"applied\":{stands}}}"))
            } else {
                manner.refusal()
            };
            return (reply, None, false);
        }
        if !manner.applies() && !matches!(manner, Manner::Takes(_)) {
            return (manner.refusal(), None, false);
        }
        let (reply, change) = self.decide(asked, request);
        let Some(change) = change else { return (reply, None, false) };
        let now = self.now();
        match manner {
            Manner::Takes(lower) => {
                let applied = lower.end.applies();
                let reply = self.take_on(asked, request, lower, applied.then_some(change), monitor);
                (reply, Some(Told::TakenOn), applied)
            }
            Manner::Late(millis) | Manner::Works(millis) => {
                self.late.push((now + Duration::from_millis(millis), change));
                (reply, None, true)
            }
            Manner::Accepts { .. } => {
                self.make(change, now);
                let told = if monitor == Monitor::None { Told::Done } else { Told::Nothing };
                (reply, Some(told), true)
            }
            _ => {
                self.make(change, now);
                (reply, None, true)
            }
        }
    }

    /// What the answer is, and what changes with it.
    fn decide(&mut self, asked: Asked, request: &Request) -> (Reply, Option<Change>) {
        let Asked { target, operation, leg } = asked;
        let change = |resource| Some(Change { target, operation, makes: leg == Leg::Forward, resource });
        if request.path.starts_with("/r/") {
            return self.put(asked, request);
        }
        if leg == Leg::Undo {
            let stands = self.truths.get(&(target, operation)).is_some_and(|truth| truth.stands);
            return if stands { (Reply::bare(204), change(None)) } else { (Reply::bare(404), None) };
        }
        (Reply::json(201, &format!("{{\"id\":\"{operation}\"}}")), change(None))
    }

    /// `PUT` and `DELETE` under conditions (RFC 9110, section 13.1).
    fn put(&mut self, asked: Asked, request: &Request) -> (Reply, Option<Change>) {
        let Asked { target, operation, leg } = asked;
        let place = (target, request.path.clone());
        let present = self.resources.get(&place).map(|(_, version)| format!("\"{version}\""));
        let holds = request.header("if-match").is_none_or(|tag| Some(tag) == present.as_deref())
            && request.header("if-none-match").is_none_or(|_| present.is_none());
        let (status, etag, standing) = match request.method.as_str() {
            _ if !holds => return (Reply::bare(412), None),
            "DELETE" if present.is_none() => return (Reply::bare(404), None),
            "DELETE" => (204, String::new(), None),
            _ => {
                self.versions += 1;
                (200, format!("etag: \"{}\"\r\n", self.versions), Some((request.body.clone(), self.versions)))
            }
        };
        let body = if status == 204 { Vec::new() } else { b"{}".to_vec() };
        let resource = Some((request.path.clone(), standing));
        let change = Change { target, operation, makes: leg == Leg::Forward, resource };
        (Reply { status, body, headers: etag }, Some(change))
    }
}

impl LowerEnd {
    /// Whether the change is made.
    pub(crate) fn applies(self) -> bool {
        match self {
            Self::Done => true,
            Self::RolledBack => false,
            Self::Failed { applied }
            | Self::Canceled { applied }
            | Self::Forgotten { applied }
            | Self::Never { applied } => applied,
        }
    }
}

impl Lower {
    /// After how long it has ended.
    pub(super) fn takes(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}
