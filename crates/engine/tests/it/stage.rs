//! An engine on the in-memory store with fake targets over real sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfold_core::dialect::{Mount, Refusal};
use fanfold_core::plan::{
    DialectName, Limits, Monitor, OnFailure, OnUndoFailure, OnUnknown, Order, Redaction, RequestTemplate, Require,
    UndoRule,
};
use fanfold_core::route::spec::{Action, LimitsOverride, OperationSpec, RouteSpec, Selection, TargetSpec};
use fanfold_core::route::{Found, Handling, Incoming, RouteTable};
use fanfold_core::{Access, Operation, OperationId, TargetName, TenantId};
use fanfold_engine::target::{Metrics, TargetConfig, TargetUrl, Targets};
use fanfold_engine::{
    AcceptOutcome, AcceptRequest, AllowRule, AllowedHost, Clock, Config, Engine, Membership, SystemClock,
};
use fanfold_store::Store;
use fanfold_store::model::Model;
use fanfold_testkit::fake::FakeTarget;

/// Longer than any of these tests takes; running into it fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a target may still act.
pub(crate) const SETTLE: Duration = Duration::from_millis(50);

pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    routes: RouteTable,
    mount: Mount,
    targets: Vec<TargetConfig>,
    pub(crate) config: Config,
    clock: Arc<dyn Clock>,
    membership: Option<Membership>,
}

pub(crate) fn limits() -> Limits {
    Limits {
        attempts: 3,
        backoff: Duration::from_millis(10),
        backoff_max: Duration::from_millis(40),
        budget: Duration::from_secs(20),
        connect: Duration::from_secs(2),
        response: Duration::from_secs(10),
        lower: Duration::from_secs(20),
        response_body_max: 1 << 20,
    }
}

pub(crate) fn target_spec(id: &str) -> TargetSpec {
    TargetSpec { id: id.to_owned(), monitor: Monitor::Unset, step: limits(), undo: limits(), settle: SETTLE }
}

/// A route to these targets that is undone by `DELETE` of what the answer names.
pub(crate) fn spec(targets: &[&str]) -> OperationSpec {
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

pub(crate) const NAMES: [&str; 3] = ["tokyo", "osaka", "nagoya"];

/// Three fake targets that answer every `POST /things` with an id of their own, and every `DELETE` with 204.
pub(crate) async fn fakes() -> [FakeTarget; 3] {
    let fakes = [FakeTarget::start().await, FakeTarget::start().await, FakeTarget::start().await];
    for (number, fake) in fakes.iter().enumerate() {
        let body = serde_json::json!({ "id": format!("thing-{number}") });
        fake.on("POST", "/things", fanfold_testkit::fake::Answer::json(201, &body));
        fake.on("DELETE", "/things/*", fanfold_testkit::fake::Answer::empty(204));
    }
    fakes
}

/// Everything that a test may choose.
pub(crate) struct Setting<'a> {
    pub(crate) fakes: &'a [FakeTarget],
    pub(crate) method: &'a str,
    pub(crate) pattern: &'a str,
    pub(crate) spec: OperationSpec,
    pub(crate) target: TargetSpec,
    /// The path below which requests are sent to each target.
    pub(crate) below: &'a str,
    /// The path below which operations of each target are followed; `None`: as `below`.
    pub(crate) monitor_prefix: Option<&'a str>,
    pub(crate) max_in_flight: usize,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) dialect: DialectName,
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) membership: Option<Membership>,
}

impl<'a> Setting<'a> {
    pub(crate) fn new(fakes: &'a [FakeTarget], spec: OperationSpec) -> Self {
        Self {
            fakes,
            method: "POST",
            pattern: "/things",
            spec,
            target: target_spec(""),
            below: "",
            monitor_prefix: None,
            max_in_flight: 64,
            store: None,
            dialect: DialectName::Native,
            config: config(),
            clock: Arc::new(SystemClock),
            membership: None,
        }
    }
}

/// The defaults, with notices to this machine allowed and sent again at once.
pub(crate) fn config() -> Config {
    let mut config = Config::new([7; 32]);
    let host = AllowedHost::Network { address: "127.0.0.0".parse().unwrap(), bits: 8 };
    config.notices.allow = vec![AllowRule { host, port: None }];
    config.notices.backoff = Duration::from_millis(10);
    config
}

impl Stage {
    pub(crate) async fn new(fakes: &[FakeTarget], spec: OperationSpec) -> Self {
        Self::of(Setting::new(fakes, spec)).await
    }

    pub(crate) async fn of(setting: Setting<'_>) -> Self {
        let prefix = if setting.dialect == DialectName::Native { "" } else { "/v1" };
        let route = RouteSpec {
            name: "things".into(),
            dialect: setting.dialect,
            mount: prefix.to_owned(),
            method: setting.method.parse().unwrap(),
            pattern: format!("{prefix}{}", setting.pattern),
            action: Action::Operation(Box::new(setting.spec)),
        };
        let routes = table(route, setting.fakes.len(), &setting.target);
        let mount = Mount::new(setting.dialect, prefix);
        let store = setting.store.unwrap_or_else(|| Arc::new(Model::default()));
        let url = |fake: &FakeTarget| {
            let url: TargetUrl = format!("{}{}", fake.url(), setting.below).parse().unwrap();
            setting.monitor_prefix.map_or(url.clone(), |prefix| url.with_monitor_prefix(prefix).unwrap())
        };
        let configured = |(name, fake): (&&str, &FakeTarget)| TargetConfig {
            max_in_flight: setting.max_in_flight,
            ..TargetConfig::new((*name).into(), url(fake))
        };
        let targets: Vec<_> = NAMES.iter().zip(setting.fakes).map(configured).collect();
        let (config, clock, membership) = (setting.config, setting.clock, setting.membership);
        let engine = start(&store, &targets, &mount, config.clone(), (&clock, membership.clone())).await;
        Self { engine, store, routes, mount, targets, config, clock, membership }
    }

    /// Another process on the same store, after this one has ended without a word.
    pub(crate) async fn restarted(self) -> Self {
        let Self { engine, store, routes, mount, targets, config, clock, membership } = self;
        engine.stop(Duration::ZERO).await;
        drop(engine);
        let engine = start(&store, &targets, &mount, config.clone(), (&clock, membership.clone())).await;
        Self { engine, store, routes, mount, targets, config, clock, membership }
    }

    /// The route `POST /things` as a reload configures it anew.
    pub(crate) fn configure(&mut self, spec: OperationSpec) {
        let route = RouteSpec {
            name: "things".into(),
            dialect: self.mount.dialect,
            mount: self.mount.prefix.clone(),
            method: http::Method::POST,
            pattern: format!("{}/things", self.mount.prefix),
            action: Action::Operation(Box::new(spec)),
        };
        self.routes = table(route, self.targets.len(), &target_spec(""));
    }

    /// Whether the route takes such a request.
    pub(crate) fn has_route(&self, method: &str, path: &str) -> bool {
        matches!(self.routes.find(&method.parse().unwrap(), path), Found::Route { .. })
    }

    pub(crate) async fn accept(&self, method: &str, uri: &str, body: &str) -> Result<AcceptOutcome, Refusal> {
        self.accept_with(method, uri, body, &[]).await
    }

    pub(crate) async fn accept_with(
        &self,
        method: &str,
        uri: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<AcceptOutcome, Refusal> {
        self.accept_as(&TenantId::default(), (method, uri), body, headers).await
    }

    pub(crate) async fn accept_of(
        &self,
        tenant: &TenantId,
        method: &str,
        uri: &str,
        body: &str,
    ) -> Result<AcceptOutcome, Refusal> {
        self.accept_as(tenant, (method, uri), body, &[]).await
    }

    async fn accept_as(
        &self,
        tenant: &TenantId,
        (method, uri): (&str, &str),
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<AcceptOutcome, Refusal> {
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let method: http::Method = method.parse().unwrap();
        let Found::Route { route, captures } = self.routes.find(&method, path) else { panic!("no route for {uri}") };
        let Handling::Operation(operation) = &route.handling else { panic!("{uri} is passed through") };
        let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let incoming = Incoming {
            method,
            path: path.to_owned(),
            query: query.map(str::to_owned),
            target_query: None,
            headers: all,
            body: Bytes::copy_from_slice(body.as_bytes()),
            captures,
        };
        let callback = self.config.notices.callbacks.get(&route.name);
        let (access, by) = (&Access { tenant: tenant.clone(), ..Access::full() }, "a client");
        let request = AcceptRequest { access, mount: &self.mount, route: operation, callback, incoming, by };
        self.engine.accept(request).await
    }

    /// Waits until the operation fits.
    pub(crate) async fn until(&self, id: OperationId, fits: impl Fn(&Operation) -> bool) -> Arc<Operation> {
        let waiting = async {
            loop {
                let mut changes = self.engine.follow(id);
                let operation = self.engine.operation(id).await.unwrap().unwrap();
                if fits(&operation) {
                    return operation;
                }
                // Told of changes only; a second look now and then covers a change in between.
                drop(tokio::time::timeout(Duration::from_millis(200), changes.changed()).await);
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(operation) => operation,
            Err(_) => panic!("not reached: {:#?}", self.engine.operation(id).await),
        }
    }

    pub(crate) async fn ended(&self, id: OperationId) -> Arc<Operation> {
        self.until(id, |operation| operation.end().is_some()).await
    }

    /// Accepts a `POST /things` and follows it to its end.
    pub(crate) async fn post(&self, body: &str) -> Arc<Operation> {
        let accepted = self.accept("POST", "/things", body).await.unwrap();
        self.ended(accepted.operation.id).await
    }
}

fn table(route: RouteSpec, targets: usize, target: &TargetSpec) -> RouteTable {
    let specs = NAMES
        .iter()
        .take(targets)
        .enumerate()
        .map(|(number, name)| (TargetName::from(*name), TargetSpec { id: number.to_string(), ..target.clone() }));
    RouteTable::compile(vec![route], &specs.collect::<BTreeMap<_, _>>()).unwrap()
}

async fn start(
    store: &Arc<dyn Store>,
    targets: &[TargetConfig],
    mount: &Mount,
    config: Config,
    (clock, membership): (&Arc<dyn Clock>, Option<Membership>),
) -> Engine {
    let all = Targets::new(Metrics::default());
    all.replace(targets.to_vec()).unwrap();
    let mounts = vec![mount.clone()];
    Engine::start(Arc::clone(store), Arc::new(all), Arc::clone(clock), mounts, config, membership).await.unwrap()
}
