//! What is asked before something is done, in words that say what it will do.

use fanfold_core::dialect::native::{OperationDetail, OutcomeWord, TargetForm, TargetPhase};
use fanfold_core::operation::{Consistency, Phase, Status, UndoEnd};
use fanfold_engine::Resolution;
use fanfold_store::Note;

use super::confirm::{Field, Kind, Question};
use crate::http::native::notices;

/// Dead letters that are sent again at once.
pub(super) const REPLAY_MAX: usize = 1_000;

/// Names as a sentence has them.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

fn names(detail: &OperationDetail, fits: impl Fn(&TargetForm) -> bool) -> Vec<&str> {
    detail.targets.iter().filter(|target| fits(target)).map(|target| target.name.as_str()).collect()
}

fn about(detail: &OperationDetail) -> String {
    format!("{} {}", detail.request.method, detail.request.uri)
}

fn back(detail: &OperationDetail) -> String {
    format!("/ui/operations/{}", detail.summary.id)
}

pub(super) fn cancel(detail: &OperationDetail) -> Question {
    let summary = &detail.summary;
    let mut says = Vec::new();
    match (summary.status, summary.phase) {
        (Status::Unexecuted, _) => {
            says.push("It has not begun: it ends canceled at once, and nothing is sent.".to_owned())
        }
        (Status::Completed | Status::Failed | Status::Canceled, _) => {
            says.push("It has ended already: there is nothing to cancel.".to_owned());
        }
        (Status::Executing, Some(Phase::RollingBack)) => {
            says.push("It is rolling back already: canceling changes nothing, and it ends failed.".to_owned());
        }
        (Status::Executing, _) => says.extend(cancel_running(detail)),
    }
    Question {
        title: format!("Cancel {}?", about(detail)),
        says,
        fields: Vec::new(),
        button: "Cancel the operation",
        is_grave: true,
        back: back(detail),
    }
}

fn cancel_running(detail: &OperationDetail) -> Vec<String> {
    let on_the_wire = |target: &TargetForm| {
        matches!(target.phase, Some(TargetPhase::Calling | TargetPhase::Following | TargetPhase::Probing))
    };
    let not_begun = |target: &TargetForm| target.outcome.is_none() && !on_the_wire(target) && target.attempts == 0;
    let mut says = Vec::new();
    for (names, what) in [
        (names(detail, |target| target.outcome == Some(OutcomeWord::Succeeded)), "is undone"),
        (names(detail, on_the_wire), "is on the wire: its answer is awaited, and a success is undone"),
        (names(detail, not_begun), "is not called any more"),
    ] {
        if !names.is_empty() {
            says.push(format!("{}: what was asked {what}.", listed(&names)));
        }
    }
    says.push("Then it ends canceled. What cannot be undone is flagged for a person.".to_owned());
    says
}

pub(super) fn retry(detail: &OperationDetail) -> Question {
    let is_there = |target: &TargetForm| target.consistency == Some(Consistency::Updated) || stays(target);
    let unknown = names(detail, |target| target.outcome == Some(OutcomeWord::Unknown));
    let called = names(detail, |target| !is_there(target));
    let (left_out, not_undone) = (names(detail, |target| is_there(target) && !stays(target)), names(detail, stays));
    let mut says =
        vec![format!("A new operation, linked with this one, sends the request again to {}.", listed(&called))];
    if !left_out.is_empty() {
        says.push(format!("{}: in the requested state already, and not called.", listed(&left_out)));
    }
    if !not_undone.is_empty() {
        let who = listed(&not_undone);
        says.push(format!(
            "{who}: not called, since it succeeded there and could not be undone. If somebody has taken it away by hand, put it back \
             by hand."
        ));
    }
    let mut fields = Vec::new();
    if !unknown.is_empty() {
        says.push(format!("What became of the request at {} is not known: it may be done twice.", listed(&unknown)));
        fields.push(Field {
            name: "force",
            label: "Send it all the same",
            hint: "Somebody has looked at the target: doing it again is right.",
            kind: Kind::Tick,
        });
    }
    Question {
        title: format!("Retry {}?", about(detail)),
        says,
        fields,
        button: "Retry",
        is_grave: !unknown.is_empty(),
        back: back(detail),
    }
}

/// What succeeded there is there still, as its undo was not done: it is not called again (`fanfold_core::retry`).
pub(super) fn stays(target: &TargetForm) -> bool {
    let undo = target.undo.as_ref().and_then(|undo| undo.outcome);
    target.outcome == Some(OutcomeWord::Succeeded)
        && matches!(undo, Some(UndoEnd::Failed | UndoEnd::Conflict | UndoEnd::NotPossible))
}

pub(super) fn extend(detail: &OperationDetail) -> Question {
    let until = detail.deadline_at.map_or("It has no running deadline at the moment.".to_owned(), |at| {
        format!("Forward work may go on until {} now.", at.strftime("%Y-%m-%d %H:%M:%S UTC"))
    });
    Question {
        title: format!("Give {} more time?", about(detail)),
        says: vec![until, "Undos have no deadline, and are not affected.".to_owned()],
        fields: vec![Field {
            name: "by",
            label: "By",
            hint: "A span of time such as 30m, 2h or 7d.",
            kind: Kind::Line { value: "1h", required: true },
        }],
        button: "Move the deadline",
        is_grave: false,
        back: back(detail),
    }
}

pub(super) fn release_restored(detail: &OperationDetail) -> Question {
    Question {
        title: format!("Release {}?", about(detail)),
        says: vec![
            "It came from a backup, which does not know what has happened since.".to_owned(),
            "It goes on from where the backup has it: what is not recorded as done there is sent, perhaps for the second time."
                .to_owned(),
        ],
        fields: vec![Field::remark()],
        button: "Release",
        is_grave: true,
        back: back(detail),
    }
}

pub(super) fn hold(name: &str) -> Question {
    Question {
        title: format!("Hold {name} back?"),
        says: vec![
            "No new attempt of any kind is sent to it; what is on the wire is awaited.".to_owned(),
            "What waits for it waits in order, and its deadlines stand still.".to_owned(),
        ],
        fields: vec![Field {
            name: "reason",
            label: "Reason",
            hint: "For those who wonder why. May be left empty.",
            kind: Kind::Line { value: "", required: false },
        }],
        button: "Hold",
        is_grave: false,
        back: "/ui/targets".to_owned(),
    }
}

pub(super) fn release(name: &str) -> Question {
    Question {
        title: format!("Release {name}?"),
        says: vec!["What waits for it is sent, in order and within its limits.".to_owned()],
        fields: Vec::new(),
        button: "Release",
        is_grave: false,
        back: "/ui/targets".to_owned(),
    }
}

/// What the button of each answer to a note says, wherever it stands.
pub(super) fn answer_button(answer: Resolution) -> &'static str {
    match answer {
        Resolution::Applied => "It was applied",
        Resolution::NotApplied => "It was not applied",
        Resolution::Retry => "Try again",
        Resolution::RollBack => "Roll back",
        Resolution::EndAsItIs => "End it as it is",
        Resolution::Release => "Release",
    }
}

/// What each answer to a note asks, and what it does.
fn answer_words(answer: Resolution) -> (&'static str, &'static [&'static str]) {
    match answer {
        Resolution::Applied => (
            "The target applied the request?",
            &[
                "Somebody has looked at the target, and the change is there.",
                "The step counts as succeeded; if the operation fails elsewhere, it is undone.",
            ],
        ),
        Resolution::NotApplied => (
            "The target did not apply the request?",
            &[
                "Somebody has looked at the target, and the change is not there, and will not come.",
                "The step counts as failed; nothing is undone at this target.",
            ],
        ),
        Resolution::Retry => ("Try again?", &["What failed is sent again, and what was skipped is run."]),
        Resolution::RollBack => ("Roll back?", &["What succeeded is undone, and the operation ends failed."]),
        Resolution::EndAsItIs => (
            "End it as it is?",
            &["Nothing more is sent, not even an undo: what succeeded stays, and the operation ends failed."],
        ),
        Resolution::Release => (
            "Release it?",
            &[
                "It came from a backup, and goes on from where that has it: what is not recorded as done there is sent, perhaps for the second time.",
            ],
        ),
    }
}

pub(super) fn answer_note(note: &Note, id: &str, answer: Resolution) -> Question {
    let (title, says) = answer_words(answer);
    let target = note.attention.target.as_ref().map(|target| format!("{target}: ")).unwrap_or_default();
    let mut lines = vec![format!("Note {id}: {}", note.attention.detail)];
    lines.extend(says.iter().map(|line| (*line).to_owned()));
    Question {
        title: format!("{target}{title}"),
        says: lines,
        fields: vec![Field::remark()],
        button: answer_button(answer),
        is_grave: true,
        back: format!("/ui/operations/{}", note.operation),
    }
}

pub(super) fn acknowledge(note: &Note) -> Question {
    let mut says = vec![note.attention.detail.clone()];
    if note.ended {
        says.push("The note is closed. Nothing else changes: nothing is sent to any target.".to_owned());
    } else {
        says.push("Its operation runs still: a note can be acknowledged once that has ended.".to_owned());
    }
    Question {
        title: "Close this note?".to_owned(),
        says,
        fields: vec![Field::remark()],
        button: "Acknowledge",
        is_grave: false,
        back: format!("/ui/operations/{}", note.operation),
    }
}

pub(super) fn replay(notice: &notices::NoticeForm) -> Question {
    Question {
        title: "Send this notice again?".to_owned(),
        says: vec![
            format!("{} {}", notice.method, notice.url),
            "It has the id that it had before, so that its receiver can tell that it is the same.".to_owned(),
        ],
        fields: Vec::new(),
        button: "Send again",
        is_grave: false,
        back: "/ui/notices?state=dead".to_owned(),
    }
}

pub(super) fn replay_dead() -> Question {
    Question {
        title: "Send all dead letters again?".to_owned(),
        says: vec![
            format!("The oldest {REPLAY_MAX} at the most are taken up again, each with the id that it had before."),
            "Mend the receiver first: those that fail again come back here.".to_owned(),
        ],
        fields: Vec::new(),
        button: "Send them again",
        is_grave: false,
        back: "/ui/notices?state=dead".to_owned(),
    }
}

pub(super) fn drain() -> Question {
    Question {
        title: "Accept nothing new?".to_owned(),
        says: vec![
            "New requests are refused with 503 until accepting is switched on again, or this server starts anew."
                .to_owned(),
            "What was accepted goes on to its end. Other nodes are not affected.".to_owned(),
        ],
        fields: Vec::new(),
        button: "Drain",
        is_grave: true,
        back: "/ui".to_owned(),
    }
}

pub(super) fn resume() -> Question {
    Question {
        title: "Accept again?".to_owned(),
        says: vec!["New requests are accepted from now on.".to_owned()],
        fields: Vec::new(),
        button: "Accept again",
        is_grave: false,
        back: "/ui".to_owned(),
    }
}
