//! What is taken out of everything that is shown.

use fanfold_core::plan::Redaction;

use crate::config::file::Redact;
use crate::config::value::{Pointer, Text};

/// Whether a header field of this name holds a credential as a rule.
pub(super) fn is_credential(header: &str) -> bool {
    Redaction::standard().headers.iter().any(|name| name == header)
}

/// What is built in, and what each level adds.
pub(super) fn redaction(levels: [Option<&Redact>; 2], reveal: &[Text<Pointer>]) -> Redaction {
    let mut redaction = Redaction::standard();
    redaction.reveal = reveal.iter().map(|pointer| pointer.0.0.clone()).collect();
    for level in levels.into_iter().flatten() {
        redaction.keys.extend(level.keys.iter().map(|key| key.to_lowercase()));
        redaction.headers.extend(level.headers.iter().map(|name| name.0.0.as_str().to_owned()));
        redaction.pointers.extend(level.pointers.iter().map(|pointer| pointer.0.0.clone()));
    }
    for list in [&mut redaction.keys, &mut redaction.headers, &mut redaction.pointers, &mut redaction.reveal] {
        list.sort();
        list.dedup();
    }
    redaction
}
