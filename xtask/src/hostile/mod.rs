//! Everything that means harm at once, against the real program: attacks, connections that are slow or do nothing, and a target
//! that answers without an end. Meanwhile a client that behaves well measures how long it waits, and somebody watches the memory.

mod client;
mod crowd;
mod full;
mod report;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fanfold_testkit::hostile::{Outcome, Rude, attacks};
use fanfold_testkit::{FakeTarget, Home, Http, Process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::machine::{raise_open_files, resident_kib};
use crowd::Crowd;
pub use report::Report;

/// Connections of ours that are neither idle nor slow, and those of others.
const OTHER_CONNECTIONS: usize = 256;

/// Files that a process needs beside connections of clients.
const OTHER_FILES: u64 = 1_280;

/// Who attack at the same time.
const ATTACKERS: usize = 4;

/// Between two attacks of one of them: the machine is to be busy, not to stand still.
const PAUSE: Duration = Duration::from_millis(5);

/// Between two rounds of calls of the rude target, each of which keeps a processor busy for as long as its answer may take.
const CALL_EVERY: Duration = Duration::from_millis(500);

/// An attack that is neither answered nor closed by then hangs. The longest that the server waits for anybody is its 60 s for a
/// body; none of the attacks makes use of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client that behaves well may wait for one answer until that counts as one that hangs.
const GOOD_PATIENCE: Duration = Duration::from_secs(10);

/// How often the memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the memory is given to be free again.
const REST: Duration = Duration::from_secs(3);

/// What one connection may cost in memory, whatever it does.
const CONNECTION_KIB_MAX: u64 = 64;

/// What everything else may cost together: bodies that are read at the same time, caches of the store.
const OTHER_KIB_MAX: u64 = 192 * 1024;

/// How much is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Connections that do nothing or are slow.
    pub connections: usize,
    /// For how long.
    pub seconds: u64,
}

/// What attackers counted.
#[derive(Debug, Default)]
struct Counts {
    attacks: AtomicU64,
    /// Those that were closed and whose answer was lost, since they were still sending.
    closed: AtomicU64,
    lower: AtomicU64,
    hangs: AtomicU64,
    wrong: watch::Sender<Vec<String>>,
}

/// Starts the program, lets everybody loose on it, and tells how it was.
///
/// # Errors
/// If the machine does not allow so many open files, or the program does not start.
pub async fn run(program: &Path, effort: Effort) -> Result<Report> {
    raise_open_files(effort.connections as u64 + OTHER_FILES)?;
    let (good, rude) = (FakeTarget::start().await, Rude::start().await);
    let home = Home::new(&config(&good.url(), &rude.url(), effort.connections + OTHER_CONNECTIONS));
    let server = home.start(&program.to_string_lossy(), &["serve", "--log", "error", "--config", "fanfold.toml"]);
    let url = server.url().await;
    let address = url.trim_start_matches("http://").to_owned();
    let alone_for = Duration::from_secs(effort.seconds / 4 + 1);
    let alone = client::measure_both(&address, alone_for).await?;
    let before_kib = resident_kib(&server)?;

    let counts = Arc::new(Counts::default());
    let crowd = Crowd::gather(&address, effort.connections).await?;
    let until = Instant::now() + Duration::from_secs(effort.seconds);
    let mut attackers = JoinSet::new();
    for number in 0..ATTACKERS {
        attackers.spawn(attack(address.clone(), number, until, Arc::clone(&counts)));
    }
    attackers.spawn(disturb(address.clone(), until, Arc::clone(&counts)));
    let (among, peak_kib) = tokio::join!(client::measure_both(&address, until - Instant::now()), peak(&server, until));
    let (among, peak_kib) = (among?, peak_kib?);
    while let Some(ended) = attackers.join_next().await {
        ended.context("an attacker failed")?;
    }
    let (opened, reopened) = (crowd.len(), crowd.reopened());
    drop(crowd);
    sleep(REST).await;
    let after_kib = resident_kib(&server)?;
    let is_well =
        timeout(GOOD_PATIENCE, Http::new(&url).get("/healthz")).await.is_ok_and(|answer| answer.status == 200);
    if !is_well {
        counts.hangs.fetch_add(1, Ordering::Relaxed);
    }
    let full = full::look(program).await?;
    let panics = server.printed().lines().filter(|line| line.contains("panicked")).count();
    Ok(Report {
        connections: opened,
        reopened,
        attacks: counts.attacks.load(Ordering::Relaxed),
        closed: counts.closed.load(Ordering::Relaxed),
        lower: counts.lower.load(Ordering::Relaxed),
        wrong: counts.wrong.borrow().clone(),
        panics,
        hangs: [&alone.0, &alone.1, &among.0, &among.1].iter().map(|waits| waits.hangs).sum::<u64>()
            + counts.hangs.load(Ordering::Relaxed),
        before_kib,
        peak_kib,
        after_kib,
        peak_kib_max: before_kib + opened as u64 * CONNECTION_KIB_MAX + OTHER_KIB_MAX,
        alone,
        among,
        full,
    })
}

fn config(good: &str, rude: &str, connections_max: usize) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
connections_max = {connections_max}

[targets.tokyo]
url = "{good}"
monitor = "none"

[targets.rude]
url = "{rude}"
monitor = "none"
retry = {{ attempts = 1 }}
timeouts = {{ connect = "2s", response = "2s" }}

[[routes]]
match = "PUT /things/{{id}}"
targets = ["tokyo"]

[[routes]]
match = "POST /typed"
targets = ["tokyo"]
request = {{ body = {{ n = "{{{{ request.json.n }}}}" }} }}

[[routes]]
match = "PUT /rude/{{way}}"
targets = ["rude"]

[[routes]]
match = "GET /pass/{{way}}"
pass = "rude"
"#
    )
}

/// Sends one attack after the other.
async fn attack(address: String, number: usize, until: Instant, counts: Arc<Counts>) {
    let attacks = attacks();
    let mut turn = attacks.iter().cycle().skip(number * attacks.len() / ATTACKERS);
    while Instant::now() < until {
        let Some(attack) = turn.next() else { return };
        let outcome = attack.send(&address, PATIENCE).await;
        counts.attacks.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Ok(Outcome::Hangs) => {
                counts.hangs.fetch_add(1, Ordering::Relaxed);
                counts.tell(format!("{}: neither answered nor closed", attack.name));
            }
            Ok(outcome) if attack.is_met_by(&outcome) => {}
            // A machine that is busy may be too slow to read what was said before the connection was reset.
            Ok(Outcome::Answered(statuses)) if statuses.is_empty() => {
                counts.closed.fetch_add(1, Ordering::Relaxed);
            }
            other => counts.tell(format!("{}: {other:?}", attack.name)),
        }
        sleep(PAUSE).await;
    }
}

/// Has the rude target called, by operations and passed through.
async fn disturb(address: String, until: Instant, counts: Arc<Counts>) {
    let http = Http::new(&address);
    let mut passed = JoinSet::new();
    for way in Rude::WAYS.into_iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        let accepted = http.put(&format!("/rude/{way}"), &serde_json::json!({})).await;
        if accepted.status != 202 {
            counts.tell(format!("/rude/{way}: {}", accepted.status));
        }
        let (address, ending) = (address.clone(), Arc::clone(&counts));
        passed.spawn(async move {
            if !glance(&address, way).await {
                ending.hangs.fetch_add(1, Ordering::Relaxed);
                ending.tell(format!("/pass/{way} is not answered"));
            }
        });
        counts.lower.fetch_add(2, Ordering::Relaxed);
        sleep(CALL_EVERY).await;
    }
    passed.join_all().await;
}

/// Whether an answer that is passed through begins. It goes on for as long as its client reads, which is not for long here.
async fn glance(address: &str, way: &str) -> bool {
    let begins = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET /pass/{way} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        stream.read(&mut [0; 1024]).await
    };
    timeout(PATIENCE, begins).await.is_ok_and(|read| read.is_ok_and(|read| read > 0))
}

/// The most memory that it has until then.
async fn peak(server: &Process, until: Instant) -> Result<u64> {
    let mut peak_kib = 0;
    while Instant::now() < until {
        peak_kib = peak_kib.max(resident_kib(server)?);
        sleep(LOOK_EVERY).await;
    }
    if peak_kib == 0 {
        bail!("there was no time to look at its memory");
    }
    Ok(peak_kib)
}

impl Counts {
    /// Keeps what was not as it should be, once.
    fn tell(&self, what: String) {
        self.wrong.send_if_modified(|wrong| {
            let is_new = !wrong.contains(&what);
            if is_new {
                wrong.push(what);
            }
            is_new
        });
    }
}
