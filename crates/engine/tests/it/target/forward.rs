//! Requests that are passed through.

use std::convert::Infallible;

use bytes::Bytes;
use fanfold_core::operation::Gate;
use fanfold_engine::Claimant;
use fanfold_engine::target::{BreakerConfig, ForwardError, PassBody, PassBroke, PassLimits};
use fanfold_testkit::{Answer, FakeTarget, Latch, Reply};
use futures_util::stream;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};

use super::*;

const LIMITS: PassLimits = PassLimits { connect: LONG, response: LONG, idle: LONG };

fn request(method: Method, path: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(path).body(Empty::new()).unwrap()
}

async fn whole(answer: Response<PassBody>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn all_but_what_concerns_one_connection_is_passed_both_ways() {
    let fake = FakeTarget::start().await;
    let target = target_with(&format!("{}/base", fake.url()), |config| {
        config.headers = vec![(AUTHORIZATION, HeaderValue::from_static("Bearer ours"))];
    });
    let answer = Answer::text(418, "tea").header("x-kept", "1").header("keep-alive", "x").header("set-cookie", "a=b");
    fake.once("*", "*", answer);
    let request = Request::builder()
        .method("PATCH")
        .uri("http://front.example/a%2Fb?q=%20")
        .header("host", "front.example")
        .header("authorization", "Bearer theirs")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .header("te", "trailers")
        .header("expect", "100-continue")
        .header("cookie", "c=d")
        .header("content-length", "5")
        .body(Full::new(Bytes::from_static(b"hello")))
        .unwrap();
    let answer = target.forward(request, &Claimant::default(), LIMITS).await.unwrap();

    assert_eq!(answer.status(), 418);
    assert_eq!(
        (&answer.headers()["x-kept"], &answer.headers()["set-cookie"]),
        (&"1".parse().unwrap(), &"a=b".parse().unwrap())
    );
    assert!(!answer.headers().contains_key("keep-alive"));
    assert_eq!(whole(answer).await, "tea");
    let seen = &fake.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.uri.as_str(), seen.text().as_str()),
        ("PATCH", "/base/a%2Fb?q=%20", "hello")
    );
    let mut fields: Vec<_> = seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    fields.sort_unstable();
    let host = format!("host: {}", fake.address());
    assert_eq!(fields, ["authorization: Bearer ours", "content-length: 5", "cookie: c=d", &host, "via: 1.1 fanfold"]);
}

#[tokio::test]
async fn an_answer_is_passed_on_piece_by_piece_and_holds_its_permit_to_the_end() {
    let fake = FakeTarget::start().await;
    let latch = Latch::new();
    fake.once("*", "*", Reply::Slow(Answer::text(200, "onetwo"), 3, latch.clone()));
    let target = target(&fake.url());
    let mut body = target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap().into_body();
    for piece in ["one", "two"] {
        assert_eq!(target.status().in_flight.pass, 1);
        latch.let_through(1);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    latch.open();
    assert!(body.frame().await.is_none() && body.is_end_stream());
    assert_eq!(target.status().in_flight, PerKind::default());
    assert_eq!(
        whole(target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap()).await,
        "{}"
    );
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_passed_on_as_it_comes() {
    let fake = FakeTarget::start().await;
    let pieces = ["a", "bc", "def"].map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece.as_bytes()))));
    let request = Request::post("/x").body(StreamBody::new(stream::iter(pieces))).unwrap();
    assert_eq!(target(&fake.url()).forward(request, &Claimant::default(), LIMITS).await.unwrap().status(), 200);
    let seen = &fake.seen()[0];
    assert_eq!((seen.text().as_str(), seen.header("transfer-encoding")), ("abcdef", Some("chunked")));
}

/// Whatever comes behind such an answer is taken for no other one's.
#[tokio::test]
async fn an_answer_that_ends_in_two_ways_is_passed_on_in_one_and_ends_its_connection() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    fake.on("*", "*", Answer::text(200, "5\r\nhello\r\n0\r\n\r\n").header("transfer-encoding", "chunked"));
    for connections in 1..=3 {
        let answer = target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap();
        assert!(!answer.headers().contains_key("content-length"), "{:?}", answer.headers());
        assert_eq!(whole(answer).await, "hello");
        assert_eq!(fake.connections(), connections);
    }
}

#[tokio::test]
async fn an_answer_in_a_coding_that_nobody_asked_for_is_not_passed_on() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    for coding in ["gzip", "gzip, chunked", "identity"] {
        fake.once("*", "*", Answer::text(200, "0\r\n\r\n").header("transfer-encoding", coding).closing());
        let error = target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap_err();
        assert!(matches!(error, ForwardError::BadGateway(_)), "{coding}: {error}");
    }
}

#[tokio::test]
async fn answers_without_a_body_leave_their_connection_usable() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    let head = target.forward(request(Method::HEAD, "/x"), &Claimant::default(), LIMITS).await.unwrap();
    assert_eq!(head.headers()["content-length"], "2");
    assert!(head.body().is_end_stream());
    fake.once("*", "*", Answer::empty(204));
    let empty = target.forward(request(Method::DELETE, "/x"), &Claimant::default(), LIMITS).await.unwrap();
    assert!(empty.status() == 204 && empty.body().is_end_stream());
    target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap();
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn upgrades_and_tunnels_are_refused() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    let mut upgrade = request(Method::GET, "/x");
    upgrade.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
    assert_eq!(target.forward(upgrade, &Claimant::default(), LIMITS).await.unwrap_err(), ForwardError::Unsupported);
    let connect = Request::builder().method("CONNECT").uri("a:443").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(target.forward(connect, &Claimant::default(), LIMITS).await.unwrap_err(), ForwardError::Unsupported);
    let climbing = target.forward(request(Method::GET, "/a/%2e%2e/b"), &Claimant::default(), LIMITS).await.unwrap_err();
    assert!(matches!(climbing, ForwardError::BadPath(_)));
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    fake.once("*", "*", Reply::Slow(Answer::text(200, "onetwo"), 3, Latch::new()));
    let answer = target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap();
    drop(answer);
    fake.wait_until_left_alone().await;
    assert_eq!(target.status().in_flight, PerKind::default());

    let pieces = [Ok(Frame::data(Bytes::from_static(b"a"))), Err(std::io::Error::other("gone"))];
    let broken = Request::post("/x").body(StreamBody::new(stream::iter(pieces))).unwrap();
    assert_eq!(target.forward(broken, &Claimant::default(), LIMITS).await.unwrap_err(), ForwardError::ClientGone);
    fake.wait_until_left_alone().await;
    assert_eq!(target.status().totals.broke, 0);
}

#[tokio::test]
async fn each_phase_has_its_time() {
    let mut fake = FakeTarget::start().await;
    let target = target(&fake.url());
    let limits = PassLimits { response: SHORT, idle: SHORT, ..LIMITS };
    fake.once("*", "*", Reply::Never { applied: false });
    let silent = target.forward(request(Method::GET, "/x"), &Claimant::default(), limits).await.unwrap_err();
    assert!(matches!(silent, ForwardError::TimedOut(_)));
    fake.once("*", "*", Reply::Slow(Answer::text(200, "one"), 1, Latch::new()));
    let mut body = target.forward(request(Method::GET, "/x"), &Claimant::default(), limits).await.unwrap().into_body();
    assert!(matches!(body.frame().await.unwrap().unwrap_err(), PassBroke::TimedOut(_)));
    fake.once("*", "*", Reply::Half(Answer::text(200, "one"), 1));
    let broken = target
        .forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await;
    assert!(matches!(broken.unwrap_err(), PassBroke::Broken(_)));
    fake.wait_until_left_alone().await;
    fake.stop().await;
    let refused = target.forward(request(Method::GET, "/x"), &Claimant::default(), limits).await.unwrap_err();
    assert!(matches!(refused, ForwardError::Unreachable(_)));
    assert_eq!(target.status().in_flight, PerKind::default());
}

#[tokio::test]
async fn a_target_that_takes_nothing_is_told_at_once() {
    let mut fake = FakeTarget::start().await;
    let target = target_with(&fake.url(), |config| {
        config.max_in_flight = 1;
        config.breaker = BreakerConfig { after: 1, retry_after: Duration::from_secs(3600) };
    });
    target.hold("maintenance");
    let held = target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap_err();
    assert_eq!(held, ForwardError::NotNow { gate: Gate::Held, retry_in: None });
    target.release();

    let permit = target.ticket(PermitKind::Forward, &Claimant::default(), operation()).permit().await;
    let full = target
        .forward(request(Method::GET, "/x"), &Claimant::default(), PassLimits { connect: SHORT, ..LIMITS })
        .await
        .unwrap_err();
    assert_eq!(full, ForwardError::NotNow { gate: Gate::Permit, retry_in: None });
    drop(permit);

    fake.stop().await;
    target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap_err();
    let open = target.forward(request(Method::GET, "/x"), &Claimant::default(), LIMITS).await.unwrap_err();
    assert!(matches!(open, ForwardError::NotNow { gate: Gate::Breaker, retry_in: Some(_) }));
    assert_eq!(target.status().waiting, PerKind::default());
}

#[tokio::test]
async fn a_safe_request_on_a_connection_that_dies_is_sent_once_more_and_another_is_not() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    for (method, sent) in [(Method::GET, 2), (Method::POST, 1)] {
        target
            .forward(request(Method::GET, "/warm"), &Claimant::default(), LIMITS)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
        let before = fake.seen().len();
        fake.once("*", "*", Reply::Close { applied: false });
        let answer = target.forward(request(method.clone(), "/x"), &Claimant::default(), LIMITS).await;
        assert_eq!((fake.seen().len() - before, answer.is_ok()), (sent, sent == 2), "{method}");
    }
}
