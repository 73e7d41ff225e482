//! The reference model keeps the contract too: else it would be the wrong thing to compare with.

use std::sync::Arc;

use fanfold_store::contract::{self, Factory};
use fanfold_store::model::Model;

const FRESH: Factory<'static> = &|limits| Arc::new(Model::new(limits));

#[tokio::test(flavor = "multi_thread")]
async fn the_model_keeps_the_contract() {
    contract::run_all(FRESH).await;
}
