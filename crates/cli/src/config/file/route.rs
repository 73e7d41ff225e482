//! The tables about requests: `[[routes]]`.

use std::collections::BTreeMap;

use fanfold_engine::WebhookUrl;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::choice::{Dialect, OnFailure, OnLocked, OnUndoFailure, OnUnknown, Order, Verb};
use super::server::SecretText;
use super::target::{Retry, Timeouts};
use crate::config::value::{HeaderField, Pointer, RouteMatch, RouteName, Size, Span, Text};

/// `[[routes]]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// Its name in lists and metrics, unique. Default: made from `match`.
    pub(crate) name: Option<Text<RouteName>>,
    /// The wire format in which it answers. Default: "native"; of a pass-through route, that of the mount it lies below.
    pub(crate) dialect: Option<Dialect>,
    /// Method and path pattern: literal segments, {name} for one segment, {*name} for all that is left.
    #[serde(rename = "match")]
    #[schemars(required)]
    pub(crate) matches: Option<Text<RouteMatch>>,
    /// The target that answers at once: not an operation, and nothing is recorded.
    pub(crate) pass: Option<String>,
    /// The targets that are called, by name.
    #[schemars(length(min = 1))]
    pub(crate) targets: Option<Vec<String>>,
    /// Expression that gives the targets: a text, a number or a list, each a target's id, or else its name.
    pub(crate) targets_from: Option<String>,
    /// The most targets that one operation may have. Default: 64.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) targets_max: Option<u32>,
    /// What kind of change it is. Default: by the method.
    pub(crate) verb: Option<Verb>,
    /// Template of a lock: one running operation for each key, across routes.
    pub(crate) lock: Option<String>,
    /// What happens to a request whose lock is held. Default: "reject".
    pub(crate) on_locked: Option<OnLocked>,
    /// Template of an idempotency key for clients that cannot send one. A key that the client sends goes before it.
    pub(crate) dedupe: Option<String>,
    /// How long after acceptance the operation starts, where the client does not say when. Default: at once.
    #[schemars(extend("x-range" = ["0s", "365d"]))]
    pub(crate) delay: Option<Text<Span>>,
    /// Who is told of every end in a signed webhook: an address, or a table with secrets of its own.
    pub(crate) callback: Option<Callback>,
    /// Parts of the forward request that are not as the client sent them.
    pub(crate) request: Option<RequestParts>,
    /// What is different at single targets, by name.
    #[serde(default)]
    pub(crate) on: BTreeMap<String, OnTarget>,
    /// Request headers that are forwarded beside those that always are.
    #[serde(default)]
    pub(crate) forward_headers: Vec<Text<HeaderField>>,
    /// How a step is undone: a request, or "restore" to write back what was there before. Default: not at all, and a person is
    /// asked for where something succeeded that has to be undone.
    pub(crate) undo: Option<Undo>,
    /// How to find out whether a request was applied whose answer was lost.
    pub(crate) probe: Option<Probe>,
    /// Condition over the answer. Default: any 2xx.
    pub(crate) success: Option<String>,
    /// Whether the request may be sent again after it may have been applied. Default: PUT and DELETE only.
    pub(crate) repeatable: Option<bool>,
    /// In which order targets are called. Default: "parallel".
    pub(crate) order: Option<Order>,
    /// The sizes of waves, instead of `order`; what is left over is the last wave.
    #[schemars(length(min = 1), inner(range(min = 1, max = 10_000)))]
    pub(crate) waves: Option<Vec<u32>>,
    /// How many targets of a wave may not succeed and the next wave still start. Default: 0.
    #[schemars(range(min = 0, max = 10_000))]
    pub(crate) wave_failures: Option<u32>,
    /// How many targets must succeed: "all" or a number. Default: "all".
    pub(crate) require: Option<Require>,
    /// What follows a failure. Default: "rollback".
    pub(crate) on_failure: Option<OnFailure>,
    /// What follows an outcome that cannot be known. Default: "fail".
    pub(crate) on_unknown: Option<OnUnknown>,
    /// What follows an undo that failed for good. Default: "attention".
    pub(crate) on_undo_failure: Option<OnUndoFailure>,
    /// How long forward work may take from the operation's start. Default: 1 h.
    #[schemars(extend("x-range" = ["1s", "365d"]))]
    pub(crate) deadline: Option<Text<Span>>,
    /// The final response of a completed operation. Default: that of the target, or of the first one that succeeded.
    pub(crate) result: Option<ResultParts>,
    /// What is taken out of everything that is shown, beside what always is.
    pub(crate) redact: Option<Redact>,
    /// JSON pointers of values that are shown although their name looks like a secret's.
    #[serde(default)]
    pub(crate) reveal: Vec<Text<Pointer>>,
    /// How long an operation is kept after its end. Default: 30 d.
    #[schemars(extend("x-range" = ["24h", "36500d"]))]
    pub(crate) retention: Option<Text<Span>>,
    /// How long the parts of an attempt may take; goes before the target's.
    pub(crate) timeouts: Option<Timeouts>,
    /// How steps are tried again; goes before the target's.
    pub(crate) retry: Option<Retry>,
    /// How undos are tried again; goes before the target's.
    pub(crate) undo_retry: Option<Retry>,
    /// How much of an answer's body is read; goes before the target's.
    #[schemars(extend("x-range" = ["1KiB", "64MiB"]))]
    pub(crate) response_body_max: Option<Size>,
}

/// Who is told of every end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Callback {
    /// At this address, signed with what stands in `[notices]`.
    Url(Text<WebhookUrl>),
    /// With secrets of its own.
    Table(CallbackParts),
}

/// Who is told of every end, with secrets of its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallbackParts {
    /// The address.
    #[schemars(required)]
    pub(crate) url: Option<Text<WebhookUrl>>,
    /// What is signed with instead of what stands in `[notices]`.
    #[serde(default)]
    pub(crate) secrets: Vec<SecretText>,
}

/// `[routes.on.NAME]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnTarget {
    /// Parts of the forward request to this target; other parts are as on the route.
    pub(crate) request: Option<RequestParts>,
    /// How it is undone at this target.
    pub(crate) undo: Option<Undo>,
    /// How to find out whether it was applied at this target.
    pub(crate) probe: Option<Probe>,
}

/// A request whose parts are templates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestParts {
    /// The method.
    pub(crate) method: Option<Method>,
    /// Template of the path below the target's address.
    pub(crate) path: Option<String>,
    /// Template of the query, without "?".
    pub(crate) query: Option<String>,
    /// Templates of header values by name.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The body: text is one template, a table is JSON whose texts are templates.
    pub(crate) body: Option<Body>,
}

/// How a step is undone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Undo {
    /// By writing back what was there before.
    Restore(Restore),
    /// By a request.
    Request(Box<RequestParts>),
}

/// The word that asks for writing back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Restore {
    /// The only one.
    Restore,
}

/// How to find out whether a request was applied.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// Template of the path that is asked with GET.
    #[schemars(required)]
    pub(crate) path: Option<String>,
    /// Condition over its `response`: the request was applied.
    #[schemars(required)]
    pub(crate) applied: Option<String>,
}

/// The final response.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResultParts {
    /// The status code. Default: 200.
    #[schemars(range(min = 200, max = 599))]
    pub(crate) status: Option<u16>,
    /// The body, over targets.NAME.outcome and targets.NAME.response: text is one template, a table is JSON.
    pub(crate) body: Option<Body>,
}

/// What is taken out of everything that is shown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redact {
    /// Names of JSON members, form fields and query parameters; a longer name that contains one counts, too.
    #[serde(default)]
    pub(crate) keys: Vec<String>,
    /// Names of header fields.
    #[serde(default)]
    pub(crate) headers: Vec<Text<HeaderField>>,
    /// JSON pointers.
    #[serde(default)]
    pub(crate) pointers: Vec<Text<Pointer>>,
}

/// A body that is a template.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Body(pub(crate) Json);

/// The methods of requests that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// How many targets must succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Require {
    /// Every one.
    All(All),
    /// At least so many.
    AtLeast(#[schemars(range(min = 1, max = 10_000))] u32),
}

/// The word for every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum All {
    /// The only one.
    All,
}
