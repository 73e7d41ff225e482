//! Tokens: those who may give access away make them for others, and take them back.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfold_core::access::audit::Action;
use fanfold_core::access::{self, Secret, TokenId};
use fanfold_core::dialect::{Refusal, Reply};
use fanfold_core::{Access, Role, Scope, TargetName, TenantId};
use fanfold_engine::{TokenOutcome, TokenRequest};
use fanfold_store::{Order, Page, Token};
use http::StatusCode;
use jiff::{Span, SpanRelativeTo, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::query::Query;
use super::{Nothing, entity, json, read};
use crate::http::Front;
use crate::http::audited::Audited;
use crate::http::auth::Caller;
use crate::http::outcome::{self, Response, Stop};
use crate::http::page::{self, CHUNK};
use crate::http::server::Shared;
use crate::http::visit::Visit;

pub(super) const KNOWN: [&str; 2] = ["limit", "page_token"];

/// A token; never its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(super) struct TokenForm {
    id: String,
    name: String,
    tenant: String,
    roles: Vec<Role>,
    /// The routes that it is good for; null: all.
    routes: Option<Vec<String>>,
    /// The targets that it is good for; null: all.
    targets: Option<Vec<String>>,
    created_at: Timestamp,
    created_by: String,
    /// From then on it is no good; null: never.
    expires_at: Option<Timestamp>,
    /// To about a minute; null: never.
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<String>,
}

/// A token that was just made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NewToken")]
pub(super) struct NewTokenForm {
    /// What its owner shows. It is told this once, and kept nowhere.
    secret: String,
    token: TokenForm,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    name: String,
    roles: BTreeSet<Role>,
    tenant: Option<String>,
    routes: Option<BTreeSet<String>>,
    targets: Option<BTreeSet<TargetName>>,
    expires_in: Option<String>,
}

/// `GET /tokens`: those of the caller's tenant; of all tenants for the house's own people.
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let limit = query.limit()?;
    let mut after = page::token_key(query.one("page_token")?)?;
    let mut forms = Vec::new();
    // One more than is wanted tells whether there are more.
    while forms.len() <= limit {
        let wanted = (limit + 1 - forms.len()).min(CHUNK);
        let page = Page { order: Order::NewestFirst, after, limit: wanted };
        let read = shared.store.tokens(whose(&visit.caller), page).await?;
        let is_last = read.len() < wanted;
        after = read.last().map(|token| token.id).or(after);
        forms.extend(read.into_iter().map(|token| (token.id, TokenForm::of(token))));
        if is_last {
            break;
        }
    }
    let next = page::cut(&mut forms, limit, |(id, _)| page::Token::Credential(*id));
    let forms: Vec<TokenForm> = forms.into_iter().map(|(_, form)| form).collect();
    Ok(entity::page(visit, &query, "tokens", &forms, next))
}

/// `GET /tokens/{id}`
pub(super) async fn show(shared: &Shared, visit: &Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    Ok(json(&TokenForm::of(one(shared, &visit.caller, id).await?)))
}

/// `POST /tokens/create`
pub(super) async fn create(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Visit { caller, front, body, .. } = visit;
    let asked: CreateRequest = read(body)?;
    let what = Audited { detail: Some(asked.in_words(&caller)), ..Audited::server(Action::TokenCreate) };
    let id = |(token, _): &(Token, Secret)| Some(token.id.to_string());
    let (token, secret) = shared.audited_making(&caller, what, id, make(shared, &caller, &front, asked)).await?;
    shared.hold_here().await;
    let form = NewTokenForm { secret: secret.expose().to_owned(), token: TokenForm::of(token) };
    Ok(outcome::reply(Reply::json(StatusCode::CREATED, &form).with("cache-control", "no-store")))
}

async fn make(shared: &Shared, caller: &Caller, front: &Front, asked: CreateRequest) -> Result<(Token, Secret), Stop> {
    let lifetime = asked.expires_in.as_deref().map(lifetime).transpose()?;
    let request = TokenRequest {
        access: asked.access(caller),
        name: asked.name,
        // A time so far ahead that it cannot be told is none.
        expires_at: lifetime.and_then(|lifetime| shared.clock.now().checked_add(lifetime).ok()),
        by: caller.name.clone(),
    };
    check(&request, caller, front)?;
    let not_now = |detail: String| Refusal::NotPossible { detail };
    match shared.engine.create_token(request).await? {
        TokenOutcome::Created { token, secret } => Ok((*token, secret)),
        TokenOutcome::NameTaken { by } => {
            let detail = format!("token {by} has this name: revoke it, or choose another name");
            Err(not_now(detail).into())
        }
        TokenOutcome::TooMany => {
            let detail = "there are as many tokens as there may be: revoke some that are not needed";
            Err(not_now(detail.to_owned()).into())
        }
        TokenOutcome::TenantTooMany => {
            let detail = "the tenant has as many tokens as a tenant may have: revoke some that are not needed";
            Err(not_now(detail.to_owned()).into())
        }
    }
}

/// `POST /tokens/{id}/revoke`. Asking again changes nothing.
pub(super) async fn revoke(shared: &Shared, visit: Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Visit { caller, body, .. } = visit;
    let Nothing {} = read(body)?;
    let token = one(shared, &caller, id).await?.id;
    shared.engine.revoke_token(token, None, caller.name.clone()).await?;
    shared.hold_here().await;
    Ok(json(&TokenForm::of(one(shared, &caller, id).await?)))
}

/// Whose tokens a caller sees: those of their tenant, or all.
fn whose(caller: &Caller) -> Option<&TenantId> {
    (!caller.access.is_of_the_house()).then_some(&caller.access.tenant)
}

/// The token, if the caller could have given it away.
async fn one(shared: &Shared, caller: &Caller, id: &str) -> Result<Token, Stop> {
    let nothing = || Stop::not_found("token");
    let id: TokenId = id.parse().map_err(|_| nothing())?;
    let token = shared.store.token(id).await?.ok_or_else(nothing)?;
    if whose(caller).is_none_or(|tenant| token.access.tenant == *tenant) { Ok(token) } else { Err(nothing()) }
}

/// Refuses what is no name, knows no such route or target, or is more than the caller has.
fn check(request: &TokenRequest, caller: &Caller, front: &Front) -> Result<(), Refusal> {
    let bad = |detail: String| Err(Refusal::BadValue { detail });
    let access = &request.access;
    for (what, name) in [("name", request.name.as_str()), ("tenant", access.tenant.as_str())] {
        if !access::is_name(name) {
            return bad(format!("`{what}` is not a name: {}", access::A_NAME));
        }
    }
    if access.roles.is_empty() {
        return bad("`roles` is empty: a token without roles would be good for nothing".to_owned());
    }
    let unfit = |detail: String| Err(Refusal::NotPossible { detail });
    if access.roles.contains(&Role::Monitor) && !access.is_of_the_house() {
        return unfit(
            "the metrics are of the whole server: only tokens of the tenant `default` can monitor".to_owned(),
        );
    }
    let unknown = access
        .scope
        .routes
        .iter()
        .flatten()
        .find(|route| !front.routes().routes().iter().any(|known| known.name == **route));
    if let Some(route) = unknown {
        return unfit(format!("there is no route `{route}`"));
    }
    let known = front.routes().targets();
    if let Some(target) = access.scope.targets.iter().flatten().find(|target| !known.contains_key(*target)) {
        return unfit(format!("there is no target `{target}`"));
    }
    if !caller.access.may_give(access) {
        return unfit(
            "nobody can give more than they have: leave `tenant` out, or narrow `routes` and `targets`".to_owned(),
        );
    }
    Ok(())
}

impl CreateRequest {
    fn access(&self, caller: &Caller) -> Access {
        let tenant = self.tenant.as_deref().map_or_else(|| caller.access.tenant.clone(), TenantId::from);
        let scope = Scope { routes: self.routes.clone(), targets: self.targets.clone() };
        Access { tenant, roles: self.roles.clone(), scope }
    }

    /// For the audit trail. What the caller wrote is quoted: it can look like nothing else.
    fn in_words(&self, caller: &Caller) -> String {
        let Access { tenant, roles, scope: Scope { routes, targets } } = self.access(caller);
        let quoted = |names: Vec<&str>| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" ");
        let roles = roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let routes = routes.iter().map(|names| names.iter().map(String::as_str).collect());
        let targets = targets.iter().map(|names| names.iter().map(TargetName::as_str).collect());
        let mut words = format!("name {:?}, tenant {:?}, roles {roles}", self.name, tenant.as_str());
        words.extend(routes.map(|names| format!(", routes {}", quoted(names))));
        words.extend(targets.map(|names| format!(", targets {}", quoted(names))));
        words.extend(self.expires_in.iter().map(|span| format!(", good for {span:?}")));
        words
    }
}

/// How long a token is good.
fn lifetime(text: &str) -> Result<Duration, Refusal> {
    // A day has 24 hours here, whatever a calendar says.
    let span = text.parse::<Span>().ok().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let span = span.and_then(|span| Duration::try_from(span).ok()).filter(|span| !span.is_zero());
    let wrong = "`expires_in` is not a span of time such as 12h or 90d, more than zero";
    span.ok_or_else(|| Refusal::BadValue { detail: wrong.to_owned() })
}

impl TokenForm {
    fn of(token: Token) -> Self {
        let Access { tenant, roles, scope } = token.access;
        let (revoked_at, revoked_by) = token.revoked.map(|revoked| (revoked.at, revoked.by)).unzip();
        Self {
            id: token.id.to_string(),
            name: token.name,
            tenant: tenant.to_string(),
            roles: roles.into_iter().collect(),
            routes: scope.routes.map(|routes| routes.into_iter().collect()),
            targets: scope.targets.map(|targets| targets.iter().map(ToString::to_string).collect()),
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at,
            revoked_by,
        }
    }
}
