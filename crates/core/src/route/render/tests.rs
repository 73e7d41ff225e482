use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::Content;
use crate::plan::{BodyTemplate, ProbeRule, RequestTemplate, ResultTemplate, UndoRule};
use crate::route::fixtures::{accepting, incoming, issued, operation, targets};
use crate::route::spec::OperationSpec;
use crate::route::{CompiledUndo, Found, Handling, RouteTable};

/// A plan and its compiled policy, from a `PUT /things/{id}` with this body.
fn planned(spec: OperationSpec, body: &str) -> (Plan, Arc<CompiledPolicy>) {
    let table = RouteTable::compile(vec![accepting("PUT /things/{id}", spec)], &targets()).unwrap();
    let Found::Route { route, .. } = table.find(&Method::PUT, "/things/a%2Fb") else { panic!("no route") };
    let Handling::Operation(route) = &route.handling else { panic!("no operation") };
    let plan = route.plan(incoming("PUT", body), issued()).unwrap().plan;
    // A restart has only the stored policy.
    let stored = serde_json::from_str(&serde_json::to_string(&*plan.policy).unwrap()).unwrap();
    (plan, Arc::new(CompiledPolicy::new(&stored).unwrap()))
}

fn with_values<R>(plan: &Plan, response: Option<(u16, &str)>, use_them: impl FnOnce(&StepValues<'_>) -> R) -> R {
    let body = Bytes::from_static(b"{\"old\":1}");
    let answered = Bytes::from(response.map_or("", |(_, body)| body).to_owned());
    let headers = Headers::new();
    let image = Image::Present { etag: None, digest: None, content_type: Some("application/json".into()) };
    let request_body = match &plan.request.body.0 {
        Content::Inline(octets) => octets.clone(),
        Content::Empty | Content::Apart { .. } | Content::Same(_) => Bytes::new(),
    };
    let operation =
        OperationValues { operation: issued().operation, plan, request: &plan.request, request_body: &request_body };
    let response = response.map(|(status, _)| Answered { status, headers: &headers, body: &answered, complete: true });
    use_them(&StepValues { operation, step: StepIndex(0), response, snapshot: Some((&image, &body)) })
}

fn undo(template: RequestTemplate, response: Option<(u16, &str)>) -> Result<Request, Trouble> {
    let undo = Some(UndoRule::Request(Box::new(RequestTemplate { method: Some("DELETE".into()), ..template })));
    let (plan, policy) = planned(OperationSpec { undo, ..operation(&["tokyo"]) }, "{\"n\":1}");
    let Some(CompiledUndo::Request(template)) = policy.target(&"tokyo".into()).unwrap().undo() else {
        panic!("no undo")
    };
    with_values(&plan, response, |values| template.render(values))
}

#[test]
fn an_undo_takes_over_nothing_but_what_its_templates_name() {
    let bare = undo(RequestTemplate::default(), None).unwrap();
    assert_eq!((bare.method, bare.uri.as_str()), (Method::DELETE, "/things/a%2Fb"));
    assert_eq!((bare.headers, bare.body), (Headers::new(), Body::default()));
    let full = RequestTemplate {
        path: Some("/{{ target.name }}/{{ path.id }}/{{ response.json.cp }}".into()),
        query: Some("x={{ query.own }}".into()),
        headers: [("x-id".into(), "{{ request.headers['x-request-id'] }}".into())].into(),
        body: Some(BodyTemplate::Json(json!({"was": "{{ request.json.n }}", "status": "{{ response.status }}"}))),
        ..RequestTemplate::default()
    };
    let full = undo(full, Some((201, "{\"cp\":\"5\"}"))).unwrap();
    assert_eq!(full.uri, "/tokyo/a%2Fb/5?x=2");
    assert_eq!(
        full.headers,
        [("x-id", "7"), ("content-type", "application/json")].map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(full.body, Body::inline("{\"status\":201,\"was\":1}"));
}

#[test]
fn an_undo_that_cannot_be_rendered_says_why() {
    let template = || RequestTemplate { path: Some("/x/{{ response.json.id }}".into()), ..RequestTemplate::default() };
    for (response, why) in [
        (None, "`response` is undefined"),
        (Some((201, "{}")), "`response.json.id` is undefined"),
        (Some((201, "<a/>")), "the body of the response is not JSON"),
        (Some((201, "{\"id\":\"..\"}")), "dot segment"),
    ] {
        let trouble = undo(template(), response).unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Template);
        assert!(trouble.detail.starts_with("the undo request could not be rendered: the path: "), "{}", trouble.detail);
        assert!(trouble.detail.contains(why), "{}", trouble.detail);
    }
}

#[test]
fn a_probe_shows_only_what_is_about_the_resource() {
    let probe = ProbeRule {
        path: "/things?name={{ path.id }}".into(),
        applied: "response.status == 200 and response.json.n == request.json.n and response.json != snapshot.json"
            .into(),
    };
    let spec = OperationSpec { probe: Some(probe), undo: Some(UndoRule::Restore), ..operation(&["tokyo"]) };
    let (plan, policy) = planned(spec, "{\"n\":1}");
    let probe = policy.target(&"tokyo".into()).unwrap().probe().unwrap();
    with_values(&plan, None, |values| {
        let request = probe.request(values).unwrap();
        assert_eq!((request.method, request.uri.as_str()), (Method::GET, "/things?name=a%2Fb"));
        for (status, body, verdict) in [
            (200, "{\"n\":1}", ProbeVerdict::Applied),
            (200, "{\"n\":2}", ProbeVerdict::NotApplied),
            (404, "", ProbeVerdict::NotApplied),
            (410, "", ProbeVerdict::NotApplied),
            (200, "<a/>", ProbeVerdict::Unclear),
            (500, "{\"n\":1}", ProbeVerdict::Unclear),
            (401, "", ProbeVerdict::Unclear),
            (302, "", ProbeVerdict::Unclear),
        ] {
            let answer = Answered { status, headers: &vec![], body: &Bytes::from(body), complete: true };
            assert_eq!(probe.read(values, &answer), verdict, "{status} {body}");
        }
        let broken = Answered { status: 200, headers: &vec![], body: &Bytes::from("{\"n\":1}"), complete: false };
        assert_eq!(probe.read(values, &broken), ProbeVerdict::Unclear);
    });
}

#[test]
fn a_result_is_composed_of_the_targets() {
    let body = json!({"id": "{{ targets.tokyo.response.json.id }}", "osaka": "{{ targets.osaka.outcome }}", "n": "{{ request.json.n }}"});
    let result = Some(ResultTemplate { status: Some(201), body: Some(BodyTemplate::Json(body)) });
    let (plan, policy) = planned(OperationSpec { result, ..operation(&["tokyo", "osaka"]) }, "{\"n\":1}");
    let (tokyo, osaka) = ("tokyo".into(), "osaka".into());
    let (headers, octets) = (Headers::new(), Bytes::from_static(b"{\"id\":7}"));
    let response = Answered { status: 200, headers: &headers, body: &octets, complete: true };
    let failed = Outcome::Failed { consistency: Consistency::RolledBack };
    let results = [
        TargetResult { target: &tokyo, outcome: Outcome::Succeeded, response: Some(response) },
        TargetResult { target: &osaka, outcome: failed, response: None },
    ];
    with_values(&plan, None, |values| {
        let answer = policy.compose(&values.operation, &results).unwrap().unwrap();
        assert_eq!(answer.status, 201);
        assert_eq!(answer.headers, [json_content_type()]);
        assert_eq!(answer.body, Body::inline("{\"id\":7,\"n\":1,\"osaka\":\"failed\"}"));
        let trouble = policy.compose(&values.operation, &results[1..]).unwrap().unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Template);
    });
    let (plan, policy) = planned(operation(&["tokyo"]), "");
    with_values(&plan, None, |values| assert_eq!(policy.compose(&values.operation, &[]), None));
}

#[test]
fn a_restore_writes_back_what_was_there() {
    let forward = |method: Method| Request {
        method,
        uri: "/things/1?x=1".into(),
        headers: Headers::new(),
        body: Body::default(),
        sealed: false,
    };
    let present = |etag: Option<&str>| Image::Present {
        etag: etag.map(str::to_owned),
        digest: None,
        content_type: Some("text/plain".into()),
    };
    let (before, strong, weak) = (present(Some("\"1\"")), present(Some("\"2\"")), present(None));
    let old = Bytes::from_static(b"old");
    for (method, before, after, expected) in [
        (Method::PUT, &Image::Absent, Some(&strong), (Method::DELETE, vec![("if-match", "\"2\"")], "")),
        (Method::PUT, &Image::Absent, Some(&weak), (Method::DELETE, vec![], "")),
        (Method::DELETE, &Image::Absent, Some(&Image::Absent), (Method::DELETE, vec![], "")),
        (
            Method::DELETE,
            &before,
            Some(&Image::Absent),
            (Method::PUT, vec![("content-type", "text/plain"), ("if-none-match", "*")], "old"),
        ),
        (
            Method::PATCH,
            &before,
            Some(&strong),
            (Method::PUT, vec![("content-type", "text/plain"), ("if-match", "\"2\"")], "old"),
        ),
        (Method::PUT, &before, Some(&weak), (Method::PUT, vec![("content-type", "text/plain")], "old")),
        (Method::PUT, &before, None, (Method::PUT, vec![("content-type", "text/plain")], "old")),
    ] {
        let request = restore_request(&forward(method.clone()), before, after, &old);
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            (request.method, headers, request.body),
            (expected.0, expected.1, Body::inline(expected.2)),
            "{method}"
        );
        assert_eq!(request.uri, "/things/1?x=1");
    }
}
