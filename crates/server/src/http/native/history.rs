//! The history of one operation, the oldest event first.

use fanfold_core::OperationId;
use fanfold_core::dialect::native::HistoryEntry;
use fanfold_store::{EventNumber, Recorded};

use super::entity;
use super::query::Query;
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self, CHUNK, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

pub(super) const KNOWN: [&str; 2] = ["limit", "page_token"];

/// `GET /operations/{id}/history`
pub(super) async fn list(shared: &Shared, visit: &Visit, id: OperationId) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let limit = query.limit()?;
    let operation = shared.operation(&visit.caller, id).await?;
    let after = page::key(query.one("page_token")?, |token| match token {
        Token::Event(number) => Some(number),
        Token::Operation(_) | Token::Number(_) | Token::Credential(_) => None,
    })?;
    let mut last = EventNumber(after.unwrap_or_default());
    let mut entries = Vec::new();
    let more = loop {
        // One more than is wanted tells whether there are more.
        let wanted = (limit + 1 - entries.len()).min(CHUNK);
        let events = shared.store.history(id, last, wanted).await?;
        let is_last = events.len() < wanted;
        let room = limit - entries.len();
        let is_over = events.len() > room;
        for Recorded { number, sequence, at, event, .. } in events.iter().take(room) {
            last = *number;
            entries.push(HistoryEntry::of(&operation, *sequence, *at, event));
        }
        if is_over || is_last {
            break is_over;
        }
    };
    let next = more.then_some(Token::Event(last.0));
    let mut response = entity::page(visit, &query, "history", &entries, next);
    response.extensions_mut().insert(id);
    Ok(response)
}
