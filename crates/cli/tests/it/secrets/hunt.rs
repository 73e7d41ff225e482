//! Looking for secrets, in whatever form, in whatever there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A secret, and where it was put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Secret {
    pub(super) place: &'static str,
    /// Letters and digits only, so that it is the same in JSON, in an address and in a form.
    pub(super) text: &'static str,
}

/// What was found: where, and which.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<String, Vec<&'static str>>);

/// What is looked for: each secret in each form, by how the form begins.
pub(super) struct Hunt {
    /// Whether a form begins with these two octets. Folders are large, and tests are not optimised.
    begins: Vec<bool>,
    forms: HashMap<[u8; 4], Vec<(&'static str, Vec<u8>)>>,
}

impl Hunt {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut hunt = Self { begins: vec![false; 1 << 16], forms: HashMap::new() };
        for (place, form) in secrets.iter().flat_map(|secret| forms(secret.text).map(|form| (secret.place, form))) {
            hunt.begins[pair(form[0], form[1])] = true;
            hunt.forms.entry(*form.first_chunk().unwrap()).or_default().push((place, form));
        }
        hunt
    }

    /// The places whose secrets are in these octets.
    pub(super) fn in_octets(&self, octets: &[u8]) -> Vec<&'static str> {
        let mut places = BTreeSet::new();
        let mut at = 0;
        while at + 4 <= octets.len() {
            if self.begins[pair(octets[at], octets[at + 1])]
                && let Some(forms) = octets[at..].first_chunk().and_then(|beginning| self.forms.get(beginning))
            {
                let here = forms.iter().filter(|(_, form)| octets[at..].starts_with(form));
                places.extend(here.map(|(place, _)| *place));
            }
            at += 1;
        }
        places.into_iter().collect()
    }

    pub(super) fn look(&self, found: &mut Found, name: impl Into<String>, octets: &[u8]) {
        let here = self.in_octets(octets);
        if !here.is_empty() {
            found.0.insert(name.into(), here);
        }
    }

    /// Looks at every file of a folder and below, but for those that `leave` says. Gives how many.
    pub(super) fn look_at_files(&self, found: &mut Found, folder: &Path, leave: &[&str]) -> usize {
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if leave.contains(&name.as_str()) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => files += self.look_at_files(found, &path, leave),
                Ok(kind) if kind.is_file() => {
                    // A server that runs removes files of its own meanwhile.
                    let Ok(octets) = std::fs::read(&path) else { continue };
                    files += 1;
                    self.look(found, path.display().to_string(), &octets);
                }
                Ok(_) | Err(_) => {}
            }
        }
        files
    }
}

impl Found {
    pub(super) fn assert_nothing(&self, when: &str) {
        assert!(self.0.is_empty(), "{when}, secrets stand in clear: {:#?}", self.0);
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// As it is, in hexadecimal, and in base64 wherever it begins within a group of three octets.
fn forms(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let hex: String = text.bytes().map(|octet| format!("{octet:02x}")).collect();
    let plain = [text.as_bytes().to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    let octets = text.as_bytes().to_vec();
    let encoded = (0..3).map(move |before| {
        let padded = [vec![0; before], octets.clone()].concat();
        // What neighbours have a part in is left out on both sides. Letters and digits are the same in both alphabets.
        let whole = padded.len() / 3 * 4;
        let from = if before == 0 { 0 } else { 4 };
        STANDARD.encode(&padded).as_bytes()[from..whole].to_vec()
    });
    plain.into_iter().chain(encoded)
}

#[test]
fn a_secret_is_found_in_each_form() {
    let hunt = Hunt::new(&[Secret { place: "here", text: "Kx7mQ2vTz9Lw" }]);
    for before in ["", "a", "ab", "abc"] {
        let around = format!("{before}Kx7mQ2vTz9Lw!");
        assert_eq!(hunt.in_octets(around.as_bytes()), ["here"]);
        assert_eq!(hunt.in_octets(STANDARD.encode(&around).as_bytes()), ["here"], "{before:?}");
        let hex: String = around.bytes().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hunt.in_octets(hex.as_bytes()), ["here"]);
    }
    assert_eq!(hunt.in_octets(b"Kx7mQ2vTz9L-w"), <[&str; 0]>::default());
}
