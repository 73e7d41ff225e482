//! A server on a port of its own, in front of two fake targets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_core::dialect::Mount;
use fanfold_core::plan::{
    BodyTemplate, DialectName, Limits, Monitor, OnFailure, OnLocked, OnUndoFailure, OnUnknown, Order, Redaction,
    RequestTemplate, Require, UndoRule,
};
use fanfold_core::route::RouteTable;
use fanfold_core::route::spec::{Action, LimitsOverride, OperationSpec, RouteSpec, Selection, TargetSpec};
use fanfold_engine::identity::{self, Issuers};
use fanfold_engine::target::{Metrics, PassLimits, TargetConfig, Targets};
use fanfold_engine::{Clock, Config, Engine, SystemClock};
use fanfold_server::{Authentication, FixedCertificate, FixedToken, Front, Parts, Server, ServerConfig};
use fanfold_store::Store;
use fanfold_store::contract::Lossy;
use fanfold_store::sqlite::{self, Sqlite};
use fanfold_testkit::{Answer, FakeTarget, Http, HttpAnswer};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Where the `plas` mount lies.
pub(crate) const PLAS: &str = "/v1.0/plasconnector";

pub(crate) struct Rig {
    pub(crate) http: Http,
    pub(crate) address: String,
    pub(crate) tokyo: FakeTarget,
    pub(crate) osaka: FakeTarget,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Sqlite>,
    /// What engine and server are given: the store, with the troubles that a test chooses.
    pub(crate) lossy: Arc<Lossy>,
    pub(crate) server: Server,
    pub(crate) clock: Arc<Trick>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinSet<usize>,
    _home: TempDir,
}

/// The clock of the machine, until it is told to break.
#[derive(Debug, Default)]
pub(crate) struct Trick {
    broken: AtomicBool,
}

impl Trick {
    pub(crate) fn break_down(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }
}

impl Clock for Trick {
    fn now(&self) -> Timestamp {
        assert!(!self.broken.load(Ordering::SeqCst), "the clock was told to break");
        SystemClock.now()
    }

    fn boot_time(&self) -> Duration {
        SystemClock.boot_time()
    }

    fn fill(&self, bytes: &mut [u8]) {
        SystemClock.fill(bytes);
    }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(ServerConfig::default()).await
    }

    pub(crate) async fn with(config: ServerConfig) -> Self {
        Self::of(config, Config::new([7; 32])).await
    }

    pub(crate) async fn of(config: ServerConfig, engine_config: Config) -> Self {
        let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
        for (fake, id) in [(&tokyo, "t"), (&osaka, "o")] {
            fake.on("POST", "/things", Answer::json(201, &json!({ "id": id })).header("location", "/things/1"));
            fake.on("DELETE", "/things/*", Answer::empty(204));
        }
        let home = tempfile::tempdir().unwrap();
        let store = Sqlite::open(sqlite::Config::new(home.path().join("fanfold.db"))).unwrap();
        let lossy = Lossy::new(store.clone());
        let engine = engine(lossy.clone(), &[("tokyo", &tokyo), ("osaka", &osaka)], engine_config).await;
        let clock = Arc::new(Trick::default());
        let parts = Parts {
            engine: engine.clone(),
            store: lossy.clone(),
            clock: clock.clone(),
            started_at: clock.now(),
            issuers: Issuers::new(identity::Metrics::default()),
            registry: prometheus_client::registry::Registry::default(),
        };
        let server = Server::new(config, parts, front(routes()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let mut serving = JoinSet::new();
        let serve = server.clone();
        serving.spawn(async move { serve.serve(vec![listener], async { drop(stopped.await) }).await });
        let (http, stop) = (Http::new(&address), Some(stop));
        Self { http, address, tokyo, osaka, engine, store, lossy, server, clock, stop, serving, _home: home }
    }

    /// Asks whoever comes for one of these tokens from now on.
    pub(crate) fn ask_for(&self, tokens: Vec<FixedToken>) {
        self.server.replace_authentication(credentials(tokens, Vec::new()));
    }

    /// Starts another server on the same store, which has to hear from there what is done at this one.
    pub(crate) async fn another(&self) -> (Server, Http, JoinSet<usize>) {
        let parts = Parts {
            engine: self.engine.clone(),
            store: self.lossy.clone(),
            clock: self.clock.clone(),
            started_at: self.clock.now(),
            issuers: Issuers::new(identity::Metrics::default()),
            registry: prometheus_client::registry::Registry::default(),
        };
        let server = Server::new(ServerConfig::default(), parts, front(routes()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = Http::new(&listener.local_addr().unwrap().to_string());
        let (mut serving, serve) = (JoinSet::new(), server.clone());
        serving.spawn(async move { serve.serve(vec![listener], std::future::pending()).await });
        (server, http, serving)
    }

    /// A client that shows this.
    pub(crate) fn showing(&self, secret: &str) -> Http {
        Http::new(&self.address).with("authorization", &format!("Bearer {secret}"))
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the server to have stopped; gives the number of connections that were cut off.
    pub(crate) async fn stopped(&mut self) -> usize {
        self.stop();
        let ended = tokio::time::timeout(fanfold_testkit::PATIENCE, self.serving.join_next()).await;
        ended.expect("the server stops").expect("it was serving").unwrap()
    }

    /// Sends a request that a route accepts, in the native API, and gives the operation's id.
    pub(crate) async fn accept(&self, method: &str, path: &str, body: &Value) -> String {
        let answer = self.http.request(method, path, body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let body = answer.json();
        body["id"].as_str().or(body["operation_id"].as_str()).expect("an acceptance names its operation").to_owned()
    }

    /// Sends a request whose client goes away while the store holds up what it asks for.
    pub(crate) async fn abandon(&self, method: &str, path: &str) {
        self.lossy.hold_up(true);
        let mut connection = self.http.open().await;
        connection.send(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await;
        self.lossy.something_is_held_up().await;
        drop(connection);
        // The one that asks is the only request left.
        let noticed = async { while !self.http.get("/metrics").await.text().contains("fanfold_http_in_flight 1\n") {} };
        tokio::time::timeout(fanfold_testkit::PATIENCE, noticed).await.expect("the server notices");
        self.lossy.hold_up(false);
    }

    /// The native detail of an operation.
    pub(crate) async fn detail(&self, id: &str) -> HttpAnswer {
        self.http.get(&format!("/api/v1/operations/{id}")).await
    }

    /// The native detail of an operation once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let answer = self.http.get(&format!("/api/v1/operations/{id}?wait=30s")).await;
        let detail = answer.json();
        assert!(!detail["ended_at"].is_null(), "{detail}");
        detail
    }
}

/// Callers show these. Sessions last an hour.
pub(crate) fn credentials(tokens: Vec<FixedToken>, certificates: Vec<FixedCertificate>) -> Authentication {
    Authentication::Credentials { tokens, certificates, session_max: Duration::from_secs(3_600) }
}

async fn engine(store: Arc<dyn Store>, fakes: &[(&str, &FakeTarget)], config: Config) -> Engine {
    let targets = Targets::new(Metrics::default());
    let configs = fakes.iter().map(|(name, fake)| TargetConfig::new((*name).into(), fake.url().parse().unwrap()));
    targets.replace(configs.collect()).unwrap();
    Engine::start(store, Arc::new(targets), Arc::new(SystemClock), mounts(), config, None).await.unwrap()
}

fn mounts() -> Vec<Mount> {
    vec![Mount::new(DialectName::Msf, "/v1"), Mount::new(DialectName::Plas, PLAS)]
}

pub(crate) fn front(routes: Vec<RouteSpec>) -> Front {
    front_at("https://fanfold.example", routes)
}

pub(crate) fn front_at(public_url: &str, routes: Vec<RouteSpec>) -> Front {
    let limits =
        PassLimits { connect: Duration::from_secs(2), response: Duration::from_secs(5), idle: Duration::from_secs(5) };
    let pass = ["tokyo", "osaka"].map(|name| (TargetName::from(name), limits)).into();
    let targets: BTreeMap<TargetName, TargetSpec> =
        [("tokyo".into(), target("1")), ("osaka".into(), target("2"))].into();
    let table = RouteTable::compile(routes, &targets).unwrap();
    Front::new(mounts(), Arc::new(table), pass, Some(public_url.to_owned())).unwrap()
}

fn target(id: &str) -> TargetSpec {
    let limits = Limits {
        attempts: 2,
        backoff: Duration::from_millis(10),
        backoff_max: Duration::from_millis(40),
        budget: Duration::from_secs(20),
        connect: Duration::from_secs(2),
        response: Duration::from_secs(20),
        lower: Duration::from_secs(20),
        response_body_max: 1 << 20,
    };
    let settle = Duration::from_millis(50);
    TargetSpec { id: id.to_owned(), monitor: Monitor::Unset, step: limits.clone(), undo: limits, settle }
}

/// What the tests ask for.
pub(crate) fn routes() -> Vec<RouteSpec> {
    use DialectName::{Msf, Native, Plas};
    let plas = |path: &str| format!("{PLAS}{path}");
    let things = RequestTemplate { path: Some("/things".into()), ..RequestTemplate::default() };
    let to_things = || OperationSpec { request: things.clone(), ..operation(&["tokyo"]) };
    let both = OperationSpec { request: things.clone(), ..operation(&["tokyo", "osaka"]) };
    let locked = |on_locked| OperationSpec {
        lock: Some(("thing/{{ path.connector_id }}".to_owned(), on_locked)),
        ..operation(&["tokyo"])
    };
    let typed = || OperationSpec {
        request: RequestTemplate {
            path: Some("/things".into()),
            body: Some(BodyTemplate::Text("{\"n\":{{ request.json.n }}}".to_owned())),
            ..RequestTemplate::default()
        },
        ..operation(&["tokyo"])
    };
    vec![
        route("things", Native, "POST /things", operation(&["tokyo", "osaka"])),
        route("thing", Native, "PUT /things/{id}", operation(&["tokyo"])),
        route("queue", Native, "POST /queue/{connector_id}", locked(OnLocked::Queue)),
        route("locked", Native, "POST /locked/{connector_id}", locked(OnLocked::Reject)),
        route("typed", Native, "POST /typed", typed()),
        route("cps", Msf, "POST /v1/slices/{slice_id}/cps", to_things()),
        route("both-msf", Msf, "POST /v1/both", both),
        route("locked-msf", Msf, "POST /v1/locked/{connector_id}", locked(OnLocked::Reject)),
        route("typed-msf", Msf, "POST /v1/typed", typed()),
        route("create", Plas, &format!("POST {}", plas("/connectors")), to_things()),
        route("update", Plas, &format!("PUT {}", plas("/connectors/{connector_id}")), to_things()),
        route("locked-plas", Plas, &format!("POST {}", plas("/locked/{connector_id}")), locked(OnLocked::Reject)),
        route("typed-plas", Plas, &format!("POST {}", plas("/typed")), typed()),
        pass("pass-get", Native, "GET /pass/{*rest}"),
        pass("pass-post", Native, "POST /pass/{*rest}"),
        pass("pass-msf", Msf, "GET /v1/slices/{*rest}"),
        pass("pass-plas", Plas, &format!("GET {}", plas("/connectors/{connector_id}"))),
    ]
}

pub(crate) fn route(name: &str, dialect: DialectName, matches: &str, spec: OperationSpec) -> RouteSpec {
    RouteSpec { action: Action::Operation(Box::new(spec)), ..pass(name, dialect, matches) }
}

fn pass(name: &str, dialect: DialectName, matches: &str) -> RouteSpec {
    let (method, pattern) = matches.split_once(' ').unwrap();
    let mount = mounts().into_iter().find(|mount| mount.dialect == dialect).map(|mount| mount.prefix);
    RouteSpec {
        name: name.to_owned(),
        dialect,
        mount: mount.unwrap_or_default(),
        method: method.parse().unwrap(),
        pattern: pattern.to_owned(),
        action: Action::Pass("tokyo".into()),
    }
}

/// Calls these targets with the request as it came; undone by `DELETE` of what the answer names.
pub(crate) fn operation(targets: &[&str]) -> OperationSpec {
    let undo = RequestTemplate {
        method: Some("DELETE".into()),
        path: Some("/things/{{ response.json.id }}".into()),
        ..RequestTemplate::default()
    };
    OperationSpec {
        targets: Selection::Named(targets.iter().map(|name| TargetName::from(*name)).collect()),
        targets_max: 64,
        verb: None,
        lock: None,
        dedupe: None,
        delay: None,
        request: RequestTemplate::default(),
        on: BTreeMap::new(),
        forward_headers: Vec::new(),
        undo: Some(UndoRule::Request(Box::new(undo))),
        probe: None,
        success: None,
        repeatable: None,
        order: Order::Parallel,
        require: Require::All,
        wave_failures: 0,
        on_failure: OnFailure::Rollback,
        on_unknown: OnUnknown::Fail,
        on_undo_failure: OnUndoFailure::Attention,
        deadline: Duration::from_secs(60),
        result: None,
        redaction: Redaction::standard(),
        step_limits: LimitsOverride::default(),
        undo_limits: LimitsOverride::default(),
        retention: Duration::from_secs(86_400),
    }
}
