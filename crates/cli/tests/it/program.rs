//! Running the program: commands to their end, and servers in a folder of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fanfold_testkit::{FakeTarget, Home, Http, HttpAnswer, Process};
use serde_json::Value;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fanfold");

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) http: Http,
}

/// Runs a command to its end in a folder.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Ended {
    ended(command(folder, arguments)).await
}

async fn ended(mut command: Command) -> Ended {
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    let output = output.await.expect("nothing panics there").expect("the program can be started");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("the program prints UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("the program prints UTF-8"),
    }
}

/// The program with these arguments, and without the settings of whoever runs the tests.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder);
    forget_settings(&mut command);
    command
}

/// Keeps the settings of whoever runs the tests from a command.
pub(crate) fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANFOLD_") {
            command.env_remove(name);
        }
    }
}

/// A configuration with these targets, on a port that is free.
pub(crate) fn config(targets: &[(&str, &FakeTarget)], rest: &str) -> String {
    let targets: String = targets
        .iter()
        .map(|(name, target)| {
            let retry = "retry = { attempts = 3, backoff = \"10ms\", backoff_max = \"50ms\" }";
            format!("[targets.{name}]\nurl = \"{}\"\nmonitor = \"none\"\n{retry}\n", target.url())
        })
        .collect();
    format!("[server]\nlisten = \"127.0.0.1:0\"\n\n{targets}\n{rest}")
}

/// A route that puts a thing to one target or several, and undoes it with `DELETE`.
pub(crate) fn things(targets: &[&str]) -> String {
    let targets = targets.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "[[routes]]\nname = \"put-thing\"\nmatch = \"PUT /things/{{id}}\"\ntargets = [{targets}]\n\
         undo = {{ method = \"DELETE\", path = \"/things/{{{{ path.id }}}}\" }}\n"
    )
}

impl Server {
    /// Starts one in this folder and waits until it takes requests.
    pub(crate) async fn start(home: &Home) -> Self {
        let process = serve(home);
        let url = process.url().await;
        let http = Http::new(&url);
        Self { process, url, http }
    }

    /// Runs a command that talks to it.
    pub(crate) async fn run(&self, home: &Home, arguments: &[&str]) -> Ended {
        run(home.path(), &[arguments, &["--server", &self.url]].concat()).await
    }

    /// The same with a token in the environment.
    pub(crate) async fn run_as(&self, home: &Home, token: &str, arguments: &[&str]) -> Ended {
        let mut command = command(home.path(), &[arguments, &["--server", &self.url]].concat());
        command.env("FANFOLD_TOKEN", token);
        ended(command).await
    }

    /// Puts a thing, and gives the id of the operation.
    pub(crate) async fn put(&self, path: &str) -> String {
        let answer = self.http.put(path, &serde_json::json!({ "size": 3 })).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        text(&answer.json()["id"])
    }

    /// The operation once it has ended.
    pub(crate) async fn end_of(&self, id: &str) -> Value {
        loop {
            let answer = self.get(&format!("/api/v1/operations/{id}?wait=10s")).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let operation = answer.json();
            if ["completed", "failed", "canceled"].contains(&text(&operation["status"]).as_str()) {
                return operation;
            }
        }
    }

    /// `GET`
    pub(crate) async fn get(&self, path: &str) -> HttpAnswer {
        self.http.get(path).await
    }

    /// Stops it gracefully, and gives what it printed.
    pub(crate) async fn stop(self) -> String {
        self.process.terminate();
        let (status, printed) = self.process.ended().await;
        assert_eq!(status.code(), Some(0), "{printed}");
        printed
    }
}

/// Starts a server and does not wait for anything.
pub(crate) fn serve(home: &Home) -> Process {
    Process::spawn({
        let mut command = command(home.path(), &["serve", "--config", "fanfold.toml"]);
        command.stdin(Stdio::null());
        command
    })
}

/// The store of the servers in this folder.
pub(crate) fn database(home: &Home) -> PathBuf {
    home.path().join("fanfold.db")
}

/// The text in a JSON value. Panics if it is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
