//! A large database is moved into PostgreSQL by the program itself, which is killed on the way and run again; then what both
//! export has to be the same, octet by octet.

mod fill;

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fanfold_testkit::postgres::Cluster;
use tokio::time::Instant;

/// How often it is looked how far the program got.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How much is moved.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Operations.
    pub operations: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    operations: u64,
    bytes: u64,
    same: bool,
    killed_at: u64,
    copied_and_compared: Duration,
    all: Duration,
}

impl Report {
    /// Whether nothing was lost or changed, and the program was killed in the middle.
    pub fn is_good(&self) -> bool {
        self.same && self.bytes > 0 && self.killed_at > 0 && self.killed_at < self.operations
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, bytes, same, killed_at, copied_and_compared, all } = self;
        write!(
            f,
            "operations={operations} bytes={bytes} same={same} killed_at={killed_at} migrate_seconds={:.1} seconds={:.1}",
            copied_and_compared.as_secs_f64(),
            all.as_secs_f64()
        )
    }
}

/// Fills, moves, kills, moves on, and compares.
pub fn run(program: &Path, effort: Effort, say: &dyn Fn(&str)) -> Result<Report> {
    let begun = Instant::now();
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("fanfold.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(fill::fill(&database, effort.operations))?;
    say(&format!("filled after {:.1} s", begun.elapsed().as_secs_f64()));
    let cluster = Cluster::start().context("there is no PostgreSQL on this machine")?;
    let name = cluster.create_database();
    let moving = Moving { program: program.to_owned(), folder: folder.path().to_owned(), url: cluster.url(&name) };
    let migrating = Instant::now();
    let killed_at = moving.kill_halfway(&cluster, &name, effort.operations)?;
    say(&format!("killed with {killed_at} operations there"));
    ensure!(moving.refuses_to_serve()?, "a half of a database was served");
    moving.migrate()?;
    let copied_and_compared = migrating.elapsed();
    let (from, to) = (moving.export("before", None)?, moving.export("after", Some(&moving.url))?);
    let (bytes, same) = compare(&from, &to)?;
    let operations = count(&cluster, &name)?;
    ensure!(operations == effort.operations, "{operations} operations are there");
    Ok(Report { operations, bytes, same, killed_at, copied_and_compared, all: begun.elapsed() })
}

struct Moving {
    program: PathBuf,
    folder: PathBuf,
    url: String,
}

impl Moving {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn migration(&self) -> Command {
        self.command(&["migrate", "--from", "sqlite:fanfold.db", "--to", &self.url])
    }

    /// Kills it once a third is there, and gives how much it was.
    fn kill_halfway(&self, cluster: &Cluster, name: &str, operations: u64) -> Result<u64> {
        let mut child = Killed(self.migration().spawn()?);
        loop {
            if let Some(status) = child.0.try_wait()? {
                bail!("the migration ended ({status}) before it was killed: move more");
            }
            let is_set_up = cluster.query(name, "SELECT to_regclass('operations') IS NOT NULL") == "t";
            if is_set_up && count(cluster, name)? > operations / 3 {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        child.0.kill()?;
        child.0.wait()?;
        count(cluster, name)
    }

    fn refuses_to_serve(&self) -> Result<bool> {
        self.configure()?;
        let served = self.command(&["serve", "--config", "fanfold.toml"]).output()?;
        Ok(!served.status.success() && String::from_utf8_lossy(&served.stderr).contains("is not finished"))
    }

    fn migrate(&self) -> Result<()> {
        let status = self.migration().status()?;
        ensure!(status.success(), "the migration did not go on: {status}");
        Ok(())
    }

    /// The target as the store of a configuration.
    fn configure(&self) -> Result<()> {
        use base64::Engine as _;
        let key = std::fs::read(self.folder.join("fanfold.db.key"))?;
        std::fs::write(self.folder.join("fanfold.key"), base64::engine::general_purpose::STANDARD.encode(key))?;
        let store = format!("[store]\nurl = \"{}\"\nkey = \"${{file:fanfold.key}}\"\n", self.url);
        let rest = "[server]\nlisten = \"127.0.0.1:0\"\n\n[targets.tokyo]\nurl = \"http://127.0.0.1:9\"\nmonitor = \"none\"\n\n\
                    [[routes]]\nname = \"put\"\nmatch = \"PUT /v1/things\"\ntargets = [\"tokyo\"]\n";
        Ok(std::fs::write(self.folder.join("fanfold.toml"), format!("{store}\n{rest}"))?)
    }

    fn export(&self, name: &str, url: Option<&String>) -> Result<PathBuf> {
        let path = self.folder.join(format!("{name}.jsonl"));
        let output = path.to_str().context("the folder has a name in UTF-8")?;
        let status = match url {
            None => self.command(&["export", "--database", "fanfold.db", "--output", output]).status()?,
            Some(_) => self.command(&["export", "--config", "fanfold.toml", "--output", output]).status()?,
        };
        ensure!(status.success(), "the export ended with {status}");
        Ok(path)
    }
}

/// A program that does not outlive what runs it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It fails only if it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn count(cluster: &Cluster, name: &str) -> Result<u64> {
    Ok(cluster.query(name, "SELECT count(*) FROM operations").parse()?)
}

/// How long the first is, and whether the other one is the same.
fn compare(from: &Path, to: &Path) -> Result<(u64, bool)> {
    let (mut a, mut b) = (BufReader::new(File::open(from)?).bytes(), BufReader::new(File::open(to)?).bytes());
    let mut length = 0;
    loop {
        match (a.next().transpose()?, b.next().transpose()?) {
            (None, None) => return Ok((length, true)),
            (expected, found) if expected != found => return Ok((length, false)),
            (Some(_) | None, _) => length += 1,
        }
    }
}
