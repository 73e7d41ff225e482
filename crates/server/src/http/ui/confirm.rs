//! The page that asks before something is done, and says what it will do.

use askama::Template;

use super::shell::{Place, Shell};
use super::{OK, page};
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// A question, with what is to be filled in.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub(super) shell: Shell,
    /// Where the form is sent.
    pub(super) action: String,
    /// What will be done, a sentence each.
    pub(super) says: Vec<String>,
    pub(super) fields: Vec<Field>,
    /// What the button says.
    pub(super) button: &'static str,
    /// Whether it may do harm.
    pub(super) is_grave: bool,
    /// Where to go without doing it.
    pub(super) back: String,
}

/// Something to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) kind: Kind,
}

/// How it is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Line { value: &'static str, required: bool },
    Tick,
}

/// What is to be asked.
pub(super) struct Question {
    pub(super) title: String,
    pub(super) says: Vec<String>,
    pub(super) fields: Vec<Field>,
    pub(super) button: &'static str,
    pub(super) is_grave: bool,
    pub(super) back: String,
}

impl Question {
    /// The page that asks it.
    pub(super) async fn ask(self, shared: &Shared, visit: &Visit, here: Place) -> Result<Response, Stop> {
        let Self { title, says, fields, button, is_grave, back } = self;
        let shell = Shell::of(shared, &visit.caller, here, &title).await;
        let action = visit.head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        page::render(OK, &Confirm { shell, action, says, fields, button, is_grave, back })
    }
}

impl Field {
    /// Why somebody does it.
    pub(super) fn remark() -> Self {
        Self {
            name: "remark",
            label: "Remark",
            hint: "Why, for those who read the record later. May be left empty.",
            kind: Kind::Line { value: "", required: false },
        }
    }
}
