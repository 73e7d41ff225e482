//! What an idle follower costs in memory: the real program, real sockets on loopback, resident memory before and after.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fanfold_testkit::{Home, Http, RawConnection};
use serde_json::json;

use crate::machine::{raise_open_files, resident_kib};

/// Operations that followers are spread over; they wait for a target that is on hold, so nothing happens to them.
const OPERATIONS: usize = 20;

/// Connections opened at the same time.
const AT_ONCE: usize = 64;

/// Files that a process needs beside the connections of followers.
const OTHER_FILES: u64 = 256;

/// How often it is asked whether all are there.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long all of them may take to be taken in.
const ALL_THERE: Duration = Duration::from_secs(120);

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"

[targets.tokyo]
url = "http://127.0.0.1:9"
monitor = "none"

[[routes]]
name = "put-thing"
match = "PUT /things/{id}"
targets = ["tokyo"]
"#;

/// How somebody follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A stream of the events of one operation.
    Operation,
    /// A stream of the events of all operations.
    All,
    /// A request that waits for the end of one operation.
    Wait,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    way: Way,
    count: usize,
    before_kib: u64,
    after_kib: u64,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Operation, Self::All, Self::Wait];

    /// The value of the label in the metrics.
    fn label(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::All => "all",
            Self::Wait => "wait",
        }
    }

    fn path(self, operation: &str) -> String {
        match self {
            Self::Operation => format!("/api/v1/operations/{operation}/events"),
            Self::All => "/api/v1/events".to_owned(),
            Self::Wait => format!("/api/v1/operations/{operation}?wait=300s"),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, count, before_kib, after_kib } = self;
        let way = match way {
            Way::Operation => "stream of one operation",
            Way::All => "stream of all operations",
            Way::Wait => "?wait= of one operation",
        };
        let mib = |kib: u64| kib as f64 / 1024.0;
        write!(
            f,
            "{way}: {count} idle followers, {:.1} KiB each (resident: {:.1} MiB before, {:.1} MiB after)",
            self.each_kib(),
            mib(*before_kib),
            mib(*after_kib)
        )
    }
}

impl Cost {
    /// KiB for each follower.
    pub fn each_kib(&self) -> f64 {
        self.after_kib.saturating_sub(self.before_kib) as f64 / self.count as f64
    }
}

/// Measures one way of following with so many followers.
///
/// # Errors
/// If the machine does not allow so many open files, or the program does not do what it should.
pub async fn measure(program: &Path, way: Way, count: usize) -> Result<Cost> {
    raise_open_files(count as u64 + OTHER_FILES)?;
    let home = Home::new(CONFIG);
    let server = home.start(&program.to_string_lossy(), &["serve", "--log", "error", "--config", "fanfold.toml"]);
    let http = Http::new(&server.url().await);
    let operations = prepare(&http).await?;
    let before_kib = resident_kib(&server)?;
    let mut followers: Vec<RawConnection> = Vec::with_capacity(count);
    for begin in (0..count).step_by(AT_ONCE) {
        for number in begin..count.min(begin + AT_ONCE) {
            let path = way.path(&operations[number % OPERATIONS]);
            let mut connection = http.open().await;
            connection.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await;
            followers.push(connection);
        }
        if way != Way::Wait {
            for stream in &mut followers[begin..] {
                stream.until("retry: ").await;
            }
        }
    }
    let all_there = tokio::time::timeout(ALL_THERE, wait_for_all(&http, way, count));
    all_there.await.context("not all followers were taken in")?;
    let after_kib = resident_kib(&server)?;
    drop(followers);
    Ok(Cost { way, count, before_kib, after_kib })
}

/// Operations to follow.
async fn prepare(http: &Http) -> Result<Vec<String>> {
    let held = http.post("/api/v1/targets/tokyo/hold", &json!({ "reason": "nothing is to happen" })).await;
    if held.status != 200 {
        bail!("the target cannot be held: {}", held.text());
    }
    let mut operations = Vec::new();
    for number in 0..OPERATIONS {
        let accepted = http.put(&format!("/things/{number}"), &json!({})).await;
        let body = accepted.json();
        operations.push(body["id"].as_str().with_context(|| format!("not accepted: {body}"))?.to_owned());
    }
    Ok(operations)
}

async fn wait_for_all(http: &Http, way: Way, count: usize) {
    let line = format!("fanfold_http_followers{{kind=\"{}\"}} {count}\n", way.label());
    while !http.get("/metrics").await.text().contains(&line) {
        tokio::time::sleep(ASK_EVERY).await;
    }
}
