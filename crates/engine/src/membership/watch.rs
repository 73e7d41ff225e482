//! Watching whether the other nodes beat. A node is silent that this one, looking all the time, has not seen beat for longer than
//! its lease can last. What this one could not see counts for nothing: after a gap in its own view it begins anew, so that a
//! database that was away makes nobody lose anything. No clocks of two machines are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfold_store::{Epoch, Node, Standing};

use crate::members::patience_with;

/// What was seen of the others. Times are of this machine's own clock, since boot.
#[derive(Debug)]
pub(super) struct Watch {
    /// The longest time between two looks that are one view.
    gap_max: Duration,
    looked: Option<Duration>,
    /// The latest beat of each, and since when that one is known.
    beats: BTreeMap<Epoch, (u64, Duration)>,
}

impl Watch {
    pub(super) fn new(gap_max: Duration) -> Self {
        Self { gap_max, looked: None, beats: BTreeMap::new() }
    }

    /// Takes in what was read between these two times; gives the members that are silent, with their last beats.
    pub(super) fn look(
        &mut self,
        nodes: &[Node],
        own: Epoch,
        asked: Duration,
        answered: Duration,
    ) -> Vec<(Epoch, u64)> {
        let is_one_view = self.looked.is_some_and(|looked| answered.saturating_sub(looked) <= self.gap_max);
        if !is_one_view {
            self.beats.clear();
        }
        // As early as it can have been read.
        self.looked = Some(asked);
        self.beats.retain(|epoch, _| nodes.iter().any(|node| node.epoch == *epoch));
        let others = nodes.iter().filter(|node| node.epoch != own && node.standing == Standing::Member);
        let mut silent = Vec::new();
        for node in others {
            // A new beat is as young as it can be.
            let seen = self.beats.entry(node.epoch).or_insert((node.beat, answered));
            if seen.0 != node.beat {
                *seen = (node.beat, answered);
            }
            if asked.saturating_sub(seen.1) >= patience_with(node.node.lease) {
                silent.push((node.epoch, node.beat));
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use fanfold_store::NewNode;
    use jiff::Timestamp;

    use super::*;

    fn node(epoch: u64, beat: u64) -> Node {
        let text = String::new;
        let (lease, joined_at) = (secs(10), Timestamp::UNIX_EPOCH);
        let node = NewNode { name: text(), configuration: text(), version: text(), lease, joined_at };
        Node { epoch: Epoch(epoch), node, beat, beat_at: Timestamp::UNIX_EPOCH, standing: Standing::Member }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Looks at each of these seconds, where the other node has beaten so often; gives when it was found silent.
    fn silent_at(looks: &[(u64, u64)]) -> Vec<u64> {
        let mut watch = Watch::new(secs(5));
        let found = |(second, beat): &(u64, u64)| {
            let silent = watch.look(&[node(1, 1), node(2, *beat)], Epoch(1), secs(*second), secs(*second));
            assert!(silent.iter().all(|silent| *silent == (Epoch(2), *beat)));
            (!silent.is_empty()).then_some(*second)
        };
        looks.iter().filter_map(found).collect()
    }

    #[test]
    fn each_node_is_left_alone_for_its_own_lease() {
        let mut patient = node(2, 1);
        patient.node.lease = secs(40);
        let mut watch = Watch::new(secs(20));
        let silent = [0, 20, 40, 44]
            .map(|second| watch.look(&[node(1, second), patient.clone()], Epoch(1), secs(second), secs(second)).len());
        assert_eq!(silent, [0, 0, 0, 1]);
    }

    #[test]
    fn who_does_not_beat_for_a_lease_is_silent() {
        let still: Vec<_> = (0..=5).map(|look| (look * 3, 7)).collect();
        assert_eq!(silent_at(&still), [12, 15]);
        let beaten_in_between = [(0, 7), (3, 7), (6, 8), (9, 8), (12, 8), (15, 8), (18, 8)];
        assert_eq!(silent_at(&beaten_in_between), [18]);
    }

    #[test]
    fn a_gap_in_the_view_begins_anew() {
        assert!(silent_at(&[(0, 7), (3, 7), (60, 7), (63, 7), (66, 7), (69, 7)]).is_empty());
        assert_eq!(silent_at(&[(0, 7), (60, 7), (64, 7), (68, 7), (72, 7)]), [72]);
        // A look whose answer took long is a gap as well.
        let mut watch = Watch::new(secs(5));
        assert!(watch.look(&[node(2, 7)], Epoch(1), secs(0), secs(0)).is_empty());
        assert!(watch.look(&[node(2, 7)], Epoch(1), secs(3), secs(60)).is_empty());
        assert!(watch.look(&[node(2, 7)], Epoch(1), secs(61), secs(61)).is_empty());
    }
}
