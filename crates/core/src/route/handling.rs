//! One route, ready to answer requests. How it is made from configuration is in [`super::compile`], how it is found in
//! [`super::table`], and how it plans an operation in [`super::accept`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::request::CompiledRequest;
use super::select::{Directory, Selector};
use super::template::Template;
use crate::plan::Policy;
use crate::plan::{DialectName, OnLocked, Verb};
use crate::{PolicyHash, TargetName};

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The wire format in which it answers.
    pub dialect: DialectName,
    /// The prefix of its mount; empty for the native API.
    pub mount: String,
    /// Its method.
    pub method: Method,
    /// Its pattern, as it stands in the configuration.
    pub pattern: String,
    /// What it does.
    pub handling: Handling,
}

/// What a route does with a request.
#[derive(Debug)]
pub enum Handling {
    /// Passes it through to this target.
    Pass(TargetName),
    /// Accepts it as an operation.
    Operation(Box<OperationRoute>),
}

/// A route that accepts operations.
#[derive(Debug)]
pub struct OperationRoute {
    pub(crate) name: String,
    pub(crate) dialect: DialectName,
    pub(crate) mount: String,
    pub(crate) verb: Verb,
    pub(crate) policy: Arc<Policy>,
    pub(crate) policy_hash: PolicyHash,
    pub(crate) directory: Arc<Directory>,
    pub(crate) selector: Selector,
    pub(crate) targets_max: usize,
    pub(crate) lock: Option<(Template, OnLocked)>,
    pub(crate) dedupe: Option<Template>,
    pub(crate) delay: Option<Duration>,
    pub(crate) forward_headers: Vec<String>,
    /// The forward request, where `on` has none for the target.
    pub(crate) request: CompiledRequest,
    pub(crate) on: BTreeMap<TargetName, CompiledRequest>,
}

impl OperationRoute {
    /// Its name, unique among the routes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dialect that its requests come in.
    pub fn dialect(&self) -> DialectName {
        self.dialect
    }

    /// The policy that its operations share.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The targets that its operations call, in configured order; where a request selects among them, all that it may select.
    pub fn targets(&self) -> Vec<&TargetName> {
        match &self.selector {
            Selector::Named(named) => named.iter().map(|target| &target.name).collect(),
            Selector::From(_) => self.policy.targets.keys().collect(),
        }
    }

    /// Whether each request selects its targets.
    pub fn is_selected_by_request(&self) -> bool {
        match &self.selector {
            Selector::Named(_) => false,
            Selector::From(_) => true,
        }
    }

    /// The hash of that policy.
    pub fn policy_hash(&self) -> &PolicyHash {
        &self.policy_hash
    }

    /// The template of the forward request to a target.
    pub(crate) fn forward(&self, target: &TargetName) -> &CompiledRequest {
        self.on.get(target).unwrap_or(&self.request)
    }
}
