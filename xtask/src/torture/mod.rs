//! Torture: the real program under load, killed at random moments, and an oracle that knows the truth.
//!
//! Targets (`target`, `lower`) behave badly on purpose and write down what they truly did (`journal`). Clients (`clients`)
//! start operations over every kind of route (`plans`), repeat what was not answered, and cancel; people (`person`) answer
//! what operations ask, hold and release targets, drain and resume; somebody else changes the same things (`shelf`), lower
//! controllers and strangers notify (`announce`), and who is told of ends does not always listen (`receiver`). Meanwhile the
//! server is killed, or stopped gracefully, started again, and given other configurations (`config`). In the end the faults
//! cease, everything has to come to its end, each operation is judged (`oracle`), and it is counted what took part
//! (`coverage`).

mod announce;
mod clients;
mod config;
mod coverage;
mod front;
mod journal;
mod lower;
mod oracle;
mod person;
mod plans;
mod receiver;
mod report;
mod server;
mod shelf;
mod target;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fanfold_testkit::FakeTarget;
use fanfold_testkit::postgres::Cluster;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::caller;
use clients::{Book, Client};
use config::{Form, Places};
use fanfold_testkit::Random;
use journal::Journal;
use oracle::Before;
use person::Person;
use plans::{LOWER, PLAIN};
use receiver::Receiver;
pub use report::Report;
use server::Server;
use shelf::Shelf;
use target::Target;
use world::World;

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

/// How long after enough was accepted a kill comes, in milliseconds at the most.
const LINGER_MS: usize = 120;

/// How long after a graceful stop and the start after it a kill comes, in milliseconds at the most.
const AFTER_STOP_MS: usize = 250;

/// Dead letters that are sent again at once, in the end.
const REPLAY_MAX: usize = 1_000;

/// How long targets are away where they come back in the same life.
const AWAY: Duration = Duration::from_millis(200);

/// How long a server is paused so that the others take over: its lease, and then some.
const LONG_PAUSE: Duration = Duration::from_millis(3_500);

/// The same so that nobody notices.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

/// What several servers need.
const NEEDED: &str = "several servers need PostgreSQL; on Debian: apt-get install postgresql-15";

/// How often the world looks at its clock.
const TICK: Duration = Duration::from_millis(5);

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// What everything that can be is drawn from. What the network and the kills make of it differs from run to run.
    pub seed: u64,
    /// `kill -9`s.
    pub kills: usize,
    /// Servers.
    pub nodes: usize,
    /// Whether they share a PostgreSQL of their own; more than one do.
    pub on_postgres: bool,
    /// How often one of several is stopped in its tracks, mostly for longer than its lease.
    pub pauses: usize,
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
    let journal = Journal::create(&folder.join("journal.jsonl"))?;
    let (world, errands) = World::new(journal, Random::new(effort.seed), (effort.nodes, effort.on_postgres));
    let world = Arc::new(world);
    let shelves: Vec<Arc<Shelf>> = PLAIN.iter().map(|_| Arc::default()).collect();
    let targets = targets(&world, &shelves).await;
    let receiver = Receiver::start(Arc::clone(&world)).await;
    let cluster = effort.on_postgres.then(|| Cluster::start().context(NEEDED)).transpose()?;
    let database = cluster.as_ref().map(|cluster| cluster.url(&cluster.create_database()));
    let server = free_address()?;
    let nodes = match effort.nodes {
        0 | 1 => vec![server.clone()],
        several => (0..several).map(|_| free_address()).collect::<Result<_>>()?,
    };
    let places = Places {
        server,
        nodes,
        database,
        targets: targets.iter().map(|(name, target)| (*name, target.url())).collect(),
        receiver: receiver.url(),
    };
    let http = caller::client(&places.server);
    let book = Arc::new(Book::default());
    let mut server = Server::new(program, folder, http.clone(), Arc::clone(&world), places).await?;
    let (stop, stopped) = watch::channel(false);

    let mut crowd = JoinSet::new();
    for number in 0..CLIENTS {
        let (http, world, book) = (http.clone(), Arc::clone(&world), Arc::clone(&book));
        crowd.spawn(Client { number, http, world, book, receiver: receiver.url(), stop: stopped.clone() }.run());
    }
    let mut staff = JoinSet::new();
    let (calm, calmed) = watch::channel(false);
    let person = || Person { http: http.clone(), world: Arc::clone(&world), book: Arc::clone(&book) };
    staff.spawn(person().run(calmed));
    staff.spawn(announce::carry(Arc::clone(&world), errands));
    // The first two targets are those that such things are kept at.
    staff.spawn(shelf::stranger(Arc::clone(&world), shelves[..2].to_vec()));
    let ticking = Arc::clone(&world);
    staff.spawn(async move {
        loop {
            ticking.tick();
            tokio::time::sleep(TICK).await;
        }
    });

    turns(&mut server, effort, &world, &book).await?;
    stop.send_replace(true);
    while let Some(ended) = crowd.join_next().await {
        ended.context("a client met a mistake in this program")?;
    }
    world.faults.store(false, Ordering::Relaxed);
    server.wait_until_calm(CALM_MAX).await;
    // Now everybody listens: what is dead has to be deliverable.
    while person().replay(REPLAY_MAX).await > 0 {
        server.wait_until_calm(CALM_MAX).await;
    }
    if let Some(ended) = staff.try_join_next() {
        ended.context("somebody met a mistake in this program")?;
        bail!("somebody stopped before the end");
    }
    calm.send_replace(true);
    let report = report::of(&server, &world, &book, &receiver).await?;
    staff.shutdown().await;
    server.stop_all().await?;
    Ok(report)
}

/// Kills the server again and again.
async fn turns(server: &mut Server, effort: Effort, world: &World, book: &Book) -> Result<()> {
    server.start_again(Before::Nothing).await?;
    let mut accepted = 0;
    for turn in 1..=effort.kills {
        configure(server, turn).await?;
        turn_over(book, world, accepted).await?;
        accepted = book.count.load(Ordering::Relaxed);
        if turn % GRACEFUL_EVERY == 0 {
            server.stop().await?;
            server.start_again(Before::Stop).await?;
            tokio::time::sleep(Duration::from_millis(world.draw(AFTER_STOP_MS) as u64)).await;
        }
        server.kill()?;
        server.start_again(Before::Kill).await?;
        // Spread evenly over the kills.
        if turn * effort.pauses / effort.kills > (turn - 1) * effort.pauses / effort.kills {
            server.pause(if world.draw(4) == 0 { SHORT_PAUSE } else { LONG_PAUSE }).await?;
        }
        if turn % 50 == 0 {
            report::progress(&format!("{turn} kills, {accepted} accepted"));
        }
    }
    server.reload(Form::Whole).await
}

/// Gives the server other configurations: over a kill, within one life, and a bad one.
async fn configure(server: &mut Server, turn: usize) -> Result<()> {
    match turn % 5 {
        1 => server.reload(Form::Reduced).await,
        2 => server.reload(Form::Whole).await,
        3 => server.reload(Form::Bad).await,
        4 => {
            server.reload(Form::Reduced).await?;
            tokio::time::sleep(AWAY).await;
            server.reload(Form::Whole).await
        }
        _ => Ok(()),
    }
}

/// Waits until enough was accepted since the last kill, and for a random moment more.
async fn turn_over(book: &Book, world: &World, before: usize) -> Result<()> {
    let enough = async {
        while book.count.load(Ordering::Relaxed) < before + ACCEPTED_PER_KILL {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(TURN_MAX, enough).await.context("the server accepted too little; see its output")?;
    tokio::time::sleep(Duration::from_millis(world.draw(LINGER_MS) as u64)).await;
    Ok(())
}

async fn targets(world: &Arc<World>, shelves: &[Arc<Shelf>]) -> Vec<(&'static str, FakeTarget)> {
    let mut targets = Vec::new();
    let plain = PLAIN.iter().zip(shelves).map(|(name, shelf)| (*name, None, Arc::clone(shelf)));
    let lower = LOWER.iter().map(|(name, style)| (*name, Some(*style), Arc::default()));
    for (name, style, shelf) in plain.chain(lower) {
        let target = FakeTarget::start().await;
        target.serve(Target::new(name, style, Arc::clone(world), shelf));
        targets.push((name, target));
    }
    targets
}

/// An address that is free now, and stays the same over restarts.
fn free_address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}
