//! Operations as text to be kept, compared and read by other programs: one line of JSON for each, in the order of their ids,
//! with everything that a store has of it in its public form. Two stores of the same content give the same octets, whatever
//! they are: nothing here depends on how one keeps things, and the numbers of events, notes and notices are its content.
//!
//! Not here, since it is nobody's to be shown: originals of redacted messages, idempotency keys and fingerprints. The policy of
//! a plan is named by its hash: its templates are configuration, which is not redacted.
//!
//! The audit trail and tokens are lines of their own ([`audit`], [`tokens`]).

mod access;

use std::sync::Arc;

use fanfold_core::dialect::native::Content;
use fanfold_core::operation::Attention;
use fanfold_core::plan::{Policy, Redaction};
use fanfold_core::{Event, Headers, Operation, OperationId, Plan, PolicyHash, Slot};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use self::access::{audit, tokens};
use crate::{
    Closed, Error, EventNumber, Filing, Filter, LIST_MAX, LockPlace, Note, NoteFilter, Notice, NoticeFilter,
    NoticeState, Order, Page, ReadAll, Recorded,
};

/// The form of the lines. It changes whenever a program that reads them has to know.
pub const FORMAT: u32 = 1;

/// Operations that are read at once.
const PAGE: usize = 100;

/// Operations whose belongings are read at the same time: most of what that takes is waiting for answers.
const AT_ONCE: usize = 8;

/// Goes through the operations that a filter lets through, from the oldest on.
#[derive(Debug)]
pub struct Export<'a> {
    store: &'a dyn ReadAll,
    filter: Filter,
    after: Option<OperationId>,
    page: std::vec::IntoIter<Operation>,
    lines: std::vec::IntoIter<Vec<u8>>,
    is_last: bool,
    /// The policy that was hashed last: operations of a route follow each other.
    hashed: Option<(Arc<Policy>, PolicyHash)>,
}

impl<'a> Export<'a> {
    /// Begins with the first one.
    pub fn new(store: &'a dyn ReadAll, filter: Filter) -> Self {
        let (page, lines) = (Vec::new().into_iter(), Vec::new().into_iter());
        Self { store, filter, after: None, page, lines, is_last: false, hashed: None }
    }

    fn hash(&mut self, policy: &Arc<Policy>) -> PolicyHash {
        match &self.hashed {
            Some((last, hash)) if Arc::ptr_eq(last, policy) => hash.clone(),
            Some(_) | None => self.hashed.insert((Arc::clone(policy), policy.hash())).1.clone(),
        }
    }

    /// The line of the next operation, its line feed included; `None` after the last. In memory are a page of records, and eight
    /// operations with all that belongs to them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(line));
            }
            let operations: Vec<Operation> = self.page.by_ref().take(AT_ONCE).collect();
            if !operations.is_empty() {
                let policies: Vec<PolicyHash> =
                    operations.iter().map(|operation| self.hash(&operation.plan.policy)).collect();
                let lines =
                    operations.iter().zip(policies).map(|(operation, policy)| line(self.store, operation, policy));
                // In a store that goes on meanwhile some may have been deleted since the page was read.
                self.lines = try_join_all(lines).await?.into_iter().flatten().collect::<Vec<_>>().into_iter();
                continue;
            }
            if self.is_last {
                return Ok(None);
            }
            let page = Page { order: Order::OldestFirst, after: self.after, limit: PAGE };
            let read = self.store.list(&self.filter, page).await?;
            self.is_last = read.len() < PAGE;
            self.after = read.last().map(|operation| operation.id).or(self.after);
            self.page = read.into_iter();
        }
    }
}

impl std::fmt::Debug for dyn ReadAll + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadAll")
    }
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    format: u32,
    id: OperationId,
    operation: &'a Operation,
    policy: PolicyHash,
    plan: Plan,
    lane: String,
    owner: Option<String>,
    has_idempotency_key: bool,
    wake_at: Option<Timestamp>,
    /// 0: it holds its lock; a position in the lock's queue; null: it has none.
    lock: Option<u64>,
    #[serde(serialize_with = "as_map")]
    bodies: Vec<(Slot, Option<Content>)>,
    events: Vec<EventForm>,
    notes: Vec<NoteForm>,
    notices: Vec<NoticeForm>,
}

#[derive(Serialize)]
struct EventForm {
    number: u64,
    sequence: u64,
    at: Timestamp,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize)]
struct NoteForm {
    id: u64,
    #[serde(flatten)]
    attention: Attention,
    opened_at: Timestamp,
    closed: Option<ClosedForm>,
}

#[derive(Serialize)]
struct ClosedForm {
    at: Timestamp,
    by: String,
    remark: Option<String>,
}

#[derive(Serialize)]
struct NoticeForm {
    number: u64,
    id: String,
    kind: String,
    state: &'static str,
    method: String,
    url: String,
    receiver: String,
    headers: Headers,
    body: Option<Content>,
    attempts: u32,
    last_error: Option<String>,
    created_at: Timestamp,
    due_at: Option<Timestamp>,
    settled_at: Option<Timestamp>,
}

async fn line(store: &dyn ReadAll, operation: &Operation, policy: PolicyHash) -> Result<Option<Vec<u8>>, Error> {
    let id = operation.id;
    let Some(Filing { lane, owner, has_idempotency_key, wake_at }) = store.filing(id).await? else { return Ok(None) };
    let lock = store.lock_place(id).await?.map(|place| match place {
        LockPlace::Holder => 0,
        LockPlace::Waiting { position } => position,
    });
    let line = Line {
        format: FORMAT,
        id,
        operation,
        policy,
        plan: public_plan(&operation.plan),
        lane,
        owner,
        has_idempotency_key,
        wake_at,
        lock,
        bodies: bodies(store, operation).await?,
        events: events(store, id).await?,
        notes: notes(store, operation).await?,
        notices: notices(store, operation).await?,
    };
    line_of(&line).map(Some)
}

fn line_of(form: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec(form)
        .map_err(|error| Error::corrupt(format!("what was read cannot be written as JSON: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

/// Addresses to notify stand whole in the record, since they are needed; what is shown of them is redacted.
fn public_plan(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for value in plan.front.attributes.values_mut().filter(|value| value.contains("://")) {
        *value = Redaction::standard().address(value);
    }
    plan.fingerprint = None;
    plan
}

/// The bodies that stand apart from the record, in the order of their slots.
async fn bodies(store: &dyn ReadAll, operation: &Operation) -> Result<Vec<(Slot, Option<Content>)>, Error> {
    let before = operation.indexed_steps().filter(|(_, _, step)| step.before.is_some());
    let mut slots: Vec<Slot> =
        operation.bodies_apart().chain(before.map(|(index, _, _)| Slot::Before(index))).collect();
    slots.sort_unstable();
    let mut bodies = Vec::new();
    for slot in slots {
        if let Some(octets) = store.body(operation.id, slot).await? {
            bodies.push((slot, Content::of(&octets)));
        }
    }
    Ok(bodies)
}

fn as_map<S: Serializer>(bodies: &[(Slot, Option<Content>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(bodies.iter().map(|(slot, body)| (slot, body)))
}

async fn events(store: &dyn ReadAll, id: OperationId) -> Result<Vec<EventForm>, Error> {
    let mut forms: Vec<EventForm> = Vec::new();
    loop {
        let after = EventNumber(forms.last().map_or(0, |form| form.number));
        let read = store.history(id, after, LIST_MAX).await?;
        let is_last = read.len() < LIST_MAX;
        forms.extend(read.into_iter().map(EventForm::of));
        if is_last {
            return Ok(forms);
        }
    }
}

async fn notes(store: &dyn ReadAll, operation: &Operation) -> Result<Vec<NoteForm>, Error> {
    let filter =
        NoteFilter { tenant: operation.tenant.clone(), operation: Some(operation.id), ..NoteFilter::default() };
    let mut forms = Vec::new();
    let mut after = None;
    loop {
        let read = store.notes(&filter, Page { order: Order::OldestFirst, after, limit: LIST_MAX }).await?;
        let is_last = read.len() < LIST_MAX;
        after = read.last().map(|note| note.id).or(after);
        forms.extend(read.into_iter().map(NoteForm::of));
        if is_last {
            return Ok(forms);
        }
    }
}

async fn notices(store: &dyn ReadAll, operation: &Operation) -> Result<Vec<NoticeForm>, Error> {
    let filter =
        NoticeFilter { tenant: operation.tenant.clone(), operation: Some(operation.id), ..NoticeFilter::default() };
    let mut forms = Vec::new();
    let mut after = None;
    loop {
        let read = store.notices(&filter, Page { order: Order::OldestFirst, after, limit: LIST_MAX }).await?;
        let is_last = read.len() < LIST_MAX;
        after = read.last().map(|notice| notice.number).or(after);
        forms.extend(read.into_iter().map(NoticeForm::of));
        if is_last {
            return Ok(forms);
        }
    }
}

impl EventForm {
    fn of(recorded: Recorded) -> Self {
        let Recorded { number, sequence, operation: _, at, event } = recorded;
        Self { number: number.0, sequence, at, event }
    }
}

impl NoteForm {
    fn of(note: Note) -> Self {
        let closed = note.closed.map(|Closed { at, by, remark }| ClosedForm { at, by, remark });
        Self { id: note.id.0, attention: note.attention, opened_at: note.opened_at, closed }
    }
}

impl NoticeForm {
    fn of(notice: Notice) -> Self {
        let Notice { notice: sent, number, created_at, state, attempts, last_error, settled_at, .. } = notice;
        Self {
            number,
            id: sent.id.0,
            kind: sent.kind,
            state: state.as_str(),
            method: sent.method,
            url: Redaction::standard().address(&sent.url),
            receiver: sent.receiver,
            headers: sent.headers,
            body: Content::of(&sent.body),
            attempts,
            last_error,
            created_at,
            due_at: (state == NoticeState::Pending).then_some(sent.due_at),
            settled_at,
        }
    }
}
