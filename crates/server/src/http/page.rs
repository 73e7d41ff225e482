//! Pages of lists: tokens that say where the next one starts, and reading operations in pieces.
//!
//! Clients hand tokens back as they got them; what they consist of may change with any version.

use fanfold_core::dialect::Refusal;
use fanfold_core::{Operation, OperationId};
use fanfold_store::{Error, Filter, Order, Page, Read};

/// Operations read from the store at once: what a list holds in memory.
pub(super) const CHUNK: usize = 100;

/// The key of the last entry of a page, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// An operation.
    Operation(OperationId),
    /// A note, or a notice.
    Number(u64),
    /// An event, by its number in the store.
    Event(u64),
}

impl Token {
    pub(super) fn text(self) -> String {
        match self {
            Self::Operation(id) => format!("o.{id}"),
            Self::Number(number) => format!("n.{number}"),
            Self::Event(number) => format!("e.{number}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('.')?;
        match kind {
            "o" => rest.parse().ok().map(Self::Operation),
            "n" => number(rest).map(Self::Number),
            "e" => number(rest).map(Self::Event),
            _ => None,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads a token that must be of the kind that `pick` takes.
pub(super) fn key<K>(token: Option<&str>, pick: impl Fn(Token) -> Option<K>) -> Result<Option<K>, Refusal> {
    let Some(text) = token else { return Ok(None) };
    let key = Token::read(text).and_then(pick);
    key.map(Some)
        .ok_or_else(|| Refusal::BadValue { detail: "`page_token` is not one that this list gave out".to_owned() })
}

/// The operation that a list goes on after.
pub(super) fn operation_key(token: Option<&str>) -> Result<Option<OperationId>, Refusal> {
    key(token, |token| match token {
        Token::Operation(id) => Some(id),
        Token::Number(_) | Token::Event(_) => None,
    })
}

/// The number that a list goes on after.
pub(super) fn number_key(token: Option<&str>) -> Result<Option<u64>, Refusal> {
    key(token, |token| match token {
        Token::Number(number) => Some(number),
        Token::Operation(_) | Token::Event(_) => None,
    })
}

/// One chunk of the operations that follow `after`, the newest first.
pub(super) async fn chunk(
    store: &dyn Read,
    filter: &Filter,
    after: Option<OperationId>,
    limit: usize,
) -> Result<Vec<Operation>, Error> {
    store.list(filter, Page { order: Order::NewestFirst, after, limit: limit.min(CHUNK) }).await
}

/// What `show` makes of up to `limit` operations that follow `after`, and the last one's id if there are more.
pub(super) async fn operations<T>(
    store: &dyn Read,
    filter: &Filter,
    after: Option<OperationId>,
    limit: usize,
    show: impl Fn(&Operation) -> T,
) -> Result<(Vec<T>, Option<OperationId>), Error> {
    let mut shown = Vec::new();
    let mut last = after;
    loop {
        // One more than is wanted tells whether there are more.
        let wanted = limit + 1 - shown.len();
        let operations = chunk(store, filter, last, wanted).await?;
        let is_last = operations.len() < wanted.min(CHUNK);
        for operation in operations {
            if shown.len() == limit {
                return Ok((shown, last));
            }
            shown.push(show(&operation));
            last = Some(operation.id);
        }
        if is_last {
            return Ok((shown, None));
        }
    }
}

/// Cuts what was read beyond `limit` off, and gives the key of the last entry that is left if there was more.
pub(super) fn cut<T, K>(entries: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> Option<K> {
    let more = entries.len() > limit;
    entries.truncate(limit);
    if more { entries.last().map(key) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_their_text_form() {
        let id = OperationId::from_bytes([7; 16]);
        for token in [Token::Operation(id), Token::Number(0), Token::Event(u64::MAX)] {
            assert_eq!(Token::read(&token.text()), Some(token));
        }
        for text in ["", "o", "o.", "o.7", "n.-1", "n.+1", "n.", "e.", "e.1.1", "e.x", "x.1"] {
            assert_eq!(Token::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        assert_eq!(number_key(Some("n.7")), Ok(Some(7)));
        assert_eq!(number_key(None), Ok(None));
        assert!(matches!(number_key(Some("e.7")), Err(Refusal::BadValue { .. })));
        assert!(matches!(operation_key(Some("n.7")), Err(Refusal::BadValue { .. })));
    }

    #[test]
    fn one_entry_more_tells_that_there_are_more() {
        let mut entries = vec![1, 2, 3];
        assert_eq!(cut(&mut entries, 2, |entry| *entry), Some(2));
        assert_eq!(entries, [1, 2]);
        assert_eq!(cut(&mut entries, 2, |entry| *entry), None);
    }
}
