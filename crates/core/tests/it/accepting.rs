//! What dialects read from a request that a route accepts.

use std::collections::BTreeMap;

use fanfold_core::dialect::{Acceptance, Accepting, Refusal, dialect};
use fanfold_core::plan::{DialectName, Verb};

fn accept(name: DialectName, query: Option<&str>, captures: &[(&str, &str)]) -> Result<Acceptance, Refusal> {
    let captures: BTreeMap<_, _> =
        captures.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    dialect(name).accept(&Accepting { query, captures: &captures })
}

#[test]
fn msf_takes_its_own_parameters_out_and_keeps_them() {
    let query = "a=%41&notification_address=192.168.100.9&b&notification_port=65000";
    let acceptance = accept(DialectName::Msf, Some(query), &[]).unwrap();
    assert_eq!(acceptance.query.as_deref(), Some("a=%41&b"));
    assert_eq!(acceptance.notify, Some("192.168.100.9:65000".parse().unwrap()));
    assert_eq!(acceptance.attributes["notification_address"], "192.168.100.9");
    assert_eq!(acceptance.attributes["notification_port"], "65000");
    assert!(!acceptance.issues_resource_id);
}

#[test]
fn msf_without_parameters_notifies_nobody() {
    for query in [None, Some("a=1")] {
        let acceptance = accept(DialectName::Msf, query, &[]).unwrap();
        assert_eq!(acceptance, Acceptance { query: query.map(str::to_owned), ..Acceptance::default() });
    }
}

#[test]
fn msf_refuses_an_address_that_cannot_be_notified() {
    for query in [
        "notification_address=192.168.100.9",
        "notification_port=65000",
        "notification_address=&notification_port=65000",
        "notification_address=example.com&notification_port=65000",
        "notification_address=::1&notification_port=65000",
        "notification_address=192.168.100.300&notification_port=65000",
        "notification_address=192.168.100.9&notification_port=0",
        "notification_address=192.168.100.9&notification_port=65536",
        "notification_address=192.168.100.9&notification_port=+1",
        "notification_address=192.168.100.9&notification_port=",
        "notification_address=192.168.100.9&notification_port=1&notification_port=2",
    ] {
        let refusal = accept(DialectName::Msf, Some(query), &[]).unwrap_err();
        assert!(matches!(refusal, Refusal::BadValue { .. }), "{query}: {refusal:?}");
    }
}

#[test]
fn plas_issues_an_id_only_where_the_path_names_no_connector() {
    let created = accept(DialectName::Plas, Some("a=1"), &[]).unwrap();
    assert!(created.issues_resource_id && created.attributes.is_empty());
    assert_eq!(created.query.as_deref(), Some("a=1"));

    let changed = accept(DialectName::Plas, None, &[("connector_id", "c-1")]).unwrap();
    assert!(!changed.issues_resource_id);
    assert_eq!(changed.attributes["connector_id"], "c-1");
}

#[test]
fn plas_counts_the_characters_of_a_connector_id() {
    let accept = |id: &str| accept(DialectName::Plas, None, &[("connector_id", id)]);
    assert!(accept(&"é".repeat(36)).is_ok());
    assert!(matches!(accept(&"a".repeat(37)), Err(Refusal::BadValue { .. })));
    assert!(matches!(accept(""), Err(Refusal::BadValue { .. })));
}

#[test]
fn native_leaves_everything_as_it_is() {
    let acceptance = accept(DialectName::Native, Some("notification_port=1"), &[("connector_id", "c")]).unwrap();
    assert_eq!(acceptance, Acceptance { query: Some("notification_port=1".to_owned()), ..Acceptance::default() });
}

#[test]
fn only_plas_has_no_word_for_an_action() {
    for name in [DialectName::Native, DialectName::Msf, DialectName::Plas] {
        for verb in [Verb::Create, Verb::Update, Verb::Delete] {
            assert!(dialect(name).allows(verb));
        }
        assert_eq!(dialect(name).allows(Verb::Action), name != DialectName::Plas);
    }
}
