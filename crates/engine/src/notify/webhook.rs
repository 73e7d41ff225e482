//! Webhooks: who gets one, what it says, and what is signed. The rules of Standard Webhooks, around a CloudEvent.

use std::time::Duration;

use fanfold_core::dialect::native::{CLOUD_EVENT_JSON, CloudEvent};
use fanfold_core::dialect::{Mount, Refusal, Settings, View};
use fanfold_core::operation::End;
use fanfold_core::plan::DialectName;
use fanfold_core::{Headers, OperationId};
use fanfold_store::{NewNotice, NoticeId};
use jiff::Timestamp;

use super::client;
use super::promise::promised;
use crate::config::NoticeRules;
use crate::receiver::{SigningSecret, WebhookUrl, signatures};
use crate::shared::Shared;

/// Where the record keeps the address that a client gave.
pub(crate) const CALLBACK_ATTRIBUTE: &str = "callback_url";

/// How long finding the host of an address that a client gives may take.
const RESOLVE_MAX: Duration = Duration::from_secs(3);

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
    let bad = |detail: String| Refusal::BadValue { detail: format!("Fanfold-Callback-Url {detail}") };
    let url: WebhookUrl = text.trim().parse().map_err(|error| bad(format!("{error}")))?;
    let rules = shared.notices.load();
    if rules.secrets.is_empty() {
        let detail = "cannot be used: the server has nothing to sign webhooks with; `[notices] secrets` sets it";
        return Err(bad(detail.to_owned()));
    }
    let found = client::addresses(&url, shared.config.resolver.as_ref());
    let found = match tokio::time::timeout(RESOLVE_MAX, found).await {
        Ok(found) => found.map_err(|error| bad(format!("cannot be used: {error}")))?,
        Err(_) => return Err(bad(format!("cannot be used: its host was not found within {RESOLVE_MAX:?}"))),
    };
    if found.iter().any(|to| rules.permit(url.name(), *to)) {
        return Ok(url);
    }
    // Which addresses a name has inside is nothing for callers to learn.
    let detail = format!("names {}, which may not be notified; `[notices] allow` lists what may", url.receiver());
    Err(bad(detail))
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
