//! `cargo xtask COMMAND`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use xtask::{
    adoption, defects, failover, flood, followers, fuzz, hardened, hostile, moving, package, pages, schemathesis, tidy,
    torn, torture,
};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  adoption [OPTIONS]       measures how long until other nodes own what a killed one had waiting (needs PostgreSQL)
      --operations N       how many wait (100000)
      --lease S            the lease of the nodes, in seconds (10)
  failover [OPTIONS]       kills the leading one of three PostgreSQL servers under load (needs patroni and etcd-server)
      --rounds N           how often (10)
  flood [OPTIONS]          measures what one tenant's flood does to another one's acceptances and first attempts
      --seconds N          how long, without the flood and with it (30)
      --rate N             operations of the other one each second (20)
      --connections N      of the flood (64)
      --optimised          with the program built as for histories, optimised
  followers [OPTIONS]      measures what an idle follower costs in memory, by streams of events and by ?wait=
      --count N            how many follow (10000)
      --kib-max K          fails if one costs more than so many KiB (32)
  fuzz [OPTIONS] [TARGET ...]  lets libFuzzer look for bytes that break a parser (needs a nightly compiler and cargo-fuzz)
      --minutes N          for how long, each (1)
  hostile [OPTIONS]        lets clients and a target that mean harm loose on a server, and measures what others notice of it
      --connections N      idle and slow ones (10000)
      --seconds N          for how long (60)
      --optimised          with the program as it is released
  defects [COMMAND ...]    plants each defect of crates/sim/defects in a copy of the workspace, and requires that the command
                           fails there (cargo test of core, engine and store)
  moving [OPTIONS]         moves a large database into PostgreSQL, kills that on the way, and compares what both export
      --operations N       how many there are (200000)
      --optimised          with the program built as for histories, optimised
  package                  makes the Debian package: the optimised program with manual pages and completions (needs cargo-deb)
  pages [OPTIONS]          measures how long lists and pages take with a large database, while operations come in
      --operations N       how many there are (100000)
      --loads N            how often each page is loaded (200)
      --rate N             how many operations come in each second (half of what goes)
      --database PATH      keeps the database there, and takes the one that is there (a new one)
      --optimised          with the program as it is released
  schemathesis [OPTIONS]   lets schemathesis make requests out of /openapi.json, and judge the answers (needs python3-venv)
      --examples           renews the examples of answers in the document instead
  simulate [OPTIONS]       plays histories of the whole engine with a clock, targets and a store that are made up
      --histories N        how many (20000)
      --seed S             what the first one is drawn from (1)
      --defects            plants each defect of crates/sim/defects in a copy, and requires that the simulation finds it
  tidy                     checks the rules of the house: arrows, module cycles, file lengths, names
  torn-writes [OPTIONS]    loses power at many instants of a recorded run, and looks what is left (needs strace)
      --seed S             what the run and the losses are drawn from (1)
      --operations N       operations accepted in the run (150)
      --states N           states rebuilt and opened (1000)
  torture [OPTIONS]        kills the server under load, and judges what became of every operation
      --seed S             what clients and targets do is drawn from it (1)
      --kills N            kill -9s (20)
      --store NAME         sqlite, or postgres: a PostgreSQL of its own (sqlite for one node, postgres for more)
      --nodes N            servers that share it (1)
      --pauses N           how often one of several is paused (SIGSTOP), mostly for longer than its lease (0)
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let done = match command.as_deref() {
        Some("adoption") => Options::read(arguments).and_then(|options| measure_adoption(&options)),
        Some("defects") => {
            let given: Vec<String> = arguments.collect();
            let command = if given.is_empty() { words(TESTS) } else { given };
            planted(defects::Looks { build: words(CHECK), command })
        }
        Some("failover") => Options::read(arguments).and_then(|options| fail_over(&options)),
        Some("flood") => Options::read(arguments).and_then(|options| measure_flood(&options)),
        Some("tidy") => tidy(),
        Some("fuzz") => fuzzed(arguments),
        Some("hostile") => Options::read(arguments).and_then(|options| let_loose(&options)),
        Some("moving") => Options::read(arguments).and_then(|options| moved(&options)),
        Some("package") => Options::read(arguments).and_then(|options| make_package(&options)),
        Some("pages") => Options::read(arguments).and_then(|options| measure_pages(&options)),
        Some("schemathesis") => Options::read(arguments).and_then(|options| hold_to_the_document(&options)),
        Some("simulate") => Options::read(arguments).and_then(|options| simulate(&options)),
        Some("torture") => Options::read(arguments).and_then(|options| tortured(&options)),
        Some("torn-writes") => Options::read(arguments).and_then(|options| torn_writes(&options)),
        Some("followers") => Options::read(arguments).and_then(|options| measure_followers(&options)),
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        say(&format!("{error:#}"));
        // Whatever looks for defects must be able to tell an error of the machine from something found.
        ExitCode::from(2)
    })
}

/// Options that stand alone: that they are there is all they say.
const FLAGS: [&str; 3] = ["--defects", "--examples", "--optimised"];

/// Options whose value is a word.
const WORDS: [&str; 2] = ["--database", "--store"];

/// `--name value` pairs, and flags.
struct Options(Vec<(String, Value)>);

enum Value {
    Flag,
    Number(u64),
    Word(String),
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Vec::new();
        while let Some(name) = arguments.next() {
            if FLAGS.contains(&name.as_str()) {
                options.push((name, Value::Flag));
                continue;
            }
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            let value = match WORDS.contains(&name.as_str()) {
                true => Value::Word(value),
                false => Value::Number(value.parse().with_context(|| format!("{value} is not a number"))?),
            };
            options.push((name, value));
        }
        Ok(Self(options))
    }

    fn is_set(&self, flag: &str) -> bool {
        self.value(flag).is_some()
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    fn word(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Word(word) => Some(word),
            Value::Flag | Value::Number(_) => None,
        }
    }

    /// The value of an option, or its default. Whatever is not asked for by name is refused by [`Options::only`].
    fn number(&self, name: &str, default: u64) -> u64 {
        match self.value(name) {
            Some(Value::Number(number)) => *number,
            Some(Value::Flag | Value::Word(_)) | None => default,
        }
    }

    fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => bail!("{name} is not known here; known are: {}", known.join(", ")),
            None => Ok(()),
        }
    }

    fn count(&self, name: &str, default: u64) -> usize {
        usize::try_from(self.number(name, default)).unwrap_or(usize::MAX)
    }
}

fn tidy() -> Result<ExitCode> {
    let problems = tidy::problems(&tidy::workspace_root())?;
    problems.iter().for_each(|problem| say(problem));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What looks for defects where nothing else is asked for.
const TESTS: &str = "cargo test --package fanfold-core --package fanfold-engine --package fanfold-store";

/// What shows that a patch compiles.
const CHECK: &str = "cargo check --quiet --workspace";

/// Histories in which a defect is looked for, if nothing else is said.
const DEFECT_HISTORIES: u64 = 4_000;

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}

fn simulate(options: &Options) -> Result<ExitCode> {
    options.only(&["--histories", "--seed", "--defects"])?;
    let seed = options.number("--seed", 1);
    let play = |profile, histories| {
        format!("cargo run --quiet --profile {profile} --package fanfold-sim -- --histories {histories} --seed {seed}")
    };
    if options.is_set("--defects") {
        // Each defect is built anew and found soon, so that building counts for more than playing.
        let command = format!("{} --failures-max 1", play("dev", options.number("--histories", DEFECT_HISTORIES)));
        let build = words("cargo build --quiet --package fanfold-sim");
        return planted(defects::Looks { build, command: words(&command) });
    }
    let command = words(&play("sim", options.number("--histories", 20_000)));
    let status = Command::new(&command[0]).args(&command[1..]).current_dir(tidy::workspace_root()).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn planted(looks: defects::Looks) -> Result<ExitCode> {
    let root = tidy::workspace_root();
    let trial = defects::Trial::new(&root, looks)?;
    let (mut planted, mut found) = (0, 0);
    for defect in defects::all(&root)? {
        let finding = trial.of(&defect)?;
        let word = if finding.found { "found" } else { "MISSED" };
        say(&format!("{word}: {defect}\n    {}", finding.said.replace('\n', "\n    ")));
        planted += 1;
        found += usize::from(finding.found);
    }
    say(&format!("defects: planted={planted} found={found}"));
    Ok(if found == planted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn torn_writes(options: &Options) -> Result<ExitCode> {
    options.only(&["--seed", "--operations", "--states"])?;
    if !torn::can_trace() {
        bail!("strace is not there; on Debian: apt-get install strace");
    }
    let effort = torn::Effort {
        seed: options.number("--seed", 1),
        operations: options.count("--operations", 150),
        states: options.count("--states", 1_000),
    };
    let findings = torn::run(&program()?, effort)?;
    findings.examples.iter().for_each(|example| say(example));
    say(&format!("torn-writes seed={}: {findings}", effort.seed));
    Ok(if findings.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tortured(options: &Options) -> Result<ExitCode> {
    options.only(&["--seed", "--kills", "--store", "--nodes", "--pauses"])?;
    let nodes = options.count("--nodes", 1);
    let on_postgres = match options.word("--store") {
        None => nodes > 1,
        Some("postgres") => true,
        Some("sqlite") if nodes == 1 => false,
        Some(other) => bail!("--store is sqlite, for one node, or postgres, and not {other}"),
    };
    let effort = torture::Effort {
        seed: options.number("--seed", 1),
        kills: options.count("--kills", 20),
        nodes,
        on_postgres,
        pauses: options.count("--pauses", 0),
    };
    if effort.pauses > 0 && (effort.nodes < 2 || effort.kills == 0) {
        bail!("--pauses come between --kills of several --nodes");
    }
    let report = torture::run(&program()?, effort)?;
    say(&report.to_string());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn moved(options: &Options) -> Result<ExitCode> {
    options.only(&["--operations", "--optimised"])?;
    let program = if options.is_set("--optimised") { built("sim", "sim")? } else { program()? };
    let effort = moving::Effort { operations: options.number("--operations", 200_000) };
    let report = moving::run(&program, effort, &say)?;
    say(&format!("moving: {report}"));
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn make_package(options: &Options) -> Result<ExitCode> {
    options.only(&[])?;
    let cargo = cargo();
    package::look_for_cargo_deb(&cargo)?;
    let program = built("release", "release")?;
    hardened::check(&program)?;
    let path = package::make(&cargo, &tidy::workspace_root(), &program)?;
    say(&format!("package: {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn measure_pages(options: &Options) -> Result<ExitCode> {
    options.only(&["--operations", "--loads", "--rate", "--database", "--optimised"])?;
    let program = if options.is_set("--optimised") { built("release", "release")? } else { program()? };
    let effort = pages::Effort {
        operations: options.number("--operations", 100_000),
        loads: options.count("--loads", 200),
        rate: options.value("--rate").map(|_| options.number("--rate", 0)),
        database: options.word("--database").map(PathBuf::from),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    #[expect(clippy::disallowed_methods, reason = "the records are to be as old as they look")]
    let now = jiff::Timestamp::now();
    let report = runtime.block_on(pages::measure(&program, effort, now, &say))?;
    say(&format!("pages:\n{report}"));
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn hold_to_the_document(options: &Options) -> Result<ExitCode> {
    options.only(&["--examples"])?;
    let (root, program) = (tidy::workspace_root(), program()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if options.is_set("--examples") {
        runtime.block_on(schemathesis::renew_examples(&program, &root))?;
        return Ok(ExitCode::SUCCESS);
    }
    let bin = schemathesis::install(&root, &target_folder())?;
    let report = runtime.block_on(schemathesis::run(&program, &root, &bin))?;
    say(&format!("schemathesis:\n{report}"));
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure_followers(options: &Options) -> Result<ExitCode> {
    options.only(&["--count", "--kib-max"])?;
    let (count, kib_max) = (options.count("--count", 10_000), options.number("--kib-max", 32));
    let program = program()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut is_good = true;
    for way in followers::Way::ALL {
        let cost = runtime.block_on(followers::measure(&program, way, count))?;
        say(&format!("followers: {cost}"));
        is_good &= cost.each_kib() <= kib_max as f64;
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure_flood(options: &Options) -> Result<ExitCode> {
    options.only(&["--seconds", "--rate", "--connections", "--optimised"])?;
    let program = if options.is_set("--optimised") { built("sim", "sim")? } else { program()? };
    let effort = flood::Effort {
        lasting: Duration::from_secs(options.number("--seconds", 30)),
        rate: options.number("--rate", 20),
        connections: options.count("--connections", 64),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(flood::measure(&program, effort, &say))?;
    say(&format!("flood:\n{report}"));
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn let_loose(options: &Options) -> Result<ExitCode> {
    options.only(&["--connections", "--seconds", "--optimised"])?;
    let program = if options.is_set("--optimised") { built("release", "release")? } else { program()? };
    let effort = hostile::Effort {
        connections: options.count("--connections", 10_000),
        seconds: options.number("--seconds", 60),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(hostile::run(&program, effort))?;
    say(&format!("hostile:\n{report}"));
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fuzzed(arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let (mut given, mut named) = (Vec::new(), Vec::new());
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        if argument.starts_with("--") {
            given.extend([Some(argument), arguments.next()].into_iter().flatten());
        } else {
            named.push(argument);
        }
    }
    let options = Options::read(given.into_iter())?;
    options.only(&["--minutes"])?;
    let fuzzing = fuzz::Fuzzing::new(&tidy::workspace_root(), &target_folder())?;
    let all = fuzzing.targets()?;
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("{unknown} is no target; there are: {}", all.join(", "));
    }
    fuzzing.build()?;
    let mut is_good = true;
    for target in if named.is_empty() { all } else { named } {
        let finding = fuzzing.run(&target, options.number("--minutes", 1).max(1) * 60)?;
        say(&format!("fuzz: {finding}"));
        is_good &= finding.is_good();
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure_adoption(options: &Options) -> Result<ExitCode> {
    options.only(&["--operations", "--lease"])?;
    let lease = Duration::from_secs(options.number("--lease", 10));
    let program = program()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let adoption = runtime.block_on(adoption::measure(&program, options.number("--operations", 100_000), lease))?;
    say(&format!("adoption: {adoption}"));
    Ok(ExitCode::SUCCESS)
}

fn fail_over(options: &Options) -> Result<ExitCode> {
    options.only(&["--rounds"])?;
    let program = program()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(failover::run(&program, options.count("--rounds", 10)))?;
    say(&report.to_string());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the program under test, and tells where it is.
fn program() -> Result<PathBuf> {
    built("dev", "debug")
}

fn built(profile: &str, folder: &str) -> Result<PathBuf> {
    let root = tidy::workspace_root();
    let build = ["build", "--quiet", "--profile", profile, "--package", "fanfold"];
    let built = Command::new(cargo()).args(build).current_dir(&root).status()?;
    if !built.success() {
        bail!("the program cannot be built");
    }
    Ok(target_folder().join(folder).join("fanfold"))
}

fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tidy::workspace_root().join("target"), PathBuf::from)
}

#[expect(clippy::print_stderr, reason = "this is a command for developers")]
fn say(line: &str) {
    eprintln!("{line}");
}
