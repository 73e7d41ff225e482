//! A configuration file as it was written: every key and value with the place where it stands.
//!
//! Owns reading TOML and turning a [`Place`] (a path of keys and positions) into a line and a column. Knows nothing of
//! what the keys mean.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where something stands in the file, as the keys and array positions that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place(Vec<Part>);

/// One step of a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A key of a table.
    Key(String),
    /// A position in an array, counted from 0.
    Index(usize),
}

impl Place {
    /// The place named by these keys, from the top of the file.
    pub(crate) fn of<const N: usize>(keys: [&str; N]) -> Self {
        Self(keys.iter().map(|key| Part::Key((*key).to_owned())).collect())
    }

    /// The place of `key` in the table at this place.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Part::Key(key.to_owned()))
    }

    /// The place of the element at `index` of the array at this place.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Part::Index(index))
    }

    /// The steps from the top of the file.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether `other` is this place or lies inside of it.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The place that this one is directly in; the top of the file is in itself.
    pub(crate) fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// The key that the value at this place belongs to; empty at the top of the file.
    pub(crate) fn last_key(&self) -> &str {
        let keys = self.0.iter().rev().filter_map(|part| match part {
            Part::Key(key) => Some(key.as_str()),
            Part::Index(_) => None,
        });
        keys.into_iter().next().unwrap_or_default()
    }

    fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }
}

/// The place as a table header shows it: keys only, and an array's element with double brackets.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self
            .0
            .iter()
            .filter_map(|part| match part {
                Part::Key(key) => Some(key.as_str()),
                Part::Index(_) => None,
            })
            .collect();
        let name = keys.join(".");
        match self.0.last() {
            None => f.write_str("the top of the file"),
            Some(Part::Index(_)) => write!(f, "[[{name}]]"),
            Some(Part::Key(_)) => write!(f, "[{name}]"),
        }
    }
}

/// A line and a column, both counted from 1; a column is a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The line.
    pub(crate) line: usize,
    /// The column.
    pub(crate) column: usize,
}

/// A value of the file.
pub(crate) struct Node {
    /// The octets of the source that it takes up; for a table with a header, those of the header.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) value: Value,
}

/// What a [`Node`] is.
pub(crate) enum Value {
    /// Text.
    Text(String),
    /// A whole number, where it is one that 64 bits hold.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A date, a time, or both.
    Date,
    /// An array.
    Array(Vec<Node>),
    /// A table, in the order of the file.
    Table(Vec<Member>),
}

/// A key of a table and its value.
pub(crate) struct Member {
    /// The key.
    pub(crate) key: String,
    /// The octets of the source where the key stands first.
    pub(crate) key_span: Range<usize>,
    /// The value.
    pub(crate) node: Node,
}

impl Node {
    /// The value of `key`, if this is a table that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.member(key).map(|member| &member.node)
    }

    fn member(&self, key: &str) -> Option<&Member> {
        match &self.value {
            Value::Table(members) => members.iter().find(|member| member.key == key),
            _ => None,
        }
    }
}

/// Bad TOML: what is wrong, and where.
pub(crate) struct SyntaxError {
    /// What is wrong.
    pub(crate) message: String,
    /// Where, if it is known.
    pub(crate) position: Option<Position>,
}

/// A file that is good TOML.
pub(crate) struct Document {
    source: String,
    root: Node,
}

impl Document {
    /// Reads `source`, or tells the first thing that is not TOML.
    pub(crate) fn parse(source: String) -> Result<Self, SyntaxError> {
        let (table, errors) = DeTable::parse_recoverable(&source);
        if errors.is_empty() {
            let span = table.span();
            let root = Node { span, value: table_of(table.into_inner()) };
            return Ok(Self { source, root });
        }
        // What follows the first one is most often found only because of it.
        let first = errors.iter().min_by_key(|error| error.span().map(|span| span.start));
        let first = first.expect("there is an error");
        // The error's own text form would show the line, and a line may hold a credential.
        let position = first.span().map(|span| position(&source, span.start));
        Err(SyntaxError { message: first.message().to_owned(), position })
    }

    /// The table at the top.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// The value at `place`, if there is one.
    pub(crate) fn get(&self, place: &Place) -> Option<&Node> {
        place.parts().iter().try_fold(&self.root, |node, part| match (part, &node.value) {
            (Part::Key(key), Value::Table(_)) => node.get(key),
            (Part::Index(index), Value::Array(elements)) => elements.get(*index),
            _ => None,
        })
    }

    /// Whether the file says anything at `place`, good or bad.
    pub(crate) fn has(&self, place: &Place) -> bool {
        self.get(place).is_some()
    }

    /// Where the value at `place` stands, or else the nearest thing around it.
    pub(crate) fn value_position(&self, place: &Place) -> Position {
        let mut place = place.clone();
        loop {
            if place.parts().is_empty() {
                return Position { line: 1, column: 1 };
            }
            match self.get(&place) {
                // The value of a table that has a header, or that is made of dotted keys, is better shown by its key.
                Some(Node { value: Value::Table(_), .. }) => return self.key_position(&place),
                Some(node) => return position(&self.source, node.span.start),
                None => place = place.parent(),
            }
        }
    }

    /// Where the key of `place` stands; for an element of an array, where the element stands.
    pub(crate) fn key_position(&self, place: &Place) -> Position {
        let found = match place.parts().last() {
            Some(Part::Key(key)) => {
                self.get(&place.parent()).and_then(|table| table.member(key)).map(|member| member.key_span.start)
            }
            Some(Part::Index(_)) => self.get(place).map(|node| node.span.start),
            None => Some(0),
        };
        match found {
            Some(offset) => position(&self.source, offset),
            None => self.value_position(&place.parent()),
        }
    }
}

fn table_of(table: DeTable<'_>) -> Value {
    let mut members: Vec<Member> = table
        .into_iter()
        .map(|(key, value)| Member { key_span: key.span(), key: key.into_inner().into_owned(), node: node_of(value) })
        .collect();
    members.sort_by_key(|member| member.key_span.start);
    Value::Table(members)
}

fn node_of(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        // TOML's own grammar has been checked; what is left is `inf`, `nan` and decimals, which Rust reads alike.
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Value::Boolean(truth),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(elements) => Value::Array(elements.into_iter().map(node_of).collect()),
        DeValue::Table(table) => table_of(table),
    };
    Node { span, value }
}

fn position(source: &str, offset: usize) -> Position {
    let before = source.get(..offset).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "top = 1\n\n[targets.tokyo]\nurl = \"http://é\" # é\ntimeouts = { connect = \"3s\", response = 4 }\n\n\
                        [[routes]]\nname = \"a\"\n\n[[routes]]\nundo.method = \"PUT\"\n[routes.on.tokyo]\nundo = \"x\"\n";

    fn at(line: usize, column: usize) -> Position {
        Position { line, column }
    }

    #[test]
    fn places_become_lines_and_columns() {
        let document = Document::parse(TEXT.to_owned()).ok().unwrap();
        let tokyo = Place::of(["targets", "tokyo"]);
        assert_eq!(document.key_position(&tokyo), at(3, 10));
        assert_eq!(document.value_position(&tokyo), at(3, 10));
        assert_eq!(document.value_position(&tokyo.key("url")), at(4, 7));
        assert_eq!(document.key_position(&tokyo.key("timeouts").key("response")), at(5, 30));
        assert_eq!(document.value_position(&tokyo.key("timeouts").key("response")), at(5, 41));
        let second = Place::of(["routes"]).index(1);
        assert_eq!(document.value_position(&second), at(10, 1));
        assert_eq!(document.value_position(&second.key("undo").key("method")), at(11, 15));
        assert_eq!(document.value_position(&second.key("on").key("tokyo").key("undo")), at(13, 8));
        // What is not there is shown where it would have to be.
        assert_eq!(document.value_position(&second.key("on").key("tokyo").key("probe")), at(12, 12));
        assert_eq!(document.value_position(&second.key("match")), at(10, 1));
        assert_eq!(document.value_position(&Place::of(["server", "listen"])), at(1, 1));
    }

    #[test]
    fn the_first_syntax_error_has_its_line() {
        let error = Document::parse("a = \nb = 1\nc = [1,\nd = 2\nb = 3\n".to_owned()).err().unwrap();
        assert_eq!(error.position.map(|position| position.line), Some(1), "{}", error.message);
    }

    #[test]
    fn places_read_like_headers() {
        assert_eq!(Place::of(["targets", "tokyo"]).to_string(), "[targets.tokyo]");
        assert_eq!(Place::of(["routes"]).index(1).to_string(), "[[routes]]");
        assert_eq!(Place::of(["routes"]).index(1).key("undo").to_string(), "[routes.undo]");
    }
}
