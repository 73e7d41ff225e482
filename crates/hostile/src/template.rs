//! Templates: what is written in a configuration, with what a client sends put into it.

use std::collections::BTreeMap;

use fanfold_core::plan::{BodyTemplate, RequestTemplate};
use fanfold_core::route::spec::{Action, RouteSpec};
use fanfold_core::route::{Handling, Incoming, Issued, RouteTable, TEMPLATE_OUTPUT_BYTES_MAX, has_dot_segment};
use fanfold_core::{Content, OperationId};
use fanfold_engine::target::TargetUrl;
use http::{HeaderValue, Method};

use crate::site::{Site, now};

/// Where the template stands, the template, and behind an empty line what a client sends.
pub(crate) fn template(octets: &[u8]) {
    let Some((place, rest)) = octets.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let (source, value) = text.split_once("\n\n").unwrap_or((text, "../x"));
    let source = source.to_owned();
    let mut request = RequestTemplate::default();
    match place % 6 {
        0 => request.path = Some(source),
        1 => request.query = Some(source),
        2 => request.headers = BTreeMap::from([("x-value".to_owned(), source)]),
        3 => request.body = Some(BodyTemplate::Text(source)),
        4 => request.body = Some(BodyTemplate::Json(serde_json::json!({ "a": [source] }))),
        _ => request.path = Some(format!("/a/{{{{ path.id }}}}{source}")),
    }
    let Some(table) = compiled(request) else { return };
    let Some(Handling::Operation(route)) = table.routes().first().map(|route| &route.handling) else { return };
    let body = serde_json::json!({ "value": value, "list": [value, value.len()], "number": value.len() });
    let incoming = Incoming {
        method: Method::PUT,
        path: "/things/x".to_owned(),
        query: None,
        target_query: None,
        headers: vec![("x-given".to_owned(), value.to_owned())],
        body: body.to_string().into(),
        captures: BTreeMap::from([("id".to_owned(), value.to_owned())]),
    };
    let issued = Issued {
        operation: OperationId::from_bytes([7; 16]),
        resource_id: None,
        attributes: BTreeMap::new(),
        at: now(),
        start_at: None,
    };
    let Ok(planned) = route.plan(incoming, issued) else { return };
    let sent = &planned.plan.steps[0].request;
    let target: TargetUrl = "http://target.example/base".parse().expect("this is an address");
    let wire = target.join(&sent.uri).unwrap_or_else(|bad| panic!("{:?} cannot be sent: {bad}", sent.uri));
    assert!(wire.path().starts_with("/base/") && !has_dot_segment(wire.path()), "{wire} has left its target");
    for (name, value) in &sent.headers {
        assert!(HeaderValue::from_str(value).is_ok(), "{name}: {value:?} is no header field");
    }
    if let Content::Inline(octets) = &sent.body.0 {
        assert!(octets.len() <= TEMPLATE_OUTPUT_BYTES_MAX);
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(octets).is_ok();
        assert!(is_json, "a body that is JSON by its template is none: {}", String::from_utf8_lossy(octets));
    }
}

/// The route with this request, if it can be configured so.
fn compiled(request: RequestTemplate) -> Option<RouteTable> {
    let site = Site::get();
    let is_meant = |route: &&RouteSpec| route.pattern == "/things/{id}";
    let mut route = site.routes.iter().find(is_meant)?.clone();
    let Action::Operation(operation) = &mut route.action else { return None };
    operation.request = request;
    (operation.lock, operation.dedupe) = (None, None);
    RouteTable::compile(vec![route], &site.targets).ok()
}
