//! `fanfold serve`: the server, from its start to a graceful stop.
//!
//! SIGHUP reads the configuration again; SIGTERM and SIGINT stop it gracefully, and a second one at once.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ConfigOption, open_files};
use crate::assemble::{self, Running};
use crate::config::{self, Settings};
use crate::failure::Failure;
use crate::opened::OpenStore;
use crate::output::{printable, say};

/// How long background threads may take to end once everything is closed.
const THREADS_END: Duration = Duration::from_secs(1);

/// `fanfold serve`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signals:
  SIGHUP           read the configuration again: [[routes]], [[mounts]], [targets], [defaults], [notices], [auth], and tls
                   (with the files that it names), public_url and shutdown_grace of [server] change at once, or not at all
  SIGTERM, SIGINT  stop: accept nothing more, wait for answers on the wire for up to shutdown_grace, record them
                   and end; a second signal ends at once")]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigOption,
}

pub(super) fn run(serve: Serve) -> Result<(), Failure> {
    let settings = load(serve.config.path())?;
    open_files::raise(settings.server.connections_max);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve_until_stopped(serve.config.path(), settings));
    // After a second signal something may still hang; nothing that is recorded needs it.
    runtime.shutdown_timeout(if ended.is_ok() { THREADS_END } else { Duration::ZERO });
    ended
}

/// The signals that concern a server.
struct Signals {
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// A file has reached the limit on its size (`ulimit -f`, `LimitFSIZE=`). Listening is all that is wanted: where nobody does,
    /// the signal ends the process, and where somebody does, the write fails and is dealt with like one to a full disk.
    _file_limit: Signal,
}

/// What a signal asks for.
enum Asked {
    Reload,
    /// By this signal.
    Stop(&'static str),
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_limit: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.reload.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
        }
    }

    /// The same before anything is served: the configuration was read just now.
    async fn stop_before_start(&mut self) -> &'static str {
        loop {
            if let Asked::Stop(name) = self.next().await {
                return name;
            }
        }
    }

    /// Waits for a signal that asks for a stop.
    async fn stop(&mut self) -> &'static str {
        loop {
            match self.next().await {
                Asked::Stop(name) => return name,
                Asked::Reload => tracing::warn!("a server that is stopping does not reload its configuration"),
            }
        }
    }
}

async fn serve_until_stopped(file: &Path, settings: Settings) -> Result<(), Failure> {
    // Before anything else, so that no signal ends a server that is starting half-way.
    let mut signals = Signals::new()?;
    let configured = settings.bounded_store();
    // That may take long, where another node migrates the database.
    let store = tokio::select! {
        store = OpenStore::open(&configured) => store.map_err(Failure::Store)?,
        name = signals.stop_before_start() => {
            tracing::info!(signal = name, "stopped before it served anything");
            return Ok(());
        }
    };
    let address = settings.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| Failure::Listen { address, error })?;
    let mut running = assemble::start(&settings, store, listener).await?;
    let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
    say(&format!("listening on {scheme}://{}", running.address()));
    let mut grace = settings.server.shutdown_grace;
    let name = loop {
        let asked = tokio::select! {
            asked = signals.next() => asked,
            failure = running.failed() => return Err(failure),
        };
        match asked {
            Asked::Stop(name) => break name,
            Asked::Reload => {
                if let Some(reloaded) = reload(file, &running, &settings) {
                    // It follows from the timeouts of the targets, unless it is configured.
                    grace = reloaded.server.shutdown_grace;
                }
            }
        }
    };
    // Before it is said, so that whoever reads it can rely on it.
    running.refuse_new();
    tracing::info!(signal = name, grace_s = grace.as_secs_f64(), "stopping: nothing new is accepted or sent");
    tokio::select! {
        stopped = running.stop(grace) => stopped,
        name = signals.stop() => {
            tracing::warn!(signal = name, "ending at once");
            Err(Failure::Interrupted)
        }
    }
}

/// Reads the file and shows everything that is to be said about it.
pub(super) fn load(file: &Path) -> Result<Settings, Failure> {
    match config::load(file) {
        Ok((settings, warnings)) => {
            warnings.iter().for_each(|warning| say(&printable(&warning.to_string())));
            Ok(settings)
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| say(&printable(&mistake.to_string())));
            Err(Failure::Configuration { file: file.to_owned(), count: mistakes.len() })
        }
    }
}

/// Puts the file as it is now in force, as far as that is possible while running. A bad file changes nothing.
fn reload(file: &Path, running: &Running, started_with: &Settings) -> Option<Settings> {
    let reloaded = load(file).and_then(|settings| running.reload(&settings).map(|()| settings));
    let settings = match reloaded {
        Ok(settings) => settings,
        Err(failure) => {
            tracing::error!(%failure, "the configuration was not reloaded: nothing has changed");
            return None;
        }
    };
    for setting in assemble::fixed_changes(started_with, &settings) {
        tracing::warn!(setting, "this setting has changed, which takes effect at the next start only");
    }
    let (routes, targets) = (settings.routes.len(), settings.targets.len());
    tracing::info!(file = %file.display(), routes, targets, "the configuration was reloaded");
    Some(settings)
}
