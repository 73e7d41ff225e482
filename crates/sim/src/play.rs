//! Plays a scenario: one life of the process after the other, until everything has come to its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use fanfold_core::dialect::{Mount, Refusal};
use fanfold_core::plan::DialectName;
use fanfold_core::route::{Found, Handling, Incoming, RouteTable};
use fanfold_core::{OperationId, TenantId};
use fanfold_engine::target::{Metrics, TargetConfig, Targets};
use fanfold_engine::{AcceptRequest, AllowRule, AllowedHost, Config, Engine, Network, Resolution};
use fanfold_store::{NoteFilter, NoticeFilter, NoticeState, Page, Queue as _, ReadNotes as _, ReadNotices as _, Store};
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::clock::SimClock;
use crate::network::Net;
use crate::random::Random;
use crate::routes;
use crate::scenario::{Deed, Scenario, TARGETS};
use crate::store::Faulty;
use crate::world::World;

/// Lives of the process in one history, at the most: each scenario loses power only so often.
const LIVES_MAX: usize = 32;

/// How long a client waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// How long operations have to come to their end once all is calm; the longest deadline and all backoffs fit in.
const CALM_MAX: Duration = Duration::from_secs(4 * 3_600);

/// How long a graceful stop waits for what is on the wire.
const GRACE: Duration = Duration::from_secs(30);

/// Operations in memory at once: few, so that the bound is met.
pub(crate) const RUNNING_MAX: usize = 2;

/// What became of the request of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It was not sent, or never answered.
    No,
    Accepted(OperationId),
    Refused,
}

/// A history that was played.
pub(crate) struct Played {
    pub(crate) store: Arc<Faulty>,
    pub(crate) world: Arc<World>,
    pub(crate) submitted: Vec<Submitted>,
    /// What clients saw that must not be.
    pub(crate) wrong: Vec<String>,
    /// Lives that ended by loss of power.
    pub(crate) losses: usize,
    /// Operations that were in memory at once, beyond the bound.
    pub(crate) over_bound: usize,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    PowerLost,
    Restart,
    Over,
}

struct Stage<'a> {
    scenario: &'a Scenario,
    routes: RouteTable,
    played: Played,
    next: usize,
    jumped: SignedDuration,
    random: Random,
}

/// Plays a scenario to its end.
///
/// # Errors
/// If it cannot be played at all.
pub(crate) fn play(scenario: &Scenario) -> Result<Played> {
    let store = Faulty::new(scenario.writes.clone());
    let world = World::new(scenario, Arc::clone(&store));
    let submitted = vec![Submitted::No; scenario.routes.len()];
    let played = Played { store, world, submitted, wrong: Vec::new(), losses: 0, over_bound: 0 };
    let mut stage = Stage {
        scenario,
        routes: routes::table(scenario)?,
        played,
        next: 0,
        jumped: SignedDuration::ZERO,
        random: Random::new(scenario.seed),
    };
    for _ in 0..LIVES_MAX {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let end = runtime.block_on(stage.live())?;
        // With the runtime everything that ran is gone at once, wherever it was.
        drop(runtime);
        match end {
            End::PowerLost => stage.played.losses += 1,
            End::Restart => {}
            End::Over => break,
        }
    }
    Ok(stage.played)
}

impl Stage<'_> {
    async fn live(&mut self) -> Result<End> {
        let world = Arc::clone(&self.played.world);
        let store = Arc::clone(&self.played.store);
        world.begin();
        let clock = Arc::new(SimClock::new(world.now(), self.jumped, self.random.next()));
        let end = tokio::select! {
            biased;
            () = store.power_lost() => Ok(End::PowerLost),
            end = self.go_on(&clock) => end,
        };
        self.jumped = clock.jumped();
        world.end();
        end
    }

    async fn start(&self, clock: &Arc<SimClock>) -> Result<Engine> {
        let network: Arc<dyn Network> = Arc::new(Net(Arc::clone(&self.played.world)));
        let targets = Targets::in_network(Arc::clone(&network), Metrics::default());
        let configs = (0..TARGETS).map(|number| {
            let name = routes::target_name(number);
            let url = format!("http://{name}").parse().context("the URL of a target")?;
            Ok(TargetConfig::new(name, url))
        });
        targets.replace(configs.collect::<Result<Vec<_>>>()?)?;
        let mut config = Config::new([7; 32]);
        config.running_max = RUNNING_MAX;
        config.network = Some(network);
        let host = AllowedHost::Network { address: [10, 0, 0, 0].into(), bits: 8 };
        config.notices.allow = vec![AllowRule { host, port: None }];
        let mounts = vec![Mount::new(DialectName::Native, ""), Mount::new(DialectName::Msf, "/v1")];
        let store: Arc<dyn Store> = Arc::clone(&self.played.store) as _;
        Ok(Engine::start(store, Arc::new(targets), Arc::clone(clock) as _, mounts, config).await?)
    }

    async fn go_on(&mut self, clock: &Arc<SimClock>) -> Result<End> {
        let engine = self.start(clock).await?;
        while let Some(act) = self.scenario.acts.get(self.next).copied() {
            let wait = Duration::from_millis(act.at_ms).saturating_sub(self.played.world.now());
            tokio::time::sleep(wait).await;
            if act.what == Deed::Restart {
                self.next += 1;
                engine.stop(GRACE).await;
                return Ok(End::Restart);
            }
            self.act(&engine, clock, act.what).await;
            self.next += 1;
        }
        self.calm_down(&engine).await;
        Ok(End::Over)
    }

    async fn act(&mut self, engine: &Engine, clock: &SimClock, deed: Deed) {
        match deed {
            Deed::Submit(route) => self.submit(engine, route).await,
            Deed::Repeat(route) => {
                if let (Submitted::Accepted(first), Ok(again)) =
                    (self.played.submitted[route].clone(), self.accept(engine, route, 0).await)
                    && first != again
                {
                    self.played.wrong.push(format!("the same request became {first} and {again}"));
                }
            }
            Deed::Abuse(route) => {
                let is_known = matches!(self.played.submitted[route], Submitted::Accepted(_));
                if is_known && let Ok(id) = self.accept(engine, route, 1).await {
                    self.played.wrong.push(format!("another request with the same key became {id}"));
                }
            }
            Deed::Cancel(route) => {
                if let Submitted::Accepted(id) = self.played.submitted[route] {
                    // Too late, or not now: both are answers.
                    drop(engine.cancel(id, "a client".into()).await);
                }
            }
            Deed::Hold(target) => {
                drop(engine.hold(&routes::target_name(target), "a person".into(), "work".into()).await)
            }
            Deed::Release(target) => drop(engine.release(&routes::target_name(target)).await),
            Deed::Jump(millis) => clock.jump(millis),
            // Done by the caller, whose life it ends.
            Deed::Restart => {}
        }
    }

    /// Asks until there is an answer, with the same key each time.
    async fn submit(&mut self, engine: &Engine, route: usize) {
        for _ in 0..100 {
            match self.accept(engine, route, 0).await {
                Ok(id) => {
                    self.played.submitted[route] = Submitted::Accepted(id);
                    return;
                }
                Err(Refusal::Locked { .. }) => {
                    self.played.submitted[route] = Submitted::Refused;
                    return;
                }
                Err(Refusal::Unavailable { .. } | Refusal::StoreUnreachable { .. } | Refusal::StoreFailing { .. }) => {}
                Err(other) => {
                    self.played.wrong.push(format!("refused: {other}"));
                    return;
                }
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn accept(&self, engine: &Engine, number: usize, variant: u32) -> Result<OperationId, Refusal> {
        let route = &self.scenario.routes[number];
        let path = routes::path_of(self.scenario, number);
        let internal = || Refusal::Internal;
        let Found::Route { route: found, captures } = self.routes.find(&route.http_method(), &path) else {
            return Err(internal());
        };
        let Handling::Operation(operation) = &found.handling else { return Err(internal()) };
        let (dialect, prefix) = if route.noticed { (DialectName::Msf, "/v1") } else { (DialectName::Native, "") };
        let mount = Mount::new(dialect, prefix);
        let query = route.noticed.then(|| "notification_address=10.0.0.9&notification_port=80".to_owned());
        let incoming = Incoming {
            method: route.http_method(),
            path,
            query,
            target_query: None,
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("idempotency-key".to_owned(), format!("key-{number}")),
            ],
            // Restores compare contents, so each operation writes another one.
            body: Bytes::from(format!("{{\"route\":{number},\"variant\":{variant}}}")),
            captures,
        };
        let request = AcceptRequest { tenant: TenantId::default(), mount: &mount, route: operation, incoming };
        engine.accept(request).await.map(|outcome| outcome.operation.id)
    }

    /// All faults cease, targets are released, people answer; then everything has to come to its end.
    async fn calm_down(&mut self, engine: &Engine) {
        self.played.store.calm();
        self.played.world.calm();
        let began = Instant::now();
        let mut wait = Duration::from_millis(500);
        while began.elapsed() < CALM_MAX {
            for target in 0..TARGETS {
                drop(engine.release(&routes::target_name(target)).await);
            }
            self.answer(engine).await;
            if self.has_ended().await {
                return;
            }
            // Whoever asks or answers brings an operation into memory whatever the bound.
            let told = self.scenario.acts.len() + TARGETS + 4;
            self.played.over_bound = self.played.over_bound.max(engine.running().saturating_sub(RUNNING_MAX + told));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(60));
        }
    }

    async fn has_ended(&self) -> bool {
        let model = &self.played.store.model;
        let open = model.open_operations(None, 1).await.is_ok_and(|open| !open.is_empty());
        let filter = NoticeFilter { state: Some(NoticeState::Pending), ..NoticeFilter::default() };
        let pending = model.notices(&filter, Page::newest(1)).await.is_ok_and(|notices| !notices.is_empty());
        !open && !pending
    }

    /// People answer what is asked, truthfully, once targets cannot act any more.
    async fn answer(&mut self, engine: &Engine) {
        let filter = NoteFilter { open: Some(true), ..NoteFilter::default() };
        let Ok(notes) = self.played.store.model.notes(&filter, Page::newest(100)).await else { return };
        if !notes.is_empty() {
            tokio::time::sleep(routes::SETTLE).await;
        }
        for note in notes {
            let answer = match note.attention.step {
                Some(step) if self.played.world.truth(step.get(), note.operation).stands => Resolution::Applied,
                Some(_) => Resolution::NotApplied,
                None => self.random.one(&[Resolution::Retry, Resolution::RollBack, Resolution::EndAsItIs]),
            };
            // What takes no answer says so.
            drop(engine.resolve(note.id, answer, "a person".into(), None).await);
        }
    }
}
