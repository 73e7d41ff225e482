//! How a lower controller tells of the ends of its operations: on time, twice, late, too early, never; and what strangers make up.

use std::sync::Arc;
use std::time::Duration;

use fanfold_testkit::{Http, Reply};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::lower::Lower;
use super::oracle::Breach;
use super::world::{Errand, Later, World};

/// How long the 202 is held back where the notification goes before it.
const EARLY: Duration = Duration::from_millis(30);

/// How long after the end a late one goes.
const LATE: Duration = Duration::from_millis(600);

/// How one operation is announced.
#[derive(Debug)]
pub(super) struct Announcing {
    manner: Manner,
    end: Duration,
    forged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    OnTime,
    Twice,
    Late,
    Lost,
    /// Before the answer that accepts it.
    Early,
}

impl Announcing {
    pub(super) fn drawn(world: &World) -> Self {
        if !world.has_faults() {
            return Self { manner: Manner::OnTime, end: Duration::from_millis(20), forged: false };
        }
        let (manner, end) = match world.draw(10) {
            0 => (Manner::Early, 0),
            1 | 2 => (Manner::Lost, 150),
            3 | 4 => (Manner::Twice, 200),
            5 => (Manner::Late, 200),
            _ => (Manner::OnTime, 250),
        };
        let end = Duration::from_millis(world.draw(end + 1) as u64);
        Self { manner, end, forged: world.draw(4) == 0 }
    }

    pub(super) fn ends_at(&self) -> Instant {
        Instant::now() + self.end
    }

    /// Plans what is sent to `to`, and gives the reply that accepts the operation.
    pub(super) fn announce(&self, world: &World, lower: &Lower, id: &str, to: String, reply: Reply) -> Reply {
        if self.forged {
            let forgery = |id: &str, known| Errand {
                to: to.clone(),
                id: id.to_owned(),
                body: lower.forgery(id),
                known,
                kind: "forged",
            };
            world.at(self.end / 2, Later::Notify(forgery(id, true)));
            world.at(
                self.end / 2,
                Later::Notify(Errand { kind: "of_nobody", ..forgery(&format!("{id}-of-nobody"), false) }),
            );
            let nonsense = Errand { body: json!("nonsense"), kind: "nonsense", ..forgery(id, true) };
            world.at(self.end / 2, Later::Notify(nonsense));
        }
        let Some(body) = lower.notification(id) else { return reply };
        let told =
            |kind| Later::Notify(Errand { to: to.clone(), id: id.to_owned(), body: body.clone(), known: true, kind });
        match self.manner {
            Manner::OnTime => world.at(self.end, told("on_time")),
            Manner::Twice => {
                world.at(self.end, told("twice"));
                world.at(self.end, told("twice"));
            }
            Manner::Late => world.at(self.end + LATE, told("late")),
            Manner::Lost => world.count("callback", "lost"),
            Manner::Early => {
                world.at(Duration::ZERO, told("early"));
                return reply.after(&world.latch(EARLY));
            }
        }
        reply
    }
}

/// Carries notifications to the server, one after the other.
pub(super) async fn carry(world: Arc<World>, mut errands: mpsc::UnboundedReceiver<Errand>) {
    while let Some(Errand { to, id, body, known, kind }) = errands.recv().await {
        let http = Http::new(&to).with("content-type", "application/json");
        let path = format!("/v1/operations/{id}");
        // A server that is not there loses it.
        let Ok(answer) = http.try_request("PUT", &path, body.to_string().as_bytes()).await else {
            world.count("callback", "lost");
            continue;
        };
        world.count("callback", kind);
        // A node cannot know what another one follows, and that there is none.
        let may_be_known = known || world.on_postgres;
        if !matches!((answer.status, may_be_known), (200, true) | (404 | 500.., _)) {
            world.blame(Breach::WrongAnswer, format!("a {kind} notification of {id} was answered {}", answer.status));
        }
    }
}
