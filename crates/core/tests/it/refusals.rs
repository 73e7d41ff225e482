//! Every row of the refusal table, in every dialect.

use std::time::Duration;

use fanfold_core::dialect::{PassFailure, Refusal, dialect};
use fanfold_core::plan::DialectName;
use http::Method;

use crate::fixtures::show;

fn other() -> fanfold_core::OperationId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

fn rows() -> Vec<Refusal> {
    let text = |text: &str| text.to_owned();
    vec![
        Refusal::Unauthenticated,
        Refusal::NotFound { detail: text("there is no such operation") },
        Refusal::MethodNotAllowed { allow: vec![Method::GET, Method::HEAD] },
        Refusal::Unparsable { detail: text("`limit` is not a number") },
        Refusal::BadValue { detail: text("`format` is neither `list` nor `detail-list`") },
        Refusal::OutOfRange { detail: text("`limit` is not from 1 to 1000") },
        Refusal::BodyTooLarge { max: 1 << 20 },
        Refusal::HeadTooLarge { detail: text("the head is larger than 32768 bytes") },
        Refusal::KeyReused { first: other(), by_route: false },
        Refusal::KeyReused { first: other(), by_route: true },
        Refusal::Locked { key: text("slice/7"), holder: Some(other()), waiting: None },
        Refusal::Locked { key: text("slice/7"), holder: None, waiting: Some(1000) },
        Refusal::NotPossible { detail: text("the operation has ended") },
        Refusal::Unavailable { detail: text("draining"), retry_after: Duration::from_millis(2500) },
        Refusal::TooManyRequests {
            detail: text("more than 100 requests a second of this token"),
            retry_after: Duration::ZERO,
        },
        Refusal::StoreUnreachable { detail: text("the store cannot be reached; the request may have been accepted") },
        Refusal::StoreFailing { detail: text("the disk is full") },
        Refusal::Internal,
    ]
}

fn refusals(name: DialectName) -> String {
    let shown = |refusal: &Refusal| format!("=== {refusal:?}\n{}\n", show(&dialect(name).refuse(refusal)));
    rows().iter().map(shown).collect::<Vec<_>>().join("\n")
}

fn pass_failures(name: DialectName) -> String {
    let detail = "connection refused".to_owned();
    let rows = [
        PassFailure::Unreachable { detail: detail.clone() },
        PassFailure::Broken { detail: "connection reset".to_owned() },
        PassFailure::TimedOut { detail: "no answer within 30 s".to_owned() },
    ];
    let shown = |failure: &PassFailure| format!("=== {failure:?}\n{}\n", show(&dialect(name).pass_failed(failure)));
    rows.iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn native() {
    insta::assert_snapshot!("refusals_native", refusals(DialectName::Native));
    insta::assert_snapshot!("pass_failures_native", pass_failures(DialectName::Native));
}

#[test]
fn msf() {
    insta::assert_snapshot!("refusals_msf", refusals(DialectName::Msf));
    insta::assert_snapshot!("pass_failures_msf", pass_failures(DialectName::Msf));
}

#[test]
fn plas() {
    insta::assert_snapshot!("refusals_plas", refusals(DialectName::Plas));
    insta::assert_snapshot!("pass_failures_plas", pass_failures(DialectName::Plas));
}

#[test]
fn no_refusal_tells_the_key_of_a_lock() {
    for name in [DialectName::Native, DialectName::Msf, DialectName::Plas] {
        let reply =
            dialect(name).refuse(&Refusal::Locked { key: "slice/secret".to_owned(), holder: None, waiting: None });
        assert!(!String::from_utf8(reply.body.to_vec()).unwrap().contains("slice/secret"));
    }
}
