//! The paths where dialects keep their operations.

use fanfold_core::dialect::{ListFormat, OwnRequest, Refusal};
use fanfold_core::plan::DialectName;
use http::Method;

use crate::fixtures::{accepted, id, mount};

fn own(name: DialectName, method: Method, target: &str) -> Option<Result<OwnRequest, Refusal>> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    mount(name).own(&method, path, query)
}

fn msf(method: Method, target: &str) -> Result<OwnRequest, Refusal> {
    own(DialectName::Msf, method, target).unwrap()
}

fn plas(method: Method, target: &str) -> Result<OwnRequest, Refusal> {
    own(DialectName::Plas, method, target).unwrap()
}

#[test]
fn other_paths_are_left_to_routes() {
    for path in ["/v1", "/v1/", "/v1/slices", "/v1/operations/a/b", "/v2/operations", "/v10/operations", "/operations"]
    {
        assert_eq!(own(DialectName::Msf, Method::GET, path), None, "{path}");
    }
    for path in
        ["/v1.0/plasconnector/connectors", "/v1.0/plasconnector/connectors/c/operations", "/connectors/c/operations/o"]
    {
        assert_eq!(own(DialectName::Plas, Method::GET, path), None, "{path}");
    }
    assert_eq!(own(DialectName::Native, Method::GET, "/api/v1/operations"), None);
}

#[test]
fn msf_lists() {
    let list = |format, limit, token: Option<&str>| {
        Ok(OwnRequest::List { format, limit, page_token: token.map(str::to_owned) })
    };
    assert_eq!(msf(Method::GET, "/v1/operations"), list(ListFormat::Ids, None, None));
    assert_eq!(msf(Method::HEAD, "/v1/operations?format=list"), list(ListFormat::Ids, None, None));
    let paged = msf(Method::GET, "/v1/operations?format=detail-list&limit=1000&page_token=a%2Fb&other=1");
    assert_eq!(paged, list(ListFormat::Details, Some(1000), Some("a/b")));
}

#[test]
fn msf_refuses_lists_that_it_cannot_write() {
    let refusal = |query: &str| msf(Method::GET, &format!("/v1/operations?{query}")).unwrap_err();
    for query in ["format=", "format=detail", "format=list&format=list", "page_token="] {
        assert!(matches!(refusal(query), Refusal::BadValue { .. }), "{query}");
    }
    assert!(matches!(refusal(&format!("page_token={}", "x".repeat(257))), Refusal::BadValue { .. }));
    for query in ["limit=", "limit=ten", "limit=-1", "format=%ff"] {
        assert!(matches!(refusal(query), Refusal::Unparsable { .. }), "{query}");
    }
    for query in ["limit=0", "limit=1001", "limit=99999999999"] {
        assert!(matches!(refusal(query), Refusal::OutOfRange { .. }), "{query}");
    }
}

#[test]
fn msf_finds_one_operation_and_hears_of_lower_ones() {
    let path = format!("/v1/operations/{}", id(1));
    assert_eq!(msf(Method::GET, &path), Ok(OwnRequest::Detail { id: id(1), owner: None }));
    for path in ["/v1/operations/", "/v1/operations/7", &format!("/v1/operations/{}", "a".repeat(37))] {
        assert!(matches!(msf(Method::GET, path), Err(Refusal::NotFound { .. })), "{path}");
    }
    let upper = format!("/v1/operations/{}", id(0xab).to_string().to_uppercase());
    assert!(matches!(msf(Method::GET, &upper), Err(Refusal::NotFound { .. })));

    let lower = "20180913105000123".to_owned();
    assert_eq!(msf(Method::PUT, &format!("/v1/operations/{lower}")), Ok(OwnRequest::Notified { lower }));
    assert!(matches!(msf(Method::PUT, "/v1/operations/"), Err(Refusal::NotFound { .. })));
    assert!(matches!(msf(Method::PUT, &format!("/v1/operations/{}", "9".repeat(256))), Err(Refusal::NotFound { .. })));
}

#[test]
fn own_paths_know_their_methods() {
    let allow = |answer: Result<OwnRequest, Refusal>| match answer {
        Err(Refusal::MethodNotAllowed { allow }) => allow,
        other => panic!("{other:?}"),
    };
    let read = vec![Method::GET, Method::HEAD];
    assert_eq!(allow(msf(Method::POST, "/v1/operations")), read);
    assert_eq!(allow(msf(Method::DELETE, "/v1/operations/7")), [Method::GET, Method::HEAD, Method::PUT]);
    assert_eq!(allow(plas(Method::PUT, "/v1.0/plasconnector/connectors/c/operations/o")), read);
}

#[test]
fn plas_finds_an_operation_below_its_connector_only() {
    let path = |connector: &str, id: &str| format!("/v1.0/plasconnector/connectors/{connector}/operations/{id}");
    let found = plas(Method::GET, &path("c%201", &id(1).to_string()));
    assert_eq!(found, Ok(OwnRequest::Detail { id: id(1), owner: Some("c 1".to_owned()) }));
    for (connector, operation) in [("", "7"), ("c", ""), (&*"c".repeat(37), "7"), ("c", &*"7".repeat(37))] {
        let refusal = plas(Method::GET, &path(connector, operation)).unwrap_err();
        assert!(matches!(refusal, Refusal::BadValue { .. }), "{connector}/{operation}");
    }
    assert!(matches!(plas(Method::GET, &path("c", "7")), Err(Refusal::NotFound { .. })));

    let operation = accepted(DialectName::Plas, 1);
    assert!(mount(DialectName::Plas).shows(&operation, Some("e7b778a7-5d94-4263-813f-4aec18473a5a")));
    assert!(!mount(DialectName::Plas).shows(&operation, Some("c")));
}

#[test]
fn a_mount_shows_what_was_accepted_through_it() {
    let operation = accepted(DialectName::Msf, 1);
    assert!(mount(DialectName::Msf).shows(&operation, None));
    assert!(!mount(DialectName::Plas).shows(&operation, None));
    let mut other = mount(DialectName::Msf);
    other.prefix = "/other/v1".to_owned();
    assert!(!other.shows(&operation, None));
}
