//! What happens in one history, from outside: all of it is drawn before it begins, and can be written down and played again.

mod drawn;

use serde::{Deserialize, Serialize};

/// Targets in a history.
pub const TARGETS: usize = 3;

/// Operations in memory at once, where nothing else is said: few, so that the bound is met.
pub const RUNNING_MAX: usize = 2;

/// The names of everything that can go wrong: a long run meets all of it.
pub const FAULTS: [&str; 31] = [
    "Slow",
    "RefuseConnection",
    "NeverConnect",
    "ResetBefore",
    "ResetDuring",
    "ResetAfter",
    "Never",
    "HalfHead",
    "HalfBody",
    "Late",
    "Refuse",
    "Error",
    "SaysRolledBack",
    "SaysUpdated",
    "Busy",
    "TooMany",
    "Moved",
    "ClosesIdle",
    "Accepts",
    "Works",
    "Denied",
    "Page",
    "Takes Done",
    "Takes RolledBack",
    "Takes Never",
    "Fails",
    "Full",
    "AnswerLost",
    "PowerLostBefore",
    "PowerLostAfter",
    "Takes Forgotten",
];

/// The inputs of one history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// What ids and jitter are drawn from.
    pub seed: u64,
    /// The routes, one for each operation.
    pub routes: Vec<Route>,
    /// What clients and people do, in the order of time.
    pub acts: Vec<Act>,
    /// How each target deals with one request after the other; politely, when these are used up.
    pub manners: Vec<Vec<Manner>>,
    /// How the receiver of notices does.
    pub ears: Vec<Manner>,
    /// What befalls writes of the store, by their number.
    pub writes: Vec<(u64, WriteFault)>,
    /// How each target tells what became of an operation of its own; those beyond the last one have no monitor.
    #[serde(default)]
    pub monitors: Vec<Monitor>,
    /// How long a record is kept after its end, in milliseconds; 0: longer than any history.
    #[serde(default)]
    pub retention_ms: u64,
    /// Tries before a notice is given up; 0: as many as by default.
    #[serde(default)]
    pub notice_attempts: u32,
    /// Operations in memory at once; 0: [`RUNNING_MAX`].
    #[serde(default)]
    pub running_max: usize,
    /// What befalls acceptances, by their number, beside what befalls writes.
    #[serde(default)]
    pub acceptances: Vec<(u64, WriteFault)>,
}

/// How a target tells what became of an operation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// Nobody knows.
    #[default]
    Unset,
    /// What it accepts it has done.
    None,
    Msf,
    Plas,
    Location,
    Poll,
}

/// How operations of one route are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    pub method: Method,
    pub order: Order,
    /// At least so many must succeed; 0: all.
    pub require: u32,
    pub undo: Undo,
    pub on_failure_holds: bool,
    pub on_unknown: Unknown,
    pub on_undo_failure_holds: bool,
    pub probe: bool,
    pub lock: Lock,
    /// In milliseconds.
    pub deadline_ms: u64,
    /// Accepted over `msf`, whose caller wants to be told of the end.
    pub noticed: bool,
    /// Which targets are called: how many, from the first on.
    pub targets: usize,
    /// How the same request is known when it comes again.
    #[serde(default)]
    pub key: Key,
    #[serde(default)]
    pub start: Start,
    #[serde(default)]
    pub webhook: Webhook,
    /// The client asks once, and takes whatever it is told.
    #[serde(default)]
    pub asks_once: bool,
    /// It belongs to another tenant than those of which this is not so.
    #[serde(default)]
    pub of_another: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The client sends one.
    #[default]
    Header,
    /// The route makes one up from the request.
    Dedupe,
    /// Not at all: a client that asks again asks for another operation, so it asks once.
    None,
}

/// When an operation starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    #[default]
    AtOnce,
    /// The route says: so many milliseconds after it was accepted.
    Delayed(u64),
    /// The client says: so many milliseconds after it asks.
    Scheduled(u64),
}

/// Who wants to be told of the end in a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Webhook {
    #[default]
    None,
    OfRoute,
    OfCaller,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Post,
    /// `POST` that may be sent again.
    RepeatablePost,
    Put,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Parallel,
    Sequence,
    Waves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    None,
    Request,
    Restore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    Fail,
    Undo,
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    None,
    Reject,
    Queue,
}

/// Something that is done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Act {
    /// In milliseconds from the beginning.
    pub at_ms: u64,
    pub what: Deed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Starts the operation of this route; again and again with the same key, until it is answered.
    Submit(usize),
    /// The same request with the same key once more.
    Repeat(usize),
    /// Another request with the same key.
    Abuse(usize),
    Cancel(usize),
    Hold(usize),
    Release(usize),
    /// A graceful stop and a start.
    Restart,
    /// The clock of the machine jumps, in milliseconds.
    Jump(i64),
    /// The deadline is moved, in milliseconds.
    Extend(usize, u64),
    /// What is not in the requested state is retried as a new operation; forced: even where that is not known.
    Retry(usize, bool),
    /// A person answers what is asked, as far as the targets can tell by now.
    Answer,
    /// A person has seen what is noted of ended operations.
    Acknowledge,
    /// Nothing is accepted any more.
    Drain,
    /// And again.
    Resume,
    /// A target is taken out of the configuration.
    Remove(usize),
    /// And put back.
    Configure(usize),
    /// Dead letters are sent again.
    Replay,
    /// A stranger says that whatever the targets are at has ended.
    Forge,
}

impl Deed {
    /// What it is called.
    pub fn name(self) -> String {
        match self {
            Self::Jump(millis) => format!("Jump {}", if millis < 0 { "back" } else { "ahead" }),
            _ => word(&self),
        }
    }
}

/// The name of a variant, without what it holds.
pub(crate) fn word(of: &impl std::fmt::Debug) -> String {
    let words = format!("{of:?}");
    words.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// How one request is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    Polite,
    /// Answered after so many milliseconds.
    Slow(u64),
    /// The connection is refused.
    RefuseConnection,
    /// It never comes about.
    NeverConnect,
    /// It is reset before a byte of the request is taken.
    ResetBefore,
    /// It is reset in the middle of the request, which is not done.
    ResetDuring,
    /// It is reset after the request.
    ResetAfter {
        applied: bool,
    },
    /// There is no answer.
    Never {
        applied: bool,
    },
    /// Half of the head of the answer, then the end.
    HalfHead {
        applied: bool,
    },
    /// Half of the body of the answer, then the end.
    HalfBody,
    /// The connection is reset; what was asked is done so many milliseconds later.
    Late(u64),
    /// 409.
    Refuse,
    /// 500.
    Error {
        applied: bool,
    },
    /// 500 that says `rolled back`.
    SaysRolledBack,
    /// 500 that says `updated`.
    SaysUpdated,
    /// 503 with `Retry-After`.
    Busy,
    /// 429.
    TooMany,
    /// 301.
    Moved,
    /// Answered, and the connection is closed without a word when it is used again.
    ClosesIdle,
    /// 202, and nothing that could be followed.
    Accepts {
        applied: bool,
    },
    /// Done after so many milliseconds, and answered only then, whether or not anybody still listens.
    Works(u64),
    /// 401.
    Denied,
    /// A page for people, where data was asked for.
    Page,
    /// 202, and an operation of its own.
    Takes(Lower),
}

/// An operation of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lower {
    /// It ends after so many milliseconds.
    pub millis: u64,
    pub end: LowerEnd,
    pub word: Word,
}

/// How an operation of a target ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LowerEnd {
    Done,
    /// Failed, with a word about the data.
    RolledBack,
    /// Failed, and it says nothing about the data.
    Failed {
        applied: bool,
    },
    Canceled {
        applied: bool,
    },
    /// Then the target does not know of it any more.
    Forgotten {
        applied: bool,
    },
    /// It goes on for ever, as far as the target tells.
    Never {
        applied: bool,
    },
}

/// How the target notifies of the end, where it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Once,
    Lost,
    Twice,
    /// Before its 202 is out.
    Early,
    /// Half-way, by somebody else.
    Forged,
}

/// What befalls one write of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteFault {
    /// Nothing is recorded, and this is told.
    Fails,
    /// The disk is full.
    Full,
    /// It is recorded, and the answer is lost.
    AnswerLost,
    /// It takes so many milliseconds.
    Slow(u64),
    /// The power goes before anything is recorded.
    PowerLostBefore,
    /// The power goes when it is recorded and not answered.
    PowerLostAfter,
}
