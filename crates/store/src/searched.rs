//! What a search for a text looks at: addresses, ids and errors in their public forms, never a body.

use fanfold_core::Operation;
use fanfold_core::operation::{Send, StepPhase, UndoPhase};

/// Octets of one operation that are searched at the most; the errors of hundreds of targets would be no help to anybody.
const SEARCHED_MAX: usize = 4 * 1024;

/// The length of an id as text.
const ID_LENGTH: usize = 36;

/// Everything that is searched of an operation but its own id, in small letters, a line for each.
pub(crate) fn searched(operation: &Operation) -> String {
    let plan = &operation.plan;
    let mut lines = Lines::default();
    lines.add(&plan.request.uri);
    lines.add(&plan.resource);
    lines.add(&plan.route);
    if let Some(id) = &plan.resource_id {
        lines.add(id);
    }
    if let Some(id) = &plan.retry_of {
        lines.add(&id.to_string());
    }
    for step in &operation.steps {
        if let StepPhase::Sending(send) = &step.phase {
            lines.add_reference(send);
        }
        lines.add_trouble(step.course.trouble.as_ref());
        if let Some(undo) = &step.undo {
            if let UndoPhase::Sending(send) = &undo.phase {
                lines.add_reference(send);
            }
            lines.add_trouble(undo.course.trouble.as_ref());
        }
    }
    lines.0
}

/// The text that is searched for, as it is compared.
pub(crate) fn wanted(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// Whether such a text can be a part of an id.
pub(crate) fn may_be_of_id(wanted: &str) -> bool {
    wanted.len() <= ID_LENGTH && wanted.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    /// What stands there already is found already.
    fn add(&mut self, text: &str) {
        let text = text.to_ascii_lowercase();
        if self.0.contains(&text) {
            return;
        }
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        let room = SEARCHED_MAX.saturating_sub(self.0.len());
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.0.push_str(&text[..end]);
    }

    fn add_reference(&mut self, send: &Send) {
        match send {
            Send::Following(lower) => self.add(&lower.reference),
            Send::Due { .. } | Send::Calling { .. } | Send::BackingOff { .. } => {}
        }
    }

    fn add_trouble(&mut self, trouble: Option<&fanfold_core::operation::Trouble>) {
        if let Some(trouble) = trouble {
            self.add(&trouble.detail);
        }
    }
}
