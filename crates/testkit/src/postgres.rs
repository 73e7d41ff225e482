//! A PostgreSQL cluster of the tests' own, in a temporary folder and on a free port of the loopback interface.

mod keeper;
mod programs;
mod tls;

use std::ffi::OsStr;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::patience::PATIENCE;
use keeper::Remover;
use programs::Programs;

/// How often a server that starts or ends is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ports tried for a new cluster: another process may take a free one before the server does.
const PORTS_MAX: usize = 5;

/// A running (or stopped) cluster. It is killed, and its folder removed, when this is dropped or when the process ends.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    home: PathBuf,
    port: u16,
    encryption: Encryption,
    databases: AtomicU32,
    server: Option<Child>,
    // Last, so that the folder goes when the server is gone.
    _remover: Remover,
}

/// How a server is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Transactions are rolled back and clients disconnected, and nothing needs to be recovered.
    Fast,
    /// Everything stops where it stands, and the next start recovers.
    Immediate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Off,
    Only,
}

impl Cluster {
    /// A new cluster. Nothing if a program is missing, which is printed: the test is skipped then. If
    /// `FANFOLD_TESTS_NEED_POSTGRES` is set, it panics instead.
    pub fn start() -> Option<Self> {
        let mut cluster = Self::new(Programs::found(&[])?, Encryption::Off);
        cluster.start_on_some_port();
        Some(cluster)
    }

    /// A new cluster that takes encrypted connections only, and the certificate of the authority to trust. It is good for
    /// `localhost` and `127.0.0.1`.
    pub fn start_with_tls() -> Option<(Self, PathBuf)> {
        let mut cluster = Self::new(Programs::found(&["openssl"])?, Encryption::Only);
        let openssl = || cluster.programs.unprivileged(OsStr::new("openssl"), &cluster.home);
        let authority = tls::certify(&cluster.home, openssl);
        cluster.start_on_some_port();
        Some((cluster, authority))
    }

    /// The one cluster that the tests of this process share; each makes a database of its own in it.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Where a database is found.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://fanfold@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1. It stays the same when the server is started again.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with everything in it.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The process id of the postmaster, while it runs.
    pub fn postmaster(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// What the servers have logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// Makes an empty database, and gives its name, which no other in this cluster has.
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Others may be connected to template1, which would refuse to be copied then.
        self.query("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        name
    }

    /// Runs a statement with `psql`, and gives the rows as it prints them: a line each, columns between bars.
    pub fn query(&self, database: &str, statement: &str) -> String {
        let mut psql = self.psql();
        let ssl = match self.encryption {
            Encryption::Off => "disable",
            Encryption::Only => "require",
        };
        psql.env("PGSSLMODE", ssl).env("PGCONNECT_TIMEOUT", PATIENCE.as_secs().to_string());
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, &self.url(database)]);
        let done = psql.stdin(Stdio::null()).output().expect("psql was found");
        assert!(done.status.success(), "{statement}: {}\n{}", String::from_utf8_lossy(&done.stderr), self.log());
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    /// The `psql` of the server's version, without arguments, and with nothing of what the user has set up for theirs.
    pub fn psql(&self) -> Command {
        let mut psql = self.programs.psql();
        psql.env("HOME", &self.home);
        psql
    }

    /// Stops the server, and waits until it is gone.
    pub fn stop(&mut self, how: Stop) {
        let Some(mut server) = self.server.take() else { return };
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        // It fails only if the server has ended before, which is what is wanted.
        let _gone = kill_process(Pid::from_child(&server), signal);
        if !patiently(|| server.try_wait().is_ok_and(|status| status.is_some())) {
            self.server = Some(server);
            self.kill();
        }
    }

    /// Kills the postmaster and all its children (SIGKILL), and waits until they are gone.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let children = children(server.id());
        // The postmaster first: it would take the end of a child for a crash, and start over.
        drop(server.kill());
        // A child that has ended by itself meanwhile is none to kill.
        for child in children.iter().filter_map(|id| Pid::from_raw(i32::try_from(*id).ok()?)) {
            let _gone = kill_process(child, Signal::KILL);
        }
        drop(server.wait());
        assert!(patiently(|| children.iter().all(|id| has_ended(*id))), "children outlive SIGKILL: {children:?}");
    }

    /// Starts the server again, over what is there and on the same port.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server runs: stop it first");
        assert!(self.try_start(), "the server does not start:\n{}", self.log());
    }

    fn new(programs: Programs, encryption: Encryption) -> Self {
        let folder = TempDir::with_prefix("ffpg-").expect("the folder for temporary files can be written");
        programs.own(folder.path());
        let home = folder.keep();
        let remover = Remover::of(&home);
        let mut initdb = programs.server("initdb", &home);
        initdb.args(["-D", "data", "-U", "fanfold", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let done = initdb.stdin(Stdio::null()).output().expect("initdb was found");
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
        let kind = match encryption {
            Encryption::Off => "host",
            Encryption::Only => "hostssl",
        };
        std::fs::write(home.join("data/pg_hba.conf"), format!("{kind} all all 127.0.0.1/32 trust\n"))
            .expect("it is ours");
        Self { programs, home, port: 0, encryption, databases: AtomicU32::new(0), server: None, _remover: remover }
    }

    fn start_on_some_port(&mut self) {
        let started = (0..PORTS_MAX).any(|_| {
            self.port = free_port();
            self.try_start()
        });
        assert!(started, "the server does not start:\n{}", self.log());
    }

    /// Whether the server takes connections; it has ended if not.
    fn try_start(&mut self) -> bool {
        let mut server = keeper::spawn(self.postgres()).expect("postgres was found");
        let id = server.id();
        let ended = |server: &mut Child| !matches!(server.try_wait(), Ok(None));
        let looked = patiently(|| self.is_ready(id) || ended(&mut server));
        assert!(looked, "the server neither starts nor ends:\n{}", self.log());
        let runs = !ended(&mut server);
        self.server = runs.then_some(server);
        runs
    }

    fn postgres(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.home.join("log")).expect("the folder is ours");
        let mut postgres = self.programs.server("postgres", &self.home);
        postgres.args(["-D", "data", "-p", &self.port.to_string(), "-k"]).arg(&self.home);
        let ssl: &[&str] = match self.encryption {
            Encryption::Off => &[],
            Encryption::Only => &["ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key"],
        };
        // Shared memory lies in the folder, so that nothing of it is left when the server was killed.
        let settings = ["listen_addresses=127.0.0.1", "fsync=on", "shared_buffers=16MB", "max_connections=100"];
        for setting in settings.iter().chain(&["dynamic_shared_memory_type=mmap"]).chain(ssl) {
            postgres.args(["-c", setting]);
        }
        postgres.stdin(Stdio::null()).stdout(log.try_clone().expect("one more descriptor is free")).stderr(log);
        postgres
    }

    /// The eighth line of this file is the server's state; the first says which server has written it.
    fn is_ready(&self, server: u32) -> bool {
        let file = std::fs::read_to_string(self.home.join("data/postmaster.pid")).unwrap_or_default();
        let line = |number: usize| file.lines().nth(number).map(str::trim);
        line(0) == Some(server.to_string().as_str()) && line(7) == Some("ready")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(Stop::Immediate);
    }
}

/// Whether the condition came within [`PATIENCE`].
fn patiently(mut condition: impl FnMut() -> bool) -> bool {
    let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    (0..looks).any(|_| {
        let met = condition();
        if !met {
            std::thread::sleep(LOOK_EVERY);
        }
        met
    })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

fn children(parent: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// A process that nobody has waited for yet has ended too.
fn has_ended(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}
