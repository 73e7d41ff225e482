//! Plays histories and tells what came out: `fanfold-sim [--histories N] [--seed S] [--threads N] [--failures-max N]
//! [--keep FOLDER] [--verbose 1]`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use fanfold_sim::run::{Effort, Findings, run};

fn main() -> ExitCode {
    match simulate() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn simulate() -> Result<bool> {
    let mut effort = Effort { seed: 1, histories: 1_000, threads: 2, failures_max: 5 };
    let (mut keep, mut verbose) = (None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{value} is not a number"));
        match name.as_str() {
            "--histories" => effort.histories = number()?,
            "--seed" => effort.seed = number()?,
            "--threads" => effort.threads = usize::try_from(number()?)?,
            "--failures-max" => effort.failures_max = usize::try_from(number()?)?,
            "--keep" => keep = Some(PathBuf::from(value)),
            "--verbose" => verbose = number()? > 0,
            _ => bail!(
                "{name} is not known; known are --histories, --seed, --threads, --failures-max, --keep, --verbose"
            ),
        }
    }
    let findings = run(effort)?;
    tell(&findings, keep, verbose)?;
    let never_met = findings.never_met();
    if !never_met.is_empty() {
        say(&format!("simulate: never met: {}", never_met.join(", ")));
    }
    Ok(findings.failures.is_empty() && never_met.is_empty())
}

fn tell(findings: &Findings, keep: Option<PathBuf>, verbose: bool) -> Result<()> {
    for (seed, scenario, verdict) in &findings.failures {
        say(&format!("seed {seed}:"));
        verdict.breaches.iter().for_each(|breach| say(&format!("  {breach}")));
        if verbose {
            verdict.story.iter().for_each(|line| say(&format!("    {line}")));
        }
        if let Some(folder) = &keep {
            let path = folder.join(format!("{seed}.json"));
            let text = serde_json::to_string_pretty(scenario)?;
            std::fs::write(&path, text + "\n").with_context(|| path.display().to_string())?;
            say(&format!("  its inputs are kept in {}", path.display()));
        }
    }
    for (kind, met) in [("", &findings.states), ("fault ", &findings.faults), ("deed ", &findings.deeds)] {
        met.iter().for_each(|(name, count)| say(&format!("  {kind}{name}: {count}")));
    }
    say(&format!("simulate: {findings}"));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "this is a command for developers")]
fn say(line: &str) {
    eprintln!("{line}");
}
