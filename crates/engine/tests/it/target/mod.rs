//! Outbound HTTP against targets that answer politely, rudely or not at all.

mod forward;
mod reload;
mod send;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_engine::Claimant;
use fanfold_engine::target::{
    Broke, Metrics, Outgoing, PerKind, PermitKind, Received, Target, TargetConfig, TargetState, Targets, Turn,
};
use http::{HeaderMap, Method};

/// Long enough that it does not pass in a test that expects an answer.
const LONG: Duration = Duration::from_secs(30);

/// Short enough to wait for in a test that expects none.
const SHORT: Duration = Duration::from_millis(50);

fn config(name: &str, url: &str) -> TargetConfig {
    TargetConfig::new(name.into(), url.parse().unwrap())
}

fn targets(configs: Vec<TargetConfig>) -> Targets {
    let targets = Targets::new(Metrics::default());
    targets.replace(configs).unwrap();
    targets
}

/// One target, configured as usual.
fn target(url: &str) -> Arc<Target> {
    target_with(url, |_| {})
}

fn target_with(url: &str, change: impl FnOnce(&mut TargetConfig)) -> Arc<Target> {
    let mut config = config("tokyo", url);
    change(&mut config);
    targets(vec![config]).get(&"tokyo".into())
}

fn outgoing(method: Method, path: &str, body: &str) -> Outgoing {
    Outgoing {
        method,
        path_and_query: path.to_owned(),
        headers: HeaderMap::new(),
        body: body.to_owned().into(),
        connect: LONG,
        response: LONG,
        body_max: 1024 * 1024,
        fresh: false,
        from_root: false,
    }
}

fn get(path: &str) -> Outgoing {
    outgoing(Method::GET, path, "")
}

fn post(path: &str) -> Outgoing {
    Outgoing { fresh: true, ..outgoing(Method::POST, path, "{}") }
}

/// Whoever waits for a turn here.
fn operation() -> OperationId {
    OperationId::new(jiff::Timestamp::UNIX_EPOCH, [7; 10])
}

async fn send(target: &Target, outgoing: &Outgoing) -> Result<Received, Broke> {
    let permit = target.ticket(PermitKind::Forward, &Claimant::default(), operation()).permit().await;
    target.send(permit, outgoing).await
}
