//! Why a command failed, in words that say what to do, and with the exit code that goes with it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use fanfold_core::OperationId;
use http::StatusCode;

use crate::exit::Exit;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration has mistakes; each has been shown.
    #[error("{}: {count} {}", .file.display(), if *.count == 1 { "mistake" } else { "mistakes" })]
    Configuration {
        /// The file.
        file: PathBuf,
        /// How many.
        count: usize,
    },
    /// A reload would let whoever is on this machine do everything.
    #[error(
        "there is no [auth] any more: whoever is on this machine, or comes through a proxy on it, could do everything; stop the \
         server and start it again if that is meant"
    )]
    Unlocked,
    /// A file is there that would be overwritten.
    #[error("{} is there already; --force overwrites it", .0.display())]
    Exists(PathBuf),
    /// A file is there whose place nothing may take.
    #[error("{} is there already, and is not overwritten", .0.display())]
    Taken(PathBuf),
    /// The body of a request cannot be read.
    #[error("cannot read the body to send from {}: {error}{}", .path.display(), file_advice(.error))]
    Body {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file of the caller cannot be read or written.
    #[error("{}: {error}{}", .path.display(), file_advice(.error))]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What was typed cannot be used, beyond what the command line's own grammar finds.
    #[error("{0}")]
    Usage(String),
    /// The server's certificate is not one to rely on.
    #[error("cannot trust {server}: {cause}; an authority of your own is named with --ca-file")]
    Untrusted {
        /// Its URL.
        server: String,
        /// Why.
        cause: String,
    },
    /// There is no connection to the server.
    #[error("cannot reach {server}: {cause}; is the server running?")]
    Unreachable {
        /// Its URL.
        server: String,
        /// Why.
        cause: String,
    },
    /// The server did not answer in full, or not in time. What was asked may have been done.
    #[error("no answer from {server}: {cause}")]
    NoAnswer {
        /// Its URL.
        server: String,
        /// Why.
        cause: String,
    },
    /// The server answered something that is not Fanfold's.
    #[error("{server} answered what this program does not understand: {detail}; is it a Fanfold of this version?")]
    NotUnderstood {
        /// Its URL.
        server: String,
        /// What.
        detail: String,
    },
    /// What was named is not there.
    #[error("{0}")]
    NotFound(String),
    /// The server refused, or failed.
    #[error("the server answered {status}: {detail}")]
    Refused {
        /// The status code.
        status: u16,
        /// Why.
        detail: String,
    },
    /// An operation was accepted, and whoever asked for it may not see what becomes of it.
    #[error(
        "operation {0} was accepted, and cannot be followed: the token is not for reading (role read); --no-follow sends without"
    )]
    NotSeen(OperationId),
    /// The server asks who somebody is, and does not know whom it was shown.
    #[error(
        "the server answered 401: {0}; it wants a token: set FANFOLD_TOKEN, or name a file that holds it with --token-file"
    )]
    Unknown(String),
    /// The server answered, and things are not as they were asked to be.
    #[error("{0}")]
    NotAsAsked(&'static str),
    /// What was asked about would be refused; why has been shown.
    #[error("the request would be refused")]
    WouldBeRefused,
    /// Some of several things were refused; each has been told.
    #[error("{refused} of {all} were not done")]
    NotAll {
        /// How many were refused.
        refused: usize,
        /// Of how many.
        all: usize,
        /// The worst of the exit codes.
        worst: Exit,
    },
    /// The operation did not complete.
    #[error("operation {id} ended {status}")]
    NotCompleted {
        /// Which.
        id: OperationId,
        /// How.
        status: fanfold_core::operation::Status,
    },
    /// The store cannot be opened.
    #[error("cannot open the store: {0}")]
    Store(#[source] fanfold_store::Error),
    /// The store cannot be read.
    #[error("cannot read the store: {0}")]
    Read(#[source] fanfold_store::Error),
    /// The store cannot be backed up.
    #[error("cannot back the store up: {0}")]
    BackUp(#[source] fanfold_store::Error),
    /// The backup cannot be restored.
    #[error("cannot restore: {0}")]
    Restore(#[source] fanfold_store::Error),
    /// Not every operation of it could be kept from going on.
    #[error("cannot restore: {0}; run it again to go on with it")]
    Mark(String),
    /// The store cannot be migrated.
    #[error("cannot migrate: {0}")]
    Migrate(#[source] fanfold_store::Error),
    /// What was migrated is not what was there.
    #[error("what was migrated is not the same: {0}; the new database is not to be used: empty it and begin anew")]
    MigratedOtherwise(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", listen_advice(.error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The store could not be closed. Nothing is lost: the next start repairs it.
    #[error("the store was not closed cleanly: {0}; the next start repairs it")]
    Close(#[source] fanfold_store::Error),
    /// A target cannot be set up as configured.
    #[error(transparent)]
    Target(#[from] fanfold_engine::target::BadTarget),

    /// Somebody whose word is to count about callers cannot be set up as configured.
    #[error(transparent)]
    Issuer(#[from] fanfold_engine::identity::BadIssuer),
    /// TLS cannot be spoken as asked for.
    #[error("{0}")]
    Tls(#[from] fanfold_engine::target::BadTls),
    /// Traces cannot be sent as configured.
    #[cfg(feature = "otlp")]
    #[error("cannot send traces: {0}")]
    Telemetry(#[source] fanfold_engine::target::BadTls),
    /// The engine cannot start.
    #[error("cannot start: {0}")]
    Engine(#[from] fanfold_engine::Error),
    /// The server cannot start, or does not go on.
    #[error("cannot serve: {0}")]
    Serve(#[from] fanfold_server::Error),
    /// The server ended by itself.
    #[error("the server ended by itself: {0}")]
    Ended(String),
    /// A second signal ended the server before it had stopped.
    #[error("ended at once by a second signal; what was not recorded is recovered at the next start")]
    Interrupted,
    /// The demo found something that is not as it should be; each difference has been shown.
    #[error("the demo is not as it should be: {count} {}", if *.count == 1 { "difference" } else { "differences" })]
    Differs {
        /// How many.
        count: usize,
    },
    /// The demo was asked to end before its last story.
    #[error("the demo ended before its last story")]
    Unfinished,
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

fn file_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; is the path right? It starts from the current folder unless it begins with \"/\"",
        io::ErrorKind::PermissionDenied => "; this user may not do that there",
        _ => "",
    }
}

fn listen_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there; choose another with --listen (demo) or [server] listen (serve)"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: choose a higher one",
        _ => "",
    }
}

impl Failure {
    /// What an answer with this status means that is no success.
    pub(crate) fn refused(status: StatusCode, detail: String) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unknown(detail),
            _ => Self::Refused { status: status.as_u16(), detail },
        }
    }

    /// The exit code that goes with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            // Whoever read the output has seen enough (`| head`).
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Configuration { .. } | Self::Unlocked => Exit::Configuration,
            Self::Usage(_) => Exit::Usage,
            Self::Untrusted { .. } | Self::Unreachable { .. } | Self::NoAnswer { .. } => Exit::Unreachable,
            Self::NotCompleted { .. } => Exit::NotCompleted,
            Self::NotFound(_) => Exit::NotFound,
            Self::Refused { .. } | Self::Unknown(_) | Self::WouldBeRefused => Exit::Refused,
            Self::NotAll { worst, .. } => *worst,
            #[cfg(feature = "otlp")]
            Self::Telemetry(_) => Exit::Failed,
            Self::Exists(_)
            | Self::Taken(_)
            | Self::Body { .. }
            | Self::File { .. }
            | Self::Tls(_)
            | Self::NotUnderstood { .. }
            | Self::NotSeen(_)
            | Self::NotAsAsked(_)
            | Self::Store(_)
            | Self::Read(_)
            | Self::BackUp(_)
            | Self::Restore(_)
            | Self::Mark(_)
            | Self::Migrate(_)
            | Self::MigratedOtherwise(_)
            | Self::Listen { .. }
            | Self::Close(_)
            | Self::Target(_)
            | Self::Issuer(_)
            | Self::Engine(_)
            | Self::Serve(_)
            | Self::Ended(_)
            | Self::Interrupted
            | Self::Differs { .. }
            | Self::Unfinished
            | Self::Output(_) => Exit::Failed,
        }
    }
}
