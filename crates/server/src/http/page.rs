//! Pages of lists: tokens that say where the next one starts, and reading operations in pieces.
//!
//! Clients hand tokens back as they got them; what they consist of may change with any version.

use std::time::Duration;

use fanfold_core::access::TokenId;
use fanfold_core::dialect::Refusal;
use fanfold_core::{Operation, OperationId};
use fanfold_store::{Error, Filter, Order, Page, Read};
use tokio::time::Instant;

/// Operations read from the store at once: what a list holds in memory.
pub(super) const CHUNK: usize = 100;

/// Operations that a search for a text looks at in one go: so many hold a connection of the store for some milliseconds.
const PIECE: usize = 20_000;

/// Notices or notes, by their numbers, that such a search looks at in one go.
const NUMBERS: u64 = 20_000;

/// For how long a search goes on for one page. What it has not come to by then is looked at for the next one.
const SEARCH_MAX: Duration = Duration::from_secs(2);

/// The key of the last entry of a page, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// An operation.
    Operation(OperationId),
    /// A note, or a notice.
    Number(u64),
    /// An event, by its number in the store.
    Event(u64),
    /// A token that callers show.
    Credential(TokenId),
}

impl Token {
    pub(super) fn text(self) -> String {
        match self {
            Self::Operation(id) => format!("o.{id}"),
            Self::Number(number) => format!("n.{number}"),
            Self::Event(number) => format!("e.{number}"),
            Self::Credential(id) => format!("t.{id}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('.')?;
        match kind {
            "o" => rest.parse().ok().map(Self::Operation),
            "n" => number(rest).map(Self::Number),
            "e" => number(rest).map(Self::Event),
            "t" => rest.parse().ok().map(Self::Credential),
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
        Token::Number(_) | Token::Event(_) | Token::Credential(_) => None,
    })
}

/// The token of a caller's that a list goes on after.
pub(super) fn token_key(token: Option<&str>) -> Result<Option<TokenId>, Refusal> {
    key(token, |token| match token {
        Token::Credential(id) => Some(id),
        Token::Operation(_) | Token::Number(_) | Token::Event(_) => None,
    })
}

/// The number that a list goes on after.
pub(super) fn number_key(token: Option<&str>) -> Result<Option<u64>, Refusal> {
    key(token, |token| match token {
        Token::Number(number) => Some(number),
        Token::Operation(_) | Token::Event(_) | Token::Credential(_) => None,
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

/// What `show` makes of up to `limit` operations that follow `after`, and where to go on if there are more. A search for a text,
/// or for what a narrow scope has, is cut off if it takes too long: then there are fewer than `limit`, perhaps none, and where to
/// go on all the same.
pub(super) async fn operations<T>(
    store: &dyn Read,
    filter: &Filter,
    after: Option<OperationId>,
    limit: usize,
    show: impl Fn(&Operation) -> T,
) -> Result<(Vec<T>, Option<OperationId>), Error> {
    // What a scope has by its routes alone is found without passing over others.
    if filter.text.is_none() && filter.scope.targets.is_none() {
        return all(store, filter, after, limit, &show).await;
    }
    let until = Instant::now() + SEARCH_MAX;
    let (mut shown, mut last) = (Vec::new(), after);
    loop {
        let reach = store.place(&filter.tenant, last, PIECE).await?;
        let piece = Filter { first: reach, ..filter.clone() };
        let (found, more) = all(store, &piece, last, limit - shown.len(), &show).await?;
        shown.extend(found);
        if more.is_some() || reach.is_none() {
            return Ok((shown, more));
        }
        last = reach;
        if shown.len() == limit || Instant::now() >= until {
            return Ok((shown, last));
        }
    }
}

/// The same, however long it takes.
async fn all<T>(
    store: &dyn Read,
    filter: &Filter,
    after: Option<OperationId>,
    limit: usize,
    show: &impl Fn(&Operation) -> T,
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

/// Up to `limit` entries that follow `after`, the newest first, and the number of the last one if there are more. `read` gives
/// those from a number on that follow another one. Where `newest` is given, many may have to be passed over, so they are looked
/// for in pieces, and a search that takes too long is cut off, as with operations; it begins at that number.
pub(super) async fn numbered<T, F: Future<Output = Result<Vec<T>, Error>>>(
    read: impl Fn(u64, Option<u64>, usize) -> F,
    key: impl Fn(&T) -> u64,
    (after, limit): (Option<u64>, usize),
    newest: Option<u64>,
) -> Result<(Vec<T>, Option<u64>), Error> {
    let until = Instant::now() + SEARCH_MAX;
    let (mut found, mut last) = (Vec::new(), after);
    loop {
        let first = newest.map_or(0, |newest| last.unwrap_or(newest + 1).saturating_sub(NUMBERS));
        // One more than is wanted tells whether there are more.
        while found.len() <= limit {
            let wanted = (limit + 1 - found.len()).min(CHUNK);
            let some = read(first, last, wanted).await?;
            let is_last = some.len() < wanted;
            last = some.last().map(&key).or(last);
            found.extend(some);
            if is_last {
                break;
            }
        }
        if found.len() > limit || first == 0 {
            let more = cut(&mut found, limit, key);
            return Ok((found, more));
        }
        last = Some(first);
        if Instant::now() >= until {
            return Ok((found, last));
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

    /// Reads every seventh of the numbers below 50,000, and tells how many pieces were looked at.
    async fn sevenths(after: Option<u64>, limit: usize, newest: Option<u64>) -> (Vec<u64>, Option<u64>, usize) {
        let pieces = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let read = |first: u64, after: Option<u64>, wanted: usize| {
            pieces.borrow_mut().insert(first);
            let below = after.unwrap_or(50_000);
            let found = (first..below).rev().filter(|number| number % 7 == 0);
            std::future::ready(Ok(found.take(wanted).collect::<Vec<u64>>()))
        };
        let (found, more) = numbered(read, |number| *number, (after, limit), newest).await.unwrap();
        (found, more, pieces.into_inner().len())
    }

    #[tokio::test]
    async fn what_is_read_in_pieces_is_the_same() {
        for limit in [1, 150, 5_000, 9_000] {
            let (whole, more, pieces) = sevenths(None, limit, None).await;
            assert_eq!((whole.len(), pieces), (limit.min(7_143), 1));
            assert_eq!(more.is_some(), limit < 7_143);
            let (found, more_found, pieces) = sevenths(None, limit, Some(49_999)).await;
            assert_eq!((&found, more_found), (&whole, more), "{limit}");
            assert_eq!(pieces > 1, limit > 2_857, "{limit}");
            let (whole, more, _) = sevenths(more_found, limit, None).await;
            let (found, more_found, _) = sevenths(more_found, limit, Some(49_999)).await;
            assert_eq!((found, more_found), (whole, more), "after the first {limit}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_that_takes_too_long_is_cut_off() {
        let read = |_: u64, _: Option<u64>, _: usize| async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Ok(Vec::<u64>::new())
        };
        let (found, more) = numbered(read, |number| *number, (None, 5), Some(1_000_000)).await.unwrap();
        assert_eq!((found, more), (Vec::new(), Some(1_000_001 - 3 * NUMBERS)));
    }
}
