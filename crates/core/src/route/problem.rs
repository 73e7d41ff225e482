//! Mistakes in routes and targets, each with the place in the configuration where it stands. Finds none itself.

use std::fmt;

/// A mistake, or something that is probably one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: keys and indices as in the configuration file, from the top.
    pub place: Vec<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the configuration works all the same.
    pub warning: bool,
}

/// One part of the way to a value in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A key of a table.
    Key(String),
    /// A position in an array, counted from 0.
    Index(usize),
}

impl From<&str> for Place {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Place {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl Problem {
    /// The place as text: `routes[2].undo.path`.
    pub fn place_text(&self) -> String {
        let mut text = String::new();
        for place in &self.place {
            match place {
                Place::Key(key) if text.is_empty() => text.push_str(key),
                Place::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
                Place::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place_text(), self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Collects problems below one place after another.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    base: Vec<Place>,
}

impl Problems {
    /// Lets `look` report below a place that is relative to the present one.
    pub(crate) fn below<R>(&mut self, place: &[Place], look: impl FnOnce(&mut Self) -> R) -> R {
        let depth = self.base.len();
        self.base.extend_from_slice(place);
        let result = look(self);
        self.base.truncate(depth);
        result
    }

    /// A mistake at a place that is relative to the present one.
    pub(crate) fn mistake(&mut self, place: &[Place], message: impl Into<String>) {
        self.add(place, message.into(), None, false);
    }

    /// A mistake with advice.
    pub(crate) fn mistake_with_hint(&mut self, place: &[Place], message: impl Into<String>, hint: impl Into<String>) {
        self.add(place, message.into(), Some(hint.into()), false);
    }

    /// Something that works, but is probably not meant.
    pub(crate) fn warning(&mut self, place: &[Place], message: impl Into<String>, hint: impl Into<String>) {
        self.add(place, message.into(), Some(hint.into()), true);
    }

    /// How many mistakes were found so far, warnings aside.
    pub(crate) fn mistakes(&self) -> usize {
        self.found.iter().filter(|problem| !problem.warning).count()
    }

    /// All that was found, in the order in which it was.
    pub(crate) fn into_found(self) -> Vec<Problem> {
        self.found
    }

    fn add(&mut self, place: &[Place], message: String, hint: Option<String>, warning: bool) {
        let place = self.base.iter().chain(place).cloned().collect();
        self.found.push(Problem { place, message, hint, warning });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_like_paths() {
        let mut problems = Problems::default();
        problems.below(&["routes".into(), 2.into()], |problems| {
            problems.mistake_with_hint(&["undo".into(), "path".into()], "is no template", "close it");
        });
        problems.mistake(&["targets".into()], "none");
        let found: Vec<String> = problems.into_found().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["routes[2].undo.path: is no template (close it)", "targets: none"]);
    }
}
