//! Retries of operations whose secrets were wiped: the client sends the request again, and says what it belongs to.

use fanfold_core::dialect::Refusal;
use fanfold_core::operation::{Consistency, Status};
use fanfold_core::plan::RequestTemplate;
use fanfold_core::route::spec::OperationSpec;
use fanfold_core::{Operation, OperationId};
use fanfold_engine::AcceptOutcome;
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};

use super::retry::refused;
use super::stage::{NAMES, Stage, fakes, spec};

const BODY: &str = "{\"password\":\"swordfish\",\"n\":1}";

/// Sends a request again, for the operation that `retry_of` names.
async fn send(stage: &Stage, body: &str, retry_of: &str, more: &[(&str, &str)]) -> Result<AcceptOutcome, Refusal> {
    let headers = [&[("fanfold-retry-of", retry_of)], more].concat();
    stage.accept_with("POST", "/things", body, &headers).await
}

async fn not_possible(stage: &Stage, body: &str, retry_of: &str) -> String {
    match send(stage, body, retry_of, &[]).await {
        Err(Refusal::NotPossible { detail }) => detail,
        other => panic!("{other:?}"),
    }
}

/// An operation with a secret that failed at `osaka`, and was undone elsewhere.
async fn failed(fakes: &[FakeTarget], spec: OperationSpec) -> (Stage, std::sync::Arc<Operation>) {
    fakes[1].once("POST", "/things", Answer::empty(409));
    let stage = Stage::new(fakes, spec).await;
    let first = stage.post(BODY).await;
    assert_eq!((first.status(), first.consistency()), (Status::Failed, Consistency::RolledBack));
    (stage, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_secrets_is_sent_again_and_retried() {
    let fakes = fakes().await;
    let (stage, first) = failed(&fakes, spec(&NAMES)).await;
    let detail = refused(&stage, first.id).await;
    assert!(detail.contains(&format!("Fanfold-Retry-Of: {}", first.id)), "{detail}");
    let before = fakes.each_ref().map(|fake| fake.seen().len());
    let retry = send(&stage, BODY, &first.id.to_string(), &[]).await.unwrap().operation.id;
    let retry = stage.ended(retry).await;
    assert_eq!((retry.status(), retry.plan.retry_of), (Status::Completed, Some(first.id)));
    for (fake, before) in fakes.iter().zip(before) {
        let seen = fake.seen();
        let (call, rest) = seen[before..].split_first().unwrap();
        assert_eq!((&*call.body, rest.len()), (BODY.as_bytes(), 0));
        assert_eq!(call.header("fanfold-retry-of"), None);
    }
    let record = format!("{retry:?}");
    assert!(!record.contains("swordfish"), "the retry is redacted as the first one was");
    assert!(not_possible(&stage, BODY, &first.id.to_string()).await.contains("nothing is left"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_same_request_is_taken_for_one_sent_again() {
    let fakes = fakes().await;
    let (stage, first) = failed(&fakes, spec(&NAMES)).await;
    let calls = fakes.each_ref().map(|fake| fake.seen().len());
    let other = BODY.replace("swordfish", "catfish");
    let detail = not_possible(&stage, &other, &first.id.to_string()).await;
    assert!(detail.contains("not the request"), "{detail}");
    let stranger = OperationId::from_bytes([1; 16]).to_string();
    assert!(matches!(send(&stage, BODY, &stranger, &[]).await, Err(Refusal::NotFound { .. })));
    assert!(matches!(send(&stage, BODY, "latest", &[]).await, Err(Refusal::BadValue { .. })));
    assert_eq!(fakes.each_ref().map(|fake| fake.seen().len()), calls, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_route_makes_of_it_by_now_must_be_what_it_made_of_it_then() {
    let fakes = fakes().await;
    let (mut stage, first) = failed(&fakes, spec(&NAMES)).await;
    let request = RequestTemplate { path: Some("/elsewhere".into()), ..RequestTemplate::default() };
    stage.configure(OperationSpec { request, ..spec(&NAMES) });
    let detail = not_possible(&stage, BODY, &first.id.to_string()).await;
    assert!(detail.contains("another request to tokyo"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_see_the_id_that_they_saw_when_it_came_first() {
    let fakes = fakes().await;
    let headers = [("x-first".into(), "{{ operation.id }}".into())].into();
    let request = RequestTemplate { headers, ..RequestTemplate::default() };
    let (stage, first) = failed(&fakes, OperationSpec { request, ..spec(&NAMES) }).await;
    fakes[1].once("POST", "/things", Answer::empty(409));
    let second = send(&stage, BODY, &first.id.to_string(), &[]).await.unwrap().operation.id;
    assert_eq!(stage.ended(second).await.status(), Status::Failed);
    // A retry is retried in the same way.
    let third = send(&stage, BODY, &second.to_string(), &[]).await.unwrap().operation.id;
    assert_eq!(stage.ended(third).await.status(), Status::Completed);
    let id = first.id.to_string();
    let seen = fakes[1].seen();
    assert_eq!(seen.iter().map(|call| call.header("x-first")).collect::<Vec<_>>(), [Some(&*id); 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn header_fields_are_those_of_the_first_request() {
    let fakes = fakes().await;
    let with = |mode: &str| {
        let headers = [("x-mode".into(), mode.into())].into();
        OperationSpec { request: RequestTemplate { headers, ..RequestTemplate::default() }, ..spec(&NAMES) }
    };
    let (mut stage, first) = failed(&fakes, with("dry")).await;
    stage.configure(with("real"));
    let second = send(&stage, BODY, &first.id.to_string(), &[]).await.unwrap().operation.id;
    assert_eq!(stage.ended(second).await.status(), Status::Completed);
    assert!(fakes.iter().flat_map(|fake| fake.seen()).all(|call| call.header("x-mode") != Some("real")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_sent_again_by_force_only() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let first = stage.post(BODY).await;
    assert_eq!(first.consistency(), Consistency::Unknown);
    assert!(not_possible(&stage, BODY, &first.id.to_string()).await.contains("`force`"));
    let forced = send(&stage, BODY, &format!("{}; force", first.id), &[]).await.unwrap().operation;
    assert_eq!(forced.plan.front.attributes.get(fanfold_core::retry::FORCED_BY).map(String::as_str), Some("a client"));
    assert_eq!(forced.submitted_by.as_deref(), Some("a client"));
    assert_eq!(stage.ended(forced.id).await.status(), Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_again_has_a_key_of_its_own() {
    let fakes = fakes().await;
    let (stage, first) = failed(&fakes, spec(&NAMES)).await;
    let id = first.id.to_string();
    let key = [("idempotency-key", "again-1")];
    let retry = send(&stage, BODY, &id, &key).await.unwrap();
    stage.ended(retry.operation.id).await;
    let repeat = send(&stage, BODY, &id, &key).await.unwrap();
    assert_eq!((repeat.operation.id, repeat.repeated, retry.repeated), (retry.operation.id, true, false));
    // The same request without saying what it belongs to is another one.
    let other = stage.accept_with("POST", "/things", BODY, &key).await;
    assert!(matches!(other, Err(Refusal::KeyReused { .. })), "{other:?}");
}
