//! What a failover of the database costs: the real program on real PostgreSQL servers, of which the leading one is killed again and
//! again while clients go on.

mod servers;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fanfold_testkit::{Answer, FakeTarget, Home, Http, Process};
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use servers::Servers;

/// Fanfold servers.
const NODES: usize = 2;

/// Clients of each of them.
const CLIENTS: usize = 2;

/// The pause between two requests of a client: the load is bounded.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the load goes on before the leading server is killed.
const BEFORE: Duration = Duration::from_secs(3);

/// How long acceptance may stay away.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// How long everything has to end once the faults are over.
const END_MAX: Duration = Duration::from_secs(120);

/// What secrets are encrypted with here.
const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// One accepted operation.
struct Accepted {
    id: String,
    /// The number of its order: what the target saw of it.
    order: u64,
    round: usize,
}

/// What the clients know.
#[derive(Default)]
struct Book {
    accepted: Mutex<Vec<Accepted>>,
    /// When something was accepted last.
    latest: Mutex<Option<Instant>>,
    /// The longest time between two acceptances, in this round.
    gap: Mutex<Duration>,
    orders: AtomicU64,
    round: AtomicU64,
    stopped: AtomicBool,
    /// The longest that a client waited for any answer, in milliseconds.
    slowest_ms: AtomicU64,
    refused: AtomicU64,
}

impl Book {
    fn note_accepted(&self) {
        let now = Instant::now();
        let before = lock(&self.latest).replace(now);
        let mut gap = lock(&self.gap);
        *gap = (*gap).max(before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before)));
    }
}

/// How one round went.
#[derive(Debug, Clone, Default)]
pub struct Round {
    killed: usize,
    /// The longest time without an acceptance.
    away: Duration,
    /// From acceptance to end, of the operation that took longest.
    longest: Duration,
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Report {
    rounds: Vec<Round>,
    accepted: usize,
    completed: usize,
    refused: u64,
    /// Accepted, and not there.
    lost: usize,
    /// Sent to the target twice, though that is not safe.
    doubled: usize,
    /// Not at an end.
    stuck: usize,
    slowest: Duration,
}

impl Report {
    /// Whether nothing was lost or done twice.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.stuck == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Round { killed, away, longest }) in self.rounds.iter().enumerate() {
            let (away, longest) = (away.as_secs_f64(), longest.as_secs_f64());
            writeln!(
                f,
                "round {}: server {killed} killed, without_acceptance={away:.1}s longest_operation={longest:.1}s",
                number + 1
            )?;
        }
        write!(
            f,
            "failover: rounds={} accepted={} completed={} refused={} lost={} doubled={} stuck={} slowest_answer={:.1}s",
            self.rounds.len(),
            self.accepted,
            self.completed,
            self.refused,
            self.lost,
            self.doubled,
            self.stuck,
            self.slowest.as_secs_f64()
        )
    }
}

/// Kills the leading server so many times.
///
/// # Errors
/// If something that is needed is not there, or acceptance does not come back.
pub async fn run(program: &Path, rounds: usize) -> Result<Report> {
    let mut servers = Servers::start().await?;
    servers.create_database("fanfold")?;
    let target = FakeTarget::start().await;
    target.on("POST", "/*", Answer::empty(201));
    let mut nodes = Vec::new();
    for number in 0..NODES {
        nodes.push(node(program, number, &servers.url("fanfold"), &target).await?);
    }
    let book = Arc::new(Book::default());
    let mut clients = JoinSet::new();
    for (_, _, url) in &nodes {
        for _ in 0..CLIENTS {
            clients.spawn(client(Http::new(url), Arc::clone(&book)));
        }
    }
    let mut report = Report::default();
    for number in 1..=rounds {
        let round = round(&mut servers, &book, number).await?;
        say(&format!("round {number}: accepted again after {:.1}s", round.away.as_secs_f64()));
        report.rounds.push(round);
    }
    book.stopped.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    judge(&Http::new(&nodes[0].2), &book, &target, &mut report).await?;
    for (_, process, _) in nodes {
        process.terminate();
        process.ended().await;
    }
    Ok(report)
}

async fn node(program: &Path, number: usize, url: &str, target: &FakeTarget) -> Result<(Home, Process, String)> {
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\n\
         [store]\nurl = \"{url}\"\nkey = \"${{file:store.key}}\"\nnode = \"node-{number}\"\nrequire_sync_standby = true\n\n\
         [targets.tokyo]\nurl = \"{}\"\nmonitor = \"none\"\n\n\
         [[routes]]\nname = \"order\"\nmatch = \"POST /orders/{{number}}\"\ntargets = [\"tokyo\"]\n",
        target.url()
    );
    let home = Home::new(&config);
    std::fs::write(home.path().join("store.key"), KEY)?;
    let process = home.start(&program.to_string_lossy(), &["serve", "--config", "fanfold.toml"]);
    let url = process.url().await;
    Ok((home, process, url))
}

async fn round(servers: &mut Servers, book: &Book, number: usize) -> Result<Round> {
    book.round.store(number as u64, Ordering::SeqCst);
    tokio::time::sleep(BEFORE).await;
    let killed = servers.kill_leader().await?;
    *lock(&book.gap) = Duration::ZERO;
    let again = async {
        servers.wait_for_another_leader(killed).await;
        let promoted = Instant::now();
        while lock(&book.latest).is_none_or(|latest| latest <= promoted) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(AWAY_MAX, again).await.context("nothing is accepted any more; see the output of the nodes")?;
    let away = *lock(&book.gap);
    servers.start_member(killed)?;
    servers.wait_until_complete().await?;
    Ok(Round { killed, away, longest: Duration::ZERO })
}

async fn client(http: Http, book: Arc<Book>) {
    let http = http.with("content-type", "application/json");
    while !book.stopped.load(Ordering::SeqCst) {
        let order = book.orders.fetch_add(1, Ordering::SeqCst);
        let round = usize::try_from(book.round.load(Ordering::SeqCst)).unwrap_or(0);
        let asked = Instant::now();
        let answer = http.try_request("POST", &format!("/orders/{order}"), b"{}").await;
        let took = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        book.slowest_ms.fetch_max(took, Ordering::Relaxed);
        let accepted = answer.ok().filter(|answer| answer.status == 202);
        let id = accepted.and_then(|answer| Some(answer.json()["id"].as_str()?.to_owned()));
        match id {
            Some(id) => {
                lock(&book.accepted).push(Accepted { id, order, round });
                book.note_accepted();
            }
            None => drop(book.refused.fetch_add(1, Ordering::Relaxed)),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn judge(http: &Http, book: &Book, target: &FakeTarget, report: &mut Report) -> Result<()> {
    let until = Instant::now() + END_MAX;
    let accepted = std::mem::take(&mut *lock(&book.accepted));
    report.accepted = accepted.len();
    report.refused = book.refused.load(Ordering::Relaxed);
    report.slowest = Duration::from_millis(book.slowest_ms.load(Ordering::Relaxed));
    for one in &accepted {
        let detail = loop {
            let answer = http.get(&format!("/api/v1/operations/{}?wait=5s", one.id)).await;
            let detail = (answer.status == 200).then(|| answer.json());
            if detail.as_ref().is_none_or(|detail| !detail["ended_at"].is_null()) || Instant::now() > until {
                break detail;
            }
        };
        let Some(detail) = detail else {
            say(&format!("lost: {} (order {})", one.id, one.order));
            report.lost += 1;
            continue;
        };
        let (Some(began), Some(ended)) = (time(&detail["accepted_at"]), time(&detail["ended_at"])) else {
            say(&format!("stuck: {} {}", one.id, detail["waiting_for"]));
            report.stuck += 1;
            continue;
        };
        report.completed += usize::from(detail["status"] == "completed");
        if let Some(round) = one.round.checked_sub(1).and_then(|round| report.rounds.get_mut(round)) {
            round.longest = round.longest.max(Duration::try_from(ended.duration_since(began)).unwrap_or_default());
        }
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for request in target.seen() {
        *seen.entry(request.uri).or_default() += 1;
    }
    report.doubled = seen.values().filter(|count| **count > 1).count();
    Ok(())
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stderr, reason = "this is a command for developers")]
fn say(line: &str) {
    eprintln!("{line}");
}
