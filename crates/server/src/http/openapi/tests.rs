use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::Mount;
use fanfold_core::plan::{Limits, Monitor};
use fanfold_core::route::RouteTable;
use fanfold_core::route::spec::{Action, RouteSpec, TargetSpec};

use super::*;
use crate::http::native::paths::PATHS;

fn front(public: Option<&str>) -> Front {
    let mounts = vec![Mount::new(DialectName::Msf, "/v1"), Mount::new(DialectName::Plas, "/v1.0/plasconnector")];
    Front::new(mounts, Arc::default(), BTreeMap::new(), public.map(str::to_owned)).unwrap()
}

/// Goal: a path that is added to the table and forgotten in the document, or the other way round, is noticed. Method: both as sets.
#[test]
fn the_document_has_the_paths_of_the_native_api_and_no_others() {
    let described: BTreeSet<String> = statics::native().into_keys().collect();
    let routed = PATHS.iter().flat_map(|path| {
        let methods = path.methods().iter().filter(|method| *method != http::Method::HEAD);
        methods.map(|method| format!("{method} {}", path.pattern))
    });
    assert_eq!(described, routed.collect::<BTreeSet<_>>());
}

/// Goal: a query parameter that a handler learns of is described, and nothing is described that it refuses.
#[test]
fn the_document_has_the_query_parameters_that_handlers_read() {
    let document = document(&front(None), false);
    for path in PATHS {
        let item = &document["paths"][format!("/api/v1/{}", path.pattern)];
        for method in path.methods().iter().filter(|method| *method != http::Method::HEAD) {
            let parameters = item[method.as_str().to_ascii_lowercase()]["parameters"].as_array().unwrap();
            let in_query = parameters.iter().filter(|one| one["in"] == "query");
            let described: BTreeSet<&str> = in_query.map(|one| one["name"].as_str().unwrap()).collect();
            assert_eq!(described, path.query().into_iter().collect(), "{method} {}", path.pattern);
        }
    }
}

fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a str, &'a Value)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            visit(name, member);
            walk(member, visit);
        }),
        Value::Array(members) => members.iter().for_each(|member| walk(member, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_schema_is_left_over() {
    let document = document(&front(None), false);
    let mut used = BTreeSet::new();
    walk(&document, &mut |name, value| {
        if name == "$ref" {
            let reference = value.as_str().unwrap();
            let found = document.pointer(reference.strip_prefix('#').unwrap());
            assert!(found.is_some(), "{reference}");
            used.insert(reference);
        }
    });
    // Routes of their dialects use these, and there are none here.
    let of_routes = ["MsfAccepted", "PlasAccepted"];
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(used.contains(reference.as_str()) || of_routes.contains(&name.as_str()), "{name} is not used");
    }
}

#[test]
fn no_schema_that_is_made_out_of_types_is_written_by_hand_as_well() {
    let by_hand: Value = serde_json::from_str(include_str!("components.json")).unwrap();
    let made = schemas::made();
    let both: Vec<&String> = made.keys().filter(|name| by_hand["schemas"].get(name.as_str()).is_some()).collect();
    assert_eq!(both, [""; 0]);
    assert!(made.len() > 30, "{:?}", made.keys());
}

/// Routes that differ only by what a brace is called, or by how much it stands for, are one path.
#[test]
fn routes_of_one_form_share_a_path_and_say_what_a_brace_is_to_each() {
    let mut paths = Paths::default();
    let pass = |method: &str, pattern: &str| RouteSpec {
        name: format!("{method} {pattern}"),
        dialect: DialectName::Native,
        mount: String::new(),
        method: method.parse().unwrap(),
        pattern: pattern.to_owned(),
        action: Action::Pass("tokyo".into()),
    };
    let specs = [
        ("GET", "/{*all}"),
        ("GET", "/things/{*rest}"),
        ("PUT", "/things/{id}"),
        ("GET", "/{one}"),
        ("GET", "/{a}/{b}"),
    ];
    let specs = specs.map(|(method, pattern)| pass(method, pattern)).to_vec();
    let table = RouteTable::compile(specs, &[("tokyo".into(), target())].into()).unwrap();
    routes::describe_all(&mut paths, table.routes());
    let paths = paths.into_value();
    let names: Vec<&String> = paths.as_object().unwrap().keys().collect();
    assert_eq!(names, ["/things/{id}", "/{all_1}/{all_2}/{all}", "/{a}/{b}", "/{one}"]);
    let of = |method: &str| {
        (&paths["/things/{id}"][method]["parameters"], &paths["/things/{id}"][method]["x-fanfold-pattern"])
    };
    let (parameters, pattern) = of("put");
    assert_eq!((&parameters[0]["name"], pattern), (&json!("id"), &json!("/things/{id}")));
    assert_eq!(parameters[0]["description"], "One segment of the path, `id` in the route.");
    let (parameters, pattern) = of("get");
    assert_eq!((parameters.as_array().map(Vec::len), pattern), (Some(1), &json!("/things/{*rest}")));
    assert_eq!(parameters[0]["name"], "id");
    let says = parameters[0]["description"].as_str().unwrap();
    assert!(says.contains("`*rest` in the route: one segment, or several"), "{says}");
}

fn target() -> TargetSpec {
    let span = Duration::from_secs(1);
    let limits = Limits {
        attempts: 1,
        backoff: span,
        backoff_max: span,
        budget: span,
        connect: span,
        response: span,
        lower: span,
        response_body_max: 0,
    };
    let monitor = Monitor::None;
    TargetSpec { id: "1".to_owned(), monitor, step: limits.clone(), undo: limits, settle: span }
}

#[test]
fn every_operation_has_its_own_id_and_known_parameters() {
    let document = document(&front(None), false);
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} stands for two operations");
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(parameters.iter().all(|one| one["name"].is_string()), "{method} {path}: {parameters:?}");
            let in_path: BTreeSet<_> =
                parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
            let (_, names) = read_template(path);
            assert_eq!(in_path, names.iter().map(String::as_str).collect(), "{method} {path}");
        }
    }
    assert!(document["paths"]["/v1/operations/{operation_id}"]["put"].is_object());
}

#[test]
fn the_server_is_where_clients_reach_it() {
    assert_eq!(document(&front(None), false)["servers"][0]["url"], "/");
    assert_eq!(
        document(&front(Some("https://fanfold.example")), false)["servers"][0]["url"],
        "https://fanfold.example"
    );
}
