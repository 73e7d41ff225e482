//! Clocks that jump: set forward by a day and back by a day, while an operation waits for each kind of time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfold_core::operation::{Cause, Consistency, Outcome, Send, Stage as State, Status, StepPhase, UndoPhase};
use fanfold_core::plan::OnUnknown;
use fanfold_core::route::spec::OperationSpec;
use fanfold_core::{Operation, OperationId};
use fanfold_engine::{Clock, Config, RouteCallback, SystemClock};
use fanfold_store::{NoticeFilter, NoticeState, Page};
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};
use fanfold_testkit::{Latch, PATIENCE};
use jiff::{SignedDuration, Timestamp};

use super::stage::{NAMES, Setting, Stage, config, fakes, spec, target_spec};

pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Longer than anybody waits in a test, and much shorter than a day.
const HOUR: &str = "3600";

/// The clock of a machine that somebody sets.
#[derive(Debug, Default)]
pub(crate) struct SetClock(Mutex<SignedDuration>);

impl SetClock {
    pub(crate) fn set(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.0.lock().unwrap()
    }

    fn boot_time(&self) -> Duration {
        SystemClock.boot_time()
    }

    fn fill(&self, bytes: &mut [u8]) {
        SystemClock.fill(bytes);
    }
}

/// One target, and everything that would keep a wait of an hour from being made is generous.
async fn stage(fakes: &[FakeTarget], change: impl FnOnce(&mut OperationSpec, &mut Config)) -> (Arc<SetClock>, Stage) {
    let clock = Arc::new(SetClock::default());
    let (mut route, mut config) = (spec(&NAMES[..1]), config());
    route.deadline = Duration::from_secs(7 * 86_400);
    config.sweep_every = Duration::from_millis(100);
    change(&mut route, &mut config);
    let mut target = target_spec("");
    target.step.budget = Duration::from_secs(7 * 86_400);
    target.step.response = Duration::from_millis(300);
    target.settle = Duration::from_millis(700);
    let clocked: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let setting = Setting { target, config, clock: clocked, ..Setting::new(&fakes[..1], route) };
    (clock, Stage::of(setting).await)
}

async fn accept(stage: &Stage) -> OperationId {
    stage.accept("POST", "/things", "{}").await.unwrap().operation.id
}

/// Waits until the engine has noticed that the clock was set, and requires that it does so once.
pub(crate) async fn noticed(stage: &Stage) {
    let metrics = stage.engine.metrics().clone();
    let noticed = async {
        while metrics.clock_jumps() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.expect("a jump is noticed");
    assert_eq!(metrics.clock_jumps(), 1);
}

fn backs_off(operation: &Operation) -> bool {
    matches!(operation.steps[0].phase, StepPhase::Sending(Send::BackingOff { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backoff_comes_earlier_if_the_clock_is_set_forward_and_no_later_if_it_is_set_back() {
    for (asked, by) in [(HOUR, DAY), ("2", -DAY)] {
        let fakes = fakes().await;
        fakes[0].once("POST", "/things", Answer::empty(503).header("retry-after", asked));
        let (clock, stage) = stage(&fakes, |_, _| {}).await;
        let id = accept(&stage).await;
        stage.until(id, backs_off).await;
        clock.set(by);
        let ended = stage.ended(id).await;
        assert_eq!((ended.status(), fakes[0].seen().len()), (Status::Completed, 2), "{by}");
        noticed(&stage).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_settles_no_longer_if_the_clock_is_set_back() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    let undone = |route: &mut OperationSpec, _: &mut Config| {
        route.on_unknown = OnUnknown::Undo;
        if let Some(fanfold_core::plan::UndoRule::Request(undo)) = &mut route.undo {
            undo.path = Some("/things/0".into());
        }
    };
    let (clock, stage) = stage(&fakes, undone).await;
    let id = accept(&stage).await;
    let settles = |operation: &Operation| {
        let undo = operation.steps[0].undo.as_ref();
        undo.is_some_and(|undo| matches!(undo.phase, UndoPhase::Settling { .. }))
    };
    stage.until(id, settles).await;
    clock.set(-DAY);
    let ended = stage.ended(id).await;
    assert_eq!(ended.end().unwrap().consistency, Consistency::RolledBack);
    noticed(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_at_the_time_of_day() {
    let fakes = fakes().await;
    let (clock, stage) = stage(&fakes, |_, _| {}).await;
    let start = (SystemClock.now() + SignedDuration::from_hours(12)).to_string();
    let id = stage.accept_with("POST", "/things", "{}", &[("fanfold-start-at", &start)]).await.unwrap().operation.id;
    clock.set(-DAY);
    noticed(&stage).await;
    let waits = stage.engine.operation(id).await.unwrap().unwrap();
    assert!(matches!(waits.stage, State::Unexecuted { start_at: Some(_), .. }), "{:?}", waits.stage);
    // It is set right again, and then forward: the time has come.
    clock.set(DAY + DAY);
    assert_eq!(stage.ended(id).await.status(), Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_comes_earlier_if_the_clock_is_set_forward_and_no_later_if_it_is_set_back() {
    for (deadline, by) in [(3_600, DAY), (2, -DAY)] {
        let fakes = fakes().await;
        fakes[0].once("POST", "/things", Answer::empty(503).header("retry-after", "100000"));
        let (clock, stage) = stage(&fakes, |route, _| route.deadline = Duration::from_secs(deadline)).await;
        let id = accept(&stage).await;
        stage.until(id, backs_off).await;
        clock.set(by);
        let ended = stage.ended(id).await;
        assert_eq!(
            (ended.status(), ended.steps[0].outcome().map(|outcome| matches!(outcome, Outcome::Failed { .. }))),
            (Status::Failed, Some(true)),
            "{by}"
        );
        assert!(matches!(ended.end().unwrap().cause, Some(Cause::DeadlinePassed)), "{:?}", ended.end());
        noticed(&stage).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_waits_no_longer_if_the_clock_is_set_back_and_shorter_if_it_is_set_forward() {
    for (asked, by) in [("500", DAY), ("2", -DAY)] {
        let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
        receiver.once("POST", "/hooks", Answer::empty(503).header("retry-after", asked));
        let (clock, stage) = stage(&fakes, |_, config| {
            config.notices.secrets = vec![
                fanfold_engine::SigningSecret::read("whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap(),
            ];
            let url = format!("{}/hooks", receiver.url()).parse().unwrap();
            config.notices.callbacks.insert("things".to_owned(), RouteCallback { url, secrets: Vec::new() });
        })
        .await;
        let id = accept(&stage).await;
        stage.ended(id).await;
        let filter = NoticeFilter { operation: Some(id), ..NoticeFilter::default() };
        let state = async || {
            let notices = stage.store.notices(&filter, Page::newest(1)).await.unwrap();
            (notices[0].state, notices[0].attempts)
        };
        let reached = async |wanted| {
            while state().await != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached((NoticeState::Pending, 1))).await.expect("it has failed once");
        clock.set(by);
        tokio::time::timeout(PATIENCE, reached((NoticeState::Delivered, 2))).await.expect("it is delivered");
        noticed(&stage).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_goes_on_after_a_restart_with_a_clock_that_was_set_back() {
    let fakes = fakes().await;
    let latch = Latch::new();
    fakes[0].once("PUT", "/things", Reply::from(Answer::empty(200)).after(&latch));
    let clock = Arc::new(SetClock::default());
    let clocked: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let mut setting = Setting { clock: clocked, ..Setting::new(&fakes[..1], spec(&NAMES[..1])) };
    setting.method = "PUT";
    let stage = Stage::of(setting).await;
    let id = stage.accept("PUT", "/things", "{}").await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    clock.set(-DAY);
    let stage = stage.restarted().await;
    let ended = stage.ended(id).await;
    assert_eq!((ended.status(), ended.steps[0].course.attempts), (Status::Completed, 2));
    assert!(ended.end().unwrap().at >= ended.accepted_at, "its times are in order");
    latch.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_in_order_though_the_clock_is_set_back() {
    let fakes = fakes().await;
    let (clock, stage) = stage(&fakes, |_, _| {}).await;
    let mut ids = Vec::new();
    for by in [DAY, -DAY, -DAY, SignedDuration::ZERO] {
        clock.set(by);
        ids.push(accept(&stage).await);
    }
    assert!(ids.is_sorted(), "{ids:?}");
    for id in ids {
        assert_eq!(stage.ended(id).await.status(), Status::Completed);
    }
}
