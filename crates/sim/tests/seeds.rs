//! Goal: what once failed never fails again, and the same inputs always give the same history.

use std::path::Path;

use fanfold_sim::{Scenario, simulate};

/// Fresh histories, beside those that are kept.
const FRESH: u64 = 300;

fn kept() -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let files = std::fs::read_dir(&folder).expect("the folder is there").flatten().map(|file| file.path());
    let mut kept: Vec<(String, Scenario)> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a file of the repository can be read");
            let name = path.display().to_string();
            let scenario = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, scenario)
        })
        .collect();
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    kept
}

#[test]
fn inputs_that_once_failed_do_not_fail_again() {
    let kept = kept();
    assert!(!kept.is_empty(), "some are kept");
    for (name, scenario) in kept {
        let verdict = simulate(&scenario).unwrap();
        assert_eq!(verdict.breaches, [], "{name}: {:#?}", verdict.story);
    }
}

#[test]
fn fresh_histories_break_nothing() {
    for seed in 0..FRESH {
        let verdict = simulate(&Scenario::drawn(seed)).unwrap();
        assert_eq!(verdict.breaches, [], "seed {seed}: {:#?}", verdict.story);
    }
}

#[test]
fn the_same_inputs_give_the_same_history() {
    for seed in 1_000..1_060 {
        let scenario = Scenario::drawn(seed);
        let text = serde_json::to_string(&scenario).unwrap();
        let read: Scenario = serde_json::from_str(&text).unwrap();
        assert_eq!(simulate(&scenario).unwrap(), simulate(&read).unwrap(), "seed {seed}");
    }
}
