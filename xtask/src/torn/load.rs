//! The run that is recorded: the real program under strace, with targets that succeed, refuse and break, and clients that
//! start operations and look at them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fanfold_testkit::{Answer, FakeTarget, Home, Http, Process, Reply, Resources};
use serde_json::json;
use tokio::task::JoinSet;

use super::trace::{self, Call};
use fanfold_testkit::Random;

/// The name of the database in the folder of the run.
pub(super) const DATABASE: &str = "fanfold.db";

/// Where strace writes.
const TRACE: &str = "trace.txt";

/// How long all operations may take together.
const LOAD_MAX: Duration = Duration::from_secs(300);

/// Clients at the same time, so that commits of several operations are made together.
const CLIENTS: usize = 6;

/// A run that was recorded.
pub(super) struct Recorded {
    pub(super) calls: Vec<Call>,
    pub(super) folder: PathBuf,
}

/// What a client does.
#[derive(Debug, Clone)]
struct Order {
    method: &'static str,
    path: String,
    body: String,
}

/// Runs `program` until so many operations have ended, and reads what strace saw of it.
pub(super) fn record(program: &Path, operations: usize, random: &mut Random) -> Result<Recorded> {
    let orders: Vec<Order> = (0..operations).map(|number| order(number, random)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let tokyo = target().await;
        let osaka = target().await;
        for number in 0..operations / 8 {
            let reply = if number % 2 == 0 { Answer::empty(409).into() } else { Reply::Reset { applied: true } };
            osaka.once("*", "/*", reply);
        }
        let home = Home::new(&config(&tokyo, &osaka));
        let folder = std::fs::canonicalize(home.path()).context("the folder was just made")?;
        let process = serve(program, &home);
        let http = Http::new(&process.url().await);
        let mut clients = JoinSet::new();
        for share in orders.chunks(orders.len().div_ceil(CLIENTS).max(1)) {
            clients.spawn(client(http.clone(), share.to_vec()));
        }
        let all = async {
            while let Some(ended) = clients.join_next().await {
                ended.context("a client met a mistake in this program")?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(LOAD_MAX, all).await.context("not all operations came to an end")??;
        stop(&folder)?;
        let (status, printed) = process.ended().await;
        anyhow::ensure!(status.success(), "it ended with {status}:\n{printed}");
        let text = std::fs::read_to_string(folder.join(TRACE)).context("strace wrote no trace")?;
        Ok(Recorded { calls: trace::read(&text), folder })
    })
}

async fn target() -> FakeTarget {
    let target = FakeTarget::start().await;
    target.serve(Resources::new());
    target
}

/// Bodies of very different lengths: inline, apart, and long enough that the log is copied into the file in between.
fn order(number: usize, random: &mut Random) -> Order {
    let length = [20, 900, 6_000, 60_000][random.below(4)];
    let body = json!({ "password": "hunter2", "text": "x".repeat(length) }).to_string();
    match random.below(3) {
        0 => Order { method: "PUT", path: format!("/profiles/{}", number % 5), body },
        _ => Order { method: "POST", path: "/things".to_owned(), body },
    }
}

fn config(tokyo: &FakeTarget, osaka: &FakeTarget) -> String {
    let mut text = format!("[server]\nlisten = \"127.0.0.1:0\"\n\n[store]\nurl = \"sqlite:{DATABASE}\"\n\n");
    for (name, target) in [("tokyo", tokyo), ("osaka", osaka)] {
        let retry = "retry = { attempts = 3, backoff = \"10ms\", backoff_max = \"50ms\" }";
        write!(
            text,
            "[targets.{name}]\nurl = \"{}\"\nmonitor = \"none\"\nsettle = \"20ms\"\n{retry}\n\n",
            target.url()
        )
        .expect("writing to a String cannot fail");
    }
    text + r#"
[[routes]]
name = "create-thing"
match = "POST /things"
targets = ["tokyo", "osaka"]
on_unknown = "fail"
undo = { method = "DELETE", path = "/things/{{ response.json.id }}" }

[[routes]]
name = "put-profile"
match = "PUT /profiles/{id}"
targets = ["tokyo", "osaka"]
order = "sequence"
lock = "profile/{{ path.id }}"
undo = "restore"
"#
}

fn serve(program: &Path, home: &Home) -> Process {
    let mut command = Command::new("strace");
    command.args(["-f", "-xx", "-s", "100000000", "-o", TRACE, "-e", &format!("trace={}", trace::CALLS)]);
    command.arg(program).args(["serve", "--config", "fanfold.toml"]).current_dir(home.path()).stdin(Stdio::null());
    Process::spawn(command)
}

/// Starts operations one after the other and looks at each until it has ended.
async fn client(http: Http, orders: Vec<Order>) {
    let http = http.with("content-type", "application/json");
    for order in orders {
        let answer = http.request(order.method, &order.path, order.body.as_bytes()).await;
        // Locked by the operation of another client: that is an answer like any other.
        if answer.status != 202 {
            continue;
        }
        let id = answer.json()["id"].as_str().unwrap_or_default().to_owned();
        let mut tag = String::new();
        loop {
            let path = format!("/api/v1/operations/{id}?wait=5s");
            let answer = http.clone().with("if-none-match", &tag).get(&path).await;
            tag = answer.header("etag").unwrap_or_default().to_owned();
            if answer.status == 200 && !answer.json()["response"].is_null() {
                break;
            }
        }
    }
}

/// Asks the traced program to stop, not strace: the lock file of the store tells its number.
fn stop(folder: &Path) -> Result<()> {
    let lock = folder.join(format!("{DATABASE}.lock"));
    let process = std::fs::read_to_string(&lock).context("the lock file tells who holds it")?;
    let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", process.trim())).status()?;
    anyhow::ensure!(sent.success(), "SIGTERM was not sent to {process}");
    Ok(())
}
