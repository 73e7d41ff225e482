//! What a caller must be for which request. A request that needs more than its caller has is answered as if there were nothing:
//! what somebody may not do does not exist for them.

use fanfold_core::dialect::{OwnRequest, Refusal};
use fanfold_core::route::{Handling, Route};
use fanfold_core::{Access, Role};
use http::Method;

use super::Caller;
use crate::http::door::{Door, System};
use crate::http::{native, ui};

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Needs {
    /// Nothing: everybody may have it, known or not.
    Nothing,
    /// To be known.
    Known,
    /// A role.
    Role(Role),
    /// A role in the house's own tenant: it is about the whole server.
    House(Role),
}

/// Methods that change nothing, here and at targets (RFC 9110, section 9.2.1).
pub(in crate::http) const SAFE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

impl Needs {
    /// What a request for this door needs.
    pub(in crate::http) fn of(door: &Door, method: &Method, path: &str) -> Self {
        match door {
            Door::System(System::Health | System::Readiness) => Self::Nothing,
            Door::System(System::Metrics) => Self::Role(Role::Monitor),
            Door::System(System::Document) => Self::Known,
            Door::Native => native::needs(path),
            Door::Console => ui::needs(path),
            Door::Own(OwnRequest::List { .. } | OwnRequest::Detail { .. }) => Self::Role(Role::Read),
            // Whoever runs lower operations has no credentials of ours. What they say is not believed: it makes us ask.
            Door::Own(OwnRequest::Notified { .. }) => Self::Nothing,
            Door::Route { route, .. } => Self::Role(match &route.handling {
                Handling::Operation(_) => Role::Submit,
                Handling::Pass(_) if SAFE.contains(method) => Role::Read,
                Handling::Pass(_) => Role::Submit,
            }),
            // What is wrong with a request is told to nobody who is not known.
            Door::Closed(_) => Self::Known,
        }
    }

    /// Whether whoever has this access is what is needed.
    pub(in crate::http) fn are_met_by(self, access: &Access) -> bool {
        match self {
            Self::Nothing | Self::Known => true,
            Self::Role(role) => access.has(role),
            Self::House(role) => access.is_of_the_house() && access.has(role),
        }
    }
}

/// Refuses a request for a door that its caller may not go through, in the words that are used where there is none.
///
/// # Errors
/// [`Refusal::NotFound`].
pub(in crate::http) fn check(needs: Needs, door: &Door, caller: &Caller) -> Result<(), Refusal> {
    let is_meant = match door {
        Door::Route { route, .. } => is_meant(route, caller),
        Door::System(_) | Door::Native | Door::Console | Door::Own(_) | Door::Closed(_) => true,
    };
    if is_meant && needs.are_met_by(&caller.access) {
        return Ok(());
    }
    Err(match door {
        Door::Native => native::no_such_path(),
        Door::Console => ui::no_such_page(),
        Door::System(_) | Door::Own(_) | Door::Route { .. } | Door::Closed(_) => no_such_route(),
    })
}

fn is_meant(route: &Route, caller: &Caller) -> bool {
    let scope = &caller.access.scope;
    let has_target = match &route.handling {
        Handling::Pass(target) => scope.has_target(target),
        // Which targets it goes to is known once the plan is worked out; the engine looks at the scope then.
        Handling::Operation(_) => true,
    };
    has_target && scope.has_route(&route.name)
}

/// What is said of a path that no route answers.
pub(in crate::http) fn no_such_route() -> Refusal {
    Refusal::NotFound { detail: "no route answers this path, or it is not for you".to_owned() }
}
