//! What is wrong, or doubtful, in a configuration: collecting it, placing it, showing it.

use std::fmt;

use super::document::{Document, Place, Position};

/// Something in the configuration with which Fanfold does not start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake(Finding);

/// Something in the configuration that is likely not what was meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Warning(Finding);

/// What was found, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, or the name of an environment variable.
    pub(crate) file: String,
    /// Where in the file; `None` if it concerns all of it.
    pub(crate) position: Option<Position>,
    /// What is wrong. Never holds the value of a credential.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Mistake {
    /// A mistake that has no place among the keys of a file.
    pub(crate) fn outside(file: &str, position: Option<Position>, wrong: Wrong) -> Self {
        Self(Finding { file: file.to_owned(), position, message: wrong.message, hint: wrong.hint })
    }
}

impl std::ops::Deref for Mistake {
    type Target = Finding;

    fn deref(&self) -> &Finding {
        &self.0
    }
}

impl std::ops::Deref for Warning {
    type Target = Finding;

    fn deref(&self) -> &Finding {
        &self.0
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.prefix(), self.0.text())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}warning: {}", self.0.prefix(), self.0.text())
    }
}

impl std::error::Error for Mistake {}

impl Finding {
    fn prefix(&self) -> String {
        match self.position {
            Some(Position { line, column }) => format!("{}:{line}:{column}: ", self.file),
            None => format!("{}: ", self.file),
        }
    }

    fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

/// What is wrong with something, before it is known where that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Wrong {
    /// Says what is wrong.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Says what to do about it, too.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What has been found in one file so far.
pub(crate) struct Findings<'d> {
    file: &'d str,
    document: &'d Document,
    mistakes: Vec<(Place, Mistake)>,
    /// Tables with keys that nobody knows: a key that seems to be missing there may be misspelt.
    misspelt: Vec<Place>,
    elsewhere: Vec<Mistake>,
    warnings: Vec<Warning>,
}

impl<'d> Findings<'d> {
    /// Nothing has been found in `document`, which is shown as `file`.
    pub(crate) fn new(file: &'d str, document: &'d Document) -> Self {
        Self { file, document, mistakes: Vec::new(), misspelt: Vec::new(), elsewhere: Vec::new(), warnings: Vec::new() }
    }

    /// The file as it was written.
    pub(crate) fn document(&self) -> &'d Document {
        self.document
    }

    /// Whether the file says anything at `place`, good or bad.
    pub(crate) fn has(&self, place: &Place) -> bool {
        self.document.has(place)
    }

    /// The value at `place` is wrong. Says nothing where it, or a part of it, has been found wrong before: what is wrong
    /// with the rest is most likely a consequence.
    pub(crate) fn mistake(&mut self, place: &Place, wrong: Wrong) {
        if !self.is_wrong(place) {
            let position = self.document.value_position(place);
            self.push(place, position, wrong);
        }
    }

    /// Mistakes that were found together in values that were read already. Says nothing where [`Findings::mistake`] says
    /// nothing; nor where the value itself is missing, if that has been told, or if it may have been misspelt. One of these
    /// mistakes does not hide another one.
    pub(crate) fn consequences(&mut self, found: impl IntoIterator<Item = (Place, Wrong)>) {
        let before = self.mistakes.len();
        for (place, wrong) in found {
            let around = place.parent();
            let known = &self.mistakes[..before];
            let is_known = known.iter().any(|(known, _)| place.holds(known));
            let is_absence_known =
                || self.misspelt.contains(&around) || known.iter().any(|(known, _)| *known == around);
            if !is_known && (self.has(&place) || !is_absence_known()) {
                let position = self.document.value_position(&place);
                self.push(&place, position, wrong);
            }
        }
    }

    /// As [`Findings::mistake`], for a message that is about the value alone: it is given the name of the key.
    pub(crate) fn bad_value(&mut self, place: &Place, wrong: Wrong) {
        let message = format!("{}: {}", place.last_key(), wrong.message);
        self.mistake(place, Wrong { message, ..wrong });
    }

    /// The key at `place` should not be there, or something is missing beside it.
    pub(crate) fn bad_key(&mut self, place: &Place, wrong: Wrong) {
        self.push(place, self.document.key_position(place), wrong);
    }

    /// Nobody knows `key` in the table at `place`.
    pub(crate) fn unknown_key(&mut self, place: &Place, key: &str, wrong: Wrong) {
        self.misspelt.push(place.clone());
        self.bad_key(&place.key(key), wrong);
    }

    /// Something is wrong that does not stand in the file.
    pub(crate) fn mistake_elsewhere(&mut self, origin: &str, wrong: Wrong) {
        self.elsewhere.push(Mistake::outside(origin, None, wrong));
    }

    /// The value at `place` is likely not what was meant.
    pub(crate) fn warning(&mut self, place: &Place, wrong: Wrong) {
        let position = Some(self.document.value_position(place));
        self.warnings.push(Warning(Finding {
            file: self.file.to_owned(),
            position,
            message: wrong.message,
            hint: wrong.hint,
        }));
    }

    /// Whether a mistake has been found at `place` or inside of it.
    pub(crate) fn is_wrong(&self, place: &Place) -> bool {
        self.mistakes.iter().any(|(known, _)| place.holds(known))
    }

    /// The warnings if there is no mistake, else the mistakes, in the order of the file.
    pub(crate) fn into_result(self) -> Result<Vec<Warning>, Vec<Mistake>> {
        let mut mistakes: Vec<Mistake> =
            self.mistakes.into_iter().map(|(_, mistake)| mistake).chain(self.elsewhere).collect();
        let mut warnings = self.warnings;
        if mistakes.is_empty() {
            warnings.sort();
            return Ok(warnings);
        }
        mistakes.sort();
        mistakes.dedup();
        Err(mistakes)
    }

    fn push(&mut self, place: &Place, position: Position, wrong: Wrong) {
        self.mistakes.push((place.clone(), Mistake::outside(self.file, Some(position), wrong)));
    }
}
