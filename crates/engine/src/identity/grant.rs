//! What a tenant and roles that somebody else names are worth here.

use std::collections::{BTreeMap, BTreeSet};

use fanfold_core::access::{self, Role, Scope};
use fanfold_core::{Access, TenantId};
use serde_json::{Map, Value as Json};

use super::reason::{Reason, Shown};

/// The longest name of somebody, in octets.
const NAME_BYTES_MAX: usize = 256;

/// What a role of theirs is worth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// The roles.
    pub roles: BTreeSet<Role>,
    /// What they are narrowed to.
    pub scope: Scope,
}

/// What each of their roles is worth, by its name. A role that is not here is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(pub BTreeMap<String, Grant>);

impl Grants {
    /// What somebody may who has these roles there. Each grant narrows: who has several has the roles of all of them, with what all
    /// of them mean, so that nobody gets a role for something that it was not given for.
    pub(super) fn access<'a>(&self, tenant: TenantId, theirs: impl IntoIterator<Item = &'a str>) -> Access {
        let mut access = Access { tenant, roles: BTreeSet::new(), scope: Scope::default() };
        for grant in theirs.into_iter().filter_map(|role| self.0.get(role)) {
            access.roles.extend(&grant.roles);
            narrow(&mut access.scope.routes, grant.scope.routes.as_ref());
            narrow(&mut access.scope.targets, grant.scope.targets.as_ref());
        }
        access
    }
}

/// Leaves only what is in both; `None` means everything.
fn narrow<T: Ord + Clone>(left: &mut Option<BTreeSet<T>>, to: Option<&BTreeSet<T>>) {
    match (left.as_mut(), to) {
        (_, None) => {}
        (None, Some(to)) => *left = Some(to.clone()),
        (Some(left), Some(to)) => left.retain(|one| to.contains(one)),
    }
}

/// Whose operations somebody sees who shows a JWT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerTenant {
    /// This tenant's, whoever it is.
    Fixed(TenantId),
    /// That of the tenant that this claim names.
    Claim(ClaimPath, TenantNames),
}

/// Whose operations somebody sees who shows a token of Keystone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeystoneTenant {
    /// This tenant's, whoever it is.
    Fixed(TenantId),
    /// The tenant is the project, by its id.
    ProjectId(TenantNames),
    /// The tenant is the project, by `project@domain`: names of projects are unique within a domain only.
    ProjectName(TenantNames),
    /// The tenant is the domain, by its id.
    DomainId(TenantNames),
    /// The tenant is the domain, by its name.
    DomainName(TenantNames),
}

/// Tenants that are called otherwise there than here. Whoever is not among them is called the same, if that is a name here
/// ([`access::is_name`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantNames(pub BTreeMap<String, TenantId>);

impl TenantNames {
    /// The tenant that is called so there. The house's own is none of them, unless it was said who that is: it sees what concerns
    /// the whole server, and Keystone's first domain is called as it is.
    pub(super) fn tenant(&self, theirs: &str) -> Result<TenantId, Reason> {
        if let Some(ours) = self.0.get(theirs) {
            return Ok(ours.clone());
        }
        let refused = |why| Err(Reason::Tenant(Shown::of(theirs), why));
        if theirs.eq_ignore_ascii_case(TenantId::default().as_str()) {
            return refused("which is the house's own: say in `tenants` who that is");
        }
        if !access::is_name(theirs) {
            return refused("which no tenant can be called: say in `tenants` what it is called here");
        }
        Ok(TenantId::from(theirs))
    }
}

/// Whether somebody can be called so: it will stand in histories and on pages. It may be more than tokens are called: addresses of mail,
/// names with spaces, and what issuers make up.
pub(super) fn is_showable(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.trim() == text && !text.chars().any(is_unshowable)
}

/// Signs that change how what stands around them is shown.
fn is_unshowable(sign: char) -> bool {
    let turns = matches!(sign, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    sign.is_control() || turns || matches!(sign, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Where a claim is: its name, or names with dots between them where claims lie in claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// This one.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The claim. Names of claims may have dots (`https://example.com/roles`): the longest one that is there is meant.
    pub(super) fn find<'c>(&self, claims: &'c Map<String, Json>) -> Option<&'c Json> {
        find(claims, &self.0)
    }

    /// The claim as text.
    pub(super) fn text<'c>(&self, claims: &'c Map<String, Json>) -> Result<&'c str, Reason> {
        let wrong = |wrong| Reason::Claim { claim: self.0.clone(), wrong };
        match self.find(claims) {
            Some(Json::String(text)) => Ok(text),
            Some(_) => Err(wrong("is not text")),
            None => Err(wrong("is missing")),
        }
    }

    /// The claim as what somebody is called.
    pub(super) fn name<'c>(&self, claims: &'c Map<String, Json>) -> Result<&'c str, Reason> {
        let wrong = "is empty, longer than 256 bytes, or has signs that cannot be shown";
        let name = self.text(claims)?;
        if is_showable(name) { Ok(name) } else { Err(Reason::Claim { claim: self.0.clone(), wrong }) }
    }

    /// The claim as a list: of texts, or one text with spaces between (RFC 8693, section 4.2). One that is missing is empty.
    pub(super) fn list<'c>(&self, claims: &'c Map<String, Json>) -> Result<Vec<&'c str>, Reason> {
        let wrong = || Reason::Claim { claim: self.0.clone(), wrong: "is neither text nor a list of texts" };
        match self.find(claims) {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::String(text)) => Ok(text.split(' ').filter(|word| !word.is_empty()).collect()),
            Some(Json::Array(list)) => list.iter().map(|one| one.as_str().ok_or_else(wrong)).collect(),
            Some(Json::Bool(_) | Json::Number(_) | Json::Object(_)) => Err(wrong()),
        }
    }
}

fn find<'c>(claims: &'c Map<String, Json>, path: &str) -> Option<&'c Json> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    path.rmatch_indices('.').find_map(|(dot, _)| match claims.get(&path[..dot]) {
        Some(Json::Object(inner)) => find(inner, &path[dot + 1..]),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use fanfold_core::TargetName;
    use serde_json::json;

    use super::*;

    fn scope(routes: Option<&[&str]>, targets: Option<&[&str]>) -> Scope {
        Scope {
            routes: routes.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            targets: targets.map(|names| names.iter().map(|name| TargetName::from(*name)).collect()),
        }
    }

    fn grants(each: &[(&str, &[Role], Scope)]) -> Grants {
        let grant =
            |roles: &[Role], scope: &Scope| Grant { roles: roles.iter().copied().collect(), scope: scope.clone() };
        Grants(each.iter().map(|(name, roles, scope)| ((*name).to_owned(), grant(roles, scope))).collect())
    }

    #[test]
    fn roles_add_up_and_scopes_narrow() {
        let grants = grants(&[
            ("reader", &[Role::Read], Scope::default()),
            ("east", &[Role::Operate], scope(None, Some(&["tokyo", "osaka"]))),
            ("west", &[Role::Submit], scope(Some(&["create"]), Some(&["osaka", "kyoto"]))),
        ]);
        let access = |theirs: &[&str]| grants.access("acme".into(), theirs.iter().copied());
        assert_eq!(access(&["reader"]).scope, Scope::default());
        assert_eq!(access(&["nobody"]).roles, BTreeSet::new());
        let both = access(&["reader", "east"]);
        assert_eq!(both.roles, [Role::Read, Role::Operate].into());
        assert_eq!(both.scope, scope(None, Some(&["tokyo", "osaka"])), "nobody operates what they were not given");
        let all = access(&["west", "east", "unknown", "east"]);
        assert_eq!(all.scope, scope(Some(&["create"]), Some(&["osaka"])));
        assert_eq!(all.tenant, "acme".into());
    }

    #[test]
    fn nobody_is_of_the_house_unless_it_was_said() {
        let names = TenantNames([("ops".to_owned(), TenantId::default()), ("p1".to_owned(), "acme".into())].into());
        assert_eq!(names.tenant("ops"), Ok(TenantId::default()));
        assert_eq!(names.tenant("p1"), Ok("acme".into()));
        assert_eq!(names.tenant("customer_7@x.example"), Ok("customer_7@x.example".into()));
        for bad in ["default", "Default", "DEFAULT", "", "a b", "a/b", "a\nb", "é", &"x".repeat(65)] {
            assert!(matches!(names.tenant(bad), Err(Reason::Tenant(..))), "{bad:?}");
        }
        let explicit = TenantNames([("default".to_owned(), TenantId::default())].into());
        assert_eq!(explicit.tenant("default"), Ok(TenantId::default()));
    }

    #[test]
    fn a_claim_is_found_by_the_longest_name_that_is_there() {
        let claims = json!({
            "realm_access": { "roles": ["a"] },
            "resource_access": { "my.client": { "roles": ["b"] }, "my": { "client": { "roles": ["wrong"] } } },
            "https://example.com/roles": "c d",
            "flat": { "x": 1 },
            "flat.x": 2
        });
        let claims = claims.as_object().unwrap();
        let list = |path: &str| ClaimPath::new(path).list(claims).unwrap();
        assert_eq!(list("realm_access.roles"), ["a"]);
        assert_eq!(list("resource_access.my.client.roles"), ["b"]);
        assert_eq!(list("https://example.com/roles"), ["c", "d"]);
        assert_eq!(ClaimPath::new("flat.x").find(claims), Some(&json!(2)));
        for missing in ["realm_access.none", "none.roles", "realm_access.roles.x", "", ".", "a..b"] {
            assert_eq!(ClaimPath::new(missing).find(claims), None, "{missing}");
        }
    }

    #[test]
    fn names_and_lists_are_what_they_should_be() {
        let claims = json!({
            "sub": "alice", "long": "x".repeat(257), "line": "a\nb", "number": 7, "empty": "", "mixed": ["a", 1],
            "words": " a  b ", "object": {}, "null": null
        });
        let claims = claims.as_object().unwrap();
        assert_eq!(ClaimPath::new("sub").name(claims), Ok("alice"));
        for bad in ["long", "line", "number", "empty", "none", "null"] {
            assert!(ClaimPath::new(bad).name(claims).is_err(), "{bad}");
        }
        assert_eq!(ClaimPath::new("words").list(claims).unwrap(), ["a", "b"]);
        assert_eq!(ClaimPath::new("null").list(claims).unwrap(), Vec::<&str>::new());
        for bad in ["mixed", "number", "object"] {
            assert!(ClaimPath::new(bad).list(claims).is_err(), "{bad}");
        }
    }
}
