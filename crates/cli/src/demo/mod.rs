//! `fanfold demo`: the real server with sample targets behind it, to try by hand or to be shown around.
//!
//! The server is the one that `serve` runs, put together by [`crate::assemble`]; only the [`site`]s are the demo's. [`stage`] sets
//! up both, [`guide`] says what to try, [`tour`] tries it and tells it as [`crate::story`].

mod guide;
mod site;
mod stage;
mod tour;

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::output::print_line;
use site::Site;
use stage::Stage;

/// How long background threads may take to end once everything is closed.
const THREADS_END: Duration = Duration::from_secs(1);

/// `fanfold demo`
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Where the server listens; of this machine alone. Port 0 picks one
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        default_value_if("once", "true", "127.0.0.1:0")
    )]
    #[arg(value_parser = loopback)]
    listen: SocketAddr,

    /// Play five stories, verify them, and end: with an exit code other than 0 if anything is not as it should be
    #[arg(long)]
    once: bool,

    /// Start nothing but sample targets, at these addresses: back ends for trying a configuration of your own
    #[arg(long, value_name = "NAME=ADDR", value_delimiter = ',', conflicts_with_all = ["once", "listen"])]
    targets: Vec<TargetAddress>,
}

/// A target and where it listens.
#[derive(Debug, Clone)]
struct TargetAddress {
    name: String,
    address: SocketAddr,
}

/// Runs the demo until it is over, or until it is asked to end.
///
/// # Errors
/// If something cannot be started or stopped; [`Failure::Differs`] if the tour finds something that is not as it should be.
pub(crate) fn run(demo: Demo) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(perform(demo));
    runtime.shutdown_timeout(THREADS_END);
    ended
}

async fn perform(demo: Demo) -> Result<(), Failure> {
    // Before anything else, so that no signal leaves a temporary folder behind.
    let mut signals = Signals::new()?;
    if !demo.targets.is_empty() {
        return targets_only(demo.targets, &mut signals).await;
    }
    let mut stage = Stage::start(demo.listen).await?;
    let ended = if demo.once {
        tokio::select! {
            toured = tour::run(&stage) => toured,
            () = signals.stop() => Err(Failure::Unfinished),
        }
    } else {
        print_line(&guide::guide(&stage.url(), stage.folder(), stage.sites()))?;
        tokio::select! {
            failure = stage.failed() => Err(failure),
            () = signals.stop() => Ok(()),
        }
    };
    let stopped = tokio::select! {
        stopped = stage.stop() => stopped,
        () = signals.stop() => Err(Failure::Interrupted),
    };
    ended.and(stopped)
}

async fn targets_only(targets: Vec<TargetAddress>, signals: &mut Signals) -> Result<(), Failure> {
    let mut sites = Vec::new();
    for TargetAddress { name, address } in targets {
        let site = Site::start(&name, address).await.map_err(|error| Failure::Listen { address, error })?;
        print_line(&format!("{} is listening on {}", site.name(), site.url()))?;
        sites.push(site);
    }
    signals.stop().await;
    Ok(())
}

/// The signals that end the demo.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl FromStr for TargetAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, address) = text.split_once('=').ok_or("write it as in tokyo=127.0.0.1:18081")?;
        Ok(Self { name: name.to_owned(), address: loopback(address)? })
    }
}

/// An address that only this machine reaches: everybody who reaches the demo can do everything with it.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write it as in 127.0.0.1:8080".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("the demo is for this machine alone: use 127.0.0.1".to_owned()),
    }
}
