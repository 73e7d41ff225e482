//! What must hold of every parser that sees foreign bytes, whatever they are: one function for each, which panics where it does
//! not hold. That nothing panics by itself is the least of it: what is printed is read again as the same, a rendered path stays
//! below its target, what is public has no secret in it, and nobody is let in who was not vouched for.
//!
//! `cargo xtask fuzz` lets libFuzzer look for bytes that break one of them; what it finds worth keeping is in `fuzz/corpus`, and
//! the tests of this crate try that, and random bytes, with every run.

// Its tests are in `tests/`. Built as one itself, it would have those of the configuration in it.
#![cfg(not(test))]

mod accept;
mod address;
#[path = "../../cli/src/config/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "it has no crate of its own, and what the program does with its settings is not done here"
)]
mod config;
mod configuration;
mod input;
mod jwt;
mod lower;
mod record;
mod redaction;
mod site;
mod template;

use fanfold_server::hostile as server;

/// What is told of some bytes.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 15] = [
    ("accept_msf", accept::msf),
    ("accept_native", accept::native),
    ("accept_plas", accept::plas),
    ("address", address::address),
    ("configuration", configuration::configuration),
    ("fields", fields),
    ("framing", server::framing),
    ("jwt", jwt::jwt),
    ("key_set", jwt::key_set),
    ("lower", lower::lower),
    ("path", address::path),
    ("query", query),
    ("record", record::record),
    ("redaction", redaction::redaction),
    ("template", template::template),
];

/// Header fields, one a line, as everybody reads them who reads some.
fn fields(octets: &[u8]) {
    server::credentials(octets);
    server::session(octets);
    server::preference(octets);
    server::entity_tag(octets);
    server::origin(octets);
    server::header_fields(octets);
}

/// What stands behind a question mark, in a form, in a link to the next page, or in `Last-Event-ID`.
fn query(octets: &[u8]) {
    server::list_query(octets);
    server::form(octets);
    server::page_token(octets);
    server::last_event(octets);
}

/// The function of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
