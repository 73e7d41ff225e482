//! Hearing what the other nodes have done: events for whoever follows an operation, holds, and questions to this node. It is
//! woken by words, and looks by itself every second, so that a lost word costs time and nothing else.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfold_store::{Answer, AskNumber, Asked, Error as StoreError, EventNumber, Word};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::hold;
use crate::members::Members;
use crate::shared::Shared;
use crate::{Error, tell};

/// How often it looks without being told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause after a look; words that come meanwhile are one.
const PAUSE: Duration = Duration::from_millis(20);

/// The time from news on until the dispatcher looks whether something of this node has become due by them.
const WAKE_AFTER: Duration = Duration::from_millis(100);

/// Questions that are worked on at once; the others wait in the store.
const ANSWERING_MAX: usize = 256;

/// How often an answer is tried to be recorded; who asked has gone away long before the last try.
const REPLY_TRIES: usize = 30;

/// The pause between two tries.
const REPLY_RETRY: Duration = Duration::from_secs(1);

/// Questions that are being worked on, each by one task.
#[derive(Default)]
struct Answering {
    tasks: JoinSet<()>,
    numbers: Arc<Mutex<HashSet<AskNumber>>>,
}

/// Runs until the engine has stopped.
pub(super) async fn run(shared: Arc<Shared>, members: Arc<Members>, latest: EventNumber) {
    let mut heard = Heard { upto: latest, wakes_at: None };
    let mut answering = Answering::default();
    let mut failing = false;
    loop {
        let looked = look(&shared, &members, &mut heard, &mut answering).await;
        match &looked {
            Err(error) if !failing => {
                tracing::error!(%error, "cannot look what other nodes have done; this is told once, until it can");
            }
            Err(_) | Ok(()) => {}
        }
        failing = looked.is_err();
        tokio::time::sleep(PAUSE).await;
        let until = Instant::now() + LOOK_EVERY;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                () = sleep_until(heard.wakes_at) => heard.wake(&shared),
                () = members.look.notified() => break,
                word = members.nodes.word() => {
                    members.note_heard();
                    match word {
                        Word::News => break,
                        Word::Lower(reference) => drop(shared.lowers.say(&reference)),
                    }
                }
                Some(ended) = answering.tasks.join_next() => report(ended),
            }
        }
    }
}

/// How far the news are known.
struct Heard {
    upto: EventNumber,
    /// When the dispatcher is woken because of them.
    wakes_at: Option<Instant>,
}

impl Heard {
    /// A lock may have been granted to an operation of this node. Others commit more often than that happens.
    fn wake(&mut self, shared: &Shared) {
        self.wakes_at = None;
        shared.wake_dispatcher();
    }
}

/// For ever where no time is given.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn look(
    shared: &Arc<Shared>,
    members: &Arc<Members>,
    heard: &mut Heard,
    answering: &mut Answering,
) -> Result<(), StoreError> {
    loop {
        let news = members.nodes.news(heard.upto).await?;
        heard.upto = news.upto;
        if !news.changed.is_empty() {
            shared.residents.note_changed(&news.changed);
            heard.wakes_at.get_or_insert_with(|| Instant::now() + WAKE_AFTER);
        }
        answering.begin(shared, members, news.asked);
        if !news.more {
            break;
        }
    }
    if members.has_others() {
        hold::follow_all(shared).await?;
    }
    Ok(())
}

impl Answering {
    fn begin(&mut self, shared: &Arc<Shared>, members: &Arc<Members>, asked: Vec<Asked>) {
        while let Some(ended) = self.tasks.try_join_next() {
            report(ended);
        }
        // Who stops leaves its questions to the adopter.
        if shared.is_stopping() {
            return;
        }
        for asked in asked {
            if self.tasks.len() >= ANSWERING_MAX {
                return;
            }
            if lock(&self.numbers).insert(asked.number) {
                let place = InHand { numbers: Arc::clone(&self.numbers), number: asked.number };
                self.tasks.spawn(answer(Arc::clone(shared), Arc::clone(members), asked, place));
            }
        }
    }
}

/// Gives the place of a question free when it is dropped.
struct InHand {
    numbers: Arc<Mutex<HashSet<AskNumber>>>,
    number: AskNumber,
}

impl Drop for InHand {
    fn drop(&mut self) {
        lock(&self.numbers).remove(&self.number);
    }
}

fn lock(numbers: &Mutex<HashSet<AskNumber>>) -> std::sync::MutexGuard<'_, HashSet<AskNumber>> {
    // A set has no half-way state.
    numbers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "answering another node met a mistake in the program");
    }
}

/// Takes the fact in and tells what became of it. If the answer is lost, the question is answered again: the store has it still.
async fn answer(shared: Arc<Shared>, members: Arc<Members>, asked: Asked, place: InHand) {
    let term = shared.lease.term();
    let told = tell::tell_here(&shared, asked.operation, asked.event).await;
    let answer = match told {
        Ok(_) => Answer::Taken,
        Err(Error::NotPossible(illegal)) => Answer::Illegal(illegal.state),
        // Left to the adopter.
        Err(Error::Stopping) => return,
        // The operation is another node's by now, and with it the question.
        Err(_) if shared.lease.is_over(term) => return,
        Err(Error::NotFound | Error::Busy | Error::NotAsked(_) | Error::Store(_)) => Answer::Busy,
    };
    for _ in 0..REPLY_TRIES {
        match members.nodes.reply(asked.number, answer.clone()).await {
            Ok(()) => {
                members.tell_news();
                break;
            }
            Err(error) => tracing::debug!(%error, "cannot record the answer to another node; trying again"),
        }
        tokio::time::sleep(REPLY_RETRY).await;
    }
    drop(place);
}
