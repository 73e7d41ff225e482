//! What the program runs with: plain values, with defaults applied and everything checked against everything else.
//!
//! Made from [`super::file`] by [`settle`]. Each part is handed to the crate that performs it by whoever puts the program
//! together.

mod auth;
mod defaults;
mod issuers;
mod limits;
mod notices;
mod redaction;
mod route;
mod server;
mod store;
mod table;
mod target;
mod telemetry;
mod tls;

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::Mount;
use fanfold_core::route::RouteTable;
use fanfold_core::route::spec::{RouteSpec, TargetSpec};
use fanfold_core::{PerTenant, TargetName};
use fanfold_engine::identity;
use fanfold_engine::target::{TargetConfig, Tls};
use fanfold_engine::{AllowRule, RouteCallback, SigningSecret, Weight};
use fanfold_server::{FixedCertificate, FixedToken, Pace};
use http::{HeaderName, HeaderValue};

use sha2::{Digest as _, Sha256};

use super::document::Place;
use super::file::File;
use super::finding::{Findings, Wrong};
use super::secret::Surroundings;
use super::value::StoreUrl;

/// All settings of a server.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where it listens and what it takes.
    pub(crate) server: ServerSettings,
    /// Who may call; `None`: not configured.
    pub(crate) auth: Option<AuthSettings>,
    /// Where operations are kept. What is bounded for each tenant is in `limits`: see [`Settings::bounded_store`].
    pub(crate) store: StoreSettings,
    /// What one caller may take.
    pub(crate) limits: LimitSettings,
    /// How completions are told.
    pub(crate) notices: NoticeSettings,
    /// Where traces are sent; `None`: nowhere.
    pub(crate) telemetry: Option<TelemetrySettings>,
    /// Where which wire format is spoken. No prefix contains another.
    pub(crate) mounts: Vec<Mount>,
    /// The back ends by name.
    pub(crate) targets: BTreeMap<TargetName, TargetSettings>,
    /// What is done with which requests, as it is configured.
    pub(crate) routes: Vec<RouteSpec>,
    /// The same, compiled.
    pub(crate) table: Arc<RouteTable>,
}

impl Settings {
    /// The store, with what it has to know of tenants.
    pub(crate) fn bounded_store(&self) -> StoreSettings {
        let tenant_waiting_max = self.limits.tenants.map(|tenant| tenant.waiting_max.unwrap_or(u64::MAX));
        let limits = fanfold_store::Limits { tenant_waiting_max, ..self.store.limits.clone() };
        StoreSettings { limits, ..self.store.clone() }
    }

    /// Tells settings apart by what they make of requests: mounts, targets and routes. All nodes of a store should have the same.
    /// No secret goes into it.
    pub(crate) fn work_hash(&self) -> String {
        let targets: Vec<_> = self.targets.iter().map(|(name, target)| (name, &target.spec)).collect();
        let work = format!("{:?}", (&self.mounts, targets, &self.routes));
        Sha256::digest(work).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerSettings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// What lower `msf` controllers are told to notify.
    pub(crate) callback: Option<SocketAddrV4>,
    /// How clients reach this server, without a slash at the end; `None`: links are relative.
    pub(crate) public_url: Option<String>,
    /// How long a graceful stop waits for attempts on the wire.
    pub(crate) shutdown_grace: Duration,
    /// The longest request head, in octets.
    pub(crate) request_head_max: u64,
    /// The longest request body, in octets.
    pub(crate) request_body_max: u64,
    /// Open connections at the most.
    pub(crate) connections_max: usize,
    /// Who may follow operations at the same time.
    pub(crate) followers_max: usize,
    /// What HTTPS is served with; `None`: HTTP is.
    pub(crate) tls: Option<fanfold_server::Tls>,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuthSettings {
    /// The tokens that stand in the file.
    pub(crate) tokens: Vec<FixedToken>,
    /// Who is known by a certificate.
    pub(crate) certificates: Vec<FixedCertificate>,
    /// How long a session of the console lasts at the most.
    pub(crate) session_max: Duration,
    /// Those whose tokens count, too.
    pub(crate) issuers: identity::Config,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoreSettings {
    /// Where it is.
    pub(crate) url: StoreUrl,
    /// How much it keeps.
    pub(crate) limits: fanfold_store::Limits,
    /// Where nodes share it.
    pub(crate) node: Option<NodeSettings>,
}

impl StoreSettings {
    /// A database in a file, with everything else as it is built in.
    pub(crate) fn of_file(path: PathBuf) -> Self {
        Self { url: StoreUrl::Sqlite { path }, limits: fanfold_store::Limits::default(), node: None }
    }
}

/// `[limits]` and `[tenants.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LimitSettings {
    /// What each tenant may take.
    pub(crate) tenants: PerTenant<TenantLimits>,
    /// How fast requests without good credentials may come from one address.
    pub(crate) failures: Pace,
}

/// What one tenant may take.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TenantLimits {
    /// Its share when others want the same.
    pub(crate) weight: Weight,
    /// Operations that have not ended; `None`: as many as of all.
    pub(crate) waiting_max: Option<u64>,
    /// Who follows operations at the same time; `None`: as many as of all.
    pub(crate) followers_max: Option<usize>,
    /// How fast requests may come with one token.
    pub(crate) requests: Pace,
}

/// What a node is, and how it shares a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeSettings {
    /// What secrets are encrypted with.
    pub(crate) key: fanfold_store::SealingKey,
    /// What opens secrets that others have encrypted, or that were encrypted before.
    pub(crate) other_keys: Vec<fanfold_store::SealingKey>,
    /// What it is called.
    pub(crate) name: String,
    /// How long the others leave it alone when they do not hear of it.
    pub(crate) lease: Duration,
    /// Connections that read.
    pub(crate) readers: usize,
    /// Whether nothing is written while the server names no synchronous standby.
    pub(crate) require_sync_standby: bool,
}

/// `[notices]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoticeSettings {
    /// Which addresses that a caller gives may be notified; none if it is empty.
    pub(crate) allow: Vec<AllowRule>,
    /// How often a notice is tried.
    pub(crate) attempts: u32,
    /// The longest wait before the second attempt; it doubles from then on.
    pub(crate) backoff: Duration,
    /// The longest wait between two attempts.
    pub(crate) backoff_max: Duration,
    /// How long connecting may take.
    pub(crate) connect: Duration,
    /// How long the answer may take.
    pub(crate) response: Duration,
    /// Who is told of every end of an operation, by the name of its route.
    pub(crate) callbacks: BTreeMap<String, RouteCallback>,
    /// What webhooks are signed with that have no secrets of their own.
    pub(crate) secrets: Vec<SigningSecret>,
    /// How certificates of receivers are checked; `None`: as the platform does.
    pub(crate) tls: Option<Tls>,
    /// What stands before a path to make a link absolute.
    pub(crate) public_url: String,
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TelemetrySettings {
    /// Where traces are sent, whole.
    pub(crate) url: String,
    /// What is sent along.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The PEM of authorities beside those of the platform; may be empty.
    pub(crate) authorities: Vec<u8>,
    /// What this server is called.
    pub(crate) service_name: String,
    /// The share of operations that are traced though their clients have no trace, 0 to 1.
    pub(crate) share: f64,
}

/// `[targets.NAME]`
#[derive(Debug, Clone)]
pub(crate) struct TargetSettings {
    /// What planning needs to know.
    pub(crate) spec: TargetSpec,
    /// What sending needs to know.
    pub(crate) config: TargetConfig,
}

/// Applies defaults and checks what belongs together. Gives `None` only if there is a mistake in the findings.
pub(crate) fn settle(file: File, around: &Surroundings<'_>, findings: &mut Findings<'_>) -> Option<Settings> {
    let mounts = server::mounts(&file, findings);
    let targets = target::targets(&file, around, findings);
    let routes = route::routes(&file, &mounts, &targets, findings);
    let names: Vec<&TargetName> = targets.keys().collect();
    let asks_for_certificates =
        file.server.as_ref().and_then(|server| server.tls.as_ref()).is_some_and(|tls| tls.client_authorities.is_some());
    let known = auth::Known { routes: &routes.names, targets: &names, asks_for_certificates };
    let auth = file.auth.as_ref().map(|auth| auth::auth(auth, &known, around, findings));
    let server = server::server(&file, routes.longest_attempt(&targets), around, findings);
    let notices = notices::notices(&file, &routes.names, around, findings);
    let telemetry = file.telemetry.as_ref().and_then(|given| telemetry::telemetry(given, around, findings));
    let limits = limits::limits(&file, findings);
    let store = store::store(file.store.unwrap_or_default(), around, findings);
    if file.routes.is_empty() {
        let wrong = Wrong::new("there are no routes, so that nothing would be accepted");
        let hint = "add a [[routes]] table; \"fanfold init\" writes a file to start from";
        findings.consequences([(Place::of(["routes"]), wrong.hint(hint))]);
    }
    let specs = targets.iter().map(|(name, target)| (name.clone(), target.spec.clone())).collect();
    let table = table::compile(&routes, &specs, findings);
    let targets: Option<BTreeMap<_, _>> =
        targets.into_iter().map(|(name, target)| Some((name, target.complete()?))).collect();
    let (targets, routes, table) = (targets?, routes.specs, table?);
    Some(Settings { server, auth, store, limits, notices, telemetry, mounts, targets, routes, table })
}
