//! Targets that come, change and go.

use fanfold_core::operation::Gate;
use fanfold_engine::Claimant;
use fanfold_engine::target::BreakerConfig;
use fanfold_testkit::FakeTarget;

use super::*;

#[tokio::test]
async fn a_target_that_stays_keeps_its_hold_its_queue_and_its_totals() {
    let (old, new) = (FakeTarget::start().await, FakeTarget::start().await);
    let targets = targets(vec![config("tokyo", &old.url())]);
    let target = targets.get(&"tokyo".into());
    send(&target, &get("/x")).await.unwrap();
    target.hold("maintenance");
    let mut ticket = target.ticket(PermitKind::Forward, &Claimant::default(), operation());
    assert!(matches!(ticket.turn().await, Turn::Waits(Gate::Held)));

    targets.replace(vec![config("tokyo", &new.url())]).unwrap();
    let status = target.status();
    assert_eq!(status.state, TargetState::Held { reason: "maintenance".to_owned() });
    assert_eq!((status.waiting.forward, status.totals.answered), (1, 1));
    target.release();
    let permit = ticket.permit().await;
    target.send(permit, &get("/y")).await.unwrap();
    assert_eq!((old.seen().len(), new.seen().len()), (1, 1));
    old.wait_until_left_alone().await;
}

#[tokio::test]
async fn a_target_that_is_gone_is_waited_for() {
    let fake = FakeTarget::start().await;
    let targets = targets(vec![]);
    assert!(targets.status().is_empty());
    let target = targets.get(&"tokyo".into());
    let mut ticket = target.ticket(PermitKind::Undo, &Claimant::default(), operation());
    assert!(matches!(ticket.turn().await, Turn::Waits(Gate::Missing)));
    assert_eq!(targets.status()[0].state, TargetState::Missing);

    targets.replace(vec![config("tokyo", &fake.url())]).unwrap();
    target.send(ticket.permit().await, &get("/x")).await.unwrap();
    assert_eq!(target.status().state, TargetState::Ok);

    let permit = target.ticket(PermitKind::Forward, &Claimant::default(), operation()).permit().await;
    targets.replace(vec![]).unwrap();
    assert!(target.url().is_none());
    assert!(target.send(permit, &get("/x")).await.is_err());
    assert_eq!(fake.seen().len(), 1);
    assert!(targets.status().is_empty());
}

#[tokio::test]
async fn an_open_breaker_survives_a_reload() {
    let mut fake = FakeTarget::start().await;
    fake.stop().await;
    let configured = |max_in_flight| {
        let breaker = BreakerConfig { after: 1, retry_after: Duration::from_secs(3600) };
        vec![TargetConfig { breaker, max_in_flight, ..config("tokyo", &fake.url()) }]
    };
    let targets = targets(configured(64));
    let target = targets.get(&"tokyo".into());
    send(&target, &get("/x")).await.unwrap_err();
    targets.replace(configured(1)).unwrap();
    assert!(matches!(target.status().state, TargetState::BreakerOpen { .. }));
}

#[tokio::test]
async fn what_happens_is_measured() {
    let fake = FakeTarget::start().await;
    let metrics = Metrics::default();
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let targets = Targets::new(metrics);
    targets.replace(vec![config("tokyo", &fake.url())]).unwrap();
    let target = targets.get(&"tokyo".into());
    send(&target, &get("/x")).await.unwrap();
    target.hold("maintenance");
    let _ticket = target.ticket(PermitKind::Undo, &Claimant::default(), operation());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "fanfold_target_attempts_total{target=\"tokyo\",kind=\"forward\",result=\"answered\"} 1",
        "fanfold_target_waiting{target=\"tokyo\",kind=\"undo\"} 1",
        "fanfold_target_held{target=\"tokyo\"} 1",
        "fanfold_target_attempt_duration_seconds_count{target=\"tokyo\",kind=\"forward\",result=\"answered\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
