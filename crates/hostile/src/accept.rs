//! From a request to an acceptance, in each dialect.

use fanfold_core::dialect::{Bodies, Head, ListFormat, Mount, NextPage, OwnRequest, Refusal, Reply, View};
use fanfold_core::operation::Operation;
use fanfold_core::plan::DialectName;
use fanfold_core::route::{Found, Handling, Incoming, Issued, KEY_BYTES_MAX, OperationRoute, Planned, seal};
use fanfold_core::{Content, OperationId, Plan, TenantId};
use fanfold_engine::target::TargetUrl;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method};

use crate::input::Message;
use crate::site::{Site, now};

/// A request to the native API.
pub(crate) fn native(octets: &[u8]) {
    request(DialectName::Native, octets);
}

/// A request to an `msf` mount.
pub(crate) fn msf(octets: &[u8]) {
    request(DialectName::Msf, octets);
}

/// A request to a `plas` mount.
pub(crate) fn plas(octets: &[u8]) {
    request(DialectName::Plas, octets);
}

fn request(dialect: DialectName, octets: &[u8]) {
    let Some(message) = Message::read(octets) else { return };
    let Some((method, target)) = message.first.split_once(' ') else { return };
    let (Ok(method), Ok(target)) = (Method::from_bytes(method.as_bytes()), target.parse::<PathAndQuery>()) else {
        return;
    };
    let site = Site::get();
    let mount = site.mount(dialect);
    match mount.own(&method, target.path(), target.query()) {
        Some(Ok(own)) => own_request(&mount, &own),
        Some(Err(refusal)) => refused(&mount, &refusal),
        None => {}
    }
    match site.table.find(&method, target.path()) {
        Found::Route { route, captures } => {
            let Handling::Operation(operation) = &route.handling else { return };
            let incoming = Incoming {
                method,
                path: target.path().to_owned(),
                query: target.query().map(str::to_owned),
                target_query: None,
                headers: message.headers,
                body: message.body,
                captures,
            };
            match plan(operation, incoming) {
                Ok(planned) => accepted(&site.mount(operation.dialect()), operation, planned),
                Err(refusal) => refused(&site.mount(operation.dialect()), &refusal),
            }
        }
        Found::Refused(refusal) => refused(&mount, &refusal),
        Found::WrongMethod { allow } => assert!(!allow.contains(&method)),
        Found::Nothing => {}
    }
}

/// As the engine does it: the dialect takes its own parameters out, and the route makes a plan of the rest.
fn plan(route: &OperationRoute, mut incoming: Incoming) -> Result<Planned, Refusal> {
    let wire = fanfold_core::dialect::dialect(route.dialect());
    let accepting = fanfold_core::dialect::Accepting { query: incoming.query.as_deref(), captures: &incoming.captures };
    let acceptance = wire.accept(&accepting)?;
    incoming.target_query = acceptance.query;
    let issued = Issued {
        operation: OperationId::from_bytes([7; 16]),
        resource_id: acceptance.issues_resource_id.then(|| "0190a1b2-0000-7000-8000-000000000000".to_owned()),
        attributes: acceptance.attributes,
        at: now(),
        start_at: None,
    };
    route.plan(incoming, issued)
}

fn accepted(mount: &Mount, route: &OperationRoute, planned: Planned) {
    let Planned { plan, dedupe } = planned;
    let keys = dedupe.iter().chain(plan.lock.as_ref().map(|lock| &lock.key));
    for key in keys {
        assert!(!key.is_empty() && key.len() <= KEY_BYTES_MAX, "{key:?} is a key");
    }
    let target: TargetUrl = "http://target.example/base".parse().expect("this is an address");
    for step in &plan.steps {
        let uri = &step.request.uri;
        let wire = target.join(uri).unwrap_or_else(|bad| panic!("a request cannot be sent: {uri:?}: {bad}"));
        assert!(wire.path().starts_with("/base/"), "{wire} has left its target");
        for (name, value) in &step.request.headers {
            assert!(HeaderValue::from_str(value).is_ok(), "{name}: {value:?} is no header field");
            let is_forbidden = ["connection", "host", "content-length", "transfer-encoding", "authorization", "cookie"];
            assert!(!is_forbidden.contains(&name.as_str()), "{name} is sent on");
        }
    }
    again(route, &plan);
    let text = serde_json::to_vec(&plan).expect("a plan is JSON");
    let mut read: Plan = serde_json::from_slice(&text).expect("a plan that was written can be read");
    read.policy = plan.policy.clone();
    assert!(read == plan, "a plan is read as another one");
    let (public, originals) = seal(plan.clone());
    assert_eq!(originals.is_empty(), public == plan, "what was taken out is kept, and nothing else is");
    let operation = Operation::accepted(OperationId::from_bytes([7; 16]), TenantId::default(), public.into(), now());
    answered(mount, &operation);
}

/// The request as it is recorded gives the same plan.
fn again(route: &OperationRoute, plan: &Plan) {
    let (path, query) =
        plan.request.uri.split_once('?').map_or((plan.request.uri.as_str(), None), |(path, query)| (path, Some(query)));
    let body = match &plan.request.body.0 {
        Content::Inline(octets) => octets.clone(),
        Content::Empty | Content::Apart { .. } | Content::Same(_) => bytes::Bytes::new(),
    };
    let incoming = Incoming {
        method: plan.request.method.clone(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        target_query: None,
        headers: plan.request.headers.clone(),
        body,
        captures: plan.captures.clone(),
    };
    let again = self::plan(route, incoming).expect("what was accepted once is accepted again");
    assert!(again.plan == *plan, "the recorded request means another plan");
}

fn answered(mount: &Mount, operation: &Operation) {
    let wire = mount.wire();
    let reply = wire.accepted(mount, operation);
    let body = fit(&reply);
    let location = match mount.dialect {
        DialectName::Native => None,
        DialectName::Msf => body["operation_id"].as_str().map(|id| format!("{}/operations/{id}", mount.prefix)),
        DialectName::Plas => body["location"].as_str().map(str::to_owned),
    };
    if let Some(location) = location {
        let owner = wire.owner(operation).map(str::to_owned);
        let found = mount.own(&Method::GET, &location, None);
        let id = operation.id;
        assert_eq!(found, Some(Ok(OwnRequest::Detail { id, owner })), "{location} does not lead to what was accepted");
    }
    let bodies = Bodies::default();
    fit(&wire.detail(mount, View { operation, bodies: &bodies }));
}

fn own_request(mount: &Mount, own: &OwnRequest) {
    match own {
        OwnRequest::Detail { id, .. } => assert_eq!(id.to_string().parse(), Ok(*id)),
        OwnRequest::Notified { lower } => assert!(!lower.is_empty() && lower.len() <= 255, "{lower:?}"),
        OwnRequest::List { format, limit, page_token } => {
            let Some(limit) = *limit else { return };
            assert!((1..=1000).contains(&limit));
            next_page(mount, *format, limit, page_token.as_deref().unwrap_or("o.next"));
        }
    }
}

/// The link to the next page leads to it.
fn next_page(mount: &Mount, format: ListFormat, limit: u32, token: &str) {
    let Some(listing) = mount.wire().listing() else { return };
    let frame = listing.frame(mount, format, Some(NextPage { limit, token }));
    let link = frame.headers.iter().find(|(name, _)| name == "link").map(|(_, value)| value.as_str());
    let address = link.and_then(|link| link.strip_prefix('<')?.split_once('>')).map(|(address, _)| address);
    let address: PathAndQuery = address.and_then(|address| address.parse().ok()).expect("there is a link");
    let path = mount.below(address.path()).expect("it lies below the mount");
    let next = mount.wire().own(Head { method: &Method::GET, path, query: address.query() });
    let wanted = OwnRequest::List { format, limit: Some(limit), page_token: Some(token.to_owned()) };
    assert_eq!(next, Some(Ok(wanted)), "{address}");
}

fn refused(mount: &Mount, refusal: &Refusal) {
    let reply = mount.wire().refuse(refusal);
    assert!(reply.status.is_client_error() || reply.status.is_server_error(), "{}", reply.status);
    fit(&reply);
}

/// Its body is JSON, and its fields can be sent.
fn fit(reply: &Reply) -> serde_json::Value {
    for (name, value) in &reply.headers {
        assert!(HeaderValue::from_str(value).is_ok(), "{name}: {value:?} is no header field");
    }
    serde_json::from_slice(&reply.body).expect("the answer is JSON")
}
