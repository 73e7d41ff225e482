//! Every target, with what is kept of fuzzing and with random bytes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use fanfold_hostile::{TARGETS, Target};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Cases of each kind, for each target.
const CASES: u32 = 96;

/// Octets of one at the most.
const OCTETS_MAX: usize = 256;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn hold(name: &str, target: Target, octets: impl Strategy<Value = Vec<u8>>) {
    // The same cases with every run: what is found by chance is found by fuzzing, and kept.
    let rng_seed = RngSeed::Fixed(1);
    let config = Config { cases: CASES, failure_persistence: None, rng_seed, ..Config::default() };
    let text = octets.prop_map(Shown);
    let run = TestRunner::new(config).run(&text, |Shown(octets)| {
        target(&octets);
        Ok(())
    });
    run.unwrap_or_else(|failed| panic!("{name}: {failed}"));
}

/// Octets that are shown as people can read them.
struct Shown(Vec<u8>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

#[test]
fn what_is_kept_holds() {
    for (name, target) in TARGETS {
        let kept = corpus(name);
        assert!(!kept.is_empty(), "{name} has nothing to begin with");
        kept.iter().for_each(|octets| target(octets));
    }
}

#[test]
fn random_bytes_hold() {
    for (name, target) in TARGETS {
        hold(name, target, vec(any::<u8>(), 0..OCTETS_MAX));
    }
}

#[test]
fn what_is_kept_holds_with_other_bytes_in_it() {
    for (name, target) in TARGETS {
        let changed =
            (select(corpus(name)), vec((any::<Index>(), any::<u8>()), 1..8)).prop_map(|(mut octets, changes)| {
                for (at, octet) in changes {
                    if !octets.is_empty() {
                        let at = at.index(octets.len());
                        octets[at] = octet;
                    }
                }
                octets
            });
        hold(name, target, changed);
    }
}

#[test]
fn what_is_kept_holds_cut_and_joined() {
    for (name, target) in TARGETS {
        let two = (select(corpus(name)), select(corpus(name)), any::<Index>(), any::<Index>());
        let joined = two.prop_map(|(one, other, end, begin)| {
            let (end, begin) = (end.index(one.len() + 1), begin.index(other.len() + 1));
            [&one[..end], &other[begin..]].concat()
        });
        hold(name, target, joined);
    }
}

#[test]
fn every_target_is_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files, TARGETS.map(|(name, _)| name));
}
