//! What all pages have around them.

use std::collections::BTreeSet;

use fanfold_core::Access;
use fanfold_store::{NoteFilter, Page};

use super::assets;
use crate::http::auth::{Caller, Credential};
use crate::http::server::Shared;

/// Open notes that are counted for the badge; more are shown as so many and a plus.
const BADGE_MAX: usize = 99;

/// A page in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Now,
    Operations,
    Attention,
    Targets,
    Routes,
    Notices,
    Nowhere,
}

/// One entry of the navigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) is_here: bool,
    pub(super) badge: Option<String>,
}

/// The frame of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) nav: Vec<Entry>,
    /// The stream that tells of changes, where the page is kept up to date.
    pub(super) stream: Option<String>,
    /// What the page asks for when something has changed.
    pub(super) again: String,
    /// What was just done.
    pub(super) done: Option<&'static str>,
    pub(super) draining: bool,
    pub(super) trouble: Option<&'static str>,
    pub(super) version: &'static str,
    pub(super) time: String,
    /// Whoever the page is for, where callers have to say who they are.
    pub(super) who: Option<Who>,
    /// Whether links to the native API lead anywhere: it takes no session.
    pub(super) links_to_api: bool,
    access: Access,
}

/// Whoever a page is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) name: String,
    /// Where it is not the house's own.
    pub(super) tenant: Option<String>,
    /// Whether they have a session that can be ended.
    pub(super) is_signed_in: bool,
}

impl Shell {
    /// What is around the page of a caller.
    pub(super) async fn of(shared: &Shared, caller: &Caller, here: Place, title: &str) -> Self {
        if caller.credential == Credential::Nothing {
            return Self::of_nobody(shared, title);
        }
        let badge = open_notes(shared, caller).await;
        let entry = |place, path, name| Entry {
            path,
            name,
            is_here: place == here,
            badge: badge.clone().filter(|_| place == Place::Attention),
        };
        let nav = [
            entry(Place::Now, "/ui", "Now"),
            entry(Place::Operations, "/ui/operations", "Operations"),
            entry(Place::Attention, "/ui/attention", "Attention"),
            entry(Place::Targets, "/ui/targets", "Targets"),
            entry(Place::Routes, "/ui/routes", "Routes"),
            entry(Place::Notices, "/ui/notices", "Notices"),
        ];
        let Access { tenant, .. } = &caller.access;
        let is_signed_in = matches!(caller.credential, Credential::Session { .. });
        let who = Who {
            name: caller.name.clone(),
            tenant: (!caller.access.is_of_the_house()).then(|| tenant.to_string()),
            is_signed_in,
        };
        Self {
            nav: nav.into(),
            draining: shared.engine.is_draining(),
            trouble: shared.store.trouble().as_ref().map(crate::http::system::trouble_in_words),
            who: caller.credential.is_shown().then_some(who),
            links_to_api: !is_signed_in,
            access: caller.access.clone(),
            ..Self::of_nobody(shared, title)
        }
    }

    /// What is around a page for whoever is not known: nothing of the server.
    pub(super) fn of_nobody(shared: &Shared, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            nav: Vec::new(),
            stream: None,
            again: String::new(),
            done: None,
            draining: false,
            trouble: None,
            version: env!("CARGO_PKG_VERSION"),
            time: shared.clock.now().strftime("%H:%M:%S UTC").to_string(),
            who: None,
            links_to_api: false,
            access: Access { roles: BTreeSet::new(), ..Access::full() },
        }
    }

    /// Whether whoever the page is for may go there: what guards the path says whether there is a link to it.
    pub(super) fn may(&self, path: &str) -> bool {
        super::needs(path).are_met_by(&self.access)
    }

    /// Kept up to date: by `stream`, from `again`.
    pub(super) fn live(self, stream: impl Into<String>, again: impl Into<String>) -> Self {
        Self { stream: Some(stream.into()), again: again.into(), ..self }
    }

    /// With what was just done, by the word that stands in the query.
    pub(super) fn having_done(self, word: Option<&str>) -> Self {
        Self { done: word.and_then(done), ..self }
    }

    /// The address of a file of ours; another one whenever it changes, so that browsers may keep it.
    #[expect(clippy::unused_self, reason = "templates call it")]
    pub(super) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }
}

/// How many notes wait for a person. That it cannot be read is told by everything else on the page.
async fn open_notes(shared: &Shared, caller: &Caller) -> Option<String> {
    let Access { tenant, scope, .. } = caller.access.clone();
    let filter = NoteFilter { tenant, scope, open: Some(true), ..NoteFilter::default() };
    let notes = shared.store.notes(&filter, Page::newest(BADGE_MAX + 1)).await.ok()?;
    match notes.len() {
        0 => None,
        count if count > BADGE_MAX => Some(format!("{BADGE_MAX}+")),
        count => Some(count.to_string()),
    }
}

fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "canceled" => "Canceling is on its way.",
        "retried" => "This is the retry; it calls what is not in the requested state.",
        "extended" => "The deadline was moved.",
        "released" => "It was released, and goes on.",
        "held" => "The target is on hold: nothing new is sent to it.",
        "replayed" => "It is sent again.",
        "resolved" => "The answer was recorded; the operation goes on.",
        "acknowledged" => "The note is closed.",
        "draining" => "Nothing new is accepted any more.",
        "signed_out" => "You are signed out.",
        "resumed" => "New requests are accepted again.",
        _ => return None,
    })
}
