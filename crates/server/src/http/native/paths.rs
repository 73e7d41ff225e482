//! The paths of the native API, as one table: requests are routed by it, and `/openapi.json` describes what stands in it.

use fanfold_core::Role;
use fanfold_core::access::audit::Action;
use http::Method;

use crate::http::audited::Audited;
use crate::http::auth::rules::Needs;

/// A path below the API, and what answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Path {
    /// Segments between slashes; one in braces stands for any.
    pub(in crate::http) pattern: &'static str,
    /// What answers it.
    pub(super) asked: Asked,
    /// What a request for it needs.
    pub(in crate::http) needs: Needs,
}

/// What a path of the API is about, and what is to be done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Read(Page),
    Change(Deed),
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Audit,
    Caller,
    Attention,
    Note,
    Events,
    Notices,
    Notice,
    Operations,
    Operation,
    EventsOfOne,
    History,
    Routes,
    Status,
    Targets,
    Target,
    Tokens,
    Token,
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Acknowledge,
    Resolve,
    Drain,
    Resume,
    /// Changes nothing, and has a body all the same.
    Plan,
    Replay,
    Cancel,
    Extend,
    Retry,
    ReleaseRestored,
    ReleaseAllRestored,
    CancelAll,
    RetryAll,
    Hold,
    Release,
    CreateToken,
    RevokeToken,
}

/// All of them. The first that fits counts, so a word stands before a segment that stands for any.
pub(in crate::http) const PATHS: [Path; 34] = [
    read("attention", Page::Attention, READ),
    read("attention/{id}", Page::Note, READ),
    change("attention/{id}/acknowledge", Deed::Acknowledge, OPERATE),
    change("attention/{id}/resolve", Deed::Resolve, OPERATE),
    read("audit", Page::Audit, ADMIN),
    read("caller", Page::Caller, Needs::Known),
    change("drain", Deed::Drain, HOUSE_ADMIN),
    read("events", Page::Events, READ),
    read("notices", Page::Notices, READ),
    read("notices/{id}", Page::Notice, READ),
    change("notices/{id}/replay", Deed::Replay, OPERATE),
    read("operations", Page::Operations, READ),
    change("operations/cancel", Deed::CancelAll, OPERATE),
    change("operations/retry", Deed::RetryAll, OPERATE),
    change("operations/release", Deed::ReleaseAllRestored, OPERATE),
    read("operations/{id}", Page::Operation, READ),
    change("operations/{id}/cancel", Deed::Cancel, OPERATE),
    read("operations/{id}/events", Page::EventsOfOne, READ),
    change("operations/{id}/extend", Deed::Extend, OPERATE),
    read("operations/{id}/history", Page::History, READ),
    change("operations/{id}/release", Deed::ReleaseRestored, OPERATE),
    change("operations/{id}/retry", Deed::Retry, OPERATE),
    change("plan", Deed::Plan, READ),
    change("resume", Deed::Resume, HOUSE_ADMIN),
    read("routes", Page::Routes, READ),
    read("status", Page::Status, READ),
    read("targets", Page::Targets, READ),
    read("targets/{name}", Page::Target, READ),
    change("targets/{name}/hold", Deed::Hold, OPERATE),
    change("targets/{name}/release", Deed::Release, OPERATE),
    read("tokens", Page::Tokens, ADMIN),
    change("tokens/create", Deed::CreateToken, ADMIN),
    read("tokens/{id}", Page::Token, ADMIN),
    change("tokens/{id}/revoke", Deed::RevokeToken, ADMIN),
];

const READ: Needs = Needs::Role(Role::Read);
const ADMIN: Needs = Needs::Role(Role::Admin);
const OPERATE: Needs = Needs::Role(Role::Operate);
/// It is about the whole server.
const HOUSE_ADMIN: Needs = Needs::House(Role::Admin);

const fn read(pattern: &'static str, page: Page, needs: Needs) -> Path {
    Path { pattern, asked: Asked::Read(page), needs }
}

const fn change(pattern: &'static str, deed: Deed, needs: Needs) -> Path {
    Path { pattern, asked: Asked::Change(deed), needs }
}

impl Deed {
    /// What goes into the audit trail of it by its path alone; `about`: what stands in its braces.
    pub(super) fn audited(self, about: &str) -> Option<Audited> {
        Some(match self {
            // Nothing is changed; and what is made, done with many, or only tried, is known once the body has been read.
            Self::Plan | Self::ReleaseAllRestored | Self::CancelAll | Self::RetryAll | Self::CreateToken => {
                return None;
            }
            Self::Acknowledge => Audited::other(Action::Acknowledge, about),
            Self::Resolve => Audited::other(Action::Resolve, about),
            Self::Drain => Audited::server(Action::Drain),
            Self::Resume => Audited::server(Action::Resume),
            Self::Replay => Audited::other(Action::Replay, about),
            Self::Cancel => Audited::operation(Action::Cancel, about),
            Self::Extend => Audited::operation(Action::Extend, about),
            Self::Retry => Audited::operation(Action::Retry, about),
            Self::ReleaseRestored => Audited::operation(Action::ReleaseRestored, about),
            Self::Hold => Audited::target(Action::Hold, about),
            Self::Release => Audited::target(Action::Release, about),
            Self::RevokeToken => Audited::other(Action::TokenRevoke, about),
        })
    }
}

impl Path {
    /// The path that these segments are, and what stands where its pattern has braces (empty: it has none).
    pub(super) fn find<'a>(segments: &[&'a str]) -> Option<(Self, &'a str)> {
        PATHS.into_iter().find_map(|path| Some((path, path.matched(segments)?)))
    }

    /// The methods that it takes.
    pub(in crate::http) fn methods(self) -> &'static [Method] {
        match self.asked {
            Asked::Read(_) => &[Method::GET, Method::HEAD],
            Asked::Change(_) => &[Method::POST],
        }
    }

    /// The parameters that its handler reads from the query; any other is refused.
    #[cfg(test)]
    pub(in crate::http) fn query(self) -> Vec<&'static str> {
        use super::{attention, audit, events, history, notices, operation, operations, tokens};
        match self.asked {
            Asked::Read(page) => match page {
                Page::Attention => attention::KNOWN.to_vec(),
                Page::Events => events::OF_ALL.to_vec(),
                Page::Notices => notices::KNOWN.to_vec(),
                Page::Operations => operations::KNOWN.to_vec(),
                Page::Operation => operation::KNOWN.to_vec(),
                Page::EventsOfOne => events::OF_ONE.to_vec(),
                Page::History => history::KNOWN.to_vec(),
                Page::Audit => audit::KNOWN.to_vec(),
                Page::Tokens => tokens::KNOWN.to_vec(),
                Page::Caller
                | Page::Note
                | Page::Notice
                | Page::Routes
                | Page::Status
                | Page::Targets
                | Page::Target
                | Page::Token => Vec::new(),
            },
            Asked::Change(deed) => match deed {
                Deed::ReleaseAllRestored | Deed::CancelAll | Deed::RetryAll => operations::choosing(),
                Deed::Acknowledge
                | Deed::Resolve
                | Deed::Drain
                | Deed::Resume
                | Deed::Plan
                | Deed::Replay
                | Deed::Cancel
                | Deed::Extend
                | Deed::Retry
                | Deed::ReleaseRestored
                | Deed::Hold
                | Deed::Release
                | Deed::CreateToken
                | Deed::RevokeToken => Vec::new(),
            },
        }
    }

    fn matched<'a>(self, segments: &[&'a str]) -> Option<&'a str> {
        let pattern: Vec<&str> = self.pattern.split('/').collect();
        if pattern.len() != segments.len() {
            return None;
        }
        let mut captured = "";
        for (expected, segment) in pattern.into_iter().zip(segments) {
            if expected.starts_with('{') {
                captured = segment;
            } else if expected != *segment {
                return None;
            }
        }
        Some(captured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_found_by_its_own_pattern() {
        for path in PATHS {
            let segments: Vec<&str> = path.pattern.split('/').collect();
            assert_eq!(Path::find(&segments).map(|(found, _)| found), Some(path));
        }
    }

    #[test]
    fn braces_stand_for_one_segment() {
        let found = |segments: &[&'static str]| Path::find(segments).map(|(path, captured)| (path.pattern, captured));
        assert_eq!(found(&["operations", "7"]), Some(("operations/{id}", "7")));
        assert_eq!(found(&["operations", "retry"]), Some(("operations/retry", "")));
        assert_eq!(found(&["operations", "retry", "retry"]), Some(("operations/{id}/retry", "retry")));
        assert_eq!(found(&["operations", "7", "8"]), None);
        assert_eq!(found(&[""]), None);
    }
}
