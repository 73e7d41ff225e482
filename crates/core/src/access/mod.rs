//! Who may do what: roles, the scope that narrows them, the secrets that callers show ([`secret`]), what names a token
//! without being one ([`token`]), and what of all that people do is written down ([`audit`]).
//!
//! Whoever makes a request has an [`Access`]. What a request needs is a [`Role`] and, where it is about an operation, that the
//! operation is seen at all: one that is not does not exist for the caller.

pub mod audit;
pub mod secret;
pub mod token;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::{Operation, Plan, TargetName, TenantId};

pub use secret::{BadSecret, Secret, SecretDigest};
pub use token::TokenId;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Start operations, and pass requests through that change something.
    Submit,
    /// See operations, targets, routes and notices, and pass requests through that change nothing.
    Read,
    /// Cancel, retry, resolve, extend, hold, release and replay; and all that [`Role::Read`] may.
    Operate,
    /// See the metrics of the whole server, and nothing else.
    Monitor,
    /// Manage tokens, read the audit trail, drain; and all that the others may.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Submit, Self::Read, Self::Operate, Self::Monitor, Self::Admin];

    /// The word that stands for it everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Monitor => "monitor",
            Self::Admin => "admin",
        }
    }

    /// Whether whoever has this role has the other one too.
    pub fn includes(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operate => matches!(other, Self::Operate | Self::Read),
            Self::Submit | Self::Read | Self::Monitor => self == other,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role: expected one of submit, read, operate, monitor, admin")]
pub struct BadRole;

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(BadRole)
    }
}

/// Characters of a name at the most: of a token, or of a tenant.
const NAME_MAX: usize = 64;

/// What a name is, in words.
pub const A_NAME: &str = "1 to 64 letters (of ASCII), digits and any of . _ - @";

/// Whether a text can be the name of a token or of a tenant: it goes into addresses, records and logs as it is.
pub fn is_name(text: &str) -> bool {
    let is_fit = |octet: u8| octet.is_ascii_alphanumeric() || b"._-@".contains(&octet);
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_fit)
}

/// What of a tenant's is meant. The default is all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// The routes, by name; `None`: every route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<BTreeSet<String>>,
    /// The targets; `None`: every target. An operation is meant only if all its targets are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeSet<String>>")]
    pub targets: Option<BTreeSet<TargetName>>,
}

impl Scope {
    /// Whether everything is meant.
    pub fn is_all(&self) -> bool {
        self.routes.is_none() && self.targets.is_none()
    }

    /// Whether a route is meant.
    pub fn has_route(&self, route: &str) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.contains(route))
    }

    /// Whether a target is meant.
    pub fn has_target(&self, target: &TargetName) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.contains(target))
    }

    /// Whether a target is meant by its name, and not merely because all are.
    pub fn names_target(&self, target: &TargetName) -> bool {
        self.targets.as_ref().is_some_and(|targets| targets.contains(target))
    }

    /// Whether all that `narrow` means is meant.
    pub fn includes(&self, narrow: &Self) -> bool {
        is_within(self.routes.as_ref(), narrow.routes.as_ref())
            && is_within(self.targets.as_ref(), narrow.targets.as_ref())
    }

    /// Whether an operation of this plan is meant.
    pub fn has(&self, plan: &Plan) -> bool {
        self.has_route(&plan.route) && plan.steps.iter().all(|step| self.has_target(&step.target))
    }

    /// Refuses a plan for a target that is not meant, in the words that are used for one that does not exist.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn check(&self, plan: &Plan) -> Result<(), Refusal> {
        let foreign = plan.steps.iter().find(|step| !self.has_target(&step.target));
        foreign.map_or(Ok(()), |step| Err(Refusal::no_target(&step.target_id)))
    }
}

/// Whose operations somebody sees, and what they may do with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Access {
    /// Whose operations. [`TenantId::default`] is the house's own: what concerns the whole server is for its people only.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// What may be done.
    pub roles: BTreeSet<Role>,
    /// With what.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Access {
    /// Everything, in the house's own tenant.
    pub fn full() -> Self {
        Self { tenant: TenantId::default(), roles: [Role::Admin].into(), scope: Scope::default() }
    }

    /// Whether a role is among those that were given, or included in one of them. Metrics tell of all tenants, so nobody but
    /// the house's own people has [`Role::Monitor`].
    pub fn has(&self, role: Role) -> bool {
        let is_possible = role != Role::Monitor || self.is_of_the_house();
        is_possible && self.roles.iter().any(|given| given.includes(role))
    }

    /// Whether it is of the house's own tenant.
    pub fn is_of_the_house(&self) -> bool {
        self.tenant == TenantId::default()
    }

    /// Whether an operation exists for whoever has this access.
    pub fn sees(&self, operation: &Operation) -> bool {
        operation.tenant == self.tenant && self.scope.has(&operation.plan)
    }

    /// Whether a target may be held and released. That concerns everybody who uses the target, so whoever is not of the house
    /// must have been given it by name.
    pub fn may_hold(&self, target: &TargetName) -> bool {
        let has_target = if self.is_of_the_house() { Scope::has_target } else { Scope::names_target };
        self.has(Role::Operate) && has_target(&self.scope, target)
    }

    /// Whether whoever has this access may give `other` to somebody: nobody gives more than they have.
    pub fn may_give(&self, other: &Self) -> bool {
        let is_theirs = self.is_of_the_house() || self.tenant == other.tenant;
        is_theirs && self.has(Role::Admin) && self.scope.includes(&other.scope)
    }
}

/// Whether what is meant by the second is meant by the first; `None` means everything.
fn is_within<T: Ord>(wide: Option<&BTreeSet<T>>, narrow: Option<&BTreeSet<T>>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => narrow.is_subset(wide),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests;
