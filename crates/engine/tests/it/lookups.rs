//! Hosts that are looked up where the resolver is slow, stuck, or does not know: who waits for it, and who does not.

use std::io;
use std::sync::Arc;

use fanfold_core::OperationId;
use fanfold_core::dialect::Refusal;
use fanfold_core::operation::Sent;
use fanfold_engine::target::{Metrics, Outgoing, PermitKind, Target, TargetConfig, Targets};
use fanfold_engine::{AcceptOutcome, AllowRule, AllowedHost, Claimant, Resolve, Resolved};
use fanfold_store::sqlite::{self, Sqlite};
use fanfold_store::{Filter, Page, Store};
use fanfold_testkit::fake::FakeTarget;
use fanfold_testkit::{Latch, PATIENCE};
use futures_util::future::join_all;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::stage::{NAMES, Setting, Stage, fakes, spec};
use super::webhooks::{OLD, secret};

/// Looks up as the operating system does: on a thread, and to the end. Of `stuck.example` nothing is known before the latch
/// opens.
#[derive(Debug)]
struct Machine {
    latch: Arc<Latch>,
    begun: watch::Sender<usize>,
}

impl Machine {
    fn new() -> Arc<Self> {
        Arc::new(Self { latch: Arc::new(Latch::new()), begun: watch::Sender::new(0) })
    }

    fn open_at_the_end(&self) -> AtTheEnd {
        AtTheEnd(Arc::clone(&self.latch))
    }

    fn begun(&self) -> usize {
        *self.begun.borrow()
    }

    async fn until_begun(&self, count: usize) {
        let mut begun = self.begun.subscribe();
        tokio::time::timeout(PATIENCE, begun.wait_for(|begun| *begun >= count)).await.expect("they begin").unwrap();
    }
}

/// Opens the latch at the end of a test, also of one that fails: a runtime does not end before its threads have.
struct AtTheEnd(Arc<Latch>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Resolve for Machine {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a> {
        let here = Ok(vec![([127, 0, 0, 1], port).into()]);
        self.begun.send_modify(|begun| *begun += 1);
        Box::pin(async move {
            match name {
                "stuck.example" => {
                    let latch = Arc::clone(&self.latch);
                    let looked_up = tokio::task::spawn_blocking(move || Handle::current().block_on(latch.wait()));
                    looked_up.await.unwrap();
                    here
                }
                "nowhere.example" => Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
                "later.example" => Err(io::Error::other("Temporary failure in name resolution")),
                _ => here,
            }
        })
    }
}

async fn stage(target: &[FakeTarget], machine: &Arc<Machine>, store: Option<Arc<dyn Store>>) -> Stage {
    let mut setting = Setting { store, ..Setting::new(&target[..1], spec(&NAMES[..1])) };
    setting.config.notices.secrets = vec![secret(OLD)];
    setting.config.resolver = Arc::clone(machine) as Arc<dyn Resolve>;
    Stage::of(setting).await
}

async fn post(stage: &Stage, host: &str) -> Result<AcceptOutcome, Refusal> {
    let url = format!("http://{host}:1/");
    stage.accept_with("POST", "/things", "{}", &[("fanfold-callback-url", &url)]).await
}

/// On a runtime with few threads more than acceptance may take, which readers of the store share.
#[test]
fn look_ups_that_are_stuck_keep_neither_the_store_nor_acceptance_waiting() {
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(34).build().unwrap();
    runtime.block_on(async {
        let (fakes, machine) = (fakes().await, Machine::new());
        let home = tempfile::tempdir().unwrap();
        let store = Sqlite::open(sqlite::Config::new(home.path().join("fanfold.db"))).unwrap();
        let stage = stage(&fakes, &machine, Some(store)).await;
        let _open = machine.open_at_the_end();
        {
            // Their clients go away.
            let asked = join_all((0..40).map(|_| post(&stage, "stuck.example")));
            tokio::select! {
                _ = asked => panic!("nothing is known of the host"),
                () = machine.until_begun(32) => {}
            }
        }
        // A host that is found at once is not asked for: there is no place.
        let refused = post(&stage, "fine.example").await;
        let Err(Refusal::Unavailable { detail, retry_after }) = &refused else { panic!("{refused:?}") };
        assert!(detail.contains("too many look-ups") && !retry_after.is_zero(), "{detail}");
        assert_eq!(machine.begun(), 32);
        let filter = Filter::default();
        let read = tokio::time::timeout(PATIENCE, stage.store.list(&filter, Page::newest(9)));
        assert!(read.await.expect("there is a thread to read on").unwrap().is_empty());
        // Who asks for no look-up is accepted, and so is everybody once the stuck ones have ended.
        stage.ended(post(&stage, "127.0.0.1").await.unwrap().operation.id).await;
        machine.latch.open();
        post(&stage, "fine.example").await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_there_is_a_bad_value_and_one_that_cannot_be_found_now_is_not() {
    let (fakes, machine) = (fakes().await, Machine::new());
    let stage = stage(&fakes, &machine, None).await;
    let refused = post(&stage, "nowhere.example").await;
    assert!(matches!(refused, Err(Refusal::BadValue { .. })), "{refused:?}");
    let refused = post(&stage, "later.example").await;
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{refused:?}");
    // No rule allows what this may stand for.
    let mut rules = stage.config.notices.clone();
    rules.allow = vec![AllowRule { host: AllowedHost::Name("fine.example".to_owned()), port: Some(1) }];
    stage.engine.replace_notice_rules(rules);
    let begun = machine.begun();
    let refused = post(&stage, "later.example").await;
    assert!(matches!(refused, Err(Refusal::BadValue { .. })), "{refused:?}");
    assert_eq!(machine.begun(), begun, "it is not looked up");
}

fn get(connect: std::time::Duration) -> Outgoing {
    Outgoing {
        method: http::Method::GET,
        path_and_query: "/".to_owned(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        connect,
        response: PATIENCE,
        body_max: 1024,
        fresh: true,
        from_root: false,
    }
}

async fn send(target: &Target, connect: std::time::Duration) -> Result<u16, Sent> {
    let operation = OperationId::from_bytes([7; 16]);
    let permit = target.ticket(PermitKind::Forward, &Claimant::default(), operation).permit().await;
    target.send(permit, &get(connect)).await.map(|received| received.status.as_u16()).map_err(|broke| broke.sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_host_is_stuck_leaves_the_others_alone_and_works_again_afterwards() {
    let (fake, machine) = (FakeTarget::start().await, Machine::new());
    let targets = Targets::resolved_by(Arc::clone(&machine) as _, Metrics::default());
    let _open = machine.open_at_the_end();
    let port = fake.address().port();
    let configs = |path: &str| {
        [("tokyo", "stuck"), ("osaka", "fine"), ("nagoya", "nowhere")].map(|(name, host)| {
            let url = format!("http://{host}.example:{port}{path}");
            TargetConfig::new(name.into(), url.parse().unwrap())
        })
    };
    targets.replace(configs("/").into()).unwrap();
    let [stuck, fine, nowhere] = ["tokyo", "osaka", "nagoya"].map(|name| targets.get(&name.into()));
    {
        let asked = join_all((0..20).map(|_| send(&stuck, PATIENCE)));
        tokio::select! {
            _ = asked => panic!("nothing is known of the host"),
            () = machine.until_begun(8) => {}
        }
    }
    assert_eq!(send(&fine, PATIENCE).await, Ok(200));
    assert_eq!(send(&nowhere, PATIENCE).await, Err(Sent::No));
    // A reload that makes a new link gives no new places.
    targets.replace(configs("/other/").into()).unwrap();
    assert_eq!(send(&stuck, std::time::Duration::from_millis(50)).await, Err(Sent::No));
    assert_eq!(machine.begun(), 10, "eight stuck ones, and one for each of the others");
    machine.latch.open();
    assert_eq!(send(&stuck, PATIENCE).await, Ok(200));
}
