//! How long it takes until the others own what a lost node had waiting: three real servers on a private PostgreSQL, one killed.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fanfold_testkit::postgres::Cluster;
use fanfold_testkit::{Home, Http, Process, RawConnection};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Nodes.
const NODES: usize = 3;

/// Connections that submit.
const CLIENTS: usize = 16;

/// How often it is asked how many were taken over.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long all of it may take.
const ALL_ADOPTED: Duration = Duration::from_secs(300);

/// What secrets are encrypted with here.
const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Adoption {
    operations: u64,
    lease: Duration,
    /// From the kill until the first one was taken over.
    first: Duration,
    /// From then until the last one was.
    all: Duration,
    /// How many each of the others has.
    shares: [u64; NODES - 1],
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, lease, first, all, shares } = self;
        write!(
            f,
            "operations={operations} lease={lease:?} first_after={:.1}s all_within={:.1}s shares={shares:?}",
            first.as_secs_f64(),
            all.as_secs_f64()
        )
    }
}

fn config(url: &str, number: usize, lease: Duration) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\n\
         [store]\nurl = \"{url}\"\nkey = \"${{file:store.key}}\"\nnode = \"node-{number}\"\nlease = \"{}s\"\n\n\
         [targets.tokyo]\nurl = \"http://127.0.0.1:9\"\nmonitor = \"none\"\n\n\
         [[routes]]\nname = \"put-thing\"\nmatch = \"PUT /things/{{id}}\"\ntargets = [\"tokyo\"]\n",
        lease.as_secs()
    )
}

struct Node {
    _home: Home,
    process: Process,
    url: String,
}

/// Has so many operations wait at one node, kills it, and waits until the others own all of them.
///
/// # Errors
/// If there is no PostgreSQL, or the program does not do what it should.
pub async fn measure(program: &Path, operations: u64, lease: Duration) -> Result<Adoption> {
    let cluster = Cluster::start().context("PostgreSQL is needed; on Debian: apt-get install postgresql-15")?;
    let database = cluster.create_database();
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let home = Home::new(&config(&cluster.url(&database), number, lease));
        std::fs::write(home.path().join("store.key"), KEY)?;
        let process = home.start(&program.to_string_lossy(), &["serve", "--log", "error", "--config", "fanfold.toml"]);
        let url = process.url().await;
        nodes.push(Node { _home: home, process, url });
    }
    let lost = nodes.remove(0);
    let http = Http::new(&lost.url);
    let held = http.post("/api/v1/targets/tokyo/hold", &json!({ "reason": "they are to wait" })).await;
    if held.status != 200 {
        bail!("the target cannot be held: {}", held.text());
    }
    fill(&http, operations).await?;
    lost.process.kill();
    let begun = Instant::now();
    let adopted = tokio::time::timeout(ALL_ADOPTED, watch(&cluster, &database, operations, begun)).await;
    let (first, all) = adopted.context("not all were taken over in time")??;
    let shares = shares(&cluster, &database)?;
    Ok(Adoption { operations, lease, first, all, shares })
}

async fn fill(http: &Http, operations: u64) -> Result<()> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS as u64 {
        let mut connection = http.open().await;
        clients.spawn(async move {
            for number in (client..operations).step_by(CLIENTS) {
                submit(&mut connection, number).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(())
}

async fn submit(connection: &mut RawConnection, number: u64) -> Result<()> {
    let request = format!(
        "PUT /things/{number} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    connection.send(request.as_bytes()).await;
    let answer = connection.answer().await;
    if answer.status != 202 {
        bail!("not accepted: {}", answer.text());
    }
    Ok(())
}

/// Waits until nodes that are members own all of them.
async fn watch(cluster: &Cluster, database: &str, operations: u64, begun: Instant) -> Result<(Duration, Duration)> {
    let mut first = None;
    loop {
        let owned: u64 = shares(cluster, database)?.iter().sum();
        if owned > 0 && first.is_none() {
            first = Some(begun.elapsed());
        }
        if let Some(first) = first
            && owned == operations
        {
            return Ok((first, begun.elapsed() - first));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// How many operations that were taken over each living node owns.
fn shares(cluster: &Cluster, database: &str) -> Result<[u64; NODES - 1]> {
    let ask = "SELECT string_agg(number::text, ' ' ORDER BY name) FROM (
        SELECT n.name, (SELECT count(*) FROM operations o WHERE o.epoch = n.epoch AND o.adopted_at IS NOT NULL) AS number
        FROM nodes n WHERE n.name <> 'node-0') shares";
    let answer = cluster.query(database, ask);
    let numbers = answer.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    numbers.try_into().map_err(|numbers| anyhow::anyhow!("there are not as many nodes as there should be: {numbers:?}"))
}
