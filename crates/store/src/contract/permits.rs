//! Permits that nodes share.

use super::fixtures::at;
use super::nodes::{fence, joined, named};
use super::{Handle, HandleFactory};
use crate::{Error, Limits, PermitShare, PermitWish, Pool};

pub(super) async fn run(fresh: HandleFactory<'_>) {
    no_more_is_granted_than_there_are(fresh).await;
    the_permits_of_who_is_gone_are_free(fresh).await;
    one_permit_goes_round(fresh).await;
    limits_are_apart(fresh).await;
    only_a_node_has_permits(fresh).await;
}

fn wish(limit: usize, wants: usize, keeps: usize) -> PermitWish {
    PermitWish { target: "tokyo".into(), pool: Pool::Forward, limit, wants, keeps, passes: false }
}

/// What one wish gives: granted, due.
async fn told(handle: &Handle, wish: PermitWish) -> (usize, usize) {
    let share = share(handle, wish).await;
    (share.granted, share.due)
}

async fn share(handle: &Handle, wish: PermitWish) -> PermitShare {
    let mut shares = handle.nodes.share_permits(vec![wish]).await.unwrap();
    assert_eq!(shares.len(), 1);
    shares.remove(0)
}

async fn no_more_is_granted_than_there_are(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    assert_eq!(told(&a, wish(4, 0, 0)).await, (4, 4), "who is alone has all, wanted or not");
    assert_eq!(told(&b, wish(4, 9, 0)).await, (0, 4), "the other one has them still");
    assert_eq!(told(&a, wish(4, 3, 4)).await, (2, 2), "it is to give some back");
    assert_eq!(told(&b, wish(4, 9, 0)).await, (0, 2), "four are in use");
    assert_eq!(told(&a, wish(4, 3, 3)).await, (2, 2));
    assert_eq!(told(&b, wish(4, 9, 0)).await, (1, 2));
    assert_eq!(told(&a, wish(4, 2, 2)).await, (2, 2));
    assert_eq!(told(&b, wish(4, 9, 1)).await, (2, 2));
    assert_eq!(told(&a, wish(4, 0, 0)).await, (0, 0));
    assert_eq!(told(&b, wish(4, 9, 2)).await, (4, 4));
    // A lower limit takes nothing away that is in use, and is kept as soon as that ends.
    assert_eq!(told(&b, wish(1, 4, 4)).await, (1, 1));
    assert_eq!(told(&a, wish(1, 0, 0)).await, (0, 0));
    assert_eq!(told(&b, wish(1, 0, 0)).await, (1, 1));
    assert_eq!(told(&a, wish(usize::MAX, usize::MAX, 9)).await.1, usize::MAX);
}

async fn the_permits_of_who_is_gone_are_free(fresh: HandleFactory<'_>) {
    let [(a, _), (b, lost), (c, _)] = joined(fresh).await;
    assert_eq!(told(&b, wish(4, 4, 0)).await, (4, 4));
    assert_eq!(told(&a, wish(4, 4, 0)).await, (0, 2));
    fence(&a, lost).await;
    assert_eq!(b.nodes.share_permits(vec![wish(4, 4, 4)]).await, Err(Error::Fenced));
    assert_eq!(told(&a, wish(4, 4, 0)).await, (4, 4));
    a.nodes.adopt(at(3), 10).await.unwrap();
    // What it had before it has not under another epoch.
    b.nodes.join(named("again")).await.unwrap();
    assert_eq!(told(&b, wish(4, 4, 4)).await, (0, 2));
    a.nodes.leave().await.unwrap();
    assert_eq!(told(&c, wish(4, 4, 0)).await, (2, 2));
}

async fn one_permit_goes_round(fresh: HandleFactory<'_>) {
    let nodes: [_; 3] = joined(fresh).await;
    let handles = nodes.each_ref().map(|(handle, _)| handle);
    assert_eq!(told(handles[0], wish(1, 5, 0)).await, (1, 1));
    for handle in &handles[1..] {
        assert_eq!(told(handle, wish(1, 5, 0)).await, (0, 0));
    }
    for round in 0..6 {
        let [holder, next, last] = [0, 1, 2].map(|place| handles[(round + place) % 3]);
        let share = share(holder, wish(1, 5, 1)).await;
        assert!(share.by_turn && share.granted == 1, "{share:?}");
        let passed = PermitWish { passes: true, ..wish(1, 5, 1) };
        assert_eq!(told(holder, passed).await, (0, 0));
        assert_eq!(told(next, wish(1, 5, 0)).await, (0, 1), "it is in use still");
        assert_eq!(told(holder, wish(1, 5, 0)).await, (0, 0));
        assert_eq!(told(last, wish(1, 5, 0)).await, (0, 0), "it is not its turn");
        assert_eq!(told(next, wish(1, 5, 0)).await, (1, 1));
    }
}

async fn limits_are_apart(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let undo = |wants, keeps| PermitWish { pool: Pool::Undo, ..wish(2, wants, keeps) };
    let other = |wants| PermitWish { target: "osaka".into(), ..wish(3, wants, 0) };
    let shares = a.nodes.share_permits(vec![undo(2, 0), wish(4, 4, 0), other(1)]).await.unwrap();
    let expected = [("tokyo", Pool::Undo, 2), ("tokyo", Pool::Forward, 4), ("osaka", Pool::Forward, 3)];
    let given: Vec<_> = shares.iter().map(|share| (share.target.as_str(), share.pool, share.granted)).collect();
    assert_eq!(given, expected, "in the order of the wishes");
    assert_eq!(a.nodes.share_permits(vec![undo(0, 0)]).await.unwrap()[0].granted, 2);
    let shares = b.nodes.share_permits(vec![undo(2, 0), wish(4, 4, 0)]).await.unwrap();
    assert_eq!(shares.iter().map(|share| share.due).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(told(&a, undo(0, 0)).await, (0, 0));
    assert_eq!(told(&b, undo(2, 0)).await, (2, 2));
    assert_eq!(b.nodes.share_permits(Vec::new()).await, Ok(Vec::new()));
}

async fn only_a_node_has_permits(fresh: HandleFactory<'_>) {
    let handle = fresh(Limits::default(), 1).remove(0);
    assert_eq!(handle.nodes.share_permits(vec![wish(1, 1, 0)]).await, Err(Error::Fenced));
}
