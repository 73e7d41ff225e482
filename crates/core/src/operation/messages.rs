//! The messages of an operation, by the slots that they stand in.

use super::Operation;
use crate::{Answer, Body, Content, Request, Slot};

impl Operation {
    /// The request in `slot`, if there is one.
    pub fn request_in(&self, slot: Slot) -> Option<&Request> {
        match slot {
            Slot::Request => Some(&self.plan.request),
            Slot::StepRequest(index) => self.plan.steps.get(index.get()).map(|step| &step.request),
            Slot::UndoRequest(index) => self.steps.get(index.get())?.undo.as_ref()?.request.as_ref(),
            Slot::StepAnswer(_)
            | Slot::UndoAnswer(_)
            | Slot::Before(_)
            | Slot::Final
            | Slot::Callback
            | Slot::Webhook => None,
        }
    }

    /// The answer in `slot`, if there is one.
    pub fn answer_in(&self, slot: Slot) -> Option<&Answer> {
        match slot {
            Slot::StepAnswer(index) => self.steps.get(index.get())?.course.answer.as_ref(),
            Slot::UndoAnswer(index) => self.steps.get(index.get())?.undo.as_ref()?.course.answer.as_ref(),
            Slot::Final => self.response(),
            Slot::Request
            | Slot::StepRequest(_)
            | Slot::UndoRequest(_)
            | Slot::Before(_)
            | Slot::Callback
            | Slot::Webhook => None,
        }
    }

    /// The body of the message in `slot`, if there is such a message. [`Slot::Before`] has no message; its body stands apart.
    pub fn message_body(&self, slot: Slot) -> Option<&Body> {
        let request = self.request_in(slot).map(|request| &request.body);
        request.or_else(|| self.answer_in(slot).map(|answer| &answer.body))
    }

    /// The slots of the messages whose bodies stand apart from the record.
    pub fn bodies_apart(&self) -> impl Iterator<Item = Slot> {
        let of_steps = self.plan.indexed_steps().flat_map(|(step, _)| {
            [Slot::StepRequest(step), Slot::StepAnswer(step), Slot::UndoRequest(step), Slot::UndoAnswer(step)]
        });
        let is_apart = |body: &Body| matches!(body.0, Content::Apart { .. });
        [Slot::Request, Slot::Final]
            .into_iter()
            .chain(of_steps)
            .filter(move |slot| self.message_body(*slot).is_some_and(is_apart))
    }
}
