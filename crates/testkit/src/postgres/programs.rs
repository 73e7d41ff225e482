//! The programs of PostgreSQL on this machine, and the user that they run as.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{self, on_path};

/// Where Debian has a folder for each version; they are not on the `PATH`.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Set where an absent PostgreSQL must fail the tests instead of skipping them.
const NEED: &str = "FANFOLD_TESTS_NEED_POSTGRES";

/// What is needed to run a cluster.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    setpriv: PathBuf,
    user: Option<User>,
}

/// Who the server runs as if the tests run as root, which it refuses.
#[derive(Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl Programs {
    /// The newest version there is. Says what is missing and gives nothing if one program, or one of `more`, is not there.
    pub(super) fn found(more: &[&str]) -> Option<Self> {
        machine::or_skipped(Self::find(more), NEED)
    }

    fn find(more: &[&str]) -> Result<Self, String> {
        let folder = folder().ok_or(format!("no initdb in {VERSIONS}/*/bin and PATH: install postgresql-15"))?;
        for program in ["postgres", "psql"] {
            if !folder.join(program).is_file() {
                return Err(format!("no {program} in {}: install postgresql-15", folder.display()));
            }
        }
        for program in more {
            on_path(program).ok_or(format!("no {program} in PATH: install it"))?;
        }
        let setpriv = on_path("setpriv").ok_or("no setpriv in PATH: install util-linux")?;
        let user = if rustix::process::geteuid().is_root() { Some(User::unprivileged()?) } else { None };
        Ok(Self { folder, setpriv, user })
    }

    /// A command of PostgreSQL, run by the unprivileged user in `home`, which ends with the thread that starts it.
    pub(super) fn server(&self, program: &str, home: &Path) -> Command {
        self.unprivileged(self.folder.join(program).as_os_str(), home)
    }

    /// Any command, run by the unprivileged user in `home`, which ends with the thread that starts it.
    pub(super) fn unprivileged(&self, program: &OsStr, home: &Path) -> Command {
        let mut command = Command::new(&self.setpriv);
        // SIGQUIT is an immediate shutdown: as quick as SIGKILL, but the postmaster takes its children and its shared memory along.
        command.args(["--pdeathsig", "QUIT"]);
        if let Some(User { uid, gid }) = &self.user {
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
        }
        command.arg("--").arg(program).current_dir(home);
        command
    }

    /// `psql`, which any user may run.
    pub(super) fn psql(&self) -> Command {
        Command::new(self.folder.join("psql"))
    }

    /// Gives a folder to the user that the server runs as.
    pub(super) fn own(&self, folder: &Path) {
        if let Some(User { uid, gid }) = &self.user {
            std::os::unix::fs::chown(folder, Some(*uid), Some(*gid)).expect("root may give folders away");
        }
    }
}

impl User {
    fn unprivileged() -> Result<Self, String> {
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| users.lines().find_map(|line| Self::read(line, name)))
            .ok_or("the tests run as root, and there is no user postgres or nobody: add one".to_owned())
    }

    fn read(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        Some(Self { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

fn folder() -> Option<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest =
        versions.map(|entry| entry.path()).filter(|path| path.join("bin/initdb").is_file()).max_by_key(version);
    newest.map(|path| path.join("bin")).or_else(|| on_path("initdb")?.canonicalize().ok()?.parent().map(Path::to_owned))
}
