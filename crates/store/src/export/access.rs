//! The audit trail and tokens as lines. Of a token's secret there is nothing in them, its digest neither.

use std::collections::BTreeSet;

use fanfold_core::access::TokenId;
use fanfold_core::access::audit::{Action, Outcome};
use fanfold_core::{OperationId, Role, Scope, TargetName, TenantId};
use jiff::Timestamp;
use serde::Serialize;

use super::{FORMAT, line_of};
use crate::{
    AuditEntry, AuditFilter, AuditNumber, Error, LIST_MAX, NewAuditEntry, Order, Page, ReadAll, Revoked, Token,
};

/// The lines of the next entries that a filter lets through, oldest first, their line feeds included; and the last of these
/// entries, where to go on after. Without one there are no more.
///
/// # Errors
/// Those of the store.
pub async fn audit(
    store: &dyn ReadAll,
    filter: &AuditFilter,
    after: Option<AuditNumber>,
) -> Result<(Vec<Vec<u8>>, Option<AuditNumber>), Error> {
    let page = Page { order: Order::OldestFirst, after, limit: LIST_MAX };
    let entries = store.audit(filter, page).await?;
    let last = entries.last().map(|entry| entry.number);
    Ok((entries.iter().map(entry_line).collect::<Result<_, _>>()?, last))
}

/// The same for tokens, those of a tenant or all, in the order in which they were created.
///
/// # Errors
/// Those of the store.
pub async fn tokens(
    store: &dyn ReadAll,
    tenant: Option<&TenantId>,
    after: Option<TokenId>,
) -> Result<(Vec<Vec<u8>>, Option<TokenId>), Error> {
    let page = Page { order: Order::OldestFirst, after, limit: LIST_MAX };
    let tokens = store.tokens(tenant, page).await?;
    let last = tokens.last().map(|token| token.id);
    Ok((tokens.iter().map(token_line).collect::<Result<_, _>>()?, last))
}

#[derive(Serialize)]
struct EntryForm<'a> {
    format: u32,
    number: u64,
    at: Timestamp,
    tenant: &'a TenantId,
    by: &'a str,
    credential: &'a str,
    from: &'a str,
    action: Action,
    operation: Option<OperationId>,
    target: Option<&'a TargetName>,
    subject: Option<&'a str>,
    detail: Option<&'a str>,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

fn entry_line(entry: &AuditEntry) -> Result<Vec<u8>, Error> {
    let AuditEntry { number, entry } = entry;
    let NewAuditEntry { at, tenant, by, credential, from, action, operation, target, subject, detail, outcome } = entry;
    let (subject, detail) = (subject.as_deref(), detail.as_deref());
    line_of(&EntryForm {
        format: FORMAT,
        number: number.0,
        at: *at,
        tenant,
        by,
        credential,
        from,
        action: *action,
        operation: *operation,
        target: target.as_ref(),
        subject,
        detail,
        outcome,
    })
}

#[derive(Serialize)]
struct TokenForm<'a> {
    format: u32,
    id: TokenId,
    tenant: &'a TenantId,
    name: &'a str,
    roles: &'a BTreeSet<Role>,
    #[serde(flatten)]
    scope: &'a Scope,
    created_at: Timestamp,
    created_by: &'a str,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    revoked_by: Option<&'a str>,
    last_used_at: Option<Timestamp>,
}

fn token_line(token: &Token) -> Result<Vec<u8>, Error> {
    let Token { id, name, access, digest: _, created_at, created_by, expires_at, revoked, last_used_at } = token;
    let (revoked_at, revoked_by) = revoked.as_ref().map(|Revoked { at, by }| (*at, by.as_str())).unzip();
    line_of(&TokenForm {
        format: FORMAT,
        id: *id,
        tenant: &access.tenant,
        name,
        roles: &access.roles,
        scope: &access.scope,
        created_at: *created_at,
        created_by,
        expires_at: *expires_at,
        revoked_at,
        revoked_by,
        last_used_at: *last_used_at,
    })
}
