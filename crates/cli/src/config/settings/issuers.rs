//! The settings of `[[auth.issuers]]` and `[auth.keystone]`: those whose credentials count here, and what they are worth.

use std::collections::BTreeMap;

use fanfold_core::{Scope, TenantId};
use fanfold_engine::identity::{
    Algorithm, ClaimPath, Config, Credentials, Grant, Grants, IssuerAddress, IssuerConfig, IssuerTenant, KeySet,
    KeysFrom, KeystoneConfig, KeystoneTenant, Owned, Password, TenantNames,
};
use fanfold_engine::target::Tls;

use super::auth::{Known, check_name, scope};
use super::defaults::{KEYSTONE_CACHE, span};
use super::target::read_file;
use crate::config::document::Place;
use crate::config::file::{self, RoleGrant, SecretText, TenantFrom};
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::{Surroundings, password};

/// Names of issuers that stand for something else in metrics.
const TAKEN: [&str; 2] = ["keystone", "unknown"];

/// How Keystone calls the domain that is there from the beginning.
const FIRST_DOMAIN: &str = "Default";

/// The address of an API that people often write with it, and clients put behind it.
const KEYSTONE_VERSION: &str = "/v3";

/// Where settings are read, and what they are read with.
struct Room<'a, 'f, 'd> {
    known: &'a Known<'a>,
    around: &'a Surroundings<'a>,
    findings: &'f mut Findings<'d>,
}

/// Everybody whose credentials count.
pub(super) fn issuers(
    auth: &file::Auth,
    known: &Known<'_>,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Config {
    let mut room = Room { known, around, findings };
    let mut issuers: Vec<IssuerConfig> = Vec::new();
    for (index, issuer) in auth.issuers.iter().enumerate() {
        let place = Place::of(["auth", "issuers"]).index(index);
        let Some(issuer) = room.issuer(issuer, &place) else { continue };
        if issuers.iter().any(|other| (&other.issuer, &other.audience) == (&issuer.issuer, &issuer.audience)) {
            let wrong = Wrong::new("two tables have this issuer and this audience");
            room.findings
                .mistake(&place.key("audience"), wrong.hint("make one of both, or give each its own audience"));
        } else if issuers.iter().any(|other| other.name == issuer.name) {
            let wrong = Wrong::new(format!("two issuers are called {:?}", issuer.name));
            let name = if room.findings.has(&place.key("name")) { "name" } else { "issuer" };
            room.findings.mistake(&place.key(name), wrong.hint("give each a name of its own: name = \"...\""));
        }
        issuers.push(issuer);
    }
    let keystone = auth.keystone.as_ref();
    let keystone = keystone.and_then(|keystone| room.keystone(keystone, &Place::of(["auth", "keystone"])));
    Config { issuers, keystone }
}

impl Room<'_, '_, '_> {
    fn issuer(&mut self, given: &file::Issuer, place: &Place) -> Option<IssuerConfig> {
        let (issuer, audience) = (given.issuer.as_ref()?, given.audience.as_ref()?);
        let address = issuer.parse::<IssuerAddress>();
        let name = given.name.clone().or_else(|| Some(address.as_ref().ok()?.authority().to_owned()));
        let name = name.unwrap_or_else(|| issuer.clone());
        self.check_issuer_name(&name, given.name.is_some(), place);
        let keys = self.keys(given, address, place);
        let is_asked = !matches!(keys, Some(KeysFrom::Given(_)));
        let authorities = self.authorities(given.authorities.as_ref(), is_asked, place);
        let algorithms = match given.algorithms.as_deref() {
            None => Algorithm::ALL.to_vec(),
            Some([]) => {
                let wrong = Wrong::new("no token could be signed in a way that counts");
                self.findings.mistake(&place.key("algorithms"), wrong.hint("name some, or leave it out for all"));
                return None;
            }
            Some(several) => several.iter().copied().map(Into::into).collect(),
        };
        let tenant = self.issuer_tenant(given, place);
        let grants = self.grants(given.roles.as_ref(), place);
        Some(IssuerConfig {
            name,
            issuer: issuer.clone(),
            audience: audience.clone(),
            keys: keys?,
            authorities: authorities?,
            algorithms,
            name_claim: ClaimPath::new(given.name_claim.as_deref().unwrap_or("sub")),
            tenant: tenant?,
            roles_claim: ClaimPath::new(given.roles_claim.as_deref().unwrap_or("roles")),
            grants,
        })
    }

    fn check_issuer_name(&mut self, name: &str, is_given: bool, place: &Place) {
        let place = place.key(if is_given { "name" } else { "issuer" });
        if TAKEN.contains(&name) {
            let wrong = Wrong::new(format!("an issuer cannot be called {name:?}: that stands for something else"));
            self.findings.mistake(&place, wrong.hint("give it another name: name = \"...\""));
        } else if is_given {
            check_name(name, &place, self.findings);
        }
    }

    fn keys(
        &mut self,
        given: &file::Issuer,
        issuer: Result<IssuerAddress, fanfold_engine::identity::BadAddress>,
        place: &Place,
    ) -> Option<KeysFrom> {
        match (&given.jwks_url, &given.jwks_file, issuer) {
            (Some(_), Some(_), _) => {
                let wrong =
                    Wrong::new("jwks_url and jwks_file both say where the keys are").hint("leave one of them out");
                self.findings.mistake(&place.key("jwks_file"), wrong);
                None
            }
            (Some(address), None, _) => Some(KeysFrom::Address(address.0.clone())),
            (None, Some(path), _) => {
                let read = read_file(&self.around.folder.join(path));
                let keys = read.and_then(|text| KeySet::read(&text).map_err(|bad| Wrong::new(bad.to_string())));
                keys.map_err(|wrong| self.findings.bad_value(&place.key("jwks_file"), wrong)).ok().map(KeysFrom::Given)
            }
            (None, None, Ok(address)) if !address.has_query() => Some(KeysFrom::Discovery(address)),
            (None, None, unfit) => {
                let why = unfit.err().map_or_else(|| "the address has a query".to_owned(), |bad| bad.to_string());
                let wrong = Wrong::new(format!("the keys cannot be found below issuer: {why}"));
                let hint = "say where they are: jwks_url = \"https://...\", or jwks_file = \"...\"";
                self.findings.mistake(&place.key("issuer"), wrong.hint(hint));
                None
            }
        }
    }

    fn issuer_tenant(&mut self, given: &file::Issuer, place: &Place) -> Option<IssuerTenant> {
        let names = self.tenant_names(&given.tenants, place);
        match (&given.tenant, &given.tenant_claim) {
            (Some(tenant), None) => {
                self.check_names_of_use(&given.tenants, place);
                Some(IssuerTenant::Fixed(self.tenant(tenant, &place.key("tenant"))))
            }
            (None, Some(claim)) => Some(IssuerTenant::Claim(ClaimPath::new(claim), names)),
            (Some(_), Some(_)) => {
                let wrong =
                    Wrong::new("tenant and tenant_claim both say who the tenant is").hint("leave one of them out");
                self.findings.mistake(&place.key("tenant_claim"), wrong);
                None
            }
            (None, None) => {
                let wrong = Wrong::new(format!("{place} does not say who the tenant is"));
                let hint = "write tenant_claim = \"...\", or tenant = \"default\" if all its people are of the house";
                self.findings.bad_key(place, wrong.hint(hint));
                None
            }
        }
    }

    fn keystone(&mut self, given: &file::Keystone, place: &Place) -> Option<KeystoneConfig> {
        let credentials = self.credentials(given, place);
        let authorities = self.authorities(given.authorities.as_ref(), true, place);
        let tenant = self.keystone_tenant(given, place);
        let grants = self.grants(given.roles.as_ref(), place);
        let address = &given.url.as_ref()?.0;
        if address.has_query() {
            let wrong = Wrong::new("the address has a query").hint("leave out the \"?\" and what follows it");
            self.findings.mistake(&place.key("url"), wrong);
            return None;
        }
        Some(KeystoneConfig {
            address: address.without(KEYSTONE_VERSION),
            credentials: credentials?,
            authorities: authorities?,
            cache: span(&given.cache).unwrap_or(KEYSTONE_CACHE),
            tenant: tenant?,
            grants,
        })
    }

    /// Either a user or an application credential, whole.
    fn credentials(&mut self, given: &file::Keystone, place: &Place) -> Option<Credentials> {
        let of_user = [
            ("username", given.username.is_some()),
            ("password", given.password.is_some()),
            ("project", given.project.is_some()),
        ];
        let of_application = [
            ("application_credential_id", given.application_credential_id.is_some()),
            ("application_credential_secret", given.application_credential_secret.is_some()),
        ];
        let has_domains = given.user_domain.is_some() || given.project_domain.is_some();
        let has_user = has_domains || of_user.iter().any(|(_, is_there)| *is_there);
        let has_application = of_application.iter().any(|(_, is_there)| *is_there);
        let wrong = match (has_user, has_application) {
            (true, false) => missing(&of_user),
            (false, true) => missing(&of_application),
            (true, true) => {
                Some(Wrong::new("a user and an application credential: one is enough").hint("leave one of them out"))
            }
            (false, false) => Some(Wrong::new("nothing says who we are to Keystone").hint(
                "write username, password and project, or application_credential_id and application_credential_secret",
            )),
        };
        if let Some(wrong) = wrong {
            self.findings.bad_key(place, wrong);
            return None;
        }
        let owned = |name: &str, domain: Option<&String>| Owned {
            name: name.to_owned(),
            domain: domain.map_or_else(|| FIRST_DOMAIN.to_owned(), Clone::clone),
        };
        if has_application {
            let secret = given.application_credential_secret.as_ref()?;
            let secret = self.secret(secret, &place.key("application_credential_secret"))?;
            return Some(Credentials::Application { id: given.application_credential_id.clone()?, secret });
        }
        let password = self.secret(given.password.as_ref()?, &place.key("password"))?;
        Some(Credentials::Password {
            user: owned(given.username.as_ref()?, given.user_domain.as_ref()),
            password,
            project: owned(given.project.as_ref()?, given.project_domain.as_ref()),
        })
    }

    fn secret(&mut self, text: &SecretText, place: &Place) -> Option<Password> {
        if !text.0.contains("${") {
            let wrong = Wrong::new("a password stands in this file");
            self.findings.warning(place, wrong.hint("keep it elsewhere, and write ${env:NAME} or ${file:PATH}"));
        }
        let filled = password(&text.0, self.around);
        filled.map_err(|wrong| self.findings.bad_value(place, wrong)).ok().map(Password::new)
    }

    fn keystone_tenant(&mut self, given: &file::Keystone, place: &Place) -> Option<KeystoneTenant> {
        let names = self.tenant_names(&given.tenants, place);
        match (&given.tenant, given.tenant_from) {
            (Some(_), Some(_)) => {
                let wrong =
                    Wrong::new("tenant and tenant_from both say who the tenant is").hint("leave one of them out");
                self.findings.mistake(&place.key("tenant_from"), wrong);
                None
            }
            (Some(tenant), None) => {
                self.check_names_of_use(&given.tenants, place);
                Some(KeystoneTenant::Fixed(self.tenant(tenant, &place.key("tenant"))))
            }
            (None, None | Some(TenantFrom::ProjectId)) => Some(KeystoneTenant::ProjectId(names)),
            (None, Some(TenantFrom::ProjectName)) => Some(KeystoneTenant::ProjectName(names)),
            (None, Some(TenantFrom::DomainId)) => Some(KeystoneTenant::DomainId(names)),
            (None, Some(TenantFrom::DomainName)) => Some(KeystoneTenant::DomainName(names)),
        }
    }

    fn tenant_names(&mut self, tenants: &BTreeMap<String, String>, place: &Place) -> TenantNames {
        let place = place.key("tenants");
        let ours = |(theirs, ours): (&String, &String)| (theirs.clone(), self.tenant(ours, &place.key(theirs)));
        TenantNames(tenants.iter().map(ours).collect())
    }

    fn tenant(&mut self, tenant: &str, place: &Place) -> TenantId {
        check_name(tenant, place, self.findings);
        TenantId::from(tenant)
    }

    /// Names that nobody is called by would be ignored.
    fn check_names_of_use(&mut self, tenants: &BTreeMap<String, String>, place: &Place) {
        if !tenants.is_empty() {
            let wrong =
                Wrong::new("tenants without effect: all are of one tenant").hint("leave tenants out, or tenant");
            self.findings.mistake(&place.key("tenants"), wrong);
        }
    }

    fn grants(&mut self, roles: Option<&BTreeMap<String, RoleGrant>>, place: &Place) -> Grants {
        let place = place.key("roles");
        // That they are missing is told by the check of the file.
        let Some(roles) = roles else { return Grants::default() };
        if roles.is_empty() {
            let wrong = Wrong::new("no role is worth anything here, so that nobody may do anything");
            self.findings.mistake(&place, wrong.hint("write roles = { THEIRS = [\"read\"] }"));
        }
        let grant = |(theirs, given): (&String, &RoleGrant)| (theirs.clone(), self.grant(given, &place.key(theirs)));
        Grants(roles.iter().map(grant).collect())
    }

    fn grant(&mut self, given: &RoleGrant, place: &Place) -> Grant {
        let (roles, scope) = match given {
            RoleGrant::Roles(roles) => (Some(roles), Scope::default()),
            RoleGrant::Narrowed(narrowed) => {
                let (routes, targets) = (narrowed.routes.as_ref(), narrowed.targets.as_ref());
                (narrowed.roles.as_ref(), scope(routes, targets, self.known, place, self.findings))
            }
        };
        if roles.is_some_and(Vec::is_empty) {
            let wrong = Wrong::new(format!("{} is worth nothing", place.last_key()));
            self.findings.mistake(place, wrong.hint("roles are submit, read, operate, monitor and admin"));
        }
        Grant { roles: roles.into_iter().flatten().copied().map(Into::into).collect(), scope }
    }

    /// The text of the file, once it is known to be of use.
    fn authorities(&mut self, path: Option<&String>, is_asked: bool, place: &Place) -> Option<Vec<u8>> {
        let place = place.key("authorities");
        let Some(path) = path else { return Some(Vec::new()) };
        if !is_asked {
            let wrong = Wrong::new("authorities without effect: the keys are in a file").hint("leave it out");
            self.findings.mistake(&place, wrong);
            return None;
        }
        let pem = read_file(&self.around.folder.join(path));
        let checked = pem.and_then(|pem| match Tls::new(&pem, None) {
            Ok(_) => Ok(pem),
            Err(bad) => Err(Wrong::new(bad.to_string())),
        });
        checked.map_err(|wrong| self.findings.bad_value(&place, wrong)).ok()
    }
}

/// What is missing of what belongs together.
fn missing(keys: &[(&str, bool)]) -> Option<Wrong> {
    let (there, missing): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, is_there)| *is_there);
    let words = |keys: Vec<&(&str, bool)>| keys.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(" and ");
    (!missing.is_empty()).then(|| {
        Wrong::new(format!(
            "{} without {}",
            if there.is_empty() { "domains".to_owned() } else { words(there) },
            words(missing)
        ))
        .hint("they go together")
    })
}

impl From<file::Algorithm> for Algorithm {
    fn from(algorithm: file::Algorithm) -> Self {
        match algorithm {
            file::Algorithm::Rs256 => Self::Rs256,
            file::Algorithm::Rs384 => Self::Rs384,
            file::Algorithm::Rs512 => Self::Rs512,
            file::Algorithm::Ps256 => Self::Ps256,
            file::Algorithm::Ps384 => Self::Ps384,
            file::Algorithm::Ps512 => Self::Ps512,
            file::Algorithm::Es256 => Self::Es256,
            file::Algorithm::Es384 => Self::Es384,
            file::Algorithm::EdDsa => Self::EdDsa,
        }
    }
}
