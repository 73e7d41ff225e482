//! Plays a scenario: one life of the process after the other, until everything has come to its end.
//!
//! Where to look: here are the lives; `client` asks for operations, `people` answer, and see to it that all comes to an end.

mod client;
mod people;

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fanfold_core::OperationId;
use fanfold_core::dialect::Mount;
use fanfold_core::plan::DialectName;
use fanfold_core::route::RouteTable;
use fanfold_engine::target::{Metrics, TargetConfig, Targets};
use fanfold_engine::{AllowRule, AllowedHost, Config, Engine, Extension, Network, RouteCallback, SigningSecret};
use fanfold_store::Store;
use jiff::SignedDuration;

use crate::clock::SimClock;
use crate::network::Net;
use crate::routes;
use crate::scenario::{Deed, RUNNING_MAX, Scenario, TARGETS, Webhook, WriteFault};
use crate::store::Faulty;
use crate::world::World;
use fanfold_testkit::Random;

/// Lives of the process in one history, at the most: each scenario loses power only so often.
const LIVES_MAX: usize = 32;

/// How long a graceful stop waits for what is on the wire.
const GRACE: Duration = Duration::from_secs(30);

/// What webhooks are signed with.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What became of the request of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It was not sent, or never answered.
    No,
    Accepted(OperationId),
    Refused,
    /// It was answered then that it may have been accepted, and the client did not ask again.
    InDoubt {
        at: Duration,
        /// In which life, counted from 1.
        life: usize,
    },
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
    /// Retries that were accepted, and whether they were forced.
    pub(crate) retries: Vec<(OperationId, bool)>,
    /// When each life began, and when all faults ceased.
    pub(crate) lives: Vec<Duration>,
    pub(crate) calm_at: Duration,
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
    /// Targets that are not configured at the moment.
    removed: BTreeSet<usize>,
    /// Routes whose client has asked.
    asked: BTreeSet<usize>,
    /// Operations that were told something in this life: that takes them into memory, whatever the bound.
    told: usize,
}

/// Plays a scenario to its end.
///
/// # Errors
/// If it cannot be played at all.
pub(crate) fn play(scenario: &Scenario) -> Result<Played> {
    let store = Faulty::new(scenario);
    let world = World::new(scenario, Arc::clone(&store));
    let submitted = vec![Submitted::No; scenario.routes.len()];
    let played = Played {
        store,
        world,
        submitted,
        wrong: Vec::new(),
        losses: 0,
        over_bound: 0,
        lives: Vec::new(),
        calm_at: Duration::MAX,
        retries: Vec::new(),
    };
    let mut stage = Stage {
        scenario,
        routes: routes::table(scenario)?,
        played,
        next: 0,
        jumped: SignedDuration::ZERO,
        random: Random::new(scenario.seed),
        removed: BTreeSet::new(),
        asked: BTreeSet::new(),
        told: 0,
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
        self.told = 0;
        self.played.lives.push(world.now());
        let clock = Arc::new(SimClock::new(world.now(), self.jumped, self.random.draw()));
        let end = tokio::select! {
            biased;
            () = store.power_lost() => Ok(End::PowerLost),
            end = self.go_on(&clock) => end,
        };
        self.jumped = clock.jumped();
        world.end();
        end
    }

    /// The targets as they are configured now.
    fn targets(&self) -> Result<Vec<TargetConfig>> {
        let configs = (0..TARGETS).filter(|number| !self.removed.contains(number)).map(|number| {
            let name = routes::target_name(number);
            let url = format!("http://{name}").parse().context("the URL of a target")?;
            Ok(TargetConfig::new(name, url))
        });
        configs.collect()
    }

    /// Who is told of the ends of a route's operations by its configuration.
    fn callback(&self, number: usize) -> Result<Option<RouteCallback>> {
        if self.scenario.routes[number].webhook != Webhook::OfRoute {
            return Ok(None);
        }
        Ok(Some(RouteCallback { url: "http://10.0.0.9/hook/route".parse()?, secrets: Vec::new() }))
    }

    async fn start(&self, clock: &Arc<SimClock>) -> Result<Engine> {
        let network: Arc<dyn Network> = Arc::new(Net(Arc::clone(&self.played.world)));
        let targets = Targets::in_network(Arc::clone(&network), Metrics::default());
        targets.replace(self.targets()?)?;
        let mut config = Config::new([7; 32]);
        config.running_max = self.running_max();
        config.network = Some(network);
        let host = AllowedHost::Network { address: [10, 0, 0, 0].into(), bits: 8 };
        config.notices.allow = vec![AllowRule { host, port: None }];
        config.notices.secrets = vec![SigningSecret::read(SECRET)?];
        if self.scenario.notice_attempts > 0 {
            config.notices.attempts = self.scenario.notice_attempts;
        }
        for number in 0..self.scenario.routes.len() {
            config.notices.callbacks.extend(self.callback(number)?.map(|callback| (format!("o{number}"), callback)));
        }
        if self.scenario.retention_ms > 0 {
            config.retention_every = Duration::from_millis(self.scenario.retention_ms);
        }
        // Targets that are told to notify: what they say reaches the engine by another way here.
        config.callback = (!self.scenario.monitors.is_empty()).then(|| SocketAddrV4::new([10, 0, 0, 1].into(), 80));
        let mounts = vec![Mount::new(DialectName::Native, ""), Mount::new(DialectName::Msf, "/v1")];
        let store: Arc<dyn Store> = Arc::clone(&self.played.store) as _;
        Ok(Engine::start(store, Arc::new(targets), Arc::clone(clock) as _, mounts, config, None).await?)
    }

    async fn go_on(&mut self, clock: &Arc<SimClock>) -> Result<End> {
        let engine = self.start(clock).await?;
        let world = Arc::clone(&self.played.world);
        let notified = async {
            loop {
                // Nobody may be waiting for it, which the target is told; that is all that becomes of it.
                engine.lower_notified(&world.word().await);
            }
        };
        tokio::select! {
            biased;
            end = self.act_on(&engine, clock) => end,
            () = notified => Ok(End::Over),
        }
    }

    /// Does what is to be done, one thing after the other.
    async fn act_on(&mut self, engine: &Engine, clock: &SimClock) -> Result<End> {
        while let Some(act) = self.scenario.acts.get(self.next).copied() {
            let wait = Duration::from_millis(act.at_ms).saturating_sub(self.played.world.now());
            tokio::time::sleep(wait).await;
            if act.what == Deed::Restart {
                self.next += 1;
                engine.stop(GRACE).await;
                return Ok(End::Restart);
            }
            self.act(engine, clock, act.what).await?;
            self.next += 1;
            self.look_at_memory(engine);
        }
        self.calm_down(engine, clock).await?;
        Ok(End::Over)
    }

    fn running_max(&self) -> usize {
        if self.scenario.running_max == 0 { RUNNING_MAX } else { self.scenario.running_max }
    }

    /// Memory is bounded, but for those that were told something, or are canceled because their acceptance was in doubt.
    fn look_at_memory(&mut self, engine: &Engine) {
        let in_doubt = self.played.store.met().iter().filter(|fault| **fault == WriteFault::AnswerLost).count();
        let most = self.running_max() + self.told + in_doubt;
        self.played.over_bound = self.played.over_bound.max(engine.running().saturating_sub(most));
    }

    async fn act(&mut self, engine: &Engine, clock: &SimClock, deed: Deed) -> Result<()> {
        match deed {
            Deed::Submit(route) => self.submit(engine, clock, route).await,
            Deed::Repeat(route) => self.repeat(engine, clock, route).await,
            Deed::Abuse(route) => self.abuse(engine, clock, route).await,
            Deed::Cancel(route) => {
                if let Submitted::Accepted(id) = self.played.submitted[route] {
                    self.told += 1;
                    // Too late, or not now: both are answers.
                    drop(engine.cancel(id, "a client".into()).await);
                }
            }
            Deed::Retry(route, is_forced) => self.retry(engine, route, is_forced).await,
            Deed::Extend(route, millis) => {
                if let Submitted::Accepted(id) = self.played.submitted[route] {
                    self.told += 1;
                    let by = Extension::By(Duration::from_millis(millis));
                    drop(engine.extend(id, by, "a person".into()).await);
                }
            }
            Deed::Hold(target) => {
                drop(engine.hold(&routes::target_name(target), "a person".into(), "work".into()).await);
            }
            Deed::Release(target) => drop(engine.release(&routes::target_name(target)).await),
            Deed::Remove(target) => {
                self.removed.insert(target);
                engine.targets().replace(self.targets()?)?;
            }
            Deed::Configure(target) => {
                self.removed.remove(&target);
                engine.targets().replace(self.targets()?)?;
            }
            Deed::Drain => engine.drain(true),
            Deed::Resume => engine.drain(false),
            Deed::Answer => self.answer(engine).await,
            Deed::Acknowledge => self.acknowledge(engine).await,
            Deed::Replay => self.replay(engine).await,
            Deed::Forge => {
                for reference in ["e0", "e1", "e2", "no such operation"] {
                    engine.lower_notified(reference);
                }
            }
            Deed::Jump(millis) => clock.jump(millis),
            // Done by the caller, whose life it ends.
            Deed::Restart => {}
        }
        Ok(())
    }
}
