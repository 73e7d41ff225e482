//! What goes on at the moment, and what needs a look first.

use askama::Template;
use fanfold_core::Access;
use fanfold_core::operation::Status;
use fanfold_store::{Filter, NoteFilter, Order, Page};
use jiff::Timestamp;

use super::attention::NoteView;
use super::chart::Chart;
use super::form::Form;
use super::operations::Row;
use super::shell::{Place, Shell};
use super::targets::{TargetView, views};
use super::words::{bytes, number};
use super::{OK, page};
use crate::http::native::attention::notes;
use crate::http::outcome::{Response, Stop};
use crate::http::page::operations;
use crate::http::rates::{KEPT, Rate};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Entries of each short list.
const FEW: usize = 5;

#[derive(Template)]
#[template(path = "now.html")]
struct Now {
    shell: Shell,
    counts: Vec<Count>,
    charts: Vec<Chart>,
    minutes: usize,
    notes: Vec<NoteView>,
    oldest: Vec<Row>,
    failed: Vec<Row>,
    targets: Vec<TargetView>,
    facts: Vec<(&'static str, String)>,
    draining: bool,
    several: bool,
}

/// How many there are, and where they are listed.
struct Count {
    name: &'static str,
    number: String,
    path: String,
    tone: &'static str,
}

/// `GET /ui`
pub(super) async fn show(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let form = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let now = shared.clock.now();
    let shell = Shell::of(shared, &visit.caller, Place::Now, "Now").await;
    let Access { tenant, scope, .. } = visit.caller.access.clone();
    let open = NoteFilter { tenant: tenant.clone(), scope: scope.clone(), open: Some(true), ..NoteFilter::default() };
    let of = |status| Filter {
        tenant: tenant.clone(),
        scope: scope.clone(),
        statuses: [status].into(),
        ..Filter::default()
    };
    let oldest = Page { order: Order::OldestFirst, after: None, limit: FEW };
    let (notes, _) = notes(shared, &open, None, FEW).await?;
    let oldest = shared.store.list(&of(Status::Executing), oldest).await?;
    let row = |operation: &_| Row::of(operation, now);
    let (failed, _) = operations(&*shared.store, &of(Status::Failed), None, FEW, row).await?;
    // What goes on in all is nothing for other tenants, and how much goes on of theirs nothing for who sees only a part of it.
    let of_the_house = visit.caller.access.is_of_the_house();
    let rates = of_the_house.then(|| shared.rates.all());
    let page = Now {
        counts: if visit.caller.sees_all() { counts(shared, visit).await? } else { Vec::new() },
        charts: rates.map(|rates| vec![throughput(&rates), running(&rates)]).unwrap_or_default(),
        minutes: KEPT / 60,
        notes: notes.into_iter().map(|form| NoteView::of(form, now, &shell)).collect(),
        shell: shell.live("/ui/live", "/ui").having_done(form.one("done")),
        oldest: oldest.iter().map(|operation| Row::of(operation, now)).collect(),
        failed,
        targets: views(shared, &visit.caller, now).await?,
        facts: if of_the_house { facts(shared, now).await? } else { Vec::new() },
        draining: shared.engine.is_draining(),
        several: of_the_house && shared.engine.nodes().is_some(),
    };
    page::render(OK, &page)
}

async fn counts(shared: &Shared, visit: &Visit) -> Result<Vec<Count>, Stop> {
    let counts = shared.store.counts(Some(&visit.caller.access.tenant)).await?;
    let of = |status: Status| {
        let count = counts.get(&status).copied().unwrap_or(0);
        let tone = match status {
            Status::Failed if count > 0 => "bad",
            Status::Executing if count > 0 => "busy",
            Status::Unexecuted | Status::Executing | Status::Completed | Status::Failed | Status::Canceled => "plain",
        };
        Count { name: status.as_str(), number: number(count), path: format!("/ui/operations?status={status}"), tone }
    };
    Ok(Status::ALL.into_iter().map(of).collect())
}

fn throughput(rates: &[Rate]) -> Chart {
    let values = |pick: fn(&Rate) -> f64| rates.iter().map(pick).collect();
    let series = vec![
        ("accepted", "line-accepted", values(|rate| rate.accepted)),
        ("refused", "line-refused", values(|rate| rate.refused)),
        ("completed", "line-completed", values(|rate| rate.completed)),
        ("failed", "line-failed", values(|rate| rate.failed)),
        ("canceled", "line-canceled", values(|rate| rate.canceled)),
    ];
    Chart::new("Accepted and ended", "operations per second", KEPT, series)
}

fn running(rates: &[Rate]) -> Chart {
    let running = rates.iter().map(|rate| rate.running).collect();
    Chart::new("Running", "operations in memory", KEPT, vec![("running", "line-running", running)])
}

async fn facts(shared: &Shared, now: Timestamp) -> Result<Vec<(&'static str, String)>, Stop> {
    let size = shared.store.size().await?;
    let mut store = bytes(size.used);
    if let Some(hard) = size.hard {
        store = format!("{store} of {}", bytes(hard));
    }
    let mut facts = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("started", super::words::relative(shared.started_at, now)),
        ("store", store),
        ("overdue", number(shared.engine.metrics().operations_overdue())),
    ];
    if let Some((_, nodes)) = shared.engine.nodes() {
        let members = nodes.iter().filter(|node| node.standing == fanfold_store::Standing::Member).count();
        facts.push(("nodes", members.to_string()));
    }
    Ok(facts)
}
