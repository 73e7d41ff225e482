//! What a person is needed for, with the answers that each note takes.

use askama::Template;
use fanfold_core::operation::AttentionReason;
use fanfold_core::story::Tone;
use fanfold_store::{AttentionId, NoteFilter};
use jiff::Timestamp;

use super::form::Form;
use super::questions::answer_button;
use super::shell::{Place, Shell};
use super::words::{Chip, Stamp, short};
use super::{OK, page};
use crate::http::native::attention::{NoteForm, notes};
use crate::http::outcome::{Response, Stop};
use crate::http::page as pages;
use crate::http::page::Token;
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Notes on a page.
const NOTES: usize = 50;

/// A note as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoteView {
    pub(super) id: u64,
    pub(super) operation: String,
    pub(super) short: String,
    pub(super) target: Option<String>,
    pub(super) reason: Chip,
    pub(super) means: &'static str,
    pub(super) detail: String,
    pub(super) opened: Stamp,
    /// What can be done: the last part of its path, and what the button says.
    pub(super) answers: Vec<(&'static str, &'static str)>,
    pub(super) closed: Option<String>,
}

#[derive(Template)]
#[template(path = "attention.html")]
struct Attention {
    shell: Shell,
    notes: Vec<NoteView>,
    shows_closed: bool,
    next: Option<String>,
}

/// `GET /ui/attention`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let form = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let shows_closed = form.one("state") == Some("closed");
    let filter = NoteFilter {
        tenant: visit.caller.access.tenant.clone(),
        scope: visit.caller.access.scope.clone(),
        open: Some(!shows_closed),
        target: form.one("target").map(Into::into),
        ..NoteFilter::default()
    };
    let after = pages::number_key(form.one("page_token"))?.map(AttentionId);
    let (forms, next) = notes(shared, &filter, after, NOTES).await?;
    let now = shared.clock.now();
    let state = if shows_closed { "closed" } else { "open" };
    let shell = Shell::of(shared, &visit.caller, Place::Attention, "Needs attention").await;
    let again = visit.head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let page = Attention {
        notes: forms.into_iter().map(|form| NoteView::of(form, now, &shell)).collect(),
        shell: shell.live("/ui/live", again).having_done(form.one("done")),
        shows_closed,
        next: next.map(|token| format!("/ui/attention?state={state}&page_token={}", Token::text(token))),
    };
    page::render(OK, &page)
}

impl NoteView {
    pub(super) fn of(form: NoteForm, now: Timestamp, shell: &Shell) -> Self {
        let mut answers: Vec<_> = form.answers.iter().map(|answer| (answer.as_str(), answer_button(*answer))).collect();
        if form.operation_ended && form.closed.is_none() {
            answers.push(("acknowledge", "Acknowledge"));
        }
        answers.retain(|(answer, _)| shell.may(&format!("/ui/attention/{}/{answer}", form.id)));
        let (word, means) = reason(form.reason);
        let tone = if form.closed.is_some() { Tone::Plain } else { Tone::Bad };
        Self {
            id: form.id,
            short: short(&form.operation),
            operation: form.operation.to_string(),
            target: form.target,
            reason: Chip::new(tone, word),
            means,
            detail: form.detail,
            opened: Stamp::of(form.opened_at, now),
            answers,
            closed: form.closed.map(|closed| {
                let remark = closed.remark.map(|remark| format!(": {remark}")).unwrap_or_default();
                format!("closed by {} at {}{remark}", closed.by, closed.at.strftime("%Y-%m-%d %H:%M:%S UTC"))
            }),
        }
    }
}

fn reason(reason: AttentionReason) -> (&'static str, &'static str) {
    match reason {
        AttentionReason::OutcomeUnknown => {
            ("outcome unknown", "Nobody knows whether the target applied the request. Look there, and say which.")
        }
        AttentionReason::UndoFailed => {
            ("undo failed", "What succeeded could not be undone. Put the target right by hand, then acknowledge.")
        }
        AttentionReason::NoUndo => {
            ("no undo", "What succeeded stays, since the route has no undo. Decide what is right, then acknowledge.")
        }
        AttentionReason::NotConsistent => (
            "not consistent",
            "The target says that its data is in neither state. Put it right by hand, then acknowledge.",
        ),
        AttentionReason::ChoiceNeeded => ("choice needed", "A step failed, and the route asks a person how to go on."),
        AttentionReason::TargetMissing => {
            ("target missing", "The target is no longer configured. Configure it again, or cancel the operation.")
        }
        AttentionReason::Restored => {
            ("restored", "It came from a backup, which does not know what has happened since. Release or cancel it.")
        }
    }
}
