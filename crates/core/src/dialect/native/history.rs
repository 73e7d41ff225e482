//! One entry of an operation's history in native JSON: an event, flattened, with its target by name.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::{AnswerForm, Content as ContentForm, RequestForm};
use super::detail::TroubleForm;
use crate::operation::{
    Choice, Event, Found, Gate, Image, Leg, ProbeVerdict, Purpose, Reading, Sent, Status, Timer, Trouble,
};
use crate::{Answer, Content, Operation, OperationId, StepIndex};

/// One entry. Members that an event has no use for are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// Its number, counted from 1 within the operation.
    pub sequence: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened: `attempt_started`, for instance.
    #[schemars(extend("enum" = Event::NAMES))]
    pub event: String,
    /// What exactly, or what it means, in one word: the reading of an answer, the verdict of a probe, the choice of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Which of the target's requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
    /// Why the resource was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why they did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// What is sent, where it was not fixed at acceptance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestForm>,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<AnswerForm>,
    /// What was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TroubleForm>,
    /// The id or location of a lower operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The new deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What the target asked to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// When the backup was made that the operation came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// One entry in a stream of events: as in the history, and which operation it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "EventEntry")]
pub struct LiveEntry {
    /// Its number among all events of the server: what a stream goes on after.
    pub number: u64,
    /// The operation.
    pub operation: OperationId,
    /// How the operation ended, on the event that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The entry of its history.
    #[serde(flatten)]
    pub entry: HistoryEntry,
}

impl HistoryEntry {
    /// The entry of an event of an operation.
    pub fn of(operation: &Operation, sequence: u64, at: Timestamp, event: &Event) -> Self {
        Writer { operation, entry: Self::bare(sequence, at, event.name()) }.event(event).entry
    }

    fn bare(sequence: u64, at: Timestamp, event: &str) -> Self {
        Self {
            sequence,
            at,
            event: event.to_owned(),
            meaning: None,
            target: None,
            leg: None,
            purpose: None,
            by: None,
            remark: None,
            request: None,
            response: None,
            error: None,
            reference: None,
            until: None,
            retry_after_ms: None,
            as_of: None,
        }
    }
}

struct Writer<'a> {
    operation: &'a Operation,
    entry: HistoryEntry,
}

impl Writer<'_> {
    fn event(self, event: &Event) -> Self {
        match event {
            Event::LockGranted | Event::Dispatched => self,
            Event::TimeCame { timer } => self.timer(*timer),
            Event::CancelRequested { by } => self.person(by, None),
            Event::DeadlineExtended { by, until } => self.person(by, None).until(*until),
            Event::PersonResolved { step, applied, by, remark } => {
                let word = if *applied { "applied" } else { "not_applied" };
                self.step(*step).person(by, remark.as_deref()).meaning(word)
            }
            Event::PersonChose { choice, by, remark } => {
                self.person(by, remark.as_deref()).meaning(choice_word(*choice))
            }
            Event::GateChanged { step, leg, gate } => self.leg(*step, *leg).meaning(gate_word(*gate)),
            Event::ResourceRead { step, purpose, found } => self.step(*step).found(*purpose, found),
            Event::AttemptStarted { step, leg, request } => {
                let mut writer = self.leg(*step, *leg);
                writer.entry.request = request.as_ref().map(RequestForm::alone);
                writer
            }
            Event::AttemptAnswered { step, leg, answer, reading, trouble }
            | Event::LowerEnded { step, leg, answer, reading, trouble } => {
                self.leg(*step, *leg).answer(answer).reading(reading).trouble(trouble.as_ref())
            }
            Event::AttemptBroke { step, leg, sent, trouble } => {
                let word = match sent {
                    Sent::No => "not_sent",
                    Sent::Maybe => "maybe_sent",
                };
                self.leg(*step, *leg).meaning(word).trouble(Some(trouble))
            }
            Event::PollsChanged { step, leg, trouble } => {
                let word = if trouble.is_some() { "unclear" } else { "clear" };
                self.leg(*step, *leg).meaning(word).trouble(trouble.as_ref())
            }
            Event::ProbeAnswered { step, verdict, answer, retry_after } => {
                self.leg(*step, Leg::Probe).answer(answer).retry_after(*retry_after).meaning(verdict_word(*verdict))
            }
            Event::UndoNotRendered { step, trouble } => self.leg(*step, Leg::Undo).trouble(Some(trouble)),
            Event::ResponseComposed { response } => self.answer(response).body_of_step(response),
            Event::Restored { as_of } => {
                let mut writer = self;
                writer.entry.as_of = Some(*as_of);
                writer
            }
            Event::RestoreReleased { by, remark } => self.person(by, remark.as_deref()),
        }
    }

    fn timer(self, timer: Timer) -> Self {
        match timer {
            Timer::Start => self.meaning("start"),
            Timer::Deadline => self.meaning("deadline"),
            Timer::Step(step) => self.leg(step, Leg::Forward).meaning("step"),
            Timer::Undo(step) => self.leg(step, Leg::Undo).meaning("undo"),
            Timer::Lower(step, leg) => self.leg(step, leg).meaning("lower_operation"),
        }
    }

    fn reading(self, reading: &Reading) -> Self {
        match reading {
            Reading::Succeeded { .. } => self.meaning("succeeded"),
            Reading::NotTakenOn { retry_after } => self.retry_after(*retry_after).meaning("not_taken_on"),
            Reading::NotApplied => self.meaning("not_applied"),
            Reading::PreconditionFailed => self.meaning("precondition_failed"),
            Reading::Gone => self.meaning("gone"),
            Reading::NotConsistent => self.meaning("not_consistent"),
            Reading::Ambiguous => self.meaning("maybe_applied"),
            Reading::Unknown => self.meaning("unknown"),
            Reading::LowerAccepted { reference } => {
                let mut writer = self.meaning("lower_operation_accepted");
                writer.entry.reference = Some(reference.clone());
                writer
            }
        }
    }

    fn found(mut self, purpose: Purpose, found: &Found) -> Self {
        self.entry.purpose = Some(purpose);
        match found {
            Found::Image(Image::Absent) => self.meaning("absent"),
            Found::Image(Image::Present { .. }) => self.meaning("present"),
            Found::Failed { trouble, retry_after } => {
                self.retry_after(*retry_after).meaning("failed").trouble(Some(trouble))
            }
            Found::Unusable { trouble } => self.meaning("unusable").trouble(Some(trouble)),
        }
    }

    fn step(mut self, step: StepIndex) -> Self {
        self.entry.target = self.operation.plan.steps.get(step.get()).map(|plan| plan.target.to_string());
        self
    }

    fn leg(self, step: StepIndex, leg: Leg) -> Self {
        let mut writer = self.step(step);
        writer.entry.leg = Some(leg);
        writer
    }

    fn meaning(mut self, word: &str) -> Self {
        self.entry.meaning = Some(word.to_owned());
        self
    }

    fn person(mut self, by: &str, remark: Option<&str>) -> Self {
        self.entry.by = Some(by.to_owned());
        self.entry.remark = remark.map(str::to_owned);
        self
    }

    fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.entry.retry_after_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    fn until(mut self, until: Timestamp) -> Self {
        self.entry.until = Some(until);
        self
    }

    fn answer(mut self, answer: &Answer) -> Self {
        self.entry.response = Some(AnswerForm::alone(answer));
        self
    }

    /// A final response whose body is a step's answer is recorded as that; the answers of steps do not change after the end.
    fn body_of_step(mut self, response: &Answer) -> Self {
        if let (Content::Same(slot), Some(form)) = (&response.body.0, &mut self.entry.response) {
            form.body = self.operation.message_body(*slot).and_then(ContentForm::alone);
        }
        self
    }

    fn trouble(mut self, trouble: Option<&Trouble>) -> Self {
        self.entry.error = trouble.map(TroubleForm::from);
        self
    }
}

fn choice_word(choice: Choice) -> &'static str {
    match choice {
        Choice::Retry => "retry",
        Choice::RollBack => "roll_back",
        Choice::EndAsItIs => "end_as_it_is",
    }
}

fn gate_word(gate: Gate) -> &'static str {
    match gate {
        Gate::Permit => "permit",
        Gate::Breaker => "breaker",
        Gate::Held => "held",
        Gate::Missing => "missing",
    }
}

fn verdict_word(verdict: ProbeVerdict) -> &'static str {
    match verdict {
        ProbeVerdict::Applied => "applied",
        ProbeVerdict::NotApplied => "not_applied",
        ProbeVerdict::Unclear => "unclear",
    }
}
