use serde_json::json;

use super::*;
use crate::plan::{BodyTemplate, Monitor, OnLocked, Order, RequestTemplate, UndoRule, Verb};
use crate::route::fixtures::{accepting, incoming, issued, operation, targets};
use crate::route::spec::{OperationSpec, Override, Selection};
use crate::route::{Found, Handling, RouteTable};

/// Accepts a `POST /things/{id}` on a route like this.
fn plan(spec: OperationSpec, incoming: Incoming) -> Result<Planned, Refusal> {
    plan_issued(spec, incoming, issued())
}

fn plan_issued(spec: OperationSpec, incoming: Incoming, issued: Issued) -> Result<Planned, Refusal> {
    let matches = format!("{} /things/{{id}}", incoming.method);
    let table = RouteTable::compile(vec![accepting(&matches, spec)], &targets()).unwrap();
    let Found::Route { route, captures } = table.find(&incoming.method, &incoming.path) else {
        panic!("the route does not fit");
    };
    assert_eq!(captures, incoming.captures);
    match &route.handling {
        Handling::Operation(route) => route.plan(incoming, issued),
        Handling::Pass(_) => panic!("not an operation"),
    }
}

fn text(request: &Request) -> String {
    match &request.body.0 {
        Content::Inline(octets) => String::from_utf8(octets.to_vec()).unwrap(),
        other @ (Content::Empty | Content::Apart { .. } | Content::Same(_)) => format!("{other:?}"),
    }
}

fn fields(request: &Request) -> Vec<(&str, &str)> {
    request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn by_default_the_request_is_passed_on_as_it_came() {
    let Planned { plan, dedupe } = plan(operation(&["osaka", "tokyo"]), incoming("POST", "{ \"a\" : 1 }")).unwrap();
    assert_eq!(dedupe, None);
    assert_eq!((plan.verb, plan.resource.as_str()), (Verb::Create, "/things/a%2Fb"));
    assert_eq!(plan.request.uri, "/things/a%2Fb?x=1&own=2");
    assert_eq!(text(&plan.request), "{ \"a\" : 1 }");
    assert_eq!(fields(&plan.request), [("content-type", "application/json"), ("x-request-id", "7")]);
    assert_eq!(plan.captures["id"], "a/b");
    assert_eq!((plan.lock.clone(), plan.start_at), (None, None));
    let targets: Vec<_> =
        plan.steps.iter().map(|step| (step.target.as_str(), step.target_id.as_str(), step.wave)).collect();
    assert_eq!(targets, [("osaka", "2", 0), ("tokyo", "1", 0)]);
    for step in &plan.steps {
        assert_eq!(step.request.method, Method::POST);
        assert_eq!(step.request.uri, "/things/a%2Fb?x=1");
        assert_eq!(fields(&step.request), [("content-type", "application/json")]);
        assert_eq!(step.request.body.0, Content::Same(Slot::Request));
    }
    assert!(plan.policy.targets.contains_key(&"tokyo".into()) && !plan.policy.targets.contains_key(&"kyoto".into()));
}

#[test]
fn a_request_without_body_has_steps_without_body() {
    let plan = plan(operation(&["tokyo"]), incoming("DELETE", "")).unwrap().plan;
    assert_eq!(
        (plan.verb, &plan.request.body.0, &plan.steps[0].request.body.0),
        (Verb::Delete, &Content::Empty, &Content::Empty)
    );
}

#[test]
fn templates_replace_parts_and_targets_replace_templates() {
    let mut spec = operation(&["tokyo", "osaka"]);
    spec.request = RequestTemplate {
        method: Some("PUT".into()),
        path: Some("/{{ target.id }}/x/{{ path.id }}".into()),
        query: Some("n={{ request.json.n }}&o={{ query.own }}".into()),
        headers: [("x-op".into(), "{{ operation.id }}".into())].into(),
        body: Some(BodyTemplate::Json(json!({"name": "{{ target.name }}", "n": "{{ request.json.n }}"}))),
    };
    let osaka = RequestTemplate {
        path: Some("/fixed?all=1".into()),
        query: None,
        headers: [("Content-Type".into(), "text/plain".into())].into(),
        body: Some(BodyTemplate::Text("n {{ request.json.n }}".into())),
        ..RequestTemplate::default()
    };
    let osaka = Override { request: osaka, ..Override::default() };
    // The route's own query and the one in the path of the override would exclude each other.
    spec.on = [("osaka".into(), osaka.clone())].into();
    let found = RouteTable::compile(vec![accepting("POST /things/{id}", spec.clone())], &targets()).unwrap_err();
    assert_eq!(found[0].place_text(), "routes[0].on.osaka.request.query");
    spec.request.query = None;
    let mut request = incoming("POST", "{\"n\": 5}");
    request.headers.push(("content-encoding".to_owned(), "identity".to_owned()));
    let plan = plan(spec, request).unwrap().plan;
    let (tokyo, osaka) = (&plan.steps[0].request, &plan.steps[1].request);
    assert_eq!((&tokyo.method, tokyo.uri.as_str()), (&Method::PUT, "/1/x/a%2Fb?x=1"));
    assert_eq!(text(tokyo), "{\"n\":5,\"name\":\"tokyo\"}");
    let operation = ("x-op", "07070707-0707-0707-0707-070707070707");
    assert_eq!(fields(tokyo), [("content-type", "application/json"), operation]);
    assert_eq!((&osaka.method, osaka.uri.as_str(), text(osaka).as_str()), (&Method::PUT, "/fixed?all=1", "n 5"));
    assert_eq!(fields(osaka), [("content-type", "text/plain"), operation]);
}

#[test]
fn a_templated_json_body_is_sent_as_json() {
    let mut spec = operation(&["tokyo"]);
    spec.request.body = Some(BodyTemplate::Json(json!({"a": "{{ request.text }}"})));
    let mut request = incoming("POST", "<a/>");
    request.headers = vec![("content-type".into(), "text/xml".into()), ("content-encoding".into(), "gzip".into())];
    let plan = plan(spec, request).unwrap().plan;
    assert_eq!(fields(&plan.steps[0].request), [("content-type", "application/json")]);
    assert_eq!(text(&plan.steps[0].request), "{\"a\":\"<a/>\"}");
}

#[test]
fn named_headers_are_forwarded_and_recorded() {
    let mut spec = operation(&["tokyo"]);
    spec.forward_headers = vec!["authorization".into()];
    let plan = plan(spec, incoming("POST", "{}")).unwrap().plan;
    assert_eq!(fields(&plan.steps[0].request), [("content-type", "application/json"), ("authorization", "Bearer t")]);
    assert!(fields(&plan.request).contains(&("authorization", "Bearer t")));
}

#[test]
fn targets_are_selected_by_the_request_in_waves() {
    let mut spec = operation(&[]);
    spec.targets = Selection::From("request.json.to".into());
    spec.targets_max = 2;
    spec.order = Order::Waves(vec![1]);
    let steps = |body: &str| plan(spec.clone(), incoming("POST", body)).map(|planned| planned.plan.steps);
    let named: Vec<_> =
        steps("{\"to\":[3,\"tokyo\",\"3\"]}").unwrap().iter().map(|step| (step.target.clone(), step.wave)).collect();
    assert_eq!(named, [("kyoto".into(), 0), ("tokyo".into(), 1)]);
    assert!(matches!(steps("{\"to\":[1,2,3]}"), Err(Refusal::OutOfRange { .. })));
    assert!(matches!(steps("{\"to\":9}"), Err(Refusal::NotFound { .. })));
    assert!(matches!(steps("{}"), Err(Refusal::BadValue { .. })));
    assert!(matches!(steps("no json"), Err(Refusal::Unparsable { .. })));
}

#[test]
fn locks_and_idempotency_keys_come_from_templates() {
    let mut spec = operation(&["tokyo"]);
    spec.lock = Some(("thing/{{ path.id }}".into(), OnLocked::Queue));
    spec.dedupe = Some("{{ request.headers['X-Request-Id'] | default('') }}".into());
    let planned = plan(spec.clone(), incoming("POST", "")).unwrap();
    assert_eq!(planned.plan.lock, Some(Lock { key: "thing/a/b".into(), on_locked: OnLocked::Queue }));
    assert_eq!(planned.dedupe.as_deref(), Some("7"));
    let mut request = incoming("POST", "");
    request.headers.clear();
    assert_eq!(plan(spec.clone(), request).unwrap().dedupe, None);
    spec.lock = Some(("{{ request.json.key }}".into(), OnLocked::Reject));
    let lock = |body: &str| plan(spec.clone(), incoming("POST", body)).map(|planned| planned.plan.lock.unwrap().key);
    assert_eq!(lock("{\"key\":5}").unwrap(), "5");
    assert!(matches!(lock("{\"key\":\"\"}"), Err(Refusal::BadValue { .. })));
    assert!(matches!(lock("{}"), Err(Refusal::BadValue { .. })));
    assert!(matches!(
        lock(&format!("{{\"key\":\"{}\"}}", "x".repeat(KEY_BYTES_MAX + 1))),
        Err(Refusal::OutOfRange { .. })
    ));
    let Err(Refusal::Unparsable { detail }) = lock("<a/>") else { panic!("not JSON") };
    assert!(detail.starts_with("the lock key cannot be worked out: the body of the request is not JSON"), "{detail}");
}

#[test]
fn a_template_that_fails_is_a_refusal() {
    let mut spec = operation(&["tokyo"]);
    spec.request.path = Some("/x/{{ request.json.id }}".into());
    let refusal = |body: &str| plan(spec.clone(), incoming("POST", body)).unwrap_err();
    for body in ["{}", "{\"id\":\"..\"}", "{\"id\":\"\"}", "{\"id\":null}"] {
        let Refusal::BadValue { detail } = refusal(body) else { panic!("{body}") };
        assert!(detail.starts_with("the path of the request to `tokyo` cannot be worked out: "), "{detail}");
    }
    assert!(matches!(refusal("no json"), Refusal::Unparsable { .. }));
}

#[test]
fn what_was_issued_goes_into_the_plan() {
    let mut spec = operation(&["tokyo"]);
    spec.delay = Some(std::time::Duration::from_secs(60));
    spec.request.path = Some("/things/{{ resource.id }}".into());
    let issued = Issued {
        resource_id: Some("r1".into()),
        attributes: [("owner".to_owned(), "o".to_owned())].into(),
        ..issued()
    };
    let plan = plan_issued(spec.clone(), incoming("POST", ""), issued.clone()).unwrap().plan;
    assert_eq!(plan.start_at, Some("2026-01-01T00:01:00Z".parse().unwrap()));
    assert_eq!((plan.resource_id.as_deref(), plan.steps[0].request.uri.as_str()), (Some("r1"), "/things/r1?x=1"));
    assert_eq!(plan.front.attributes["owner"], "o");
    let start_at = Some("2027-01-01T00:00:00Z".parse().unwrap());
    let plan = plan_issued(spec, incoming("POST", ""), Issued { start_at, ..issued }).unwrap().plan;
    assert_eq!(plan.start_at, start_at);
}

#[test]
fn operations_of_a_route_share_one_policy() {
    let mut spec = operation(&["tokyo"]);
    spec.step_limits.attempts = Some(2);
    spec.on = [("tokyo".into(), Override { undo: Some(UndoRule::Restore), ..Override::default() })].into();
    let table = RouteTable::compile(vec![accepting("PUT /things/{id}", spec)], &targets()).unwrap();
    let Found::Route { route, .. } = table.find(&Method::PUT, "/things/a%2Fb") else { panic!("no route") };
    let Handling::Operation(route) = &route.handling else { panic!("no operation") };
    let plan = route.plan(incoming("PUT", "{}"), issued()).unwrap().plan;
    assert!(std::sync::Arc::ptr_eq(&plan.policy, route.policy()));
    assert_eq!(*route.policy_hash(), plan.policy.hash());
    let policy = &plan.policy.targets[&"tokyo".into()];
    assert_eq!((policy.step.attempts, policy.undo_limits.attempts), (2, 5));
    assert_eq!((&policy.undo, &policy.monitor), (&Some(UndoRule::Restore), &Monitor::Msf));
    assert_eq!(plan.policy.targets.len(), 1, "only what the route may select is covered");
}
