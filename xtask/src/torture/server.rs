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
use super::oracle::{Before, Breach, Starts};
use super::world::World;

/// How long nothing may change at all before what still runs counts as stuck.
const STILL_MAX: Duration = Duration::from_secs(45);

/// How long reading another configuration may take.
const RELOAD_MAX: Duration = Duration::from_secs(20);

/// How often it is looked for what it printed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How often it is asked whether everything has ended.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Server {
    program: PathBuf,
    folder: PathBuf,
    http: Http,
    world: Arc<World>,
    places: Places,
    process: Option<Process>,
    pub(super) starts: Starts,
    pub(super) kills: usize,
}

impl Server {
    pub(super) fn new(program: &Path, folder: &Path, http: Http, world: Arc<World>, places: Places) -> Self {
        let (program, folder) = (program.to_owned(), folder.to_owned());
        Self { program, folder, http, world, places, process: None, starts: Starts::new(), kills: 0 }
    }

    pub(super) async fn start_again(&mut self, before: Before) -> Result<()> {
        if before == Before::Nothing {
            self.configure(Form::Whole)?;
        }
        let mut command = Command::new(&self.program);
        command.args(["serve", "--config", "fanfold.toml"]).current_dir(&self.folder).stdin(Stdio::null());
        let process = Process::spawn(command);
        process.url().await;
        self.process = Some(process);
        self.world.lives.fetch_add(1, Ordering::SeqCst);
        let status = self.get("/api/v1/status").await?;
        let started: Timestamp = status["started_at"].as_str().unwrap_or_default().parse()?;
        self.starts.push((started, before));
        Ok(())
    }

    pub(super) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.world.lives.fetch_add(1, Ordering::SeqCst);
            process.kill();
            self.kills += 1;
        }
    }

    /// Stops it gracefully and waits for its end.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        self.world.lives.fetch_add(1, Ordering::SeqCst);
        process.terminate();
        let (status, printed) = process.ended().await;
        ensure!(status.success(), "it ended with {status} after SIGTERM:\n{printed}");
        Ok(())
    }

    fn configure(&self, form: Form) -> Result<()> {
        Ok(std::fs::write(self.folder.join("fanfold.toml"), config::config(&self.places, form))?)
    }

    /// Lets it read another configuration (SIGHUP). A bad one must change nothing.
    pub(super) async fn reload(&mut self, form: Form) -> Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let routes = self.get("/api/v1/routes").await?;
        if form == Form::Reduced {
            self.world.reduced.store(true, Ordering::SeqCst);
        }
        let (sign, word) = match form {
            Form::Whole => ("the configuration was reloaded", "added"),
            Form::Reduced => ("the configuration was reloaded", "removed"),
            Form::Bad => ("nothing has changed", "bad"),
        };
        self.configure(form)?;
        let before = process.printed().matches(sign).count();
        process.reload();
        let read = async {
            while process.printed().matches(sign).count() == before {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(RELOAD_MAX, read).await.with_context(|| format!("no {sign:?} after SIGHUP"))?;
        match form {
            Form::Whole => self.world.reduced.store(false, Ordering::SeqCst),
            Form::Reduced => {}
            Form::Bad => {
                if self.get("/api/v1/routes").await? != routes {
                    self.world.blame(Breach::WrongAnswer, "a bad configuration changed the routes");
                }
                self.configure(Form::Whole)?;
            }
        }
        self.world.count("reload", word);
        Ok(())
    }

    /// An answer in JSON.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.try_request("GET", path, b"").await.with_context(|| path.to_owned())?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
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
