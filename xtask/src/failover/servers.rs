//! PostgreSQL servers that stand in for each other: Patroni watches over them, and keeps who leads in etcd. All of it on loopback,
//! in a folder of its own, as an unprivileged user.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fanfold_testkit::Http;
use serde_json::Value;
use tempfile::TempDir;

/// Servers: one leads, one is the synchronous standby, one more can become either.
const MEMBERS: usize = 3;

/// Where Debian keeps PostgreSQL's programs.
const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// Who the servers run as: they refuse root.
const USER: &str = "postgres";

/// How long the servers may take to stand as they should.
const READY_MAX: Duration = Duration::from_secs(120);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The servers. Dropping it ends and removes all of it.
pub(super) struct Servers {
    folder: TempDir,
    etcd: Option<Child>,
    etcd_port: u16,
    members: Vec<Member>,
}

struct Member {
    port: u16,
    rest: Http,
    patroni: Option<Child>,
}

impl Servers {
    pub(super) async fn start() -> Result<Self> {
        for (program, package) in
            [("/usr/bin/patroni", "patroni"), ("/usr/bin/etcd", "etcd-server"), (BINARIES, "postgresql-15")]
        {
            ensure!(Path::new(program).exists(), "{program} is not there; on Debian: apt-get install {package}");
        }
        let folder = tempfile::Builder::new().prefix("fanfold-failover-").tempdir()?;
        let (etcd_port, peer_port) = (free_port()?, free_port()?);
        let mut servers = Self { folder, etcd: None, etcd_port, members: Vec::new() };
        own(servers.folder.path())?;
        servers.etcd = Some(servers.etcd(peer_port)?);
        for number in 0..MEMBERS {
            let (port, rest) = (free_port()?, free_port()?);
            servers.configure(number, port, rest)?;
            let rest = Http::new(&format!("127.0.0.1:{rest}"));
            servers.members.push(Member { port, rest, patroni: None });
        }
        for number in 0..MEMBERS {
            servers.start_member(number)?;
        }
        servers.wait_until_complete().await?;
        Ok(servers)
    }

    /// An address of all of them, for this database.
    pub(super) fn url(&self, database: &str) -> String {
        let hosts: Vec<_> = self.members.iter().map(|member| format!("127.0.0.1:{}", member.port)).collect();
        format!("postgres://{USER}@{}/{database}?target_session_attrs=read-write", hosts.join(","))
    }

    pub(super) fn create_database(&self, name: &str) -> Result<()> {
        let mut psql = Command::new(format!("{BINARIES}/psql"));
        psql.arg(self.url("postgres")).args(["-qc", &format!("CREATE DATABASE {name}")]);
        ensure!(psql.status()?.success(), "the database cannot be made");
        Ok(())
    }

    /// Kills the server that leads, and what watches over it, as a machine that is switched off would be gone; gives its number.
    pub(super) async fn kill_leader(&mut self) -> Result<usize> {
        let number = self.leader().await.context("no server leads")?;
        let member = &mut self.members[number];
        if let Some(mut patroni) = member.patroni.take() {
            patroni.kill()?;
            patroni.wait()?;
        }
        let pid = self.folder.path().join(format!("data-{number}/postmaster.pid"));
        let pid = std::fs::read_to_string(&pid)?;
        let pid = pid.lines().next().context("there is no process id")?;
        // Its children end with it: they notice on their own that it is gone.
        ensure!(Command::new("kill").args(["-9", pid]).status()?.success(), "the server cannot be killed");
        Ok(number)
    }

    /// Starts what watches over a server, which starts that again as a standby.
    pub(super) fn start_member(&mut self, number: usize) -> Result<()> {
        let folder = self.folder.path();
        let mut command = unprivileged("patroni", folder);
        command.arg(folder.join(format!("member-{number}.yml")));
        self.members[number].patroni = Some(spawn(command, &folder.join(format!("member-{number}.log")))?);
        Ok(())
    }

    async fn leader(&self) -> Option<usize> {
        for (number, member) in self.members.iter().enumerate() {
            if let Ok(answer) = member.rest.try_request("GET", "/leader", b"").await
                && answer.status == 200
            {
                return Some(number);
            }
        }
        None
    }

    /// Waits until another one than this leads.
    pub(super) async fn wait_for_another_leader(&self, killed: usize) {
        while self.leader().await.is_none_or(|leader| leader == killed) {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Waits until all are there, one leads, and one is its synchronous standby.
    pub(super) async fn wait_until_complete(&self) -> Result<()> {
        let complete = async {
            loop {
                for member in &self.members {
                    if let Ok(answer) = member.rest.try_request("GET", "/cluster", b"").await
                        && let Ok(cluster) = serde_json::from_slice::<Value>(&answer.body)
                        && is_complete(&cluster)
                    {
                        return;
                    }
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        match tokio::time::timeout(READY_MAX, complete).await {
            Ok(()) => Ok(()),
            Err(_) => {
                bail!("the database servers do not come to stand as they should; see {}", self.folder.path().display())
            }
        }
    }

    fn etcd(&self, peer: u16) -> Result<Child> {
        let (client, peer) = (format!("http://127.0.0.1:{}", self.etcd_port), format!("http://127.0.0.1:{peer}"));
        let mut command = unprivileged("etcd", self.folder.path());
        command.arg("--data-dir").arg(self.folder.path().join("etcd"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        spawn(command, &self.folder.path().join("etcd.log"))
    }

    fn configure(&self, number: usize, port: u16, rest: u16) -> Result<()> {
        let folder = self.folder.path().display();
        let mut text = String::new();
        write!(
            text,
            r#"scope: fanfold
name: member-{number}
restapi: {{ listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}" }}
etcd3: {{ host: "127.0.0.1:{etcd}" }}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {{ max_connections: 100, shared_buffers: 64MB, wal_keep_size: 256MB, wal_log_hints: "on" }}
  initdb: [ {{ encoding: UTF8 }}, {{ auth: trust }}, {{ locale: C }} ]
  pg_hba: [ "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust", "local all all trust" ]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {folder}/data-{number}
  bin_dir: {BINARIES}
  pgpass: {folder}/pgpass-{number}
  authentication:
    superuser: {{ username: {USER} }}
    replication: {{ username: replicator }}
    rewind: {{ username: {USER} }}
  parameters: {{ unix_socket_directories: "{folder}" }}
"#,
            etcd = self.etcd_port,
        )?;
        let path = self.folder.path().join(format!("member-{number}.yml"));
        std::fs::write(&path, text)?;
        own(&path)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Those that watch go first, or they would start the servers again.
        let patronis = self.members.iter_mut().filter_map(|member| member.patroni.take());
        for mut child in patronis.chain(self.etcd.take()) {
            drop(child.kill());
            drop(child.wait());
        }
        for number in 0..self.members.len() {
            let mut stop = unprivileged(&format!("{BINARIES}/pg_ctl"), self.folder.path());
            stop.args(["stop", "-m", "immediate", "-D"]).arg(self.folder.path().join(format!("data-{number}")));
            drop(stop.stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}

fn is_complete(cluster: &Value) -> bool {
    let members = cluster["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |role: &str| members.iter().filter(|member| member["role"] == role).count();
    let running =
        members.iter().filter(|member| member["state"] == "running" || member["state"] == "streaming").count();
    running == MEMBERS && count("leader") == 1 && count("sync_standby") == 1
}

fn unprivileged(program: &str, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        &format!("--reuid={USER}"),
        &format!("--regid={USER}"),
        "--clear-groups",
        "--pdeathsig",
        "TERM",
        "--",
    ]);
    command.arg(program).current_dir(home).env("HOME", home).stdin(Stdio::null());
    command
}

fn spawn(mut command: Command, log: &Path) -> Result<Child> {
    let out = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    command.stdout(out.try_clone()?).stderr(out);
    Ok(command.spawn()?)
}

fn own(path: &Path) -> Result<()> {
    ensure!(Command::new("chown").arg(USER).arg(path).status()?.success(), "{} cannot be given away", path.display());
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
