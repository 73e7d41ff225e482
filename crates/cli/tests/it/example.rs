//! Runs an example: the configuration as it stands in `examples/`, with the ports of fake targets patched into a copy.

use std::path::{Path, PathBuf};

use fanfold_testkit::{FakeTarget, Home, Http, HttpAnswer, Process};
use serde_json::Value;

/// The password in every example's request bodies.
pub(crate) const PASSWORD: &str = "kirschbaum-4711";

/// A server that runs with the configuration of an example.
pub(crate) struct Example {
    pub(crate) http: Http,
    pub(crate) url: String,
    home: Home,
    process: Process,
}

impl Example {
    /// Starts the server with `file` below `examples/`. Each address in `ports` is replaced by the one beside it; if its own is
    /// not among them, it listens on a free port instead.
    pub(crate) async fn start(file: &str, ports: &[(&str, &str)]) -> Self {
        let config = std::fs::read_to_string(folder().join(file)).unwrap();
        let config: String = config.lines().map(|line| patched(line, ports) + "\n").collect();
        let home = Home::new(&config);
        let process = home.start(env!("CARGO_BIN_EXE_fanfold"), &["serve", "--config", "fanfold.toml"]);
        let url = process.url().await;
        Self { http: Http::new(&url), url, home, process }
    }

    /// A request with the body of a file of the example, octet for octet.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &[u8]) -> HttpAnswer {
        self.http.clone().with("content-type", "application/json").request(method, path, body).await
    }

    /// Waits for the end of the operation and gives what `path` answers then; `ended` tells by an answer whether it is over.
    pub(crate) async fn ended(&self, id: &str, path: &str, ended: impl Fn(&Value) -> bool) -> Value {
        let native = format!("/api/v1/operations/{id}");
        loop {
            let seen = self.http.get(&native).await;
            let detail = self.http.get(path).await;
            assert_eq!(detail.status, 200, "{}", detail.text());
            if ended(&detail.json()) {
                return detail.json();
            }
            // The server answers when the operation is no longer as it was seen before.
            let unless =
                self.http.clone().with("if-none-match", seen.header("etag").expect("an operation has a version"));
            unless.get(&format!("{native}?wait=10s")).await;
        }
    }

    /// Waits for the end of an `msf` operation, and gives its detail.
    pub(crate) async fn msf_ended(&self, id: &str) -> Value {
        let ended = |detail: &Value| !matches!(detail["status"].as_str(), Some("unexecuted" | "executing"));
        self.ended(id, &format!("/v1/operations/{id}"), ended).await
    }

    /// Accepts an `msf` request, waits for the end of its operation, and gives its detail.
    pub(crate) async fn msf(&self, method: &str, path: &str, body: &[u8]) -> Value {
        let accepted = self.send(method, path, body).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        let answer = accepted.json();
        assert_eq!(answer.as_object().map(|members| members.len()), Some(1), "{answer}");
        self.msf_ended(answer["operation_id"].as_str().expect("the id of the operation")).await
    }

    /// Asks for everything that shows the operation, and panics if the password is in any of it.
    pub(crate) async fn shows_no_password(&self, id: &str, dialect_paths: &[&str]) {
        let native = format!("/api/v1/operations/{id}");
        let history = format!("{native}/history");
        for path in ["/api/v1/operations", &native, &history].iter().chain(dialect_paths) {
            let answer = self.http.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(!answer.text().contains(PASSWORD), "the password is at {path}: {}", answer.text());
        }
    }

    /// Stops the server, and panics if the password stands in clear in a file that it left, or in what it printed.
    pub(crate) async fn keeps_no_password(self) {
        self.process.terminate();
        let (status, printed) = self.process.ended().await;
        assert!(status.success(), "{printed}");
        assert!(!printed.contains(PASSWORD), "{printed}");
        let files: Vec<PathBuf> =
            std::fs::read_dir(self.home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.iter().any(|file| file.extension().is_some_and(|extension| extension == "db")), "{files:?}");
        for file in files {
            assert_eq!(find(&std::fs::read(&file).unwrap(), PASSWORD.as_bytes()), None, "in {}", file.display());
        }
    }

    /// The same while it runs, when an operation has not ended.
    pub(crate) fn stores_no_password_now(&self) {
        for entry in std::fs::read_dir(self.home.path()).unwrap() {
            let file = entry.unwrap().path();
            assert_eq!(find(&std::fs::read(&file).unwrap(), PASSWORD.as_bytes()), None, "in {}", file.display());
        }
    }
}

/// Where the examples are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// The request body in this file of an example.
pub(crate) fn body(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap()
}

/// A body with the password taken out, as it is shown.
pub(crate) fn redacted(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.contains(PASSWORD), "there is something to take out");
    text.replace(PASSWORD, "[redacted]")
}

/// `host:port` of a fake target.
pub(crate) fn address(fake: &FakeTarget) -> String {
    fake.address().to_string()
}

/// Whether it is a time as `msf` writes them: `YYYYMMDD_hhmmss`.
pub(crate) fn is_msf_time(time: &Value) -> bool {
    let time = time.as_str().unwrap_or_default();
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|octet| octet.is_ascii_digit());
    time.split_once('_').is_some_and(|(day, clock)| digits(day, 8) && digits(clock, 6))
}

fn patched(line: &str, ports: &[(&str, &str)]) -> String {
    let patched = ports.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
    if line.starts_with("listen = ") && patched == line {
        return "listen = \"127.0.0.1:0\"".to_owned();
    }
    patched
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
