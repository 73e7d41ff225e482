//! The driver as a process, and what ends it together with the browser that it started.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::programs::Programs;
use crate::process::Process;

/// What the driver prints, followed by its port and a full stop, once it takes commands.
const STARTED: &str = "was started successfully on port ";

/// How often a driver is started that does not come to take commands.
const STARTS_MAX: usize = 5;

/// Kills a group of processes and removes a folder at the end of its input, which comes when the process that holds the other
/// side ends, in whatever way. What is just ending may still write there, so it tries again for up to ten seconds.
const END: &str = r#"trap '' HUP INT TERM QUIT; read -r _; kill -s KILL -- "-$0"; n=0
until rm -rf "$1" 2>/dev/null || [ $n -ge 100 ]; do n=$((n + 1)); sleep 0.1; done"#;

/// A running driver, the browser that it may have started, and their folder.
#[derive(Debug)]
pub(super) struct Driver {
    // First, so that the group still has its leader, and its number, when it is killed.
    _ender: Ender,
    process: Process,
    home: PathBuf,
    url: String,
}

#[derive(Debug)]
struct Ender(Child);

impl Driver {
    /// Starts it on a port that is free, and waits until it takes commands. It looks for a port of IPv6 and wants the same one of
    /// IPv4, which somebody else may have by then: then it ends, and another one is started.
    pub(super) async fn start(programs: &Programs) -> Self {
        let mut printed = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_to_start(programs).await {
                Ok(driver) => return driver,
                Err(ended) => printed = ended,
            }
        }
        panic!("the driver does not start:\n{printed}");
    }

    /// What it printed, if it ends instead.
    async fn try_to_start(programs: &Programs) -> Result<Self, String> {
        let home = TempDir::with_prefix("ffbrowser-").expect("the folder for temporary files can be written").keep();
        let mut command = Command::new(&programs.driver);
        command.arg("--port=0").current_dir(&home).env("HOME", &home).env("TMPDIR", &home).stdin(Stdio::null());
        // A driver that ends leaves its browser behind: what ends both is that they are in one group.
        command.process_group(0);
        let process = Process::spawn(command);
        let ender = Ender::of(process.id(), &home);
        let Some(line) = process.line_if_any(STARTED).await else { return Err(process.printed()) };
        let port = line.split(STARTED).nth(1).map(|rest| rest.trim_end_matches('.')).unwrap_or_default();
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self { _ender: ender, process, home, url })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A folder for the browser, which is not there yet.
    pub(super) fn profile(&self) -> PathBuf {
        self.home.join("profile")
    }

    pub(super) fn printed(&self) -> String {
        self.process.printed()
    }
}

impl Ender {
    fn of(group: u32, folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(END).arg(group.to_string()).arg(folder).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("every machine has a shell"))
    }
}

impl Drop for Ender {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It fails only if it is gone already.
        drop(self.0.wait());
    }
}
