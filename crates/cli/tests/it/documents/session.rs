//! Types what a document says into a real shell, in a folder of its own.
//!
//! What keeps running (`fanfold serve`, `fanfold demo`) is started and left running until the end. In place of 127.0.0.1 and
//! `localhost` each session has a loopback address of its own, so that all can use the ports that stand in their documents; what
//! the document calls by an id that it has shown is what was called so here.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use fanfold_testkit::{Answer, FakeTarget, Home, Http, Latch, Process, Reply};
use serde_json::Value;

use super::shown::Ids;
use crate::program::{PROGRAM, Server, config, forget_settings, things};

/// What a command may take, and what goes on by itself after it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the server of a document listens.
pub(crate) const SERVER: &str = "127.0.0.1:8080";

/// What `curl` ends with where it was answered with an error.
const REFUSED: i32 = 22;

/// What the program ends with where an operation was not completed.
const NOT_COMPLETED: i32 = 5;

/// What every command begins with: the variables that were set before; and a `curl` that fails where it is answered with an error.
const BEFORE: &str = r#"PATH=$PWD/../bin:$PATH
[ -f ../variables ] && . ../variables
curl() { case "$*" in *-sSf*) command curl "$@";; *) command curl --fail-with-body "$@";; esac; }
"#;

/// What every command ends with.
const AFTER: &str = "\ncode=$?; declare -p | grep -E '^declare -[-x] [A-Z_]+=' > ../variables; exit $code";

/// A folder, a shell, and what runs.
pub(crate) struct Session {
    /// The folder, and beside it what the test needs itself.
    around: Home,
    /// The address in place of 127.0.0.1; `None`: that one itself is meant.
    address: Option<String>,
    environment: Vec<(String, String)>,
    running: Vec<Process>,
    servers: Vec<Http>,
    /// What ids of the document are called here.
    pub(crate) ids: Ids,
}

/// What became of a command.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Session {
    /// One in an empty folder, with these variables in the environment.
    pub(crate) fn new(environment: Vec<(String, String)>) -> Self {
        let around = Home::new("");
        std::fs::create_dir(around.path().join("bin")).unwrap();
        std::fs::create_dir(around.path().join("folder")).unwrap();
        std::os::unix::fs::symlink(PROGRAM, around.path().join("bin/fanfold")).unwrap();
        let address = Some(address_of_its_own());
        Self { around, address, environment, running: Vec::new(), servers: Vec::new(), ids: Ids::default() }
    }

    /// One for texts whose addresses are just those that are meant.
    pub(crate) fn where_addresses_hold() -> Self {
        Self { address: None, ..Self::new(Vec::new()) }
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let text = self.redirected(text);
        std::fs::write(self.around.path().join("folder").join(name), text).unwrap();
    }

    /// Copies the files of a folder.
    pub(crate) fn copy(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            self.write(path.file_name().unwrap().to_str().unwrap(), &text);
        }
    }

    /// A client of the server that the document calls by this address.
    pub(crate) fn http(&self, address: &str) -> Http {
        Http::new(&self.redirected(address))
    }

    /// Runs a command, or starts it if it is one that keeps running.
    pub(crate) async fn run(&mut self, command: &str) -> Ran {
        if command.starts_with("fanfold serve") || command.starts_with("fanfold demo") && !command.contains("--once") {
            self.start(command).await;
            return Ran::default();
        }
        let command = self.ids.put_in(command);
        let command = self.redirected(&command);
        let mut shell = Command::new("timeout");
        shell.args([&PATIENCE.as_secs().to_string(), "bash", "-c", &format!("{BEFORE}{command}{AFTER}")]);
        self.surround(&mut shell);
        let output = tokio::task::spawn_blocking(move || shell.stdin(Stdio::null()).output());
        let output = output.await.unwrap().expect("bash and timeout are there");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        // What ran into its time has the code of `timeout`.
        let code = output.status.code().unwrap_or(-1);
        Ran { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Waits until nothing goes on by itself.
    pub(crate) async fn idle(&self) {
        for server in &self.servers {
            idle(server).await;
        }
    }

    async fn start(&mut self, command: &str) {
        // What `fanfold init` has written names the same addresses.
        let folder = self.around.path().join("folder");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = self.redirected(&std::fs::read_to_string(&path).unwrap());
                std::fs::write(path, text).unwrap();
            }
        }
        let command = match command {
            // So that it does not listen where others do; without the option it is just there.
            "fanfold demo" => format!("{command} --listen {SERVER}"),
            _ => command.to_owned(),
        };
        let command = self.redirected(&command);
        let command = command.split(" #").next().unwrap_or_default().trim();
        let mut words = command.split_whitespace();
        let mut process = Command::new(self.around.path().join("bin").join(words.next().unwrap()));
        process.args(words).stdin(Stdio::null());
        self.surround(&mut process);
        let process = Process::spawn(process);
        // Of several sample targets the last one is told last.
        let last = command.split_once("--targets ").and_then(|(_, list)| list.rsplit(',').next()?.split('=').next());
        match last {
            Some(target) => drop(process.line(&format!("{target} is listening on http://")).await),
            None => self.servers.push(Http::new(&process.url().await)),
        }
        self.running.push(process);
    }

    fn surround(&self, command: &mut Command) {
        forget_settings(command);
        let around = self.around.path().to_owned();
        command.current_dir(around.join("folder")).env("TMPDIR", &around).env("LC_ALL", "C.UTF-8");
        command.env("FANFOLD_SERVER", format!("http://{}", self.redirected(SERVER)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    /// The text with the address that is used here.
    fn redirected(&self, text: &str) -> String {
        match &self.address {
            Some(address) => ["127.0.0.1:", "localhost:"].iter().fold(text.to_owned(), |text, host| {
                // Port 0 is any that is free, of the address that is named.
                text.replace(host, &format!("{address}:")).replace(&format!("{address}:0"), &format!("{host}0"))
            }),
            None => text.to_owned(),
        }
    }
}

/// A loopback address that no other session has, of this process or of another one that runs at the same time.
fn address_of_its_own() -> String {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [.., upper, lower] = std::process::id().to_be_bytes();
    format!("127.{}.{upper}.{lower}", LAST.fetch_add(1, Ordering::Relaxed) + 1)
}

impl Ran {
    /// The exit code, if it is another one than the command promises: a good one, or that of an error for the final response of
    /// what a target is told to refuse; of an operation that is followed to an end that is not good, 5.
    pub(crate) fn unexpected(&self, command: &str) -> Option<i32> {
        let is_refused = command.contains("\"refuse\"") && command.contains("Prefer: wait=");
        let follows = ["fanfold send", "fanfold ops watch"].iter().any(|begin| command.starts_with(begin));
        let is_good =
            if is_refused { self.code == REFUSED } else { self.code == 0 || follows && self.code == NOT_COMPLETED };
        (!is_good).then_some(self.code)
    }
}

/// Waits until nothing goes on by itself at a server: what has not ended waits for a person, a target on hold, a lock or a time.
pub(crate) async fn idle(http: &Http) {
    if let Err(last) = idle_within(http, PATIENCE).await {
        panic!("waited in vain for the end of {last}");
    }
}

/// The same, no longer than so; the error is the operation that was waited for last.
async fn idle_within(http: &Http, patience: Duration) -> Result<(), String> {
    let mut last = String::new();
    let ending = async {
        while let Some((path, version)) = going_on(http).await {
            last.clone_from(&path);
            http.clone().with("if-none-match", &version).get(&format!("{path}?wait=10s")).await;
        }
    };
    tokio::time::timeout(patience, ending).await.map_err(|_| last)
}

/// The path and version of an operation that goes on by itself.
async fn going_on(http: &Http) -> Option<(String, String)> {
    let list = http.get("/api/v1/operations?status=unexecuted&status=executing&limit=1000").await;
    assert_eq!(list.status, 200, "{}", list.text());
    let list: Value = list.json();
    for operation in list["operations"].as_array().unwrap() {
        let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
        let seen = http.get(&path).await;
        if goes_on(&seen.json()) {
            return Some((path, seen.header("etag").expect("an operation has a version").to_owned()));
        }
    }
    None
}

fn goes_on(operation: &Value) -> bool {
    let waits = operation["waiting_for"].as_array().map_or(&[][..], Vec::as_slice);
    let is_over = matches!(operation["status"].as_str(), Some("completed" | "failed" | "canceled"));
    !is_over && (waits.is_empty() || !waits.iter().all(|wait| rests(operation, wait)))
}

/// Whether what waits for this does not go on by itself.
fn rests(operation: &Value, wait: &Value) -> bool {
    match wait["for"].as_str() {
        Some("start_time" | "held_target" | "missing_target" | "person" | "release") => true,
        // Who has just been accepted is about to get it, or has it.
        Some("lock") => wait["holder"].is_string() && wait["holder"] != operation["id"],
        _ => false,
    }
}

#[tokio::test]
async fn an_operation_that_hangs_is_waited_for_no_longer_than_so_and_named() {
    let (tokyo, latch) = (FakeTarget::start().await, Latch::new());
    tokyo.on("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&latch));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    let waited = idle_within(&server.http, Duration::from_secs(2)).await;
    assert_eq!(waited, Err(format!("/api/v1/operations/{id}")));
    latch.open();
    idle(&server.http).await;
}
