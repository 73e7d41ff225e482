//! What is shown of targets.

use fanfold_testkit::{FakeTarget, Home};
use serde_json::json;

use crate::program::{Server, config, things};

#[tokio::test(flavor = "multi_thread")]
async fn a_target_shows_its_budgets_and_where_a_route_has_them_otherwise() {
    let tokyo = FakeTarget::start().await;
    let route = format!("{}retry = {{ attempts = 7 }}\ntimeouts = {{ response = \"5s\" }}\n", things(&["tokyo"]));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &route));
    let server = Server::start(&home).await;
    let target = server.get("/api/v1/targets/tokyo").await.json();
    let retry = json!({ "attempts": 3, "backoff_ms": 10, "backoff_max_ms": 50, "budget_ms": 300_000 });
    let undo_retry = json!({ "attempts": 5, "backoff_ms": 500, "backoff_max_ms": 30_000, "budget_ms": 300_000 });
    let timeouts = json!({ "connect_ms": 3_000, "response_ms": 30_000, "lower_ms": 1_800_000 });
    let budgets = json!({ "retry": retry, "undo_retry": undo_retry, "timeouts": timeouts, "undo_timeouts": timeouts,
        "settle_ms": 10_000, "response_body_max": 1_048_576 });
    assert_eq!(target["budgets"], budgets, "{target:#}");
    let on_route = &target["overrides"][0];
    assert_eq!(on_route["route"], "put-thing");
    assert_eq!((&on_route["retry"]["attempts"], &on_route["timeouts"]["response_ms"]), (&json!(7), &json!(5_000)));
    assert_eq!(target["overrides"].as_array().map(Vec::len), Some(1));

    let shown = server.run(&home, &["targets", "show", "tokyo"]).await;
    for words in ["0/64 0/16", "(any other)", "put-thing", "10ms to 50ms", "5m", "30m"] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    let page = server.get("/metrics").await.text();
    for line in [
        "fanfold_target_max_in_flight{target=\"tokyo\",kind=\"forward\"} 64",
        "fanfold_target_max_in_flight{target=\"tokyo\",kind=\"undo\"} 16",
        "fanfold_target_in_flight{target=\"tokyo\",kind=\"forward\"} 0",
        "fanfold_target_waiting{target=\"tokyo\",kind=\"forward\"} 0",
        "fanfold_target_breaker{target=\"tokyo\"} 0",
        "fanfold_target_breaks{target=\"tokyo\"} 0",
        "fanfold_target_held{target=\"tokyo\"} 0",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    server.stop().await;
}
