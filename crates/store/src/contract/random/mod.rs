//! A comparison of random histories: the same random requests go to the reference model and to another store, and every
//! answer has to be the same, and from time to time everything that can be read. The other store is closed and opened
//! again in the middle. A seed gives the same history each time.

mod audit;
mod generator;
mod picture;
mod requests;
mod states;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fanfold_core::{PerTenant, TenantId};

use self::generator::Generator;
use self::picture::Picture;
use self::requests::{Kind, Request};
use crate::export::{self, Export};
use crate::model::Model;
use crate::{AuditFilter, Filter, Limits, ReadAll, Store};

/// The bounds for a comparison, small enough to be met by it. A store to be compared has to be opened with them.
pub fn limits() -> Limits {
    Limits {
        inline_max: 64,
        waiting_max: 60,
        tenant_waiting_max: PerTenant { otherwise: u64::MAX, own: [(TenantId::from("other"), 8)].into() },
        lock_queue_max: 4,
        // Always too large, so that the oldest go beyond `keep_min` whatever the stores count.
        size_soft: Some(0),
        size_hard: None,
        keep_min: Duration::from_secs(2_000),
        tokens_max: 12,
        tenant_tokens_max: 1,
        sessions_max: 3,
        tenant_sessions_max: 1,
        sessions_each_max: 2,
        audit_kept: Duration::from_secs(3_000),
    }
}

/// A store that can be compared.
#[async_trait]
pub trait Subject: Send {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// Closes it and opens it again.
    async fn reopen(&mut self);

    /// What [`exported`] gives of it, where it can be exported.
    async fn exported(&mut self) -> Option<String> {
        None
    }
}

/// Everything in a store as an export.
pub async fn exported(store: &dyn ReadAll) -> String {
    let mut text = String::new();
    for tenant in picture::tenants() {
        let mut lines = Export::new(store, Filter { tenant, ..Filter::default() });
        while let Some(line) = lines.next().await.unwrap() {
            text += std::str::from_utf8(&line).unwrap();
        }
    }
    let mut add = |lines: Vec<Vec<u8>>| text += std::str::from_utf8(&lines.concat()).unwrap();
    let (mut entry, mut token) = (None, None);
    loop {
        let (lines, last) = export::audit(store, &AuditFilter::default(), entry).await.unwrap();
        add(lines);
        if last.is_none() {
            break;
        }
        entry = last;
    }
    loop {
        let (lines, last) = export::tokens(store, None, token).await.unwrap();
        add(lines);
        if last.is_none() {
            break;
        }
        token = last;
    }
    text
}

/// How long a history is, and which.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Everything random comes from this number.
    pub seed: u64,
    /// Requests.
    pub steps: u32,
    /// After so many requests everything that can be read is compared, and the other store is opened again.
    pub picture_every: u32,
}

/// What a comparison went through.
#[derive(Debug)]
pub struct Report {
    /// The history.
    pub plan: Plan,
    /// How often each kind of request succeeded.
    pub succeeded: BTreeMap<Kind, u32>,
    /// How often one was refused with an error.
    pub refused: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} steps, {} refused", self.plan.seed, self.plan.steps, self.refused)?;
        self.succeeded.iter().try_for_each(|(kind, number)| writeln!(f, "{number:>7} {kind:?}"))
    }
}

/// Runs one history through the model and the other store.
///
/// # Panics
/// At the first difference, and if one kind of request never succeeded: then the history is too short to tell anything.
pub async fn compare(subject: &mut dyn Subject, plan: Plan) -> Report {
    let model = Model::new(limits());
    let mut generator = Generator::new(plan.seed);
    let mut report = Report { plan, succeeded: BTreeMap::new(), refused: 0 };
    for step in 1..=plan.steps {
        let request = Request::random(&mut generator, &model).await;
        let expected = request.send(&model).await;
        let found = request.send(&*subject.store()).await;
        assert_eq!(found.text, expected.text, "seed {}, step {step}: {request:?}", plan.seed);
        if let (Some(Kind::AcceptNew), Request::Accept(accepted)) = (expected.kind, &request) {
            generator.made_operation(accepted.operation.id);
        }
        match expected.kind {
            Some(kind) => *report.succeeded.entry(kind).or_default() += 1,
            None => report.refused += 1,
        }
        if step % plan.picture_every == 0 {
            let expected = Picture::take(&model, generator.operations()).await;
            Picture::take(&*subject.store(), generator.operations()).await.expect(&expected, plan.seed, step);
            if let Some(found) = subject.exported().await {
                assert!(found == exported(&model).await, "seed {}, step {step}: the exports differ", plan.seed);
            }
            subject.reopen().await;
            Picture::take(&*subject.store(), generator.operations()).await.expect(&expected, plan.seed, step);
        }
    }
    let missing: Vec<_> = Kind::ALL.into_iter().filter(|kind| !report.succeeded.contains_key(kind)).collect();
    assert!(missing.is_empty(), "never succeeded: {missing:?}\n{report}");
    report
}
