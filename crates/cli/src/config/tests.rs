//! Whole files: what is found in them, where, and what they become.

use std::net::SocketAddr;
use std::time::Duration;

use fanfold_core::plan::{BodyTemplate, DialectName, Monitor, Order, Require, UndoRule};
use fanfold_core::route::spec::{Action, OperationSpec, Selection};
use fanfold_core::{PerTenant, TargetName};
use fanfold_engine::Weight;
use fanfold_server::Pace;

use super::settings::TenantLimits;
use super::*;

mod example;
mod issuers;
mod mistakes;
mod notices;
mod schema;
mod secrets;
mod telemetry;
mod tls;

/// Two targets and a mount, for tests to add to: what is added begins in line 8, and has its first key in line 9.
const BASE: &str = "[targets.tokyo]\nurl = \"http://10.0.0.1\"\n[targets.osaka]\nurl = \"http://10.0.0.2\"\n[[mounts]]\n\
                    dialect = \"msf\"\nprefix = \"/v1\"\n";

/// The time of the tests.
const NOW: &str = "2026-07-01T00:00:00Z";

fn variable(name: &str) -> Option<String> {
    (name == "TOKYO_TOKEN").then(|| "s3cret".to_owned())
}

/// A route that stands behind what a test is about, where that has none: without any it would be a mistake.
const ROUTE: &str = "\n[targets.last]\nurl = \"http://l\"\n[[routes]]\nmatch = \"GET /last\"\npass = \"last\"\n";

fn load_with(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(Settings, Vec<Warning>), Vec<Mistake>> {
    let route = if text.contains("[[routes]]") { "" } else { ROUTE };
    load_text(
        "f.toml",
        format!("{text}{route}"),
        &Surroundings { folder: "etc".into(), variable, now: NOW.parse().unwrap() },
    )
}

#[track_caller]
fn good(text: &str) -> (Settings, Vec<String>) {
    match load_with(text, &variable) {
        Ok((settings, warnings)) => (settings, warnings.iter().map(ToString::to_string).collect()),
        Err(mistakes) => panic!("{mistakes:#?}"),
    }
}

#[track_caller]
fn bad(text: &str) -> Vec<String> {
    let mistakes = load_with(text, &variable).expect_err("the file has a mistake");
    mistakes.iter().map(ToString::to_string).collect()
}

/// The one mistake that `text` has when it follows [`BASE`].
#[track_caller]
fn only(text: &str) -> String {
    let mistakes = bad(&format!("{BASE}{text}"));
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes.into_iter().next().unwrap()
}

fn operation(settings: &Settings, index: usize) -> &OperationSpec {
    match &settings.routes[index].action {
        Action::Operation(operation) => operation,
        Action::Pass(_) => panic!("the route passes requests through"),
    }
}

#[test]
fn several_targets_without_an_undo_are_warned_of() {
    let (_, warnings) = good(&format!("{BASE}[[routes]]\nmatch = \"POST /a\"\ntargets = [\"tokyo\", \"osaka\"]\n"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("f.toml:8:1: warning: several targets and no `undo`"), "{warnings:?}");
}

#[test]
fn names_of_routes_are_unique_and_made_up_where_none_is_given() {
    let route = |head: &str, target: &str| format!("[[routes]]\n{head}match = \"{target}\"\ntargets = [\"tokyo\"]\n");
    let (settings, _) = good(&format!(
        "{BASE}{}{}{}",
        route("", "POST /a/{id}/b"),
        route("", "POST /a/id/b"),
        route("name = \"x\"\n", "PUT /a/{*rest}")
    ));
    let names: Vec<&str> = settings.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["post-a-id-b", "post-a-id-b-2", "x"]);
    let twice = route("name = \"x\"\n", "POST /a") + &route("name = \"x\"\n", "POST /b");
    assert_eq!(only(&twice), "f.toml:13:8: two routes have the name `x`; give each a name of its own, or none");
}

#[test]
fn secrets_are_put_in_and_never_shown() {
    let text = format!(
        "{BASE}[targets.x]\nurl = \"https://a\"\nheaders = {{ Authorization = \"Bearer ${{env:TOKYO_TOKEN}}\" }}\n"
    );
    let (settings, _) = good(&text);
    let headers = &settings.targets[&TargetName::from("x")].config.headers;
    assert_eq!(headers[0].0, "authorization");
    assert_eq!(headers[0].1, "Bearer s3cret");
    assert!(!format!("{settings:?}").contains("s3cret"));
    let literal =
        format!("{BASE}[targets.x]\nurl = \"https://a\"\nheaders = {{ authorization = \"s3cret\\n\", x = 3 }}\n");
    let mistakes = bad(&literal);
    assert_eq!(mistakes.len(), 2);
    assert!(!format!("{mistakes:?}").contains("s3cret"));
    let (settings, warnings) = good(&literal.replace("\\n", "").replace(", x = 3", ""));
    assert!(warnings[0].starts_with("f.toml:10:29: warning: a credential stands in this file"), "{warnings:?}");
    assert!(!format!("{settings:?}{warnings:?}").contains("s3cret"));
}

#[test]
fn the_environment_goes_before_the_file() {
    let with = |name: &'static str, value: &'static str| {
        load_with(BASE, &move |asked: &str| (asked == name).then(|| value.to_owned()))
    };
    let (settings, _) = with("FANFOLD_LISTEN", "[::1]:9999").unwrap();
    assert_eq!(settings.server.listen, "[::1]:9999".parse::<SocketAddr>().unwrap());
    let (settings, _) = with("FANFOLD_STORE_URL", "sqlite:/tmp/x.db").unwrap();
    assert_eq!(settings.store.url, StoreUrl::Sqlite { path: "/tmp/x.db".into() });
    for (name, value, expected) in [
        ("FANFOLD_LISTEN", "80", "FANFOLD_LISTEN: \"80\" is not an IP address with a port"),
        ("FANFOLD_LISTEN", "0.0.0.0:80", "FANFOLD_LISTEN: listening on 0.0.0.0:80 would let everybody"),
        ("FANFOLD_STORE_URL", "postgres://a:s3cret@b/c", "FANFOLD_STORE_URL: a PostgreSQL store needs a key"),
    ] {
        let mistakes = with(name, value).unwrap_err();
        assert!(mistakes[0].to_string().starts_with(expected), "{mistakes:?}");
        assert!(!format!("{mistakes:?}").contains("s3cret"));
    }
}

#[test]
fn settings_that_are_not_made_have_the_documented_defaults() {
    let (settings, warnings) = good("");
    assert_eq!(settings.server.listen, "127.0.0.1:8080".parse::<SocketAddr>().unwrap());
    assert_eq!(settings.server.shutdown_grace, Duration::from_secs(35));
    assert_eq!(settings.server.request_body_max, 1024 * 1024);
    assert_eq!((settings.server.connections_max, settings.server.followers_max), (16_384, 12_288));
    assert_eq!(settings.store.url, StoreUrl::Sqlite { path: "etc/fanfold.db".into() });
    assert_eq!(settings.store.limits.waiting_max, 1_000_000);
    assert!(settings.notices.allow.is_empty());
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn a_tenant_may_make_requests_as_it_says_or_as_all_may() {
    let second = |number, burst| Pace::new(number, Duration::from_secs(1), burst);
    let (settings, _) = good("");
    let built_in = TenantLimits {
        weight: Weight::default(),
        waiting_max: None,
        followers_max: None,
        requests: second(10_000, 10_000),
    };
    assert_eq!(settings.limits.tenants, PerTenant::same(built_in));
    assert_eq!(settings.limits.failures, Pace::new(60, Duration::from_secs(60), 60));
    let (settings, _) = good(
        "[limits]\nrequests_per_second = 100\nrequests_burst = 300\nfailed_authentications_per_minute = 5\n\
         [tenants.a]\nrequests_per_second = 20\n[tenants.b]\nrequests_burst = 7\n[tenants.c]\n\
         [tenants.\"d@e.example\"]\nrequests_per_second = 1\nrequests_burst = 2\n",
    );
    let of = |tenant: &str| settings.limits.tenants.of(&tenant.into()).requests;
    assert_eq!([of("a"), of("b"), of("c")], [second(20, 20), second(100, 7), second(100, 300)]);
    assert_eq!([of("d@e.example"), of("others")], [second(1, 2), second(100, 300)]);
    assert_eq!(settings.limits.failures, Pace::new(5, Duration::from_secs(60), 5));
}

#[test]
fn a_tenant_may_have_so_many_operations_as_it_says_or_as_all_may() {
    let (settings, warnings) = good(
        "[store]\nwaiting_max = 50\n[limits]\ntenant_waiting_max = 20\n[tenants.a]\nwaiting_max = 30\n[tenants.b]\n",
    );
    assert_eq!(warnings, Vec::<String>::new());
    let bounds = settings.bounded_store().limits.tenant_waiting_max;
    assert_eq!(["a", "b", "c"].map(|tenant| *bounds.of(&tenant.into())), [30, 20, 20]);
    let (settings, _) = good("");
    assert_eq!(settings.bounded_store().limits, fanfold_store::Limits::default());
    let (_, warnings) = good("[store]\nwaiting_max = 50\n[tenants.a]\nwaiting_max = 51\n");
    assert!(warnings[0].starts_with("f.toml:4:15: warning: a bound of 51 bounds nothing"), "{warnings:?}");
}

#[test]
fn a_tenant_may_have_so_many_followers_as_it_says_or_as_all_may() {
    let (settings, warnings) = good(
        "[server]\nfollowers_max = 50\n[limits]\ntenant_followers_max = 60\n[tenants.a]\nfollowers_max = 7\nweight = 5\n",
    );
    assert_eq!(settings.limits.tenants.of(&"a".into()).weight, Weight::new(5));
    let of = |tenant: &str| settings.limits.tenants.of(&tenant.into()).followers_max;
    assert_eq!([of("a"), of("b")], [Some(7), Some(60)]);
    let expected = "f.toml:4:24: warning: a bound of 60 bounds nothing: followers_max of [server] is 50";
    assert!(warnings[0].starts_with(expected), "{warnings:?}");
}

#[test]
fn built_in_is_less_than_defaults_is_less_than_target_is_less_than_route() {
    let (settings, _) = good(
        "[defaults]\nretry = { attempts = 2, budget = \"1m\" }\nundo_retry = { attempts = 9 }\nsettle = \"1s\"\n\
         max_in_flight = 7\ndeadline = \"2h\"\ntimeouts = { response = \"5s\" }\nbreaker = { breaks = 2 }\n\
         [targets.a]\nurl = \"http://a\"\nretry = { attempts = 3 }\nmax_in_flight = 8\nbreaker = { pause = \"1s\" }\n\
         [targets.b]\nurl = \"http://b\"\n\
         [[routes]]\nmatch = \"PUT /a\"\ntargets = [\"a\", \"b\"]\nundo = \"restore\"\ntimeouts = { response = \"50s\" }\n\
         retry = { attempts = 4 }\n",
    );
    let target = |name: &str| &settings.targets[&TargetName::from(name)];
    let (a, b) = (target("a"), target("b"));
    assert_eq!((a.spec.step.attempts, b.spec.step.attempts), (3, 2));
    assert_eq!((a.spec.undo.attempts, b.spec.undo.attempts), (9, 9));
    assert_eq!((a.spec.step.budget, a.spec.undo.budget), (Duration::from_secs(60), Duration::from_secs(300)));
    assert_eq!((a.spec.settle, a.spec.step.connect), (Duration::from_secs(1), Duration::from_secs(3)));
    assert_eq!((a.config.max_in_flight, b.config.max_in_flight), (8, 7));
    assert_eq!((a.config.breaker.after, a.config.breaker.retry_after), (2, Duration::from_secs(1)));
    let operation = operation(&settings, 0);
    let limits = operation.step_limits.over(&a.spec.step);
    assert_eq!(
        (limits.attempts, limits.response, limits.budget),
        (4, Duration::from_secs(50), Duration::from_secs(60))
    );
    assert_eq!(operation.deadline, Duration::from_secs(7200));
    // The route's timeout makes the longest attempt.
    assert_eq!(settings.server.shutdown_grace, Duration::from_secs(3 + 50 + 2));
}

#[test]
fn a_grace_that_is_too_short_and_a_route_outside_of_its_mount_are_warned_of() {
    let (_, warnings) = good(&format!(
        "{BASE}[server]\nshutdown_grace = \"10s\"\n[[routes]]\nmatch = \"POST /v1/a\"\ntargets = [\"tokyo\"]\n"
    ));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("f.toml:9:18: warning: shutdown_grace is shorter"), "{warnings:?}");
    assert!(warnings[0].ends_with("make it 35s or longer"));
    assert!(warnings[1].starts_with("f.toml:11:9: warning: the route lies below the msf mount"), "{warnings:?}");
}

#[test]
fn every_form_of_a_route_is_read() {
    let (settings, _) = good(&format!(
        "{BASE}[[routes]]\nmatch = \"PUT /a/{{id}}\"\ntargets_from = \"request.json.sites\"\nwaves = [1, 3]\nwave_failures = 1\n\
         require = 2\nundo = {{ method = \"PUT\", path = \"/b\", headers = {{ X-A = \"b\" }}, body = {{ n = 1, on = [true, \"x\"] }} }}\n\
         redact = {{ keys = [\"Pin\"] }}\nreveal = [\"/page_token\"]\nresult = {{ status = 201, body = \"{{}}\" }}\n\
         [routes.on.osaka]\nundo = \"restore\"\nrequest = {{ body = \"[1]\" }}\n\
         [[routes]]\nmatch = \"GET /v1/{{*rest}}\"\npass = \"tokyo\"\n"
    ));
    let operation = operation(&settings, 0);
    assert_eq!(operation.targets, Selection::From("request.json.sites".to_owned()));
    assert_eq!(
        (&operation.order, operation.wave_failures, operation.require),
        (&Order::Waves(vec![1, 3]), 1, Require::AtLeast(2))
    );
    let Some(UndoRule::Request(undo)) = &operation.undo else { panic!("{:?}", operation.undo) };
    assert_eq!(undo.headers.get("X-A").map(String::as_str), Some("b"));
    assert_eq!(undo.body, Some(BodyTemplate::Json(serde_json::json!({ "n": 1, "on": [true, "x"] }))));
    let osaka = &operation.on[&TargetName::from("osaka")];
    assert_eq!(osaka.undo, Some(UndoRule::Restore));
    assert_eq!(osaka.request.body, Some(BodyTemplate::Text("[1]".to_owned())));
    assert!(
        operation.redaction.keys.contains(&"pin".to_owned())
            && operation.redaction.keys.contains(&"password".to_owned())
    );
    assert_eq!(operation.redaction.reveal, ["/page_token"]);
    assert_eq!(operation.retention, Duration::from_secs(30 * 86_400));
    // A route that passes requests through speaks the wire format of the mount it lies below.
    assert_eq!((settings.routes[1].dialect, settings.routes[1].mount.as_str()), (DialectName::Msf, "/v1"));
    assert_eq!(settings.routes[1].action, Action::Pass("tokyo".into()));
}
