//! What the program that is given away has to be like, beside that it works: at addresses that nobody knows beforehand, with the
//! tables of the linker read-only once it has started, and without symbols.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Whether a program has a property, by what `readelf` prints of it.
type Holds = fn(&str) -> bool;

/// Each property, and how one tells.
const PROPERTIES: [(&str, Holds); 4] = [
    ("position-independent (PIE)", |said| has(said, &["Type:", "DYN"]) && has(said, &["(FLAGS_1)", "PIE"])),
    ("with a part that becomes read-only (RELRO)", |said| has(said, &["GNU_RELRO"])),
    ("bound as a whole at its start, so that nothing of that stays writable (full RELRO)", |said| {
        has(said, &["(FLAGS)", "BIND_NOW"]) || has(said, &["(FLAGS_1)", "NOW"])
    }),
    ("stripped", |said| !has(said, &["SYMTAB"]) && !has(said, &[".debug_info"])),
];

/// That a program is like that.
///
/// # Errors
/// What it is not, or that `readelf` cannot be run.
pub fn check(program: &Path) -> Result<()> {
    let mut readelf = Command::new("readelf");
    readelf.args(["--wide", "--file-header", "--program-headers", "--section-headers", "--dynamic"]).arg(program);
    let said = readelf.env("LC_ALL", "C").output().context("readelf, of binutils, cannot be run")?;
    if !said.status.success() {
        bail!("readelf: {}", String::from_utf8_lossy(&said.stderr));
    }
    let lacking = lacking(&String::from_utf8_lossy(&said.stdout));
    if !lacking.is_empty() {
        bail!("{} is not {}", program.display(), lacking.join(", not "));
    }
    Ok(())
}

fn lacking(said: &str) -> Vec<&'static str> {
    PROPERTIES.iter().filter(|(_, holds)| !holds(said)).map(|(name, _)| *name).collect()
}

/// Whether a line has all of these, as words or as their beginnings.
fn has(said: &str, parts: &[&str]) -> bool {
    said.lines().any(|line| parts.iter().all(|part| line.split_whitespace().any(|word| word.starts_with(part))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "  Type:                              DYN (Position-Independent Executable file)\n\
          [ 4] .dynsym           DYNSYM          00000000000003a8 0003a8 000b70 18   A  5   1  8\n\
          [13] .debug_gdb_scripts PROGBITS       00000000007b67ac 7b67ac 000022 01 AMS  0   0  1\n\
          GNU_RELRO      0x2c1bc60 0x0000000002c1dc60 0x0000000002c1dc60 0x181778 0x1823a0 R   0x1\n \
         0x000000000000001e (FLAGS)              BIND_NOW\n \
         0x000000006ffffffb (FLAGS_1)            Flags: NOW PIE\n \
         0x0000000000000006 (SYMTAB)             0x340\n";

    #[test]
    fn each_property_is_missed_where_it_is_not() {
        assert_eq!(lacking(GOOD), Vec::<&str>::new());
        for (bad, missed) in [
            (GOOD.replace("DYN (", "EXEC ("), "position-independent"),
            (GOOD.replace(" PIE", ""), "position-independent"),
            (GOOD.replace("GNU_RELRO", "GNU_STACK"), "with a part"),
            (GOOD.replace("BIND_NOW", "").replace("NOW ", ""), "bound as a whole"),
            (
                format!("{GOOD}  [39] .symtab           SYMTAB          00 5b2b420 45f1b0 18     41 120289  8\n"),
                "stripped",
            ),
            (
                format!("{GOOD}  [34] .debug_info       PROGBITS        00 2dcc156 80e925 00      0   0  1\n"),
                "stripped",
            ),
        ] {
            let lacking = lacking(&bad);
            assert!(lacking.len() == 1 && lacking[0].starts_with(missed), "{missed}: {lacking:?}");
        }
    }

    /// The linker makes a program of the tests as it makes the one that is given away, but for the symbols.
    #[test]
    fn what_the_linker_makes_here_is_hardened() {
        let Err(error) = check(&std::env::current_exe().unwrap()) else { panic!("a program of the tests has symbols") };
        let error = error.to_string();
        assert!(error.contains("readelf, of binutils, cannot be run") || error.ends_with("is not stripped"), "{error}");
    }
}
