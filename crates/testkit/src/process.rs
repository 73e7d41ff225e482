//! The real program, as a process: started in a folder of its own, signalled, killed, and started again over what it left.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::patience::patiently;

/// What the program prints once it takes requests; its URL begins with the last word.
const LISTENING: &str = "listening on http";

/// The name of the configuration file in a [`Home`].
const CONFIG: &str = "fanfold.toml";

/// A folder that programs run in, one after the other. It is gone when this is dropped.
#[derive(Debug)]
pub struct Home(TempDir);

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: watch::Receiver<Output>,
}

/// What was printed so far, on both streams, line by line.
#[derive(Debug, Default)]
struct Output {
    lines: Vec<String>,
    streams_ended: usize,
}

impl Home {
    /// A folder with a configuration file in it.
    pub fn new(config: &str) -> Self {
        let home = Self(TempDir::new().expect("the folder for temporary files can be written"));
        home.configure(config);
        home
    }

    /// Writes another configuration file, to be read at the next start or reload.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.config(), config).expect("the folder is ours");
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path().join(CONFIG)
    }

    /// Starts `program` (the path in `CARGO_BIN_EXE_fanfold`, from an integration test of its crate) in this folder.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        Process::spawn(command)
    }
}

impl Process {
    /// Starts a command and collects what it prints.
    pub fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (sender, output) = watch::channel(Output::default());
        collect(child.stdout.take(), sender.clone());
        collect(child.stderr.take(), sender);
        Self { child, output }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it takes requests, and gives its URL.
    pub async fn url(&self) -> String {
        let line = self.line(LISTENING).await;
        let rest = line.split(LISTENING).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
        format!("http{rest}")
    }

    /// Waits for a line that contains `part`, or takes the first one that was printed before. Panics with all that was printed
    /// if it ends without.
    pub async fn line(&self, part: &str) -> String {
        let line = self.line_if_any(part).await;
        line.unwrap_or_else(|| panic!("it ended without {part:?}:\n{}", self.printed()))
    }

    /// The same, and nothing if it ends without.
    pub async fn line_if_any(&self, part: &str) -> Option<String> {
        let find = |output: &Output| output.lines.iter().find(|line| line.contains(part)).cloned();
        let mut output = self.output.clone();
        let told = async { output.wait_for(|output| find(output).is_some() || output.has_ended()).await.map(|_| ()) };
        let told = patiently(told, || format!("for {part:?} in:\n{}", self.printed())).await;
        drop(told);
        find(&self.output.borrow())
    }

    /// All that was printed so far.
    pub fn printed(&self) -> String {
        self.output.borrow().lines.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").expect("writing to a String cannot fail");
            text
        })
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub fn reload(&self) {
        self.signal("HUP");
    }

    /// Stops it where it stands, to go on with [`Process::resume`] (SIGSTOP).
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Bounds the size of every file that it writes, in octets, or bounds it no more: as a disk that is full, and that has room
    /// again. It must not be ended by SIGXFSZ: the write has to fail.
    pub fn bound_files(&self, bytes: Option<u64>) {
        let pid = Pid::from_child(&self.child);
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(pid), Resource::Fsize, limit).expect("a process may bound its own children");
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let mut output = self.output.clone();
        let ended = async { output.wait_for(Output::has_ended).await.map(|_| ()) };
        let ended = patiently(ended, || format!("for its end; it printed:\n{}", self.printed())).await;
        // The channel is closed once both streams have ended, which is just as good.
        drop(ended);
        let status = self.child.wait().expect("the process is our child");
        (status, self.printed())
    }

    fn signal(&self, name: &str) {
        // The shell has `kill` built in, so that no program of that name needs to be installed.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} was not sent; it printed:\n{}", self.printed());
    }

    fn end(&mut self) {
        // Both fail only if it has ended before, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl Output {
    fn has_ended(&self) -> bool {
        self.streams_ended == 2
    }
}

/// Reads a stream in a thread of its own: the program must not stand still because a test does not look.
fn collect(stream: Option<impl Read + Send + 'static>, output: watch::Sender<Output>) {
    let stream = stream.expect("both streams are piped");
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            output.send_modify(|output| output.lines.push(text));
            line.clear();
        }
        output.send_modify(|output| output.streams_ended += 1);
    });
}
