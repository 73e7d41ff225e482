//! Telling an operation something: a request of a person, mostly. Where it is in memory it is told there; where other nodes share
//! the store, whoever owns it is asked.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::{Event, IllegalEvent, Operation, OperationId};
use fanfold_store::{Answer, AskNumber};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::members::Members;
use crate::residents::Command;
use crate::shared::Shared;
use crate::{Error, dispatch};

/// How often a message to an operation is repeated that leaves the memory while it is sent.
const TELL_TRIES: usize = 16;

/// How long whoever tells an operation something waits for it to be recorded.
const TELL_PATIENCE: Duration = Duration::from_secs(30);

/// The same where the store is known to be in trouble: long enough to find out that it is over.
const TROUBLE_PATIENCE: Duration = Duration::from_secs(2);

/// How often an answer of another node is looked for, beside being told of changes.
const ANSWER_EVERY: Duration = Duration::from_millis(200);

/// How long an answer is still awaited once the operation has ended: its owner records what it was asked before it answers, so
/// the end may be what was asked for.
const ANSWER_AFTER_END: Duration = Duration::from_secs(2);

/// Records a fact about an operation, whichever node owns it.
pub(crate) async fn tell(shared: &Arc<Shared>, id: OperationId, event: Event) -> Result<Arc<Operation>, Error> {
    let until = Instant::now() + patience(shared);
    let Some(members) = &shared.members else { return tell_here_until(shared, id, event, until).await };
    if shared.residents.is_running(id) {
        match tell_here_until(shared, id, event.clone(), until).await {
            // It may have been taken over by another node meanwhile.
            Err(Error::Busy) if !shared.residents.is_running(id) && Instant::now() < until => {}
            told => return told,
        }
    }
    ask(shared, members, id, event, until).await
}

/// Records a fact about an operation that this node owns, which is taken into memory for it if need be.
pub(crate) async fn tell_here(shared: &Arc<Shared>, id: OperationId, event: Event) -> Result<Arc<Operation>, Error> {
    let until = Instant::now() + patience(shared);
    tell_here_until(shared, id, event, until).await
}

/// While the store does not record, the task of an operation takes nothing in.
fn patience(shared: &Shared) -> Duration {
    if shared.store.trouble().is_some() { TROUBLE_PATIENCE } else { TELL_PATIENCE }
}

fn out_of_patience(shared: &Shared) -> Error {
    shared.store.trouble().map_or(Error::Busy, |trouble| trouble.after_ambiguous_try().into())
}

async fn tell_here_until(
    shared: &Arc<Shared>,
    id: OperationId,
    event: Event,
    until: Instant,
) -> Result<Arc<Operation>, Error> {
    let told = tokio::time::timeout_at(until, try_to_tell(shared, id, event)).await;
    told.unwrap_or_else(|_| Err(out_of_patience(shared)))
}

async fn try_to_tell(shared: &Arc<Shared>, id: OperationId, event: Event) -> Result<Arc<Operation>, Error> {
    let term = shared.lease.term();
    // The operation may leave the memory just when it is told; then it is taken up again.
    for _ in 0..TELL_TRIES {
        let (reply, answer) = oneshot::channel();
        let command = Command { event: event.clone(), reply };
        if !deliver(shared, id, command).await? {
            continue;
        }
        match answer.await {
            Ok(Ok(operation)) => return Ok(operation),
            Ok(Err(illegal)) => return Err(Error::NotPossible(illegal)),
            // It left before it took this in, or the store did not record it: asking again is harmless.
            Err(_) if shared.is_stopping() => return Err(Error::Stopping),
            // It is not this node's any more.
            Err(_) if shared.lease.is_over(term) => return Err(Error::Busy),
            Err(_) => {}
        }
    }
    Err(Error::Busy)
}

/// Puts a message into the inbox of an operation. `false`: it left the memory, or came into it, in the same instant.
async fn deliver(shared: &Arc<Shared>, id: OperationId, command: Command) -> Result<bool, Error> {
    if let Some(inbox) = shared.residents.inbox(id) {
        return Ok(inbox.send(command).await.is_ok());
    }
    let term = shared.lease.term();
    let Some(operation) = shared.store.operation(id).await? else { return Err(Error::NotFound) };
    if operation.end().is_some() {
        return Err(ended(&operation, &command.event));
    }
    if shared.is_stopping() {
        return Err(Error::Stopping);
    }
    if shared.doubts.hold_back(id) {
        // It is about to be canceled, or to be accepted after all.
        return Err(Error::Busy);
    }
    Ok(dispatch::take_up_to_tell(shared, Arc::new(operation), term, command))
}

fn ended(operation: &Operation, event: &Event) -> Error {
    Error::NotPossible(IllegalEvent { event: event.in_words(), state: operation.in_words() })
}

/// Asks the owner, whoever that is: the question stands in the store, where an adopter finds it too.
async fn ask(
    shared: &Arc<Shared>,
    members: &Members,
    id: OperationId,
    event: Event,
    until: Instant,
) -> Result<Arc<Operation>, Error> {
    let operation = shared.store.operation(id).await?.ok_or(Error::NotFound)?;
    if operation.end().is_some() {
        return Err(ended(&operation, &event));
    }
    let number = members.nodes.ask(id, event.clone()).await?;
    // It may be this node that owns it.
    members.look();
    members.tell_news();
    let answer = match tokio::time::timeout_at(until, answered(shared, members, (id, number), &event)).await {
        Ok(answer) => answer?,
        Err(_) => match last_look(members, number).await? {
            Some(answer) => answer,
            None => return Err(out_of_patience(shared)),
        },
    };
    match answer {
        Answer::Taken => shared.store.operation(id).await?.map(Arc::new).ok_or(Error::NotFound),
        Answer::Illegal(state) => Err(Error::NotPossible(IllegalEvent { event: event.in_words(), state })),
        Answer::Busy => Err(Error::Busy),
    }
}

/// Waits for the answer.
async fn answered(
    shared: &Shared,
    members: &Members,
    (id, number): (OperationId, AskNumber),
    event: &Event,
) -> Result<Answer, Error> {
    let mut changes = shared.residents.follow(id);
    let mut ended_at = None;
    loop {
        if let Some(answer) = members.nodes.answer(number).await? {
            return Ok(answer);
        }
        // Nobody adopts an operation that has ended, so nobody would answer where its owner is lost.
        let operation = shared.store.operation(id).await?.ok_or(Error::NotFound)?;
        if operation.end().is_some()
            && ended_at.get_or_insert_with(Instant::now).elapsed() >= ANSWER_AFTER_END
            && members.nodes.take_back(number).await?
        {
            return Err(ended(&operation, event));
        }
        // Told of changes only; who has followed it to its end is not told any more.
        let changed = async {
            if changes.changed().await.is_err() {
                std::future::pending().await
            }
        };
        drop(tokio::time::timeout(ANSWER_EVERY, changed).await);
    }
}

/// Takes a question back that was not answered in time. What was answered just then is the answer all the same.
async fn last_look(members: &Members, number: AskNumber) -> Result<Option<Answer>, Error> {
    let look = async {
        match members.nodes.take_back(number).await? {
            true => Ok(None),
            false => members.nodes.answer(number).await,
        }
    };
    // The store may be what took so long.
    let looked = tokio::time::timeout(TROUBLE_PATIENCE, look).await;
    Ok(looked.unwrap_or(Ok(None))?)
}
