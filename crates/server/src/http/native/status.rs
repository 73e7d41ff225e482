//! How the server is.

use std::collections::BTreeMap;

use fanfold_core::operation::Status;
use fanfold_store::{Counts, Node, Standing};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::json;
use super::query::Query;
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::system::trouble_in_words;
use crate::http::visit::Visit;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServerStatus")]
pub(super) struct StatusForm {
    version: &'static str,
    started_at: Timestamp,
    /// Whether nothing new is accepted.
    draining: bool,
    /// Whether, moreover, nothing is under way any more.
    drained: bool,
    /// Operations that were found forgotten, as of the latest look. Left out for callers of other tenants than the house's own,
    /// like all that is about the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    overdue: Option<u64>,
    /// Operations in memory: those that are being carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<usize>,
    /// The caller's operations by status, those that have ended and are still kept included. Left out for a caller who does not
    /// see all of their tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<BTreeMap<&'static str, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreForm>,
    /// The servers that share the store; left out where only one can have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<NodeForm>>,
}

/// One of the servers that share a store.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Node")]
pub(super) struct NodeForm {
    name: String,
    /// Tells its lives apart.
    epoch: u64,
    /// Whether it is the one that answers.
    this: bool,
    /// `member`, `left` or `fenced`.
    #[schemars(extend("enum" = ["member", "left", "fenced"]))]
    standing: &'static str,
    version: String,
    /// A hash of mounts, targets and routes.
    configuration: String,
    joined_at: Timestamp,
    /// By its own clock.
    beat_at: Timestamp,
}

fn nodes(shared: &Shared) -> Option<Vec<NodeForm>> {
    let (own, nodes) = shared.engine.nodes()?;
    let form = |node: Node| NodeForm {
        this: node.epoch == own,
        epoch: node.epoch.0,
        standing: match node.standing {
            Standing::Member => "member",
            Standing::Left => "left",
            Standing::Fenced => "fenced",
        },
        name: node.node.name,
        version: node.node.version,
        configuration: node.node.configuration,
        joined_at: node.node.joined_at,
        beat_at: node.beat_at,
    };
    Some(nodes.into_iter().map(form).collect())
}

/// In octets.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StoreSize")]
pub(super) struct StoreForm {
    used_bytes: u64,
    free_bytes: u64,
    log_bytes: u64,
    soft_bound_bytes: Option<u64>,
    hard_bound_bytes: Option<u64>,
    /// Why nothing can be written at the moment.
    trouble: Option<&'static str>,
}

/// `GET /status`
pub(super) async fn show(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let caller = &visit.caller;
    let of_the_house = caller.access.is_of_the_house();
    let operations = match caller.sees_all() {
        true => Some(shared.store.counts(Some(&caller.access.tenant)).await?),
        false => None,
    };
    let size = if of_the_house { Some(shared.store.size().await?) } else { None };
    let count = |counts: &Counts, status: Status| (status.as_str(), counts.get(&status).copied().unwrap_or(0));
    Ok(json(&StatusForm {
        version: env!("CARGO_PKG_VERSION"),
        started_at: shared.started_at,
        draining: shared.engine.is_draining(),
        drained: shared.engine.is_drained(),
        overdue: of_the_house.then(|| shared.engine.metrics().operations_overdue()),
        running: of_the_house.then(|| shared.engine.running()),
        operations: operations.map(|counts| Status::ALL.into_iter().map(|status| count(&counts, status)).collect()),
        store: size.map(|size| StoreForm {
            used_bytes: size.used,
            free_bytes: size.free,
            log_bytes: size.log,
            soft_bound_bytes: size.soft,
            hard_bound_bytes: size.hard,
            trouble: shared.store.trouble().as_ref().map(trouble_in_words),
        }),
        nodes: if of_the_house { nodes(shared) } else { None },
    }))
}
