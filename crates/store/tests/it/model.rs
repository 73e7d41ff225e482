//! The reference model keeps the contract too: else it would be the wrong thing to compare with.

use std::sync::Arc;

use fanfold_store::contract::{self, Factory, Handle, HandleFactory};
use fanfold_store::model::Model;

const FRESH: Factory<'static> = &|limits| Arc::new(Model::new(limits));

#[tokio::test(flavor = "multi_thread")]
async fn the_model_keeps_the_contract() {
    contract::run_all(FRESH).await;
}

const HANDLES: HandleFactory<'static> = &|limits, count| {
    let first = Model::new(limits);
    let others = (1..count).map(|_| first.handle()).collect::<Vec<_>>();
    std::iter::once(first)
        .chain(others)
        .map(Arc::new)
        .map(|model| Handle { store: Arc::<Model>::clone(&model), nodes: model })
        .collect()
};

#[tokio::test(flavor = "multi_thread")]
async fn the_model_keeps_the_contract_of_nodes() {
    contract::nodes(HANDLES).await;
}
