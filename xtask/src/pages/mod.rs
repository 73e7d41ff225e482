//! How long the pages of the console and the lists of the native API take with a large database, while operations come in: the
//! real program, real sockets on loopback, the time from the request until the first octet of the answer.

mod fill;
mod load;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use fanfold_testkit::{Home, Http, Process};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use self::fill::{Filling, SELDOM, targets};
use self::load::{Load, top_rate};
use crate::sorted::Sorted;
use crate::target::Target;

/// What nineteen loads of twenty have to keep to.
const BOUND: Duration = Duration::from_millis(100);

/// Searches for a text are loaded once where other pages are loaded so often.
const SEARCHES_PART: usize = 20;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Operations in the database.
    pub operations: u64,
    /// Loads of each page.
    pub loads: usize,
    /// Operations that come in each second; `None`: half of what goes.
    pub rate: Option<u64>,
    /// Where the database is kept: it is filled if it is not there, and measured as it is if it is.
    pub database: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug)]
pub struct Report {
    effort: Effort,
    /// Operations that came in each second while it was.
    rate: f64,
    pages: Vec<Times>,
}

/// The times of one page.
#[derive(Debug)]
struct Times {
    path: String,
    /// Whether it searches for a text, which has a time of its own.
    searches: bool,
    sorted: Sorted,
}

impl Times {
    fn is_good(&self) -> bool {
        self.searches || self.sorted.quantile(95) <= BOUND
    }
}

impl Report {
    /// Whether every page but searches for a text kept to its time.
    pub fn is_good(&self) -> bool {
        self.pages.iter().all(Times::is_good)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9} {:>9} {:>9}   milliseconds to the first octet", "p50", "p95", "max")?;
        for page in &self.pages {
            let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
            let [half, most, all] =
                [page.sorted.quantile(50), page.sorted.quantile(95), page.sorted.quantile(100)].map(millis);
            let verdict = if page.is_good() { "" } else { "   OVER" };
            writeln!(f, "{half:>9.1} {most:>9.1} {all:>9.1}   {}{verdict}", page.path)?;
        }
        let Effort { operations, loads, .. } = &self.effort;
        let over = self.pages.iter().filter(|page| !page.is_good()).count();
        write!(
            f,
            "operations={operations} loads={loads} rate={:.0}/s pages={} over={over}",
            self.rate,
            self.pages.len()
        )
    }
}

/// Fills a database, serves it, and loads every page.
///
/// # Errors
/// If a page answers anything but 200, or the program does not do what it should.
pub async fn measure(program: &Path, effort: Effort, now: Timestamp, say: &dyn Fn(&str)) -> Result<Report> {
    let target = Target::start(Duration::ZERO, |_| ()).await?;
    let home = Home::new("");
    let database = effort.database.clone().unwrap_or_else(|| home.path().join("fanfold.db"));
    home.configure(&config(&database, &target.address.to_string()));
    let filling = filled(&database, effort.operations, now, say).await?;
    let server = home.start(&program.to_string_lossy(), &["serve", "--log", "error", "--config", "fanfold.toml"]);
    let http = Http::new(&server.url().await);
    let rate = match effort.rate {
        Some(rate) => rate,
        None => half_of_top_rate(&http, say).await?,
    };
    let mut load = Load::start(&http, Some(rate), "load").await;
    let pages = load_all(&server, &http, &filling, effort.loads).await?;
    Ok(Report { effort, rate: load.rate()?, pages })
}

/// Fills the database unless that was done before.
async fn filled(database: &Path, operations: u64, now: Timestamp, say: &dyn Fn(&str)) -> Result<Filling> {
    // When the last operation came in, from which the ids of all follow.
    let mark = database.with_extension("until");
    if let Ok(until) = std::fs::read_to_string(&mark) {
        return Ok(Filling::new(operations, until.trim().parse()?));
    }
    let begun = Instant::now();
    let filling = Filling::new(operations, now);
    filling.fill(database).await?;
    std::fs::write(mark, now.to_string())?;
    say(&format!("filled after {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(filling)
}

async fn half_of_top_rate(http: &Http, say: &dyn Fn(&str)) -> Result<u64> {
    let top = top_rate(http).await?;
    say(&format!("{top:.0} operations each second go"));
    // It is positive, and far from the largest number.
    Ok((top / 2.0) as u64)
}

fn config(database: &Path, address: &str) -> String {
    let target = |name: String| format!("[targets.{name}]\nurl = \"http://{address}\"\nmonitor = \"none\"\n\n");
    let targets: String = targets().map(target).collect();
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\n[store]\nurl = \"sqlite:{}\"\n\n{targets}[[routes]]\nname = \"load\"\nmatch = \"PUT /load/{{run}}/{{number}}\"\n\
         targets = [\"target-0\", \"target-1\", \"target-2\"]\n",
        database.display()
    )
}

async fn load_all(server: &Process, http: &Http, filling: &Filling, loads: usize) -> Result<Vec<Times>> {
    let address = server.url().await.trim_start_matches("http://").to_owned();
    let mut paths = api(filling);
    // A program without the console has no page there.
    if http.get("/ui").await.status != 404 {
        paths.extend(console(filling));
    }
    let mut pages = Vec::new();
    for path in paths {
        let searches = path.contains("text=");
        // Those take seconds where there is little to be found.
        let loads = if searches { loads.div_ceil(SEARCHES_PART) } else { loads };
        let mut times = Vec::with_capacity(loads);
        for _ in 0..loads {
            times.push(first_octet(&address, &path).await?);
        }
        pages.push(Times { path, searches, sorted: Sorted::from(times) });
    }
    Ok(pages)
}

/// The time until the first octet of a page, which is read to its end.
async fn first_octet(address: &str, path: &str) -> Result<Duration> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address).await?;
    let begun = Instant::now();
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 64 * 1024];
    let read = stream.read(&mut answer).await?;
    let time = begun.elapsed();
    answer.truncate(read);
    stream.read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer);
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path} was answered: {head}");
    Ok(time)
}

/// The filters of lists of operations, each alone, and two that would lead to very different numbers.
fn filters(filling: &Filling) -> Vec<String> {
    let half = filling.operations / 2;
    let (middle, soon_after) = (filling.accepted_at(half), filling.accepted_at(half + 3_000));
    let retried = filling.operations / 1_000 * 1_000 - 500;
    let mut filters: Vec<String> = [
        "",
        "status=completed",
        "status=failed",
        "status=canceled",
        "status=executing",
        "status=unexecuted",
        "phase=needs+attention",
        "phase=held",
        "phase=calling",
        "phase=rolling+back",
        "route=route-3",
        "route=rare-route",
        "route=nowhere",
        "target=target-3",
        "target=target-3&status=executing",
        "target=nowhere",
        "resource=%2Fv1%2Fslices%2F77%2Fports%2F0",
        "resource=%2Fnowhere",
        "dialect=native",
        "dialect=msf",
        "dialect=plas",
        "mount=%2Fv1",
        "mount=%2Fp",
        "verb=create",
        "verb=action",
        "attention=true",
        "attention=false",
        "text=dry%3D0",
        "text=needle",
        "text=nowhere+at+all",
    ]
    .map(str::to_owned)
    .into();
    filters.extend([
        format!("target={SELDOM}"),
        format!("since={middle}"),
        format!("until={middle}"),
        format!("since={middle}&until={soon_after}"),
        format!("retry_of={}", filling.id(retried)),
        format!("page_token=o.{}", filling.id(half)),
    ]);
    filters
}

fn below(path: &str, filter: &str) -> String {
    if filter.is_empty() { path.to_owned() } else { format!("{path}?{filter}") }
}

fn api(filling: &Filling) -> Vec<String> {
    let id = filling.id(filling.operations / 2);
    let mut paths: Vec<String> = filters(filling).iter().map(|filter| below("/api/v1/operations", filter)).collect();
    paths.push(format!("/api/v1/operations/{id}"));
    paths.push(format!("/api/v1/operations/{id}/history"));
    paths.push(format!("/api/v1/notices?operation={id}"));
    paths.extend(
        [
            "status",
            "targets",
            "routes",
            "notices",
            "notices?state=pending",
            "notices?state=delivered",
            "notices?state=dead",
            "attention",
            "attention?state=open",
            "attention?state=closed",
            "attention?target=target-0",
            "attention?target=nowhere",
        ]
        .map(|path| format!("/api/v1/{path}")),
    );
    paths
}

fn console(filling: &Filling) -> Vec<String> {
    let mut paths: Vec<String> =
        ["/ui", "/ui/targets", "/ui/routes", "/ui/notices", "/ui/attention"].map(str::to_owned).into();
    paths.push(format!("/ui/operations/{}", filling.id(filling.operations / 2)));
    paths.extend(filters(filling).iter().map(|filter| below("/ui/operations", filter)));
    paths
}
