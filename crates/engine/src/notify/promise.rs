//! What the configuration of a route had promised when an operation was accepted. It stands in the record, so that neither a
//! reload nor a restart can take it back (G10).

use fanfold_core::Plan;

use crate::config::{NoticeRules, RouteCallback};
use crate::receiver::SigningSecret;

/// Where the record keeps it, the address last. No client can set it: the attributes that dialects and header fields give have fixed names.
pub(super) const ATTRIBUTE: &str = "route_webhook";

/// That the route had no webhook.
const NOTHING: &str = "none";

/// What signs a webhook. The record names it; a secret is recorded nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignedBy {
    /// [`NoticeRules::secrets`].
    Common,
    /// The route's own.
    Route,
}

impl SignedBy {
    const ALL: [Self; 2] = [Self::Common, Self::Route];

    fn as_str(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Route => "route",
        }
    }
}

/// The webhook of an operation's route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise<'a> {
    /// There was none.
    Nothing,
    /// It goes to this address.
    Webhook { url: &'a str, signed_by: SignedBy },
    /// What the record says is not understood; another version wrote it.
    Unclear,
}

impl<'a> Promise<'a> {
    /// What the record says; `None` where it was written before promises were recorded.
    fn of(plan: &'a Plan) -> Option<Self> {
        let text = plan.front.attributes.get(ATTRIBUTE)?;
        if text == NOTHING {
            return Some(Self::Nothing);
        }
        let read = text.split_once(' ').and_then(|(word, url)| {
            let signed_by = SignedBy::ALL.into_iter().find(|signed_by| signed_by.as_str() == word)?;
            Some(Self::Webhook { url, signed_by })
        });
        Some(read.unwrap_or(Self::Unclear))
    }
}

/// Records what the route's configuration promises. A retry comes with what was promised to the operation that it retries, and
/// keeps that.
pub(crate) fn promise(callback: Option<&RouteCallback>, plan: &mut Plan) {
    let text = callback.map_or_else(
        || NOTHING.to_owned(),
        |callback| {
            let signed_by = if callback.secrets.is_empty() { SignedBy::Common } else { SignedBy::Route };
            format!("{} {}", signed_by.as_str(), callback.url.text())
        },
    );
    plan.front.attributes.entry(ATTRIBUTE.to_owned()).or_insert(text);
}

/// The address of the webhook that was promised. What was accepted before promises were recorded gets that of now.
pub(crate) fn promised(rules: &NoticeRules, plan: &Plan) -> Option<String> {
    match Promise::of(plan) {
        None => rules.callbacks.get(&plan.route).map(|callback| callback.url.text()),
        Some(Promise::Nothing) => None,
        Some(Promise::Webhook { url, signed_by: _ }) => Some(url.to_owned()),
        // It becomes a dead letter, which says so.
        Some(Promise::Unclear) => Some(String::new()),
    }
}

/// What the webhook of this operation's route is signed with, as of now; never with other secrets than the promised ones.
///
/// # Errors
/// What is to be configured.
pub(super) fn secrets<'a>(rules: &'a NoticeRules, plan: &Plan) -> Result<&'a [SigningSecret], String> {
    let route = &plan.route;
    match Promise::of(plan) {
        None => Ok(rules.secrets_of(route)),
        Some(Promise::Webhook { url: _, signed_by: SignedBy::Common }) => Ok(&rules.secrets),
        Some(Promise::Webhook { url: _, signed_by: SignedBy::Route }) => rules.own_secrets(route).ok_or_else(|| {
            format!(
                "it is to be signed with the route's own secrets, and there are none any more: configure a route \
                 {route:?} with `callback = {{ url = \"...\", secrets = [...] }}`, and replay the notice"
            )
        }),
        Some(Promise::Nothing | Promise::Unclear) => {
            Err(format!("the record does not say what signs it, in words that this version knows (`{ATTRIBUTE}`)"))
        }
    }
}
