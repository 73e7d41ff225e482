//! The server under torture: started, killed, stopped and started again over what it left.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fanfold_testkit::{Http, Process};
use jiff::Timestamp;
use serde_json::Value;

use super::config::{self, Form, Places};
use super::front::Front;
use super::oracle::{Before, Breach, Starts};
use super::world::World;
use crate::caller;

/// How long nothing may change at all before what still runs counts as stuck.
const STILL_MAX: Duration = Duration::from_secs(45);

/// How long reading another configuration may take.
const RELOAD_MAX: Duration = Duration::from_secs(20);

/// How long after a server was started again the others may record what it had left behind: its lease, and then some.
const ADOPTED_WITHIN: Duration = Duration::from_secs(15);

/// How often it is looked for what it printed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How often it is asked whether everything has ended.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Server {
    program: PathBuf,
    http: Http,
    world: Arc<World>,
    places: Places,
    nodes: Vec<Node>,
    /// Where there are several.
    front: Option<Front>,
    pub(super) starts: Starts,
    pub(super) kills: usize,
    /// When servers that had been paused went on.
    pub(super) resumed: Vec<Timestamp>,
}

/// One server.
struct Node {
    folder: PathBuf,
    http: Http,
    process: Option<Process>,
}

impl Server {
    pub(super) async fn new(
        program: &Path,
        folder: &Path,
        http: Http,
        world: Arc<World>,
        places: Places,
    ) -> Result<Self> {
        let several = places.nodes.len() > 1;
        let mut nodes = Vec::new();
        for (number, address) in places.nodes.iter().enumerate() {
            let folder = if several { folder.join(format!("node-{number}")) } else { folder.to_owned() };
            std::fs::create_dir_all(&folder)?;
            nodes.push(Node { folder, http: caller::client(address), process: None });
        }
        let front = if several { Some(Front::start(&places.server, nodes.len()).await?) } else { None };
        let adopted_within = places.database.as_ref().map(|_| ADOPTED_WITHIN);
        let starts = Starts { all: Vec::new(), adopted_within };
        Ok(Self {
            program: program.to_owned(),
            http,
            world,
            places,
            nodes,
            front,
            starts,
            kills: 0,
            resumed: Vec::new(),
        })
    }

    /// Starts every server that is not there.
    pub(super) async fn start_again(&mut self, before: Before) -> Result<()> {
        if before == Before::Nothing {
            self.configure(Form::Whole)?;
        }
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            if node.process.is_some() {
                continue;
            }
            let mut command = Command::new(&self.program);
            command.args(["serve", "--config", "fanfold.toml"]).current_dir(&node.folder).stdin(Stdio::null());
            let process = Process::spawn(command);
            process.url().await;
            node.process = Some(process);
            self.world.lives.fetch_add(1, Ordering::SeqCst);
            let status = get(&node.http, "/api/v1/status").await?;
            let started: Timestamp = status["started_at"].as_str().unwrap_or_default().parse()?;
            self.starts.all.push((started, before));
            self.lead_to(number, true)?;
        }
        Ok(())
    }

    /// Whether what stands in front leads to a node.
    fn lead_to(&self, number: usize, leads: bool) -> Result<()> {
        if let Some(front) = &self.front {
            let address = self.places.nodes[number].parse()?;
            front.set(number, leads.then_some(address));
        }
        Ok(())
    }

    fn drawn(&self) -> usize {
        self.world.draw(self.nodes.len())
    }

    /// Kills one of them.
    pub(super) fn kill(&mut self) -> Result<()> {
        let number = self.drawn();
        self.lead_to(number, false)?;
        if let Some(process) = self.nodes[number].process.take() {
            self.world.lives.fetch_add(1, Ordering::SeqCst);
            process.kill();
            self.kills += 1;
        }
        Ok(())
    }

    /// Stops one of them in its tracks for a while (SIGSTOP, SIGCONT); the others may take over meanwhile.
    pub(super) async fn pause(&mut self, time: Duration) -> Result<()> {
        let number = self.drawn();
        self.lead_to(number, false)?;
        if let Some(process) = &self.nodes[number].process {
            self.world.lives.fetch_add(1, Ordering::SeqCst);
            process.pause();
            tokio::time::sleep(time).await;
            let resumed = now();
            process.resume();
            self.world.lives.fetch_add(1, Ordering::SeqCst);
            // What it had begun is taken over as if it had been killed.
            self.resumed.push(resumed);
            self.starts.all.push((resumed, Before::Kill));
        }
        self.lead_to(number, true)
    }

    /// Stops one of them gracefully and waits for its end.
    pub(super) async fn stop(&mut self) -> Result<()> {
        self.stop_node(self.drawn()).await
    }

    pub(super) async fn stop_all(&mut self) -> Result<()> {
        for number in 0..self.nodes.len() {
            self.stop_node(number).await?;
        }
        Ok(())
    }

    async fn stop_node(&mut self, number: usize) -> Result<()> {
        self.lead_to(number, false)?;
        let Some(process) = self.nodes[number].process.take() else { return Ok(()) };
        self.world.lives.fetch_add(1, Ordering::SeqCst);
        process.terminate();
        let (status, printed) = process.ended().await;
        ensure!(status.success(), "it ended with {status} after SIGTERM:\n{printed}");
        Ok(())
    }

    fn configure(&self, form: Form) -> Result<()> {
        for (number, node) in self.nodes.iter().enumerate() {
            std::fs::write(node.folder.join("fanfold.toml"), config::config(&self.places, number, form))?;
        }
        Ok(())
    }

    /// Lets all of them read another configuration (SIGHUP). A bad one must change nothing.
    pub(super) async fn reload(&mut self, form: Form) -> Result<()> {
        if form == Form::Reduced {
            self.world.reduced.store(true, Ordering::SeqCst);
        }
        let (sign, word) = match form {
            Form::Whole => ("the configuration was reloaded", "added"),
            Form::Reduced => ("the configuration was reloaded", "removed"),
            Form::Bad => ("nothing has changed", "bad"),
        };
        let mut routes = Vec::new();
        for node in &self.nodes {
            routes.push(get(&node.http, "/api/v1/routes").await?);
        }
        self.configure(form)?;
        for process in self.nodes.iter().filter_map(|node| node.process.as_ref()) {
            let before = process.printed().matches(sign).count();
            process.reload();
            let read = async {
                while process.printed().matches(sign).count() == before {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            tokio::time::timeout(RELOAD_MAX, read).await.with_context(|| format!("no {sign:?} after SIGHUP"))?;
        }
        match form {
            Form::Whole => self.world.reduced.store(false, Ordering::SeqCst),
            Form::Reduced => {}
            Form::Bad => {
                for (node, routes) in self.nodes.iter().zip(&routes) {
                    if get(&node.http, "/api/v1/routes").await? != *routes {
                        self.world.blame(Breach::WrongAnswer, "a bad configuration changed the routes");
                    }
                }
                self.configure(Form::Whole)?;
            }
        }
        self.world.count("reload", word);
        Ok(())
    }

    /// An answer in JSON.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        get(&self.http, path).await
    }

    /// All entries of a list, page by page.
    pub(super) async fn all(&self, path: &str, name: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&format!("{path}{sign}limit=1000{token}")).await?;
            if let Some(entries) = page[name].as_array_mut() {
                all.append(entries);
            }
            match page["next_page_token"].as_str() {
                Some(next) => token = format!("&page_token={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Waits until every operation has ended and every notice is settled, or nothing changes any more.
    pub(super) async fn wait_until_calm(&self, at_the_most: Duration) {
        let began = tokio::time::Instant::now();
        let (mut last, mut changed) = (Value::Null, began);
        while began.elapsed() < at_the_most && changed.elapsed() < STILL_MAX {
            if let (Ok(status), Ok(notices)) =
                (self.get("/api/v1/status").await, self.get("/api/v1/notices?state=pending&limit=1").await)
            {
                let operations = &status["operations"];
                let running =
                    ["unexecuted", "executing"].iter().filter_map(|name| operations[name].as_u64()).sum::<u64>();
                if running == 0 && notices["notices"].as_array().is_some_and(Vec::is_empty) {
                    return;
                }
                let now = serde_json::json!([operations, notices]);
                if now != last {
                    (last, changed) = (now, tokio::time::Instant::now());
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

async fn get(http: &Http, path: &str) -> Result<Value> {
    let answer = http.try_request("GET", path, b"").await.with_context(|| path.to_owned())?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

#[expect(clippy::disallowed_methods, reason = "what is compared with it is the time of day")]
fn now() -> Timestamp {
    Timestamp::now()
}
