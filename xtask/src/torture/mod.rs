//! Torture: the real program under load, killed at random moments, and an oracle that knows the truth.
//!
//! Targets (`target`, `lower`) behave badly on purpose and write down what they truly did (`journal`). Clients (`clients`)
//! start operations over every kind of route (`plans`), repeat what was not answered, and cancel; people (`person`) answer
//! what operations ask, hold and release targets. Meanwhile the server is killed, or stopped gracefully, and started again.
//! In the end the faults cease, everything has to come to its end, and each operation is judged (`oracle`).

mod clients;
mod journal;
mod lower;
mod oracle;
mod person;
mod plans;
mod receiver;
mod report;
mod server;
mod target;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fanfold_testkit::{FakeTarget, Http};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::random::Random;
use clients::Book;
use journal::Journal;
use oracle::Before;
use plans::{LOWER, PLAIN, Places};
use receiver::Receiver;
pub use report::Report;
use server::Server;
use target::{Target, World};

/// Clients at the same time.
const CLIENTS: usize = 8;

/// Operations accepted before a kill, at least.
const ACCEPTED_PER_KILL: usize = 100;

/// How long one turn may take to get there; a server that accepts nothing ends the run.
const TURN_MAX: Duration = Duration::from_secs(120);

/// One stop in so many is a graceful one, beside the kills.
const GRACEFUL_EVERY: usize = 8;

/// How long operations have to come to their end once all faults have ceased.
const CALM_MAX: Duration = Duration::from_secs(180);

/// How often the world looks at its clock.
const TICK: Duration = Duration::from_millis(5);

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// What everything that can be is drawn from. What the network and the kills make of it differs from run to run.
    pub seed: u64,
    /// `kill -9`s.
    pub kills: usize,
}

/// Tortures `program`. The folder of the run is kept if something was wrong, and the report names it.
///
/// # Errors
/// If the run itself cannot go on: the server does not start, or accepts nothing.
pub fn run(program: &Path, effort: Effort) -> Result<Report> {
    let folder = tempfile::Builder::new().prefix("fanfold-torture-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(torture(program, effort, folder.path()));
    if !result.as_ref().is_ok_and(Report::is_good) {
        let kept: PathBuf = folder.keep();
        let result = result.with_context(|| format!("the run is kept in {}", kept.display()));
        return result.map(|mut report| {
            report.kept = Some(kept);
            report
        });
    }
    result
}

async fn torture(program: &Path, effort: Effort, folder: &Path) -> Result<Report> {
    let world = World::new(Journal::create(&folder.join("journal.jsonl"))?, Random::new(effort.seed));
    let targets = targets(&world).await;
    let receiver = Receiver::start(Arc::clone(&world)).await;
    let places = Places {
        server: free_address()?,
        targets: targets.iter().map(|(name, target)| (*name, target.url())).collect(),
    };
    std::fs::write(folder.join("fanfold.toml"), plans::config(&places))?;
    let http = Http::new(&places.server);
    let book = Arc::new(Book::default());
    let (stop, stopped) = watch::channel(false);

    let mut crowd = JoinSet::new();
    for number in 0..CLIENTS {
        let (world, book, notify) = (Arc::clone(&world), Arc::clone(&book), receiver.query());
        crowd.spawn(clients::run(number, http.clone(), world, book, notify, stopped.clone()));
    }
    let mut staff = JoinSet::new();
    let (calm, calmed) = watch::channel(false);
    staff.spawn(person::run(http.clone(), Arc::clone(&world), calmed));
    let ticking = Arc::clone(&world);
    staff.spawn(async move {
        loop {
            ticking.tick();
            tokio::time::sleep(TICK).await;
        }
    });

    let mut server = Server::start(program, folder, http.clone(), Before::Nothing).await?;
    let mut accepted = 0;
    for turn in 1..=effort.kills {
        turn_over(&book, &world, accepted).await?;
        accepted = book.count.load(Ordering::Relaxed);
        if turn % GRACEFUL_EVERY == 0 {
            server.stop().await?;
            server.start_again(Before::Stop).await?;
            tokio::time::sleep(Duration::from_millis(50 + world.draw(200) as u64)).await;
        }
        server.kill();
        server.start_again(Before::Kill).await?;
        if turn % 50 == 0 {
            report::progress(&format!("{turn} kills, {accepted} accepted"));
        }
    }
    stop.send_replace(true);
    while let Some(ended) = crowd.join_next().await {
        ended.context("a client met a mistake in this program")?;
    }
    world.faults.store(false, Ordering::Relaxed);
    server.wait_until_calm(CALM_MAX).await;
    calm.send_replace(true);
    let report = report::of(&server, &world, &book, &receiver).await?;
    staff.shutdown().await;
    server.stop().await?;
    Ok(report)
}

/// Waits until enough was accepted since the last kill, and for a random moment more.
async fn turn_over(book: &Book, world: &World, before: usize) -> Result<()> {
    let enough = async {
        while book.count.load(Ordering::Relaxed) < before + ACCEPTED_PER_KILL {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(TURN_MAX, enough).await.context("the server accepted too little; see its output")?;
    tokio::time::sleep(Duration::from_millis(world.draw(120) as u64)).await;
    Ok(())
}

async fn targets(world: &Arc<World>) -> Vec<(&'static str, FakeTarget)> {
    let mut targets = Vec::new();
    let plain = PLAIN.iter().map(|name| (*name, None));
    for (name, style) in plain.chain(LOWER.iter().map(|(name, style)| (*name, Some(*style)))) {
        let target = FakeTarget::start().await;
        target.serve(Target::new(name, style, Arc::clone(world)));
        targets.push((name, target));
    }
    targets
}

/// An address that is free now, and stays the same over restarts.
fn free_address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}
