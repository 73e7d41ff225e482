//! One tenant's flood does not keep others waiting: permits of targets, room in memory, what is found due after a restart.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::operation::Status;
use fanfold_core::{OperationId, PerTenant, TenantId};
use fanfold_engine::Weight;
use fanfold_store::contract::Lossy;
use fanfold_store::model::Model;
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};
use fanfold_testkit::{Latch, PATIENCE};
use serde_json::json;
use tokio::task::JoinSet;

use super::stage::{NAMES, Setting, Stage, fakes, spec};

/// The tenant that has one operation while the default one has many.
fn other() -> TenantId {
    TenantId::from("other")
}

/// Accepts as many operations of the default tenant, the body of each with its number.
async fn flood(stage: &Stage, number: usize) -> Vec<OperationId> {
    let mut ids = Vec::new();
    for count in 0..number {
        let body = json!({ "flood": count }).to_string();
        ids.push(stage.accept("POST", "/things", &body).await.unwrap().operation.id);
    }
    ids
}

async fn one(stage: &Stage) -> OperationId {
    stage.accept_of(&other(), "POST", "/things", "{\"one\":true}").await.unwrap().operation.id
}

/// Waits until so many stand in line at the target: being accepted is not yet that.
async fn in_line(stage: &Stage, number: usize) {
    let waiting = || stage.engine.targets().get(&NAMES[0].into()).status().waiting.forward;
    let stands = async {
        while waiting() != number {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stands)
        .await
        .unwrap_or_else(|_| panic!("{} stand in line, not {number}", waiting()));
}

/// The place of the one among what reached the target, counted from 0.
fn place_of_the_one(fake: &FakeTarget) -> usize {
    let seen = fake.seen();
    seen.iter().position(|request| request.text().contains("one")).expect("it has reached the target")
}

/// Lets the first request through only when told, so that others queue up behind it.
fn first_waits_for(fake: &FakeTarget) -> Latch {
    let latch = Latch::new();
    fake.once("POST", "/things", Reply::from(Answer::json(201, &json!({ "id": "first" }))).after(&latch));
    latch
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permit_of_a_target_goes_to_the_other_tenant_next() {
    let fakes = fakes().await;
    let latch = first_waits_for(&fakes[0]);
    let stage = Stage::of(Setting { max_in_flight: 1, ..Setting::new(&fakes[..1], spec(&NAMES[..1])) }).await;
    let ids = flood(&stage, 60).await;
    let one = one(&stage).await;
    in_line(&stage, 60).await;
    latch.open();
    assert_eq!(stage.ended(one).await.status(), Status::Completed);
    assert!(place_of_the_one(&fakes[0]) <= 2, "{}", place_of_the_one(&fakes[0]));
    for id in ids {
        stage.ended(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_leaves_room_in_memory_for_another() {
    let fakes = fakes().await;
    let latch = first_waits_for(&fakes[0]);
    let mut setting = Setting { max_in_flight: 1, ..Setting::new(&fakes[..1], spec(&NAMES[..1])) };
    setting.config.lane_running_max = 10;
    let stage = Stage::of(setting).await;
    let ids = flood(&stage, 60).await;
    assert_eq!(stage.engine.running(), 8, "a fifth of the room is left");
    let one = one(&stage).await;
    assert_eq!(stage.engine.running(), 9);
    in_line(&stage, 8).await;
    latch.open();
    assert_eq!(stage.ended(one).await.status(), Status::Completed);
    assert!(place_of_the_one(&fakes[0]) <= 2, "{}", place_of_the_one(&fakes[0]));
    for id in ids {
        stage.ended(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_due_is_taken_up_in_turns_after_a_restart() {
    let fakes = fakes().await;
    let mut setting = Setting { max_in_flight: 1, ..Setting::new(&fakes[..1], spec(&NAMES[..1])) };
    setting.config.running_max = 10;
    let stage = Stage::of(setting).await;
    stage.engine.hold(&NAMES[0].into(), "ann".to_owned(), "test".to_owned()).await.unwrap();
    let ids = flood(&stage, 60).await;
    // There is room for neither in memory.
    let others = [one(&stage).await, one(&stage).await, one(&stage).await, one(&stage).await];
    let stage = stage.restarted().await;
    stage.engine.release(&NAMES[0].into()).await.unwrap();
    for id in others {
        assert_eq!(stage.ended(id).await.status(), Status::Completed);
    }
    let seen = fakes[0].seen();
    let last = seen.iter().rposition(|request| request.text().contains("one")).unwrap();
    assert!(last < 30, "the last one of four was number {last} of {}", seen.len());
    for id in ids {
        stage.ended(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_count() {
    let fakes = fakes().await;
    let latch = first_waits_for(&fakes[0]);
    let mut setting = Setting { max_in_flight: 1, ..Setting::new(&fakes[..1], spec(&NAMES[..1])) };
    setting.config.weights = PerTenant { otherwise: Weight::default(), own: [(other(), Weight::new(3))].into() };
    let stage = Stage::of(setting).await;
    flood(&stage, 41).await;
    let mut last = one(&stage).await;
    for _ in 1..30 {
        last = one(&stage).await;
    }
    in_line(&stage, 70).await;
    latch.open();
    stage.ended(last).await;
    let seen = fakes[0].seen();
    let heavy = seen[1..].iter().take(24).filter(|request| request.text().contains("one")).count();
    assert!((17..=19).contains(&heavy), "{heavy} of 24");
}

/// What waits to be accepted while the store does not answer waits for its turn, and leaves room for others.
#[tokio::test(flavor = "multi_thread")]
async fn acceptances_take_turns() {
    let fakes = fakes().await;
    let lossy = Lossy::new(Arc::new(Model::default()));
    let mut setting = Setting { store: Some(lossy.clone()), ..Setting::new(&fakes[..1], spec(&NAMES[..1])) };
    setting.config.accepting_max = 5;
    setting.config.accepting_wait_max = Duration::from_millis(100);
    let stage = Arc::new(Stage::of(setting).await);
    lossy.keep_answers(true);
    let mut asked = JoinSet::new();
    for _ in 0..8 {
        let stage = Arc::clone(&stage);
        asked.spawn(async move { stage.accept("POST", "/things", "{}").await.is_ok() });
    }
    // Four are put to the store; the others wait for their turn, and not for ever.
    for _ in 0..4 {
        assert!(!asked.join_next().await.unwrap().unwrap(), "it is refused");
    }
    let of_another = Arc::clone(&stage);
    asked.spawn(async move { of_another.accept_of(&other(), "POST", "/things", "{}").await.is_ok() });
    lossy.keep_answers(false);
    assert_eq!(asked.join_all().await, [true; 5]);
}
