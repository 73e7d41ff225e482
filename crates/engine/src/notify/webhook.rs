//! Webhooks: who gets one, what it says, and what is signed. The rules of Standard Webhooks, around a CloudEvent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fanfold_core::dialect::native::{CLOUD_EVENT_JSON, CloudEvent};
use fanfold_core::dialect::{Mount, Refusal, Settings, View};
use fanfold_core::operation::End;
use fanfold_core::plan::DialectName;
use fanfold_core::{Headers, OperationId, Slot};
use fanfold_store::{NewNotice, NoticeId};
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use super::promise::promised;
use crate::config::NoticeRules;
use crate::receiver::{Host, SigningSecret, WebhookUrl, signatures};
use crate::shared::Shared;

/// Where the record keeps the address that a client gave.
pub(crate) const CALLBACK_ATTRIBUTE: &str = "callback_url";

/// How long finding the host of an address that a client gives may take, the wait for a place among other look-ups included.
const RESOLVE_MAX: Duration = Duration::from_secs(3);

/// How long an acceptance waits for such a place: where it takes longer, the look-ups under way are stuck.
const PLACE_WAIT_MAX: Duration = Duration::from_millis(500);

/// When a client is to try again whose host could not be looked up for now.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The kind of a webhook that the configuration of a route asks for.
const OF_ROUTE: &str = "webhook";

/// The kind of a webhook that a client asks for.
const OF_CALLER: &str = "callback";

/// Who asked for a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A client, in the words of its dialect.
    Dialect,
    /// The configuration of a route.
    OfRoute,
    /// A client, with [`fanfold_core::route::CALLBACK`].
    OfCaller,
}

impl Kind {
    /// Where the original of its address is sealed, if the address has a secret in it.
    pub(super) fn slot(self) -> Option<Slot> {
        match self {
            Self::Dialect => None,
            Self::OfRoute => Some(Slot::Webhook),
            Self::OfCaller => Some(Slot::Callback),
        }
    }

    /// Reads the word in which it is recorded. What is not known is not sent: it might have to be signed.
    pub(super) fn of(notice: &NewNotice) -> Result<Self, String> {
        match notice.kind.as_str() {
            OF_ROUTE => Ok(Self::OfRoute),
            OF_CALLER => Ok(Self::OfCaller),
            word if DialectName::ALL.iter().any(|dialect| dialect.as_str() == word) => Ok(Self::Dialect),
            word => Err(format!("this version knows no notices of the kind {word:?}")),
        }
    }
}

/// Reads the address in which a client wants to be told, and checks that it may be.
pub(crate) async fn allowed_callback(shared: &Shared, text: &str) -> Result<WebhookUrl, Refusal> {
    let url: WebhookUrl = text.trim().parse().map_err(|error| bad(format!("{error}")))?;
    let rules = shared.notices.load();
    if rules.secrets.is_empty() {
        let detail = "cannot be used: the server has nothing to sign webhooks with; `[notices] secrets` sets it";
        return Err(bad(detail.to_owned()));
    }
    // Nobody makes the server ask for names that cannot be allowed, whatever they stand for.
    if url.name().is_none_or(|name| rules.may_permit(name, url.port())) {
        let found = found(shared, &url).await?;
        if found.iter().any(|to| rules.permit(url.name(), *to)) {
            return Ok(url);
        }
    }
    // Which addresses a name has inside is nothing for callers to learn.
    let detail = format!("names {}, which may not be notified; `[notices] allow` lists what may", url.receiver());
    Err(bad(detail))
}

fn bad(detail: String) -> Refusal {
    Refusal::BadValue { detail: format!("Fanfold-Callback-Url {detail}") }
}

/// The addresses of the host of an address that a client gives, at least one.
async fn found(shared: &Shared, url: &WebhookUrl) -> Result<Vec<SocketAddr>, Refusal> {
    let name = match url.host() {
        Host::Address(ip) => return Ok(vec![SocketAddr::new(*ip, url.port())]),
        Host::Name(name) => name,
    };
    let not_now = |why: String| Refusal::Unavailable {
        detail: format!("the host of Fanfold-Callback-Url cannot be looked up now: {why}"),
        retry_after: RETRY_AFTER,
    };
    let until = Instant::now() + RESOLVE_MAX;
    let place = timeout(PLACE_WAIT_MAX, shared.lookups_for_acceptance.place()).await;
    let place = place.map_err(|_| not_now("too many look-ups are under way".to_owned()))?;
    match timeout_at(until, place.look_up(name, url.port())).await {
        Ok(Ok(found)) if found.is_empty() => Err(bad(format!("cannot be used: {name} has no address"))),
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(bad(format!("cannot be used: {name} cannot be resolved: {error}")))
        }
        Ok(Err(error)) => Err(not_now(error.to_string())),
        Err(_) => Err(not_now(format!("it was not found within {RESOLVE_MAX:?}"))),
    }
}

/// The webhooks of an operation whose end is decided and composed.
pub(crate) fn webhooks(
    rules: &NoticeRules,
    view: View<'_>,
    end: &End,
    mut new_id: impl FnMut() -> OperationId,
) -> Vec<NewNotice> {
    let plan = &view.operation.plan;
    let by_route = promised(rules, plan).map(|url| (OF_ROUTE, url));
    let by_caller = plan.front.attributes.get(CALLBACK_ATTRIBUTE).map(|url| (OF_CALLER, url.clone()));
    let settings = Settings { public_url: rules.public_url.clone(), ..Settings::default() };
    let mount = Mount { settings, ..Mount::new(DialectName::Native, "") };
    let notices = by_route.into_iter().chain(by_caller).map(|(kind, url)| {
        let id = new_id().to_string();
        NewNotice {
            kind: kind.to_owned(),
            method: "POST".to_owned(),
            receiver: receiver_of(&url),
            url,
            headers: vec![("content-type".to_owned(), CLOUD_EVENT_JSON.to_owned())],
            body: CloudEvent::of_end(&mount, view, end, &id).to_json().into(),
            id: NoticeId(id),
            due_at: end.at,
        }
    });
    notices.collect()
}

/// The receiver at this address. One that cannot be used is a dead letter in the end, and says so.
pub(crate) fn receiver_of(url: &str) -> String {
    url.parse().map_or_else(|_| "unknown".to_owned(), |url: WebhookUrl| url.receiver())
}

/// The fields that make a request a Standard Webhook, for a try at `now`.
pub(super) fn signed(secrets: &[SigningSecret], notice: &NewNotice, now: Timestamp) -> Result<Headers, String> {
    if secrets.is_empty() {
        return Err("there is nothing to sign it with: `[notices] secrets` is not set".to_owned());
    }
    let (id, timestamp) = (notice.id.to_string(), now.as_second());
    let signature = signatures(secrets, &id, timestamp, &notice.body);
    let fields = [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signature)];
    Ok(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_not_known_is_not_sent() {
        let notice = |kind: &str| NewNotice {
            id: NoticeId("n1".to_owned()),
            kind: kind.to_owned(),
            method: "POST".to_owned(),
            receiver: String::new(),
            url: String::new(),
            headers: Headers::new(),
            body: bytes::Bytes::new(),
            due_at: Timestamp::UNIX_EPOCH,
        };
        let kinds = ["webhook", "callback", "msf", "plas"].map(|kind| Kind::of(&notice(kind)).unwrap());
        assert_eq!(kinds, [Kind::OfRoute, Kind::OfCaller, Kind::Dialect, Kind::Dialect]);
        for kind in ["", "Webhook", "fax"] {
            let error = Kind::of(&notice(kind)).unwrap_err();
            assert!(error.contains(&format!("{kind:?}")), "{error}");
        }
    }
}
