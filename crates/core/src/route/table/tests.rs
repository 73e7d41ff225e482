use serde_json::json;

use super::*;
use crate::plan::{
    BodyTemplate, Monitor, OnLocked, Order, PollRule, ProbeRule, RequestTemplate, Require, ResultTemplate, UndoRule,
    Verb,
};
use crate::route::fixtures::{accepting, operation, route, targets};
use crate::route::spec::{Action, OperationSpec, Override, Selection};

fn pass(matches: &str) -> RouteSpec {
    route(matches, Action::Pass("tokyo".into()))
}

fn table(routes: &[&str]) -> RouteTable {
    RouteTable::compile(routes.iter().map(|matches| pass(matches)).collect(), &targets()).unwrap()
}

/// The name of the route that answers, or what there is instead.
fn answer(table: &RouteTable, method: &str, path: &str) -> String {
    match table.find(&method.parse().unwrap(), path) {
        Found::Route { route, .. } => route.name.clone(),
        Found::WrongMethod { allow } => format!("{allow:?}"),
        Found::Nothing => "nothing".to_owned(),
        Found::Refused(refusal) => format!("refused: {refusal}"),
    }
}

/// The places of all mistakes.
fn places(routes: Vec<RouteSpec>) -> Vec<String> {
    let found = RouteTable::compile(routes, &targets()).unwrap_err();
    found.iter().filter(|problem| !problem.warning).map(Problem::place_text).collect()
}

fn mistakes(spec: OperationSpec) -> Vec<String> {
    places(vec![accepting("POST /things/{id}", spec)])
}

#[test]
fn the_best_route_for_the_method_answers() {
    let table = table(&["GET /a/b", "GET /a/{x}", "PUT /a/{y}", "GET /a/{*rest}", "POST /a/b", "DELETE /z"]);
    for (method, path, expected) in [
        ("GET", "/a/b", "GET /a/b"),
        ("GET", "/%61/%62", "GET /a/b"),
        ("HEAD", "/a/b", "GET /a/b"),
        ("GET", "/a/c", "GET /a/{x}"),
        ("PUT", "/a/b", "PUT /a/{y}"),
        ("GET", "/a/c/d", "GET /a/{*rest}"),
        ("PATCH", "/a/b", "[GET, HEAD, POST, PUT]"),
        ("GET", "/z", "[DELETE]"),
        ("HEAD", "/z", "[DELETE]"),
        ("GET", "/q", "nothing"),
        ("GET", "/a/../z", "refused: the path contains the dot segment `..`"),
        ("OPTIONS", "*", "refused: the path does not begin with `/`"),
        ("GET", "/a/%ff", "refused: the path segment `%ff` is not UTF-8"),
    ] {
        assert_eq!(answer(&table, method, path), expected, "{method} {path}");
    }
    let Found::Route { captures, .. } = table.find(&Method::GET, "/a/x%2Fy") else { panic!("not found") };
    assert_eq!(captures["x"], "x/y");
}

#[test]
fn routes_that_conflict_or_are_shadowed_are_mistakes() {
    let routes = vec![pass("GET /a/{x}"), pass("GET /a/{y}"), pass("PUT /a/{y}"), pass("GET /b/{x}")];
    assert_eq!(places(routes), ["routes[1].match"]);
    let routes = vec![pass("GET /a/{*all}"), pass("GET /a/{x}"), pass("GET /a/{x}/{*y}")];
    assert_eq!(places(routes), ["routes[0].match"]);
    let same = vec![pass("GET /a"), RouteSpec { name: "GET /a".into(), ..pass("GET /b") }];
    assert_eq!(places(same), ["routes[1].name"]);
}

#[test]
fn routes_below_paths_that_go_first_are_mistakes() {
    for matches in ["GET /api/v1/x", "GET /ui/{*rest}", "GET /metrics", "POST /healthz"] {
        assert_eq!(places(vec![pass(matches)]), ["routes[0].match"], "{matches}");
    }
    let msf = |matches: &str| RouteSpec { dialect: DialectName::Msf, mount: "/v1".into(), ..pass(matches) };
    assert_eq!(places(vec![msf("GET /v2/x")]), ["routes[0].match"]);
    assert_eq!(places(vec![msf("GET /v10/x")]), ["routes[0].match"]);
    assert_eq!(places(vec![msf("GET /v1/operations/{id}")]), ["routes[0].match"]);
    assert_eq!(places(vec![pass("GET /v1/operations"), msf("GET /v1/x")]), ["routes[0].match"]);
    assert!(RouteTable::compile(vec![pass("GET /apis"), msf("GET /v1/{x}"), msf("GET /v1/{*y}")], &targets()).is_ok());
}

#[test]
fn methods_must_fit_what_the_route_does() {
    for matches in ["GET /things", "HEAD /things", "OPTIONS /things", "BREW /things"] {
        assert_eq!(places(vec![accepting(matches, operation(&["tokyo"]))]), ["routes[0].match"], "{matches}");
    }
    for matches in ["HEAD /things", "CONNECT /things", "TRACE /things"] {
        assert_eq!(places(vec![pass(matches)]), ["routes[0].match"], "{matches}");
    }
    assert_eq!(places(vec![route("GET /a", Action::Pass("nara".into()))]), ["routes[0].pass"]);
}

#[test]
fn targets_must_be_known_and_different() {
    assert_eq!(mistakes(operation(&["tokyo", "nara", "tokyo"])), ["routes[0].targets[1]", "routes[0].targets[2]"]);
    assert_eq!(mistakes(operation(&[])), ["routes[0].targets"]);
    let mut twins = targets();
    twins.get_mut(&"osaka".into()).unwrap().id = "1".into();
    twins.get_mut(&"kyoto".into()).unwrap().monitor =
        Monitor::Poll(PollRule { path: "x".into(), done: "a ==".into(), success: "path.x".into() });
    let found = RouteTable::compile(vec![], &twins).unwrap_err();
    let places: Vec<_> = found.iter().map(Problem::place_text).collect();
    let monitor = ["path", "done", "success"].map(|key| format!("targets.kyoto.monitor.{key}"));
    assert_eq!(places[..3], monitor);
    assert_eq!(places[3], "targets.tokyo.id");
}

#[test]
fn counts_must_be_possible() {
    let with = |change: &dyn Fn(&mut OperationSpec)| {
        let mut spec = operation(&["tokyo", "osaka"]);
        change(&mut spec);
        mistakes(spec)
    };
    assert_eq!(with(&|spec| spec.require = Require::AtLeast(3)), ["routes[0].require"]);
    assert_eq!(with(&|spec| spec.require = Require::AtLeast(0)), ["routes[0].require"]);
    assert_eq!(with(&|spec| spec.order = Order::Waves(vec![])), ["routes[0].waves"]);
    assert_eq!(with(&|spec| spec.order = Order::Waves(vec![1, 0])), ["routes[0].waves[1]"]);
    assert_eq!(with(&|spec| spec.wave_failures = 1), ["routes[0].wave_failures"]);
    assert_eq!(with(&|spec| spec.targets_max = 1), ["routes[0].targets"]);
    assert_eq!(with(&|spec| spec.targets_max = 65_536), ["routes[0].targets_max"]);
}

#[test]
fn every_mistake_of_a_route_is_told_at_once() {
    let mut spec = operation(&["tokyo"]);
    let bad_request = RequestTemplate { path: Some("/{{ path.nope }}".into()), ..RequestTemplate::default() };
    spec.lock = Some(("{{ a".into(), OnLocked::Reject));
    spec.dedupe = Some("{{ target.id }}".into());
    spec.request = RequestTemplate {
        method: Some("GET".into()),
        body: Some(BodyTemplate::Json(json!({"a": ["{{ x"]}))),
        ..bad_request.clone()
    };
    spec.on = BTreeMap::from([
        ("nara".into(), Override::default()),
        ("osaka".into(), Override::default()),
        (
            "tokyo".into(),
            Override {
                request: bad_request.clone(),
                undo: Some(UndoRule::Request(Box::new(bad_request.clone()))),
                probe: Some(ProbeRule { path: "/{{ targets }}".into(), applied: "{{ x }}".into() }),
            },
        ),
    ]);
    spec.undo = Some(UndoRule::Request(Box::new(bad_request)));
    spec.probe = Some(ProbeRule { path: "/{{ snapshot.text }}".into(), applied: "response.json.x".into() });
    spec.success = Some("request.json".into());
    spec.result = Some(ResultTemplate { status: Some(100), body: Some(BodyTemplate::Text("{{ response }}".into())) });
    spec.forward_headers = vec!["Host".into(), "host".into(), "x-ok".into()];
    spec.redaction.pointers = vec!["a".into()];
    spec.redaction.reveal = vec!["/a".into(), "b".into()];
    spec.verb = Some(Verb::Action);
    let route = RouteSpec { dialect: DialectName::Plas, mount: "/v1".into(), ..accepting("POST /v1/{id}/{id}", spec) };
    let mut found = places(vec![route]);
    found.sort();
    let expected = [
        "dedupe",
        "forward_headers[0]",
        "forward_headers[1]",
        "lock",
        "match",
        "on.nara",
        "on.osaka",
        "on.tokyo.probe.applied",
        "on.tokyo.probe.path",
        "on.tokyo.request.path",
        "on.tokyo.undo.method",
        "on.tokyo.undo.path",
        "probe.path",
        "redact",
        "request.body.a[0]",
        "request.method",
        "request.path",
        "result.body",
        "result.status",
        "reveal",
        "success",
        "undo.method",
        "undo.path",
        "verb",
    ];
    assert_eq!(found, expected.map(|place| format!("routes[0].{place}")));
}

#[test]
fn a_post_cannot_be_restored() {
    let mut spec = operation(&["tokyo", "osaka"]);
    spec.undo = Some(UndoRule::Restore);
    assert_eq!(mistakes(spec.clone()), ["routes[0].undo"]);
    assert!(RouteTable::compile(vec![accepting("PUT /things", spec.clone())], &targets()).is_ok());
    // What counts is the method that the target gets.
    spec.request.method = Some("PUT".into());
    assert!(RouteTable::compile(vec![accepting("POST /things", spec.clone())], &targets()).is_ok());
    spec.undo = operation(&[]).undo;
    let osaka = Override {
        request: RequestTemplate { method: Some("POST".into()), ..RequestTemplate::default() },
        undo: Some(UndoRule::Restore),
        probe: None,
    };
    spec.on = [("osaka".into(), osaka)].into();
    assert_eq!(mistakes(spec), ["routes[0].on.osaka.undo"]);
}

#[test]
fn a_snapshot_is_there_only_for_a_restore() {
    let mut spec = operation(&["tokyo"]);
    spec.probe = Some(ProbeRule { path: "/x".into(), applied: "response.json != snapshot.json".into() });
    assert_eq!(mistakes(spec.clone()), ["routes[0].probe.applied"]);
    spec.undo = Some(UndoRule::Restore);
    assert!(RouteTable::compile(vec![accepting("PUT /x", spec.clone())], &targets()).is_ok());
    spec.targets = Selection::Named(vec!["tokyo".into(), "osaka".into()]);
    spec.on = [("osaka".into(), Override { undo: operation(&[]).undo, ..Override::default() })].into();
    assert_eq!(places(vec![accepting("PUT /x", spec)]), ["routes[0]"]);
}

#[test]
fn several_targets_without_undo_are_warned_of() {
    let warnings = |spec: OperationSpec| {
        let table = RouteTable::compile(vec![accepting("POST /x", spec)], &targets()).unwrap();
        table.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let without = |targets: &[&str]| OperationSpec { undo: None, ..operation(targets) };
    assert_eq!(warnings(without(&["tokyo"])), [""; 0]);
    assert_eq!(warnings(operation(&["tokyo", "osaka"])), [""; 0]);
    let expected =
        "routes[0]: several targets and no `undo`: where only some of them succeed, they stay different (add `undo`)";
    assert_eq!(warnings(without(&["tokyo", "osaka"])), [expected]);
    assert_eq!(warnings(OperationSpec { targets: Selection::From("query.to".into()), ..without(&[]) }), [expected]);
    let each = Override { undo: operation(&[]).undo, ..Override::default() };
    let on = [("tokyo".into(), each.clone()), ("osaka".into(), each)].into();
    assert_eq!(warnings(OperationSpec { on, ..without(&["tokyo", "osaka"]) }), [""; 0]);
}
