//! Who is told of ends, and the letters that nobody took.

use askama::Template;
use fanfold_core::Access;
use fanfold_core::story::Tone;
use fanfold_store::{NoticeFilter, NoticeState};
use jiff::Timestamp;

use super::form::Form;
use super::shell::{Place, Shell};
use super::words::{Chip, Stamp, short};
use super::{OK, page};
use crate::http::native::notices::{NoticeForm, notices};
use crate::http::outcome::{Response, Stop};
use crate::http::page as pages;
use crate::http::page::Token;
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Notices on a page.
const NOTICES: usize = 50;

/// A notice as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoticeView {
    pub(super) id: String,
    pub(super) operation: String,
    pub(super) short: String,
    pub(super) kind: String,
    pub(super) state: Chip,
    /// Whether it may be sent again by whoever looks at it.
    pub(super) may_replay: bool,
    pub(super) to: String,
    pub(super) attempts: u32,
    pub(super) error: Option<String>,
    pub(super) created: Stamp,
    /// When it is sent next, or was delivered or given up.
    pub(super) then: Option<Stamp>,
}

#[derive(Template)]
#[template(path = "notices.html")]
struct Notices {
    shell: Shell,
    notices: Vec<NoticeView>,
    /// The word of each state, what the link says, and whether it is this one.
    states: Vec<(&'static str, &'static str, bool)>,
    shows_dead: bool,
    next: Option<String>,
}

/// `GET /ui/notices`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let form = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let asked = form.one("state");
    let state = NoticeState::ALL.into_iter().find(|state| Some(state.as_str()) == asked);
    let Access { tenant, scope, .. } = visit.caller.access.clone();
    let filter = NoticeFilter { tenant, scope, state, ..NoticeFilter::default() };
    let after = pages::number_key(form.one("page_token"))?;
    let (forms, next) = notices(shared, &filter, after, NOTICES).await?;
    let now = shared.clock.now();
    let shell = Shell::of(shared, &visit.caller, Place::Notices, "Notices").await;
    let again = visit.head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let word = state.map_or("", NoticeState::as_str);
    let link = |token: Token| format!("/ui/notices?state={word}&page_token={}", token.text());
    let page = Notices {
        notices: forms.into_iter().map(|form| NoticeView::of(form, now, &shell)).collect(),
        shell: shell.live("/ui/live", again).having_done(form.one("done")),
        states: [("", "All"), ("pending", "Pending"), ("delivered", "Delivered"), ("dead", "Dead letters")]
            .map(|(value, name)| (value, name, value == word))
            .into(),
        shows_dead: state == Some(NoticeState::Dead),
        next: next.map(link),
    };
    page::render(OK, &page)
}

impl NoticeView {
    pub(super) fn of(form: NoticeForm, now: Timestamp, shell: &Shell) -> Self {
        let tone = match form.state {
            "delivered" => Tone::Good,
            "dead" => Tone::Bad,
            _ => Tone::Busy,
        };
        Self {
            may_replay: form.state == "dead" && shell.may(&format!("/ui/notices/{}/replay", form.id)),
            id: form.id,
            short: short(&form.operation),
            operation: form.operation.to_string(),
            kind: form.kind,
            state: Chip::new(tone, form.state),
            to: format!("{} {}", form.method, form.url),
            attempts: form.attempts,
            error: form.last_error,
            created: Stamp::of(form.created_at, now),
            then: form.due_at.or(form.settled_at).map(|at| Stamp::of(at, now)),
        }
    }
}
