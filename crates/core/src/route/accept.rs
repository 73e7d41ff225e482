//! Acceptance: from a route and a request to a frozen plan, or to a refusal that records nothing.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;

use super::handling::OperationRoute;
use super::headers::{self, forwarded, recorded};
use super::request::{CompiledRequest, Parts, uri};
use super::scope::{Accepted, Scope};
use super::select::{Selected, refusal, waves};
use super::template::Template;
use crate::message::Headers;
use crate::plan::{Front, Lock, Plan, StepPlan};
use crate::refusal::Refusal;
use crate::{Body, Content, OperationId, Request, Slot};

/// The longest lock key and idempotency key that a template may give, in octets.
pub const KEY_BYTES_MAX: usize = 1024;

/// A request that a route fits, as it came.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The method.
    pub method: Method,
    /// The raw path.
    pub path: String,
    /// The raw query, as the client sent it.
    pub query: Option<String>,
    /// The raw query without the dialect's own parameters: what targets get.
    pub target_query: Option<String>,
    /// All header fields, names in lower case.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
    /// What the route's pattern captured.
    pub captures: BTreeMap<String, String>,
}

/// What is given to a request at acceptance.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The id of the operation.
    pub operation: OperationId,
    /// The id of the resource to be created, where the dialect asks for one.
    pub resource_id: Option<String>,
    /// What the dialect read from the request.
    pub attributes: BTreeMap<String, String>,
    /// When it is accepted; a route's delay counts from here.
    pub at: Timestamp,
    /// When it shall start, where the client says so; goes before the route's delay.
    pub start_at: Option<Timestamp>,
}

/// What acceptance works out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The plan, with every message in its original form.
    pub plan: Plan,
    /// The idempotency key that the route's `dedupe` gives; an empty one counts as none.
    pub dedupe: Option<String>,
}

impl OperationRoute {
    /// Works out the plan of an operation. Where it fails, nothing is to be recorded.
    pub fn plan(&self, incoming: Incoming, issued: Issued) -> Result<Planned, Refusal> {
        let headers = recorded(&incoming.headers, &self.forward_headers);
        let values =
            Values { route: self, incoming: &incoming, issued: &issued, headers: &headers, scope: OnceCell::new() };
        let targets = self.selector.select(|| values.scope(), &self.directory, self.targets_max)?;
        let lock = match &self.lock {
            None => None,
            Some((template, on_locked)) => {
                let key = values.key("the lock key", template)?;
                if key.is_empty() {
                    return Err(Refusal::BadValue { detail: "the lock key is empty".to_owned() });
                }
                Some(Lock { key, on_locked: *on_locked })
            }
        };
        let dedupe = self.dedupe.as_ref().map(|template| values.key("the idempotency key", template)).transpose()?;
        let steps = values.steps(targets)?;
        let delayed = self.delay.map(|delay| issued.at.checked_add(delay).unwrap_or(Timestamp::MAX));
        let plan = Plan {
            route: self.name.clone(),
            front: Front { dialect: self.dialect, mount: self.mount.clone(), attributes: issued.attributes },
            verb: self.verb,
            resource: incoming.path.clone(),
            resource_id: issued.resource_id,
            request: Request {
                uri: uri(&incoming.path, incoming.query.as_deref()),
                method: incoming.method,
                headers,
                body: Body::inline(incoming.body),
                sealed: false,
            },
            captures: incoming.captures,
            lock,
            // A time that has passed means at once.
            start_at: issued.start_at.or(delayed).filter(|start_at| *start_at > issued.at),
            retry_of: None,
            first: None,
            fingerprint: None,
            policy: self.policy.clone(),
            steps,
        };
        Ok(Planned { plan, dedupe: dedupe.filter(|key| !key.is_empty()) })
    }
}

/// One request while it is being planned. The values that templates see are gathered when the first template asks for them.
struct Values<'a> {
    route: &'a OperationRoute,
    incoming: &'a Incoming,
    issued: &'a Issued,
    headers: &'a Headers,
    scope: OnceCell<Scope>,
}

impl Values<'_> {
    fn scope(&self) -> &Scope {
        self.scope.get_or_init(|| {
            Scope::accepted(&Accepted {
                operation: self.issued.operation,
                resource_id: self.issued.resource_id.as_deref(),
                captures: &self.incoming.captures,
                method: &self.incoming.method,
                path: &self.incoming.path,
                query: self.incoming.query.as_deref(),
                headers: self.headers,
                body: &self.incoming.body,
            })
        })
    }

    fn key(&self, what: &str, template: &Template) -> Result<String, Refusal> {
        let rendered =
            if template.is_literal() { template.render(&Scope::default()) } else { template.render(self.scope()) };
        let key = rendered.map_err(|error| refusal(what, error))?;
        if key.len() > KEY_BYTES_MAX {
            return Err(Refusal::OutOfRange { detail: format!("{what} is longer than {KEY_BYTES_MAX} bytes") });
        }
        Ok(key)
    }

    fn steps(&self, targets: Vec<Selected>) -> Result<Vec<StepPlan>, Refusal> {
        let passed_on = forwarded(self.headers, &self.route.forward_headers);
        let waves = waves(&self.route.policy.order, targets.len());
        let steps = targets.into_iter().zip(waves).map(|(target, wave)| {
            let request = self.forward(&target, &passed_on)?;
            Ok(StepPlan { target: target.name, target_id: target.id, wave, request })
        });
        steps.collect()
    }

    /// The forward request to one target: the accepted one, with the parts replaced that the route has templates for.
    fn forward(&self, target: &Selected, passed_on: &Headers) -> Result<Request, Refusal> {
        let template = self.route.forward(&target.name);
        let parts = self.parts(template, target)?;
        let uri = uri(parts.path.as_deref().unwrap_or(&self.incoming.path), self.query(&parts));
        let mut headers = passed_on.clone();
        if parts.body.is_some() {
            // The client's coding was of its own body.
            headers.retain(|(name, _)| name != "content-encoding");
            let is_json = |(name, value): &(String, String)| name == "content-type" && headers::is_json(value);
            if parts.is_json && !headers.iter().any(is_json) {
                headers::set(&mut headers, "content-type", "application/json".to_owned());
            }
        }
        for (name, value) in parts.headers {
            headers::set(&mut headers, &name, value);
        }
        let body = match parts.body {
            Some(body) => Body::inline(body),
            None if self.incoming.body.is_empty() => Body::default(),
            None => Body(Content::Same(Slot::Request)),
        };
        Ok(Request {
            method: parts.method.unwrap_or_else(|| self.incoming.method.clone()),
            uri,
            headers,
            body,
            sealed: false,
        })
    }

    fn parts(&self, template: &CompiledRequest, target: &Selected) -> Result<Parts, Refusal> {
        let rendered = if template.needs_values() {
            template.render(&self.scope().with_target(&target.name, &target.id))
        } else {
            template.render(&Scope::default())
        };
        rendered.map_err(|bad| refusal(&format!("the {} of the request to `{}`", bad.part, target.name), bad.error))
    }

    /// The query of a forward request, unless its path has one already.
    fn query<'p>(&'p self, parts: &'p Parts) -> Option<&'p str> {
        if parts.path.as_ref().is_some_and(|path| path.contains('?')) {
            return None;
        }
        match &parts.query {
            Some(query) => Some(query.as_str()).filter(|query| !query.is_empty()),
            None => self.incoming.target_query.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
