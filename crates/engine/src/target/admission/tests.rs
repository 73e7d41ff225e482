use std::time::Duration;

use fanfold_core::TargetName;
use futures_util::FutureExt as _;

use super::*;
use crate::target::Metrics;

fn allowance() -> Allowance {
    Allowance {
        max_in_flight: 2,
        undo_max_in_flight: 1,
        pass_waiting_max: 3,
        breaker: BreakerConfig { after: 2, retry_after: Duration::from_secs(10) },
    }
}

fn configured() -> Arc<Admission> {
    let admission = Admission::new(Metrics::default().gauges(&TargetName::from("tokyo")));
    admission.configure(Some(allowance()));
    admission
}

fn queue(admission: &Arc<Admission>, kind: PermitKind, rank: Rank) -> Ticket {
    admission.ticket(kind, &Claimant::default(), rank)
}

fn pass_ticket(admission: &Arc<Admission>) -> Option<Ticket> {
    admission.pass_ticket(&Claimant::default())
}

/// The permit that a ticket has got by now.
fn got(ticket: &mut Ticket) -> Option<Permit> {
    match ticket.turn().now_or_never() {
        Some(Turn::Go(permit)) => Some(permit),
        Some(Turn::Waits(_)) | None => None,
    }
}

fn get(admission: &Arc<Admission>, kind: PermitKind) -> Permit {
    got(&mut queue(admission, kind, Rank::default())).expect("a free permit")
}

fn open_breaker(admission: &Arc<Admission>) {
    for _ in 0..2 {
        get(admission, PermitKind::Forward).broke();
    }
    assert_eq!(admission.gate().0, Gate::Breaker);
}

#[tokio::test]
async fn operations_go_in_the_order_of_acceptance_whenever_they_arrive() {
    let admission = configured();
    admission.hold("maintenance".to_owned());
    let mut tickets: Vec<_> =
        [3, 1, 2].map(|rank| (rank, queue(&admission, PermitKind::Forward, [rank; 16]))).into_iter().collect();
    admission.configure(Some(Allowance { max_in_flight: 1, ..allowance() }));
    admission.release();
    let mut order = Vec::new();
    while let Some(index) = tickets.iter_mut().position(|(_, ticket)| got(ticket).is_some()) {
        order.push(tickets.remove(index).0);
    }
    assert_eq!(order, [1, 2, 3]);
}

#[tokio::test]
async fn permits_are_given_in_order_of_arrival() {
    let admission = configured();
    let first = get(&admission, PermitKind::Forward);
    let second = get(&admission, PermitKind::Forward);
    let mut third = queue(&admission, PermitKind::Forward, Rank::default());
    let mut fourth = queue(&admission, PermitKind::Forward, Rank::default());
    // The fourth asks first: asking does not change the order.
    assert!(got(&mut fourth).is_none() && got(&mut third).is_none());
    drop(first);
    assert!(got(&mut fourth).is_none());
    let third = got(&mut third).expect("its turn");
    drop((second, third));
    assert!(got(&mut fourth).is_some());
    assert_eq!(admission.snapshot().in_flight, [0; 3]);
}

#[tokio::test]
async fn undos_have_permits_of_their_own_and_go_first() {
    let admission = configured();
    let forward = [get(&admission, PermitKind::Forward), get(&admission, PermitKind::Forward)];
    let undo = get(&admission, PermitKind::Undo);
    let mut waiting = [PermitKind::Forward, PermitKind::Undo].map(|kind| queue(&admission, kind, Rank::default()));
    assert_eq!(admission.snapshot().waiting, [1, 1, 0]);
    drop(forward);
    assert!(got(&mut waiting[1]).is_none(), "an undo does not take a step's permit");
    assert!(got(&mut waiting[0]).is_some());
    drop(undo);
    assert!(got(&mut waiting[1]).is_some());

    admission.hold("maintenance".to_owned());
    let mut waiting = [PermitKind::Forward, PermitKind::Undo].map(|kind| queue(&admission, kind, Rank::default()));
    open_after_release(&admission);
    // With a single trial to give, it is the undo's.
    assert!(got(&mut waiting[1]).is_some());
    drop(waiting);
}

/// Releases the hold with the breaker about to let one attempt through.
fn open_after_release(admission: &Arc<Admission>) {
    admission.update(|state| {
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        for _ in 0..2 {
            state.breaker.broke(Pass::Plain, long_ago);
        }
        state.held = None;
    });
    assert_eq!(admission.snapshot().breaker, Position::HalfOpen);
    assert_eq!(admission.snapshot().waiting, [1, 0, 0]);
}

#[tokio::test]
async fn steps_and_passed_through_requests_take_turns() {
    let admission = configured();
    let held = [get(&admission, PermitKind::Forward), get(&admission, PermitKind::Forward)];
    let mut steps: Vec<_> = (0..3).map(|_| queue(&admission, PermitKind::Forward, Rank::default())).collect();
    let mut passes: Vec<_> = (0..3).map(|_| pass_ticket(&admission).expect("room in the queue")).collect();
    assert!(pass_ticket(&admission).is_none(), "the queue of passed-through requests is bounded");
    drop(held);
    for (step, pass) in steps.iter_mut().zip(&mut passes) {
        let pair = (got(step).expect("a step's turn"), got(pass).expect("a passed-through request's turn"));
        drop(pair);
    }
}

#[tokio::test]
async fn a_ticket_or_permit_that_is_dropped_gives_its_place_back() {
    let admission = configured();
    let permits = [get(&admission, PermitKind::Forward), get(&admission, PermitKind::Forward)];
    let gone = queue(&admission, PermitKind::Forward, Rank::default());
    let granted = queue(&admission, PermitKind::Forward, Rank::default());
    let mut last = queue(&admission, PermitKind::Forward, Rank::default());
    drop(gone);
    drop(permits);
    // Both of these were granted by now; the one that never looks must not keep its permit.
    let last_permit = got(&mut last).expect("its turn");
    drop(granted);
    drop(last_permit);
    assert_eq!(admission.snapshot().in_flight, [0; 3]);
    assert_eq!(admission.snapshot().waiting, [0; 3]);
}

#[tokio::test]
async fn a_wait_that_is_given_up_and_taken_up_again_keeps_its_place() {
    let admission = configured();
    let permits = [get(&admission, PermitKind::Forward), get(&admission, PermitKind::Forward)];
    let mut ticket = queue(&admission, PermitKind::Forward, Rank::default());
    for _ in 0..3 {
        assert!(ticket.turn().now_or_never().is_none());
    }
    let mut later = queue(&admission, PermitKind::Forward, Rank::default());
    let [one, other] = permits;
    drop(one);
    assert!(got(&mut later).is_none());
    assert!(got(&mut ticket).is_some());
    drop(other);
}

#[tokio::test]
async fn whoever_waits_is_told_what_for() {
    let admission = configured();
    let _permits = [get(&admission, PermitKind::Forward), get(&admission, PermitKind::Forward)];
    let mut ticket = queue(&admission, PermitKind::Forward, Rank::default());
    assert!(ticket.turn().now_or_never().is_none(), "a permit is what everybody expects to wait for");
    admission.hold("maintenance".to_owned());
    assert!(matches!(ticket.turn().await, Turn::Waits(Gate::Held)));
    assert!(ticket.turn().now_or_never().is_none(), "told once");
    assert_eq!(ticket.gate(), Gate::Held);
    admission.release();
    assert!(matches!(ticket.turn().await, Turn::Waits(Gate::Permit)));
    admission.configure(None);
    assert!(matches!(ticket.turn().await, Turn::Waits(Gate::Missing)));
}

#[tokio::test]
async fn what_waited_for_a_held_target_goes_on_in_order() {
    let admission = configured();
    admission.hold("maintenance".to_owned());
    let mut tickets: Vec<_> = (0..4).map(|_| queue(&admission, PermitKind::Forward, Rank::default())).collect();
    assert!(tickets.iter_mut().rev().all(|ticket| got(ticket).is_none()));
    admission.release();
    for ticket in &mut tickets {
        // The first turn may tell that the gate changed; the permit is there all the same.
        let permit = got(ticket).or_else(|| got(ticket)).expect("its turn");
        drop(permit);
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_lets_one_through_after_its_time_and_the_others_after_that_one_succeeded() {
    let admission = configured();
    open_breaker(&admission);
    let opened = Instant::now();
    let mut first = queue(&admission, PermitKind::Forward, Rank::default());
    let mut second = queue(&admission, PermitKind::Forward, Rank::default());
    assert!(matches!(first.turn().await, Turn::Waits(Gate::Breaker)));
    assert!(matches!(second.turn().await, Turn::Waits(Gate::Breaker)));
    let Turn::Go(mut trial) = first.turn().await else { panic!("the gate did not change") };
    assert_eq!(opened.elapsed().as_secs(), 10);
    assert!(second.turn().now_or_never().is_none());
    trial.answered();
    assert!(got(&mut second).is_some());
    assert_eq!(admission.gate().0, Gate::Permit);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_breaks_opens_the_breaker_again() {
    let admission = configured();
    open_breaker(&admission);
    let opened = Instant::now();
    for round in 1..=3 {
        let mut trial = queue(&admission, PermitKind::Forward, Rank::default()).permit().await;
        assert_eq!(opened.elapsed().as_secs(), 10 * round);
        trial.broke();
    }
    // One that is given up tells nothing: the next one tries at once.
    drop(queue(&admission, PermitKind::Forward, Rank::default()).permit().await);
    drop(queue(&admission, PermitKind::Forward, Rank::default()).permit().await);
    assert_eq!(opened.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_full_target_whose_breaker_has_had_its_time_waits_quietly_for_a_permit() {
    let admission = configured();
    let mut permits = [get(&admission, PermitKind::Forward), get(&admission, PermitKind::Forward)];
    for permit in &mut permits {
        permit.broke();
    }
    let mut ticket = queue(&admission, PermitKind::Forward, Rank::default());
    assert!(matches!(ticket.turn().await, Turn::Waits(Gate::Breaker)));
    // If it did not wait quietly, this would never end.
    assert!(tokio::time::timeout(Duration::from_secs(60), ticket.turn()).await.is_err());
    drop(permits);
    assert!(got(&mut ticket).is_some());
}

#[tokio::test]
async fn other_limits_take_effect_at_once_and_keep_the_queue() {
    let admission = configured();
    let permits = [get(&admission, PermitKind::Forward), get(&admission, PermitKind::Forward)];
    let mut ticket = queue(&admission, PermitKind::Forward, Rank::default());
    admission.configure(Some(Allowance { max_in_flight: 3, ..allowance() }));
    let third = got(&mut ticket).expect("there is room now");
    admission.configure(Some(Allowance { max_in_flight: 1, ..allowance() }));
    let mut ticket = queue(&admission, PermitKind::Forward, Rank::default());
    drop((permits, third));
    let only = got(&mut ticket).expect("none is in flight");
    assert!(got(&mut queue(&admission, PermitKind::Forward, Rank::default())).is_none());
    drop(only);
}

#[test]
fn a_share_holds_beside_the_limit() {
    let admission = configured();
    admission.share(Share::default());
    let mut waiting =
        [PermitKind::Forward, PermitKind::Pass, PermitKind::Undo].map(|kind| queue(&admission, kind, [1; 16]));
    assert!(waiting.iter_mut().all(|ticket| got(ticket).is_none()), "nothing was granted yet");
    let [forward, undo] = admission.demand();
    assert_eq!((forward.limit, forward.wants, forward.keeps, forward.is_short), (2, 2, 0, true));
    assert_eq!((undo.limit, undo.wants, undo.keeps, undo.is_short), (1, 1, 0, true));
    admission.share(Share { forward: 1, undo: 9 });
    let [step, mut pass, undo] = waiting;
    let sent: Vec<_> = [step, undo].iter_mut().map(|ticket| got(ticket).expect("it was granted")).collect();
    assert!(got(&mut pass).is_none());
    // What is taken away is not in use any more once what is on the wire has ended.
    admission.share(Share { forward: 0, undo: 0 });
    assert_eq!(admission.demand().map(|demand| demand.keeps), [1, 1]);
    drop(sent);
    assert_eq!(admission.demand().map(|demand| demand.keeps), [0, 0]);
    assert!(got(&mut pass).is_none());
    admission.share(Share { forward: 2, undo: 1 });
    assert!(got(&mut pass).is_some() && !admission.demand()[0].is_short);
    admission.hold("maintenance".to_owned());
    let _held = queue(&admission, PermitKind::Undo, [1; 16]);
    assert_eq!(admission.demand().map(|demand| demand.wants), [0, 0], "no permit would be of use");
}

#[tokio::test]
async fn one_of_another_tenant_goes_next_however_many_wait() {
    let admission = configured();
    admission.configure(Some(Allowance { max_in_flight: 1, ..allowance() }));
    let of = |tenant: &str| Claimant { tenant: tenant.into(), ..Claimant::default() };
    let held = get(&admission, PermitKind::Forward);
    // All of them were accepted before the one.
    let mut flood: Vec<_> =
        (1..=200).map(|rank| admission.ticket(PermitKind::Forward, &of("flood"), [rank; 16])).collect();
    drop(held);
    let first = got(&mut flood[0]).expect("nobody else waits");
    let mut other = admission.ticket(PermitKind::Forward, &of("other"), [250; 16]);
    assert!(got(&mut other).is_none());
    drop(first);
    let other = got(&mut other).expect("it goes next");
    assert!(flood[1..].iter_mut().all(|ticket| got(ticket).is_none()));
    drop(other);
    assert!(got(&mut flood[1]).is_some(), "and then the others go on in their order");
    drop(flood);
    assert_eq!((admission.snapshot().waiting, admission.snapshot().in_flight), ([0; 3], [0; 3]));
}

#[tokio::test]
async fn undos_and_passed_through_requests_take_turns_by_tenant_too() {
    let admission = configured();
    admission.configure(Some(Allowance { max_in_flight: 1, pass_waiting_max: 10, ..allowance() }));
    let of = |tenant: &str| Claimant { tenant: tenant.into(), ..Claimant::default() };
    let held = (get(&admission, PermitKind::Undo), get(&admission, PermitKind::Pass));
    let mut undos: Vec<_> = [("a", 1), ("a", 2), ("b", 3)]
        .map(|(tenant, rank)| admission.ticket(PermitKind::Undo, &of(tenant), [rank; 16]))
        .into();
    let mut passes: Vec<_> = ["a", "a", "b"].map(|tenant| admission.pass_ticket(&of(tenant)).expect("room")).into();
    drop(held);
    for tickets in [&mut undos, &mut passes] {
        let order: Vec<usize> = (0..3)
            .map(|_| tickets.iter_mut().position(|ticket| got(ticket).is_some()).expect("somebody's turn"))
            .collect();
        assert_eq!(order, [0, 2, 1]);
    }
}
