//! Black-box tests of the core: what dialects read and write.

#![expect(clippy::unwrap_used, reason = "a test that cannot build its fixture fails, and says where")]

mod accepting;
mod answers;
mod details;
mod error_page;
mod fixtures;
mod history;
mod lists;
mod msf_fields;
mod own_paths;
mod phases;
mod refusals;
mod waits;
