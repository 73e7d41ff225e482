//! What can be written in the file but is not performed by this version: an error, never ignored.
//!
//! The one list of it is [`NOT_YET`]. Everything in it is declared, read and carried into the settings like any other key, so
//! that a version that performs it needs to take its line out of the list, and nothing else here.

use super::document::{Node, Part, Place, Value};
use super::finding::{Findings, Wrong};

/// A setting that is refused.
struct Rule {
    /// The keys that lead to it.
    keys: &'static [&'static str],
    /// What to do instead.
    instead: &'static str,
}

const NOT_YET: &[Rule] = &[Rule { keys: &["server", "tls"], instead: "let a proxy on this machine speak TLS" }];

/// Refuses everything in the file that is on the list.
pub(crate) fn refuse(findings: &mut Findings<'_>) {
    let root = findings.document().root();
    refuse_below(root, &Place::default(), findings);
}

/// Whether every value at `place` is refused.
pub(crate) fn is_refused(place: &Place) -> bool {
    NOT_YET.iter().any(|rule| rule.is_at(place))
}

fn refuse_below(node: &Node, place: &Place, findings: &mut Findings<'_>) {
    if let Some(rule) = NOT_YET.iter().find(|rule| rule.is_at(place)) {
        findings.mistake(place, rule.wrong(place));
        return;
    }
    match &node.value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                refuse_below(element, &place.index(index), findings);
            }
        }
        Value::Table(members) => {
            for member in members {
                refuse_below(&member.node, &place.key(&member.key), findings);
            }
        }
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date => {}
    }
}

impl Rule {
    fn is_at(&self, place: &Place) -> bool {
        let fits = |(key, part): (&&str, &Part)| matches!(part, Part::Key(name) if name == key);
        self.keys.len() == place.parts().len() && self.keys.iter().zip(place.parts()).all(fits)
    }

    fn wrong(&self, place: &Place) -> Wrong {
        Wrong::new(format!("this version does not perform {} yet", place.last_key())).hint(self.instead)
    }
}

/// What is said about everything on the list.
#[cfg(test)]
pub(crate) fn messages() -> std::collections::BTreeSet<String> {
    let place = |rule: &Rule| rule.keys.iter().fold(Place::default(), |place, key| place.key(key));
    NOT_YET.iter().map(|rule| rule.wrong(&place(rule)).message).collect()
}

#[cfg(test)]
mod tests;
