//! Acceptance: a request that a route fits becomes a durable operation, or a refusal that records nothing.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::{Accepting, Mount, Refusal};
use fanfold_core::plan::Plan;
use fanfold_core::route::{CALLBACK, Incoming, Issued, OperationRoute, seal};
use fanfold_core::{Headers, Operation, OperationId, TenantId};
use fanfold_store::{Acceptance, Accepted, Error as StoreError, IdempotencyKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use crate::Engine;
use crate::dispatch;
use crate::doubts::Claim;
use crate::execute::{TRACE_ATTRIBUTE, sealed_form};
use crate::notify::{CALLBACK_ATTRIBUTE, allowed_callback};
use crate::receiver::WebhookUrl;

/// The longest idempotency key of a client, in octets.
const IDEMPOTENCY_KEY_MAX: usize = 255;

/// When a client is told to try again that is refused because there is too much to do, or the server is stopping.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long a request waits for the canceling of an operation that has its key.
const CANCELING_PATIENCE: Duration = Duration::from_secs(5);

/// How far ahead a client may schedule an operation.
const START_AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A request that a route accepts.
#[derive(Debug)]
pub struct AcceptRequest<'a> {
    /// Whose operation it becomes.
    pub tenant: TenantId,
    /// The mount that the route lies under.
    pub mount: &'a Mount,
    /// The route.
    pub route: &'a OperationRoute,
    /// The request; `target_query` is filled in here.
    pub incoming: Incoming,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct AcceptOutcome {
    /// The operation, which is recorded and synced.
    pub operation: Arc<Operation>,
    /// Whether it had been accepted before, by a request with the same idempotency key.
    pub repeated: bool,
}

impl Engine {
    /// Makes a durable operation of a request. Returns only after it is on disk (G1).
    ///
    /// # Errors
    /// Why it was not accepted; nothing is recorded then, unless the refusal says that it may have been.
    pub async fn accept(&self, request: AcceptRequest<'_>) -> Result<AcceptOutcome, Refusal> {
        let shared = &self.shared;
        // Counted from here on, so that it is not called drained before this is answered.
        let let_in = shared.drain.let_in().filter(|_| !shared.is_stopping());
        if let_in.is_none() {
            let detail = "the server accepts no operations at the moment: it is draining or about to stop".to_owned();
            return Err(Refusal::Unavailable { detail, retry_after: RETRY_AFTER });
        }
        let now = shared.clock.now();
        let AcceptRequest { tenant, mount, route, mut incoming } = request;
        let given = own_headers(&incoming.headers, now)?;
        let read =
            mount.wire().accept(&Accepting { query: incoming.query.as_deref(), captures: &incoming.captures })?;
        if let Some(to) = read.notify.filter(|to| !shared.notices.load().permit(None, *to)) {
            let detail = format!("{to} may not be notified; `[notices] allow` lists what may");
            return Err(Refusal::BadValue { detail });
        }
        incoming.target_query = read.query;
        let mut attributes = read.attributes;
        if let Some(callback) = self.callback(&mut incoming.headers).await? {
            attributes.insert(CALLBACK_ATTRIBUTE.to_owned(), callback.text());
        }
        attributes.extend(given.trace.map(|trace| (TRACE_ATTRIBUTE.to_owned(), trace)));
        let id = self.new_id();
        let issued = Issued {
            operation: id,
            resource_id: read.issues_resource_id.then(|| self.new_uuid()),
            attributes,
            at: now,
            start_at: given.start_at,
        };
        let fingerprint = fingerprint(&shared.config.fingerprint_key, &incoming);
        let planned = route.plan(incoming, issued)?;
        let key = given.key.or(planned.dedupe);
        let idempotency = key.map(|key| IdempotencyKey { key, fingerprint });
        let operation = (id, tenant, planned.plan);
        let outcome = self.record(mount, operation, idempotency, now).await?;
        if !outcome.repeated {
            shared.metrics.accepted(&outcome.operation);
        }
        Ok(outcome)
    }

    async fn record(
        &self,
        mount: &Mount,
        (id, tenant, plan): (OperationId, TenantId, Plan),
        idempotency: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<AcceptOutcome, Refusal> {
        let shared = &self.shared;
        let (plan, originals) = seal(plan);
        let sealed = originals.iter().map(|(slot, original)| (*slot, sealed_form(original))).collect();
        let operation = Operation::accepted(id, tenant, Arc::new(plan), now);
        let lock_key = operation.plan.lock.as_ref().map(|lock| lock.key.clone());
        let start_at = operation.plan.start_at;
        let acceptance = Acceptance {
            sealed,
            idempotency,
            lane: dispatch::lane(&operation.plan),
            owner: mount.wire().owner(&operation).map(str::to_owned),
            wake_at: Some(start_at.unwrap_or(now)),
            events: Vec::new(),
            operation,
        };
        match self.ask_store(acceptance).await? {
            Accepted::New { operation, lock: _ } => {
                shared.residents.note_recorded();
                let operation = Arc::new(*operation);
                if start_at.is_none() {
                    dispatch::take_up(shared, Arc::clone(&operation));
                } else {
                    shared.wake_dispatcher();
                }
                Ok(AcceptOutcome { operation, repeated: false })
            }
            Accepted::Same(id) => {
                let operation = self.operation(id).await.map_err(|error| {
                    tracing::error!(operation.id = %id, %error, "cannot read an operation whose request came again");
                    let detail = "the request was accepted before, but its operation cannot be read at the moment";
                    Refusal::StoreUnreachable { detail: detail.to_owned() }
                })?;
                let gone =
                    || Refusal::StoreFailing { detail: format!("operation {id} was deleted just now; try again") };
                Ok(AcceptOutcome { operation: operation.ok_or_else(gone)?, repeated: true })
            }
            Accepted::KeyReused => Err(Refusal::KeyReused),
            Accepted::Locked { .. } => Err(Refusal::Locked { key: lock_key.unwrap_or_default(), waiting: None }),
            Accepted::LockQueueFull { waiting } => {
                Err(Refusal::Locked { key: lock_key.unwrap_or_default(), waiting: Some(waiting) })
            }
            Accepted::TooManyWaiting => {
                let detail = "as many operations as allowed have not ended yet".to_owned();
                Err(Refusal::Unavailable { detail, retry_after: RETRY_AFTER })
            }
        }
    }

    /// Asks the store to record an operation; again where the key belongs to one that is being canceled just now, because its
    /// own acceptance could not be answered.
    async fn ask_store(&self, acceptance: Acceptance) -> Result<Accepted, Refusal> {
        let shared = &self.shared;
        if acceptance.idempotency.is_none() {
            return self.ask_once(acceptance).await;
        }
        let give_up = tokio::time::Instant::now() + CANCELING_PATIENCE;
        loop {
            let mut settled = shared.doubts.settled();
            let accepted = self.ask_once(acceptance.clone()).await?;
            let Accepted::Same(id) = accepted else { return Ok(accepted) };
            let claim = shared.doubts.claim(id);
            // It may have been canceled between the store's answer and now; then the answer is out of date.
            let is_out_of_date = claim == Claim::Known && settled.has_changed().unwrap_or(false);
            match claim {
                Claim::Known if is_out_of_date && tokio::time::Instant::now() < give_up => {}
                Claim::Known => return Ok(accepted),
                Claim::Accepted => {
                    shared.wake_dispatcher();
                    return Ok(accepted);
                }
                Claim::Canceling if tokio::time::timeout_at(give_up, settled.changed()).await.is_err() => {
                    let detail = "the request may have been accepted before, which is being taken back; try again";
                    return Err(Refusal::StoreUnreachable { detail: detail.to_owned() });
                }
                Claim::Canceling => {}
            }
        }
    }

    async fn ask_once(&self, acceptance: Acceptance) -> Result<Accepted, Refusal> {
        let shared = &self.shared;
        let Some(asking) = shared.doubts.ask(acceptance.operation.id) else {
            let detail = "the store has left too many requests without an answer".to_owned();
            return Err(Refusal::Unavailable { detail, retry_after: RETRY_AFTER });
        };
        match shared.store.accept(acceptance).await {
            Ok(accepted) => {
                if shared.set_store_in_trouble(false) {
                    tracing::info!("the store takes operations again");
                }
                Ok(accepted)
            }
            Err(error) => {
                if error.may_have_committed() && !asking.lost() {
                    // The same request came again meanwhile, and was told that it is accepted.
                    shared.wake_dispatcher();
                }
                if !shared.set_store_in_trouble(true) {
                    tracing::error!(%error, "the store does not take operations; this is told once, until it does again");
                }
                Err(store_refusal(&error))
            }
        }
    }

    /// Who is to be told in a webhook, where the client asks for one. What stays among its headers is what may be shown.
    async fn callback(&self, headers: &mut Headers) -> Result<Option<WebhookUrl>, Refusal> {
        let given: Vec<&str> =
            headers.iter().filter(|(name, _)| name == CALLBACK).map(|(_, value)| value.as_str()).collect();
        let text = match given.as_slice() {
            [] => return Ok(None),
            [text] => (*text).to_owned(),
            _ => return Err(Refusal::BadValue { detail: "Fanfold-Callback-Url is given more than once".to_owned() }),
        };
        let callback = allowed_callback(&self.shared, &text).await?;
        for (_, value) in headers.iter_mut().filter(|(name, _)| name == CALLBACK) {
            *value = callback.public();
        }
        Ok(Some(callback))
    }

    /// The id of an operation accepted now. Ids are in the order in which they are given, also if the clock is set back.
    fn new_id(&self) -> OperationId {
        let mut random = [0; 10];
        self.shared.clock.fill(&mut random);
        self.shared.in_order(OperationId::new(self.shared.steady_now(), random))
    }

    /// A random UUID (RFC 9562, version 4), for resources.
    fn new_uuid(&self) -> String {
        let mut random = [0; 16];
        self.shared.clock.fill(&mut random);
        uuid::Builder::from_random_bytes(random).into_uuid().to_string()
    }
}

/// What the client says in Fanfold's own header fields.
#[derive(Debug, Default)]
struct Given {
    key: Option<String>,
    start_at: Option<Timestamp>,
    trace: Option<String>,
}

fn own_headers(headers: &Headers, now: Timestamp) -> Result<Given, Refusal> {
    let value = |name: &str| fanfold_core::message::header(headers, name);
    let key = value("idempotency-key").map(idempotency_key).transpose()?;
    let start_at = value("fanfold-start-at").map(|text| start_at(text, now)).transpose()?;
    let trace = value("traceparent").filter(|trace| crate::execute::trace_of(trace).is_some());
    Ok(Given { key, start_at, trace: trace.map(str::to_owned) })
}

/// The key as a structured string (`"abc"`) or bare.
fn idempotency_key(value: &str) -> Result<String, Refusal> {
    let value = value.trim();
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    if bare.is_empty() {
        return Err(Refusal::BadValue { detail: "Idempotency-Key is empty".to_owned() });
    }
    if bare.len() > IDEMPOTENCY_KEY_MAX {
        let detail = format!("Idempotency-Key is longer than {IDEMPOTENCY_KEY_MAX} bytes");
        return Err(Refusal::OutOfRange { detail });
    }
    Ok(bare.to_owned())
}

fn start_at(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let at: Timestamp = text.trim().parse().map_err(|_| Refusal::BadValue {
        detail: "Fanfold-Start-At is not a time as in RFC 3339, for instance 2026-12-01T04:00:00Z".to_owned(),
    })?;
    let latest = now.checked_add(START_AHEAD_MAX).unwrap_or(Timestamp::MAX);
    if at > latest {
        return Err(Refusal::OutOfRange { detail: "Fanfold-Start-At is more than 366 days ahead".to_owned() });
    }
    Ok(at)
}

/// An HMAC over what makes a request the same one: method, path, query without the dialect's parameters, content type, body.
fn fingerprint(key: &[u8; 32], incoming: &Incoming) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    let content_type = fanfold_core::message::header(&incoming.headers, "content-type").unwrap_or_default();
    let query = incoming.target_query.as_deref().unwrap_or_default();
    for part in [incoming.method.as_str(), &incoming.path, query, content_type] {
        // The length keeps parts from running into each other.
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.update(&incoming.body);
    mac.finalize().into_bytes().into()
}

/// The store's error in the words of the refusal table.
fn store_refusal(error: &StoreError) -> Refusal {
    let hint = if error.may_have_committed() { "; the request may have been accepted all the same" } else { "" };
    match error {
        StoreError::Unavailable { .. } | StoreError::Locked { .. } => {
            Refusal::StoreUnreachable { detail: format!("the store is not available at the moment{hint}") }
        }
        StoreError::Full { may_have_committed: false, .. } => {
            Refusal::Unavailable { detail: "the store is full".to_owned(), retry_after: RETRY_AFTER }
        }
        _ => Refusal::StoreFailing { detail: format!("the store cannot record the request{hint}") },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn keys_are_bare_or_structured_strings() {
        assert_eq!(idempotency_key("abc").unwrap(), "abc");
        assert_eq!(idempotency_key("\"abc\"").unwrap(), "abc");
        assert!(matches!(idempotency_key("\"\""), Err(Refusal::BadValue { .. })));
        assert!(matches!(idempotency_key(&"k".repeat(256)), Err(Refusal::OutOfRange { .. })));
    }

    #[test]
    fn a_start_must_be_a_time_and_not_too_far_ahead() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(start_at("2026-01-02T00:00:00Z", now).unwrap(), "2026-01-02T00:00:00Z".parse().unwrap());
        assert!(matches!(start_at("tomorrow", now), Err(Refusal::BadValue { .. })));
        assert!(matches!(start_at("2030-01-02T00:00:00Z", now), Err(Refusal::OutOfRange { .. })));
    }

    #[test]
    fn a_full_store_asks_to_come_back_unless_it_may_have_accepted() {
        let full = |may_have_committed| StoreError::Full { detail: "no room".to_owned(), may_have_committed };
        assert!(matches!(store_refusal(&full(false)), Refusal::Unavailable { .. }));
        let Refusal::StoreFailing { detail } = store_refusal(&full(true)) else { panic!("it is ambiguous") };
        assert!(detail.contains("may have been accepted"), "{detail}");
    }

    #[test]
    fn fingerprints_tell_requests_apart() {
        let incoming = |path: &str, query: &str, body: &'static str| Incoming {
            method: http::Method::POST,
            path: path.to_owned(),
            query: None,
            target_query: Some(query.to_owned()),
            headers: Headers::new(),
            body: Bytes::from_static(body.as_bytes()),
            captures: std::collections::BTreeMap::new(),
        };
        let one = fingerprint(&[1; 32], &incoming("/a", "b", "c"));
        assert_eq!(one, fingerprint(&[1; 32], &incoming("/a", "b", "c")));
        for other in [incoming("/ab", "", "c"), incoming("/a", "", "bc"), incoming("/a", "b", "d")] {
            assert_ne!(one, fingerprint(&[1; 32], &other));
        }
        assert_ne!(one, fingerprint(&[2; 32], &incoming("/a", "b", "c")));
    }
}
