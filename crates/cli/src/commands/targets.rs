//! `fanfold targets`: the back ends of a running server, and holding them back.

mod show;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::ServerOption;
use super::ops::time;
use crate::client::api::segment;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, Tone, print_line, printable, say};

/// Where the native API keeps targets.
const TARGETS: &str = "/api/v1/targets";

/// `fanfold targets`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Targets {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    server: ServerOption,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List targets and how they are (what "targets" alone does)
    List {
        #[command(flatten)]
        server: ServerOption,
    },
    /// Show one target: its state, limits, and the budgets of requests to it
    Show {
        /// The name of the target
        name: String,

        #[command(flatten)]
        server: ServerOption,
    },
    /// Hold a target back: nothing new is sent to it until it is released, and what is on the wire ends
    Hold {
        /// The name of the target
        name: String,
        /// Why, for whoever looks
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,

        #[command(flatten)]
        server: ServerOption,
    },
    /// Release a target: what waited for it goes on, in order
    Release {
        /// The name of the target
        name: String,

        #[command(flatten)]
        server: ServerOption,
    },
}

#[derive(Debug, Deserialize)]
struct List {
    targets: Vec<Box<RawValue>>,
}

/// A target as the server shows it, as far as the table needs it. What all tenants together do there is told to the house alone.
#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    url: Option<String>,
    state: String,
    breaker: Breaker,
    limits: Option<Limits>,
    hold: Option<Hold>,
    in_flight: Option<ByKind>,
    waiting: Option<ByKind>,
    totals: Option<Totals>,
    latency: Option<Latency>,
}

#[derive(Debug, Deserialize)]
struct Breaker {
    state: String,
    since: Option<Timestamp>,
    retry_in_ms: Option<u64>,
    breaks: u32,
}

#[derive(Debug, Deserialize)]
struct Limits {
    max_in_flight: u64,
    undo_max_in_flight: u64,
}

#[derive(Debug, Deserialize)]
struct Hold {
    since: Timestamp,
    by: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct ByKind {
    forward: u64,
    undo: u64,
    pass: u64,
}

#[derive(Debug, Deserialize)]
struct Totals {
    answered: u64,
    server_errors: u64,
    not_sent: u64,
    broke: u64,
}

#[derive(Debug, Deserialize)]
struct Latency {
    median_ms: u64,
    p95_ms: u64,
}

pub(super) async fn run(targets: Targets) -> Result<(), Failure> {
    match targets.command {
        None => list(targets.server).await,
        Some(Command::List { server }) => list(server).await,
        Some(Command::Show { name, server }) => show::show(server, &name).await,
        Some(Command::Hold { name, reason, server }) => {
            let path = format!("{TARGETS}/{}/hold", segment(&name));
            let body = json!({ "reason": reason.unwrap_or_default() });
            change(server, path, Some(&body), &format!("{name} is on hold")).await
        }
        Some(Command::Release { name, server }) => {
            let path = format!("{TARGETS}/{}/release", segment(&name));
            change(server, path, None, &format!("{name} is released")).await
        }
    }
}

async fn change(
    server: ServerOption,
    path: String,
    body: Option<&serde_json::Value>,
    done: &str,
) -> Result<(), Failure> {
    let json = server.api()?.post(path, body).await?;
    match server.output {
        Format::Table => say(done),
        Format::Json => print_line(json.get())?,
    }
    Ok(())
}

async fn list(server: ServerOption) -> Result<(), Failure> {
    let api = server.api()?;
    let json = api.get(TARGETS).await?;
    if server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let List { targets } = api.parse(&json)?;
    let mut table = table();
    for target in targets {
        table.row(row(&api.parse(&target)?));
    }
    Ok(table.print()?)
}

fn table() -> Table {
    Table::new(&["TARGET", "STATE", "ON THE WIRE", "WAITING", "ANSWERED", "FAILED", "LATENCY", "URL", "NOTE"])
}

fn row(target: &Target) -> [Cell; 9] {
    let count = |number: Option<u64>| Cell::plain(number.map_or_else(|| "-".to_owned(), |number| number.to_string()));
    let totals = target.totals.as_ref();
    let latency = target.latency.as_ref();
    [
        Cell::plain(target.name.as_str()),
        Cell::toned(tone(&target.state), target.state.replace('_', " ")),
        Cell::plain(on_the_wire(target)),
        count(target.waiting.as_ref().map(ByKind::total)),
        count(totals.map(|totals| totals.answered)),
        count(totals.map(|totals| totals.server_errors + totals.not_sent + totals.broke)),
        Cell::plain(
            latency.map_or_else(|| "-".to_owned(), |latency| format!("{}/{} ms", latency.median_ms, latency.p95_ms)),
        ),
        Cell::plain(target.url.as_deref().unwrap_or("-")),
        Cell::plain(note(target)),
    ]
}

/// How many requests are on the wire, and how many may be; undos are counted apart.
fn on_the_wire(target: &Target) -> String {
    let Some(ByKind { forward, undo, pass }) = target.in_flight else { return "-".to_owned() };
    match &target.limits {
        Some(limits) => format!("{}/{} {undo}/{}", forward + pass, limits.max_in_flight, limits.undo_max_in_flight),
        None => format!("{} {undo}", forward + pass),
    }
}

impl ByKind {
    fn total(&self) -> u64 {
        self.forward + self.undo + self.pass
    }
}

fn note(target: &Target) -> String {
    let hold = target.hold.as_ref().map(|hold| {
        let reason = if hold.reason.is_empty() { String::new() } else { format!(": {}", printable(&hold.reason)) };
        format!("held by {} since {}{reason}", printable(&hold.by), time(hold.since))
    });
    let Breaker { state, since, retry_in_ms, breaks } = &target.breaker;
    let breaker = since.map(|since| format!("breaker {} since {}", state.replace('_', " "), time(since)));
    let breaks = (*breaks > 0).then(|| format!("{breaks} attempts in a row broke"));
    let retry = retry_in_ms.map(|wait| format!("tried again in {wait} ms"));
    [hold, breaks, breaker, retry].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn tone(state: &str) -> Tone {
    match state {
        "ok" => Tone::Good,
        "breaker_open" | "missing" => Tone::Bad,
        _ => Tone::Doubtful,
    }
}
