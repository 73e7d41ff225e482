//! How single values stand in columns.

use std::borrow::Cow;
use std::collections::BTreeSet;

use fanfold_core::operation::Status;
use fanfold_core::{OperationId, Revision, Slot};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::{Error, record, time};

/// Stands for itself as `ESCAPE '1'`, and for NUL, which PostgreSQL's texts cannot hold, as `ESCAPE '0'`. It is no character,
/// and so in no ordinary text.
const ESCAPE: char = '\u{10ffff}';

/// A text that somebody else chose, as it stands in a column.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([ESCAPE, '0']),
            ESCAPE => escaped.extend([ESCAPE, '1']),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// Back.
pub(super) fn unescaped(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ESCAPE if characters.next() == Some('0') => plain.push('\0'),
            other => plain.push(other),
        }
    }
    plain
}

pub(super) fn uuid(id: OperationId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(super) fn id(uuid: Uuid) -> OperationId {
    OperationId::from_bytes(*uuid.as_bytes())
}

/// A value of a row.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Error> {
    row.try_get(column).map_err(|error| Error::corrupt(super::failure::words(&error)))
}

pub(super) fn operation_id(row: &Row, column: usize) -> Result<OperationId, Error> {
    get(row, column).map(id)
}

pub(super) fn text(row: &Row, column: usize) -> Result<String, Error> {
    get(row, column).map(unescaped)
}

pub(super) fn optional_text(row: &Row, column: usize) -> Result<Option<String>, Error> {
    get::<Option<String>>(row, column).map(|text| text.map(unescaped))
}

pub(super) fn unsigned(row: &Row, column: usize) -> Result<u64, Error> {
    let value: i64 = get(row, column)?;
    u64::try_from(value).map_err(|_| Error::corrupt(format!("{value} is negative")))
}

pub(super) fn timestamp(row: &Row, column: usize) -> Result<Timestamp, Error> {
    time::timestamp(get(row, column)?)
}

pub(super) fn optional_timestamp(row: &Row, column: usize) -> Result<Option<Timestamp>, Error> {
    get::<Option<i64>>(row, column)?.map(time::timestamp).transpose()
}

pub(super) fn status(row: &Row, column: usize) -> Result<Status, Error> {
    let word: &str = get(row, column)?;
    let found = Status::ALL.into_iter().find(|status| status.as_str() == word);
    found.ok_or_else(|| Error::corrupt(format!("{word:?} is no status")))
}

pub(super) fn slot(row: &Row, column: usize) -> Result<Slot, Error> {
    let text: &str = get(row, column)?;
    text.parse().map_err(|error: fanfold_core::message::BadSlot| Error::corrupt(error.to_string()))
}

pub(super) fn slots(row: &Row, column: usize) -> Result<BTreeSet<Slot>, Error> {
    record::slots_from(get(row, column)?).map_err(Error::corrupt)
}

pub(super) fn revision(revision: Revision) -> Result<i64, Error> {
    number(revision.0).map_err(|()| Error::invalid("the revision is out of range"))
}

/// A number as SQL takes it.
pub(super) fn number(number: u64) -> Result<i64, ()> {
    i64::try_from(number).map_err(|_| ())
}

/// The same where one that is too large may count as the largest.
pub(super) fn at_most(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit as SQL takes it.
pub(super) fn limit(wanted: usize, bound: usize) -> i64 {
    i64::try_from(wanted.min(bound)).unwrap_or(i64::MAX)
}

/// Octets of something.
pub(super) fn length(octets: usize) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_stand_in_a_column_and_no_two_become_the_same() {
        let texts = ["", "plain", "\0", "a\0b", "\u{10ffff}", "\u{10ffff}0", "\u{10ffff}1\0"];
        for text in texts {
            let escaped = escaped(text);
            assert!(!escaped.contains('\0'));
            assert_eq!(unescaped(escaped.into_owned()), text);
        }
        let all: BTreeSet<_> = texts.iter().map(|text| escaped(text)).collect();
        assert_eq!(all.len(), texts.len());
    }
}
