//! Operations that a target carries out on its own, after its 202.

use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::operation::Leg;

use super::answer::Reply;
use super::target::Asked;
use super::{Change, Request, State, World};
use crate::scenario::{Lower, LowerEnd, Monitor, Word};

/// One operation of a target.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    pub(crate) target: usize,
    pub(crate) operation: OperationId,
    pub(crate) leg: Leg,
    /// Its id, which another target may have given, too.
    reference: String,
    lower: Lower,
    pub(crate) began: Duration,
    /// When it ends.
    pub(crate) at: Duration,
    /// Whether a poll was answered that says clearly how it ended.
    pub(crate) told: bool,
}

impl State {
    /// Begins an operation; the answer says where it can be followed.
    pub(super) fn take_on(
        &mut self,
        asked: Asked,
        request: &Request,
        lower: Lower,
        change: Option<Change>,
        monitor: Monitor,
    ) -> Reply {
        let Asked { target, operation, leg } = asked;
        let now = self.now();
        let at = now + lower.takes();
        self.late.extend(change.map(|change| (at, change)));
        let number = self.errands.iter().filter(|errand| errand.target == target).count();
        let reference = format!("e{number}");
        if request.query.contains("notification_address=") {
            let word = |at| (at, reference.clone());
            match lower.word {
                Word::Once => self.words.push(word(at)),
                Word::Twice => self.words.extend([word(at), word(at)]),
                Word::Lost => {}
                Word::Early => self.words.push(word(now)),
                Word::Forged => self.words.push(word(now + lower.takes() / 2)),
            }
        }
        let errand =
            Errand { target, operation, leg, reference: reference.clone(), lower, began: now, at, told: false };
        self.errands.push(errand);
        match monitor {
            Monitor::Msf => Reply::json(202, &format!("{{\"operation_id\":\"{reference}\"}}")),
            Monitor::Plas => Reply::json(202, &format!("{{\"location\":\"/errands/{reference}\"}}")),
            Monitor::Location => Reply { headers: format!("location: /errands/{reference}\r\n"), ..Reply::bare(202) },
            Monitor::Unset | Monitor::None | Monitor::Poll => Reply::json(202, &format!("{{\"id\":\"{reference}\"}}")),
        }
    }

    /// The answer to a poll; `None`: this is no poll.
    pub(super) fn poll(&mut self, target: usize, monitor: Monitor, path: &str, is_heard: bool) -> Option<Reply> {
        let reference = path.strip_prefix("/errands/").or_else(|| path.strip_prefix("/v1/operations/"))?;
        let now = self.now();
        let known = |errand: &&mut Errand| errand.target == target && errand.reference == reference;
        let Some(errand) = self.errands.iter_mut().find(known) else { return Some(Reply::bare(404)) };
        let end = Some(errand.lower.end).filter(|end| errand.at <= now && !matches!(end, LowerEnd::Never { .. }));
        errand.told |= is_heard && end.is_some_and(|end| is_clear(end, monitor));
        Some(in_words(monitor, end))
    }
}

/// Whether such an end tells what became of the data.
fn is_clear(end: LowerEnd, monitor: Monitor) -> bool {
    match end {
        LowerEnd::Done => true,
        LowerEnd::RolledBack => monitor != Monitor::Plas,
        LowerEnd::Failed { .. } | LowerEnd::Canceled { .. } | LowerEnd::Forgotten { .. } | LowerEnd::Never { .. } => {
            false
        }
    }
}

/// What a poll is answered; `None`: it goes on.
fn in_words(monitor: Monitor, end: Option<LowerEnd>) -> Reply {
    if matches!(end, Some(LowerEnd::Forgotten { .. })) {
        return Reply::bare(404);
    }
    let data = "\"data_consistency\":\"rolled back\"";
    let failed = |word: &str| match end {
        Some(LowerEnd::RolledBack) => format!("{{{word},{data}}}"),
        _ => format!("{{{word}}}"),
    };
    match (monitor, end) {
        (Monitor::Msf, None | Some(LowerEnd::Never { .. } | LowerEnd::Forgotten { .. })) => {
            Reply::json(200, "{\"status\":\"executing\"}")
        }
        (Monitor::Msf, Some(LowerEnd::Done)) => {
            Reply::json(200, "{\"status\":\"completed\",\"response\":{\"status_code\":200,\"body\":\"{}\"}}")
        }
        (Monitor::Msf, Some(LowerEnd::RolledBack)) => {
            let body = format!("{{{data}}}").replace('"', "\\\"");
            let text = format!("{{\"status\":\"failed\",\"response\":{{\"status_code\":500,\"body\":\"{body}\"}}}}");
            Reply::json(200, &text)
        }
        (Monitor::Msf, Some(LowerEnd::Failed { .. })) => Reply::json(200, "{\"status\":\"failed\"}"),
        (Monitor::Msf, Some(LowerEnd::Canceled { .. })) => Reply::json(200, "{\"status\":\"canceled\"}"),
        (Monitor::Plas, None) => Reply::json(200, "{\"finished\":false}"),
        (Monitor::Plas, Some(LowerEnd::Done)) => {
            Reply::json(200, "{\"finished\":true,\"result\":{\"result\":\"success\"}}")
        }
        (Monitor::Plas, Some(_)) => Reply::json(200, "{\"finished\":true,\"result\":{\"result\":\"failed\"}}"),
        (Monitor::Location, None) => Reply::bare(202),
        (Monitor::Location, Some(LowerEnd::Done)) => Reply::json(200, "{\"status\":\"Succeeded\"}"),
        (Monitor::Location, Some(LowerEnd::Canceled { .. })) => Reply::json(200, "{\"status\":\"Canceled\"}"),
        (Monitor::Location, Some(_)) => Reply::json(200, &failed("\"status\":\"Failed\"")),
        (Monitor::Unset | Monitor::None | Monitor::Poll, None) => Reply::json(200, "{\"done\":false}"),
        (Monitor::Unset | Monitor::None | Monitor::Poll, Some(LowerEnd::Done)) => {
            Reply::json(200, "{\"done\":true,\"ok\":true}")
        }
        (Monitor::Unset | Monitor::None | Monitor::Poll, Some(_)) => {
            Reply::json(200, &failed("\"done\":true,\"ok\":false"))
        }
    }
}

impl World {
    pub(crate) fn errands(&self) -> Vec<Errand> {
        self.state().errands.clone()
    }

    /// Waits for the next notification of a target, and takes it.
    pub(crate) async fn word(&self) -> String {
        loop {
            let next = self.state().words.iter().map(|(at, _)| *at).min();
            let wait = next.map(|at| at.saturating_sub(self.now()));
            match wait {
                Some(Duration::ZERO) => {
                    let mut state = self.state();
                    let at = state.words.iter().position(|(at, _)| Some(*at) == next);
                    if let Some(at) = at {
                        return state.words.remove(at).1;
                    }
                }
                // Whatever comes first: its time, or another word.
                Some(wait) => drop(tokio::time::timeout(wait, self.news.notified()).await),
                None => self.news.notified().await,
            }
        }
    }
}
