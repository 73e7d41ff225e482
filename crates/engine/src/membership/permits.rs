//! Sharing the permits of targets with the other nodes, so that the limits of a target hold for all of them together. A node sends
//! no more at once than it was granted in the store, and gives back what is due to others as its attempts end.
//!
//! A node without others has everything, and asks for nothing once it does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_store::{Error, PermitShare, PermitWish, Pool, WISHES_MAX};
use tokio::time::Instant;

use crate::members::{Members, Term};
use crate::shared::Shared;
use crate::target::{Demand, Target};

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(250);

/// The same while others have still to give something back, or this node has.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// The pause after the store failed.
const RETRY: Duration = Duration::from_secs(1);

/// How long a node keeps a permit that it has by turn, before it lets others go first.
const TURN: Duration = Duration::from_secs(1);

/// Since when this node has a permit by turn, where it has one.
#[derive(Default)]
struct Turns(HashMap<(TargetName, Pool), Instant>);

/// Runs until the engine has stopped.
pub(super) async fn run(shared: Arc<Shared>, members: Arc<Members>) {
    let mut turns = Turns::default();
    let mut failing = false;
    loop {
        let term = shared.lease.term();
        let pause = match round(&shared, &members, term, &mut turns).await {
            Ok(pause) => {
                failing = false;
                pause
            }
            Err(Error::Fenced) => {
                shared.lease.end(term);
                RETRY
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(
                        %error,
                        "cannot share permits with the other nodes; this one goes on with those that it has; this is told once, until it can"
                    );
                }
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Says once what this node wants, and takes what it is given. Gives the pause before the next time.
async fn round(shared: &Shared, members: &Members, term: Term, turns: &mut Turns) -> Result<Duration, Error> {
    let asking: Vec<_> = shared.targets.all().into_iter().map(|target| (target.demand(), target)).collect();
    let has_all = asking.iter().flat_map(|(demand, _)| demand).all(|demand| !demand.is_short);
    if has_all && !members.has_others() {
        return Ok(PAUSE);
    }
    let mut is_moving = false;
    for asking in asking.chunks(WISHES_MAX / Pool::ALL.len()) {
        let wishes = asking.iter().flat_map(|(demand, target)| turns.wishes(target, demand)).collect();
        let shares = members.nodes.share_permits(wishes).await?;
        for ((demand, target), given) in asking.iter().zip(shares.chunks_exact(Pool::ALL.len())) {
            target.grant([given[0].granted, given[1].granted]);
            for (demand, share) in demand.iter().zip(given) {
                turns.note(share);
                is_moving |= share.granted < share.due || share.granted < demand.keeps;
            }
        }
    }
    if shared.lease.is_over(term) {
        // It was granted to a node that this one is not any more.
        shared.targets.share_all();
    }
    Ok(if is_moving { SHORT_PAUSE } else { PAUSE })
}

impl Turns {
    fn wishes(&self, target: &Target, demand: &[Demand; 2]) -> [PermitWish; 2] {
        let [forward, undo] = demand;
        [(Pool::Forward, forward), (Pool::Undo, undo)].map(|(pool, demand)| {
            let target = target.name().clone();
            let Demand { limit, wants, keeps, is_short: _ } = *demand;
            let since = self.0.get(&(target.clone(), pool));
            let passes = since.is_some_and(|since| since.elapsed() >= TURN);
            PermitWish { target, pool, limit, wants, keeps, passes }
        })
    }

    fn note(&mut self, share: &PermitShare) {
        let of = (share.target.clone(), share.pool);
        if share.by_turn && share.granted == share.due {
            self.0.entry(of).or_insert_with(Instant::now);
        } else {
            self.0.remove(&of);
        }
    }
}
