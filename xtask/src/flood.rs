//! What one tenant's flood does to another one: the real program, real sockets on loopback, both tenants with operations for the
//! same slow target. The second one submits steadily, first alone and then beside the flood; what is measured is how long its
//! acceptances take, and how long it is until the target hears of them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fanfold_core::access::SecretDigest;
use fanfold_testkit::{Home, Http};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::sorted::Sorted;
use crate::target::Target;

/// How long the target takes for each answer, and how many it gets at once: both tenants together go no faster.
const TARGET_TAKES: Duration = Duration::from_millis(100);
const IN_FLIGHT: u32 = 16;

/// Operations of one tenant that may wait: the flood gets there within seconds.
const WAITING_MAX: u64 = 2_000;

/// Requests with one token each second.
const REQUESTS_PER_SECOND: u64 = 1_000;

/// How long the flood may take to fill its queue.
const FULL_WITHIN: Duration = Duration::from_secs(120);

/// How long the target may take to hear of the last operation.
const HEARD_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The credentials of the two.
const FLOODING: &str = "the-one-that-floods";
const STEADY: &str = "the-one-that-does-not";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How long, without the flood and with it.
    pub lasting: Duration,
    /// Operations that the steady one submits each second.
    pub rate: u64,
    /// Connections of the flood.
    pub connections: usize,
}

/// What was measured.
#[derive(Debug)]
pub struct Report {
    effort: Effort,
    alone: Steady,
    beside: Steady,
    flood: [u64; 4],
    flooded_for: Duration,
}

/// How the steady tenant fared.
#[derive(Debug, Default)]
struct Steady {
    /// From the time at which each request was to be made until its 202.
    accepted: Sorted,
    /// From the same until the target heard of it.
    first_attempts: Sorted,
    refused: u64,
}

/// What became of the requests of the flood.
#[derive(Debug, Default)]
struct Answers {
    accepted: AtomicU64,
    too_many_requests: AtomicU64,
    unavailable: AtomicU64,
    /// Other answers, and connections that broke.
    other: AtomicU64,
}

impl Answers {
    fn count(&self, status: Option<u16>) {
        let counter = match status {
            Some(202) => &self.accepted,
            Some(429) => &self.too_many_requests,
            Some(503) => &self.unavailable,
            Some(_) | None => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn all(&self) -> [u64; 4] {
        [&self.accepted, &self.too_many_requests, &self.unavailable, &self.other]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl Report {
    /// Whether the steady one was let in all the time, and the flood met its bounds and nothing else.
    pub fn is_good(&self) -> bool {
        let [_, too_many_requests, unavailable, others] = self.flood;
        self.alone.refused + self.beside.refused == 0 && too_many_requests + unavailable > 0 && others == 0
    }
}

impl fmt::Display for Steady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |times: &Sorted, percent| times.quantile(percent).as_secs_f64() * 1_000.0;
        write!(
            f,
            "{} accepted, {} refused; acceptance p50={:.1} ms p99={:.1} ms; first attempt p50={:.1} ms p99={:.1} ms",
            self.accepted.len(),
            self.refused,
            ms(&self.accepted, 50),
            ms(&self.accepted, 99),
            ms(&self.first_attempts, 50),
            ms(&self.first_attempts, 99)
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Effort { rate, connections, lasting } = self.effort;
        let [accepted, too_many_requests, unavailable, other] = self.flood;
        let requests = self.flood.iter().sum::<u64>() as f64 / self.flooded_for.as_secs_f64();
        writeln!(f, "steady at {rate}/s for {lasting:?}, alone:            {}", self.alone)?;
        writeln!(f, "steady at {rate}/s for {lasting:?}, beside the flood: {}", self.beside)?;
        write!(
            f,
            "flood by {connections} connections, {requests:.0} requests/s: accepted={accepted} refused_429={too_many_requests} \
             refused_503={unavailable} other={other}"
        )
    }
}

fn config(target: &str) -> String {
    let token = |name: &str, secret: &str| {
        let digest = SecretDigest::of(secret);
        format!(
            "[[auth.tokens]]\nname = \"{name}\"\nsha256 = \"{digest}\"\nroles = [\"submit\"]\ntenant = \"{name}\"\n\n"
        )
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\n[auth]\n\n{}{}\
         [limits]\ntenant_waiting_max = {WAITING_MAX}\nrequests_per_second = {REQUESTS_PER_SECOND}\n\n\
         [targets.tokyo]\nurl = \"http://{target}\"\nmonitor = \"none\"\nmax_in_flight = {IN_FLIGHT}\n\n\
         [[routes]]\nname = \"things\"\nmatch = \"PUT /{{run}}/{{number}}\"\ntargets = [\"tokyo\"]\n",
        token("flooding", FLOODING),
        token("steady", STEADY)
    )
}

fn request(token: &str, path: &str) -> String {
    format!(
        "PUT {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 11\r\n\r\n{{\"size\": 1}}"
    )
}

/// When the target heard of each path first.
type Heard = Arc<Mutex<HashMap<String, Instant>>>;

/// Measures the steady tenant without the flood, and with it.
///
/// # Errors
/// If the program does not do what it should.
pub async fn measure(program: &Path, effort: Effort, say: &dyn Fn(&str)) -> Result<Report> {
    let heard: Heard = Arc::default();
    let hearing = Arc::clone(&heard);
    let target = Target::start(TARGET_TAKES, move |line| {
        if let Some(path) = line.split(' ').nth(1).filter(|path| path.starts_with("/steady-")) {
            let mut heard = hearing.lock().unwrap_or_else(PoisonError::into_inner);
            heard.entry(path.to_owned()).or_insert_with(Instant::now);
        }
    })
    .await?;
    let home = Home::new(&config(&target.address.to_string()));
    let server = home.start(&program.to_string_lossy(), &["serve", "--log", "error", "--config", "fanfold.toml"]);
    let http = Http::new(&server.url().await);
    let alone = submit_steadily(&http, effort, "steady-alone", &heard).await?;
    say(&format!("alone: {alone}"));

    let answers = Arc::new(Answers::default());
    let mut flood = JoinSet::new();
    let began = Instant::now();
    for number in 0..effort.connections {
        flood.spawn(pour(http.clone(), number, Arc::clone(&answers)));
    }
    let full = async {
        while answers.unavailable.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(FULL_WITHIN, full).await.context("the queue of the flood does not fill")?;
    say(&format!("the flood has filled its queue after {:.1} s", began.elapsed().as_secs_f64()));
    let beside = submit_steadily(&http, effort, "steady-beside", &heard).await?;
    if let Some(ended) = flood.try_join_next() {
        ended?;
        bail!("a connection of the flood has ended");
    }
    let (flood, flooded_for) = (answers.all(), began.elapsed());
    Ok(Report { effort, alone, beside, flood, flooded_for })
}

/// Submits as fast as it goes, until it is dropped.
async fn pour(http: Http, client: usize, answers: Arc<Answers>) {
    let mut connection = http.open().await;
    for number in 0_u64.. {
        let answer = connection.exchange(request(FLOODING, &format!("/flood-{client}/{number}")).as_bytes()).await;
        answers.count(answer.as_ref().ok().map(|answer| answer.status));
        if answer.is_ok_and(|answer| answer.header("connection") != Some("close")) {
            continue;
        }
        connection = http.open().await;
    }
}

/// Submits at a fixed rate, however long answers take, each on a connection of its own.
async fn submit_steadily(http: &Http, effort: Effort, run: &'static str, heard: &Heard) -> Result<Steady> {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / u32::try_from(effort.rate.max(1))?);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let number = effort.rate * effort.lasting.as_secs();
    let mut under_way = JoinSet::new();
    for number in 0..number {
        let due = pace.tick().await;
        let http = http.clone();
        under_way.spawn(async move {
            let path = format!("/{run}/{number}");
            let answer = http.open().await.exchange(request(STEADY, &path).as_bytes()).await;
            (path, due, answer.map(|answer| (answer.status, due.elapsed())))
        });
    }
    let (mut accepted, mut took, mut refused) = (Vec::new(), Vec::new(), 0);
    while let Some(ended) = under_way.join_next().await {
        match ended? {
            (path, due, Ok((202, time))) => {
                took.push(time);
                accepted.push((path, due));
            }
            (_, _, Ok(_) | Err(_)) => refused += 1,
        }
    }
    let first_attempts = tokio::time::timeout(HEARD_WITHIN, first_attempts(&accepted, heard)).await;
    let first_attempts = first_attempts.context("the target has not heard of every operation")?;
    Ok(Steady { accepted: took.into(), first_attempts: first_attempts.into(), refused })
}

/// Waits until the target has heard of all.
async fn first_attempts(accepted: &[(String, Instant)], heard: &Heard) -> Vec<Duration> {
    loop {
        {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let times = accepted.iter().map(|(path, due)| heard.get(path).map(|at| at.duration_since(*due)));
            if let Some(times) = times.collect() {
                return times;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
