//! Lists, written piece by piece.

use fanfold_core::dialect::{ListEntry, ListFormat, NextPage, Reply, dialect, native::OperationSummary};
use fanfold_core::plan::DialectName;
use http::StatusCode;

use crate::fixtures::{id, mount, scenarios, show};

fn msf_list(format: ListFormat, entries: &[ListEntry<'_>], next: Option<NextPage<'_>>) -> String {
    let mount = mount(DialectName::Msf);
    let listing = mount.wire().listing().unwrap();
    let frame = listing.frame(&mount, format, next);
    let entries: Vec<_> =
        entries.iter().map(|entry| String::from_utf8(listing.entry(&mount, *entry)).unwrap()).collect();
    let body = format!("{}{}{}", frame.head, entries.join(frame.separator), frame.tail);
    show(&Reply { status: StatusCode::OK, headers: frame.headers, body: body.into() })
}

#[test]
fn msf_ids() {
    insta::assert_snapshot!("msf_list_empty", msf_list(ListFormat::Ids, &[], None));
    let next = NextPage { limit: 2, token: "a/b=" };
    let entries = [ListEntry::Id(id(1)), ListEntry::Id(id(2))];
    insta::assert_snapshot!("msf_list_page", msf_list(ListFormat::Ids, &entries, Some(next)));
}

#[test]
fn msf_details() {
    insta::assert_snapshot!("msf_detail_list_empty", msf_list(ListFormat::Details, &[], None));
    let all = scenarios(DialectName::Msf);
    let wanted = ["unexecuted", "calling", "completed", "failed_with_rollback"];
    let entries: Vec<_> = all
        .iter()
        .filter(|(name, _)| wanted.contains(name))
        .map(|(_, operation)| ListEntry::Operation(operation))
        .collect();
    assert_eq!(entries.len(), wanted.len());
    let next = NextPage { limit: 4, token: "t" };
    insta::assert_snapshot!("msf_detail_list_page", msf_list(ListFormat::Details, &entries, Some(next)));
}

#[test]
fn a_public_url_makes_links_absolute() {
    let mut mount = mount(DialectName::Msf);
    mount.settings.public_url = "https://fanfold.example".to_owned();
    let frame = mount.wire().listing().unwrap().frame(&mount, ListFormat::Ids, Some(NextPage { limit: 9, token: "t" }));
    let link = "<https://fanfold.example/v1/operations?format=list&limit=9&page_token=t>; rel=\"next\"";
    assert!(frame.headers.contains(&("link".to_owned(), link.to_owned())));
}

#[test]
fn other_dialects_have_no_list_of_their_own() {
    assert!(dialect(DialectName::Native).listing().is_none());
    assert!(dialect(DialectName::Plas).listing().is_none());
}

#[test]
fn native_summaries() {
    let mount = mount(DialectName::Native);
    for (name, operation) in scenarios(DialectName::Native) {
        if ["unexecuted", "held", "failed_with_rollback", "canceled_before_start"].contains(&name) {
            let reply = Reply::json(StatusCode::OK, &OperationSummary::of(&mount, &operation));
            insta::assert_snapshot!(format!("native_summary_{name}"), show(&reply));
        }
    }
}
