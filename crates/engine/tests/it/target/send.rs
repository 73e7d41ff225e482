//! One attempt: what is sent, what is received, and what is known when there is no answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use fanfold_core::operation::{Gate, Sent, TroubleKind};
use fanfold_engine::Claimant;
use fanfold_engine::target::BreakerConfig;
use fanfold_testkit::{Answer, FakeTarget, Latch, Reply};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_request_arrives_as_it_was_given_with_the_fields_of_the_target() {
    let fake = FakeTarget::start().await;
    let target = target_with(&format!("{}/base/", fake.url()), |config| {
        config.headers = vec![(AUTHORIZATION, HeaderValue::from_static("Bearer ours"))];
    });
    let mut request = outgoing(Method::POST, "/a%2Fb/c?x=%20&y", "{\"a\": 1}");
    for (name, value) in [
        ("authorization", "Bearer theirs"),
        ("idempotency-key", "k"),
        ("host", "elsewhere"),
        ("content-length", "999"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
    ] {
        request.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    fake.once("*", "*", Answer::json(201, &json!({"id": 7})).header("x-many", "1").header("keep-alive", "timeout=5"));
    let received = send(&target, &request).await.unwrap();

    assert_eq!((received.status.as_u16(), received.complete), (201, true));
    assert_eq!(received.body, "{\"id\":7}");
    assert_eq!(received.headers["x-many"], "1");
    assert!(!received.headers.contains_key("keep-alive"));
    let seen = &fake.wait_for(1).await[0];
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("POST", "/base/a%2Fb/c?x=%20&y"));
    assert_eq!(seen.text(), "{\"a\": 1}");
    let mut fields: Vec<_> = seen.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    fields.sort_unstable();
    let host = format!("host: {}", fake.address());
    assert_eq!(fields, ["authorization: Bearer ours", "content-length: 8", &host, "idempotency-key: k"]);
}

#[tokio::test]
async fn an_empty_body_has_a_length_only_where_one_is_expected() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    for (method, length) in [(Method::POST, Some("0")), (Method::PUT, Some("0")), (Method::DELETE, None)] {
        send(&target, &outgoing(method.clone(), "/x", "")).await.unwrap();
        assert_eq!(fake.seen().last().unwrap().header("content-length"), length, "{method}");
    }
}

#[tokio::test]
async fn large_bodies_survive_both_ways() {
    let fake = FakeTarget::start().await;
    let body: String = (0..1_000_000_u32).map(|index| char::from(b'a' + (index % 23) as u8)).collect();
    fake.on("*", "*", Answer::text(200, body.clone()));
    let received = send(&target(&fake.url()), &outgoing(Method::PUT, "/x", &body)).await.unwrap();
    assert!(received.complete && received.body == body);
    assert!(fake.seen()[0].text() == body);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let fake = FakeTarget::start().await;
    fake.once("*", "*", Answer::empty(307).header("location", "/elsewhere"));
    let received = send(&target(&fake.url()), &post("/x")).await.unwrap();
    assert_eq!((received.status.as_u16(), fake.seen().len()), (307, 1));
}

#[tokio::test]
async fn what_fails_before_a_byte_left_is_not_sent() {
    let mut fake = FakeTarget::start().await;
    fake.stop().await;
    let refused = send(&target(&fake.url()), &post("/x")).await.unwrap_err();
    assert_eq!((refused.sent, refused.trouble.kind), (Sent::No, TroubleKind::Unreachable));

    let nowhere = Outgoing { connect: Duration::from_secs(2), ..post("/x") };
    let unknown = send(&target("http://nowhere.invalid"), &nowhere).await.unwrap_err();
    assert_eq!((unknown.sent, unknown.trouble.kind), (Sent::No, TroubleKind::Unreachable));
}

#[tokio::test]
async fn connecting_has_a_time_of_its_own() {
    // A listener that accepts nothing, and whose queue is full, leaves a connection hanging; TLS without a partner does so
    // without depending on the size of a queue.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target_with(&format!("https://{}", silent.local_addr().unwrap()), |config| {
        config.tls = Some(super::tls::ours());
    });
    let hanging = send(&target, &Outgoing { connect: SHORT, ..post("/x") }).await.unwrap_err();
    assert_eq!((hanging.sent, hanging.trouble.kind), (Sent::No, TroubleKind::Unreachable));
}

#[tokio::test]
async fn what_breaks_after_a_byte_left_may_have_been_sent() {
    let fake = FakeTarget::start().await;
    let target = target_with(&fake.url(), |config| config.breaker.after = 0);
    for (reply, kind) in [
        (Reply::Reset { applied: true }, TroubleKind::Broken),
        (Reply::Close { applied: true }, TroubleKind::Broken),
        (Reply::Raw("HTTP/1.1 200 O".into()), TroubleKind::Broken),
        (Reply::Raw("SSH-2.0-nonsense\r\n\r\n".into()), TroubleKind::Nonsense),
        (Reply::Raw("HTTP/1.1 101 Switching Protocols\r\n\r\n".into()), TroubleKind::Nonsense),
        (Reply::Raw(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(200_000)).into()), TroubleKind::Nonsense),
    ] {
        fake.once("*", "*", reply.clone());
        let broke = send(&target, &post("/x")).await.unwrap_err();
        assert_eq!((broke.sent, broke.trouble.kind), (Sent::Maybe, kind), "{reply:?}: {broke}");
    }
    assert_eq!(fake.seen().len(), 6, "nothing is sent again");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up_with_its_connection() {
    let fake = FakeTarget::start().await;
    fake.on("*", "*", Reply::Never { applied: true });
    let target = target(&fake.url());
    let broke = send(&target, &Outgoing { response: SHORT, ..post("/x") }).await.unwrap_err();
    assert_eq!((broke.sent, broke.trouble.kind), (Sent::Maybe, TroubleKind::TimedOut));
    fake.wait_until_left_alone().await;
    assert_eq!(target.status().in_flight, PerKind::default());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_marked_incomplete() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    let answer = Answer::text(200, "0123456789");
    for (reply, body) in [
        (Reply::Half(answer.clone(), 4), "0123"),
        (Reply::WrongLength(answer.clone(), 100), "0123456789"),
        (Reply::Slow(answer.clone(), 3, Latch::new()), ""),
    ] {
        fake.once("*", "*", reply.clone());
        // Only the slow one runs into the time limit.
        let response = if matches!(reply, Reply::Slow(..)) { SHORT } else { LONG };
        let received = send(&target, &Outgoing { response, ..post("/x") }).await.unwrap();
        assert_eq!((received.status.as_u16(), received.complete), (200, false), "{reply:?}");
        assert!(body.starts_with(std::str::from_utf8(&received.body).unwrap()), "{reply:?}");
    }
    // A body that is longer than it claims is cut, and what follows is not taken for another answer.
    fake.once("*", "*", Reply::WrongLength(answer, 4));
    assert_eq!(send(&target, &post("/x")).await.unwrap().body, "0123");
    assert_eq!(send(&target, &post("/x")).await.unwrap().body, "{}");
}

#[tokio::test]
async fn an_answer_whose_end_is_in_doubt_ends_its_connection() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    fake.on("*", "*", Answer::text(200, "5\r\nhello\r\n0\r\n\r\n").header("transfer-encoding", "chunked"));
    for connections in 1..=2 {
        let received = send(&target, &outgoing(Method::PUT, "/x", "")).await.unwrap();
        assert_eq!((&received.body[..], received.complete), (&b"hello"[..], true));
        assert_eq!(fake.connections(), connections);
    }
    fake.on("*", "*", Answer::text(200, "packed").header("transfer-encoding", "gzip").closing());
    let received = send(&target, &outgoing(Method::PUT, "/x", "")).await.unwrap();
    assert_eq!((received.status.as_u16(), received.complete), (200, false), "what is packed is not the content");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound() {
    let fake = FakeTarget::start().await;
    fake.on("*", "*", Answer::text(200, "0123456789"));
    let target = target(&fake.url());
    for (body_max, body, complete) in [(9, "012345678", false), (10, "0123456789", true), (0, "", false)] {
        let received = send(&target, &Outgoing { body_max, ..get("/x") }).await.unwrap();
        assert_eq!((&received.body[..], received.complete), (body.as_bytes(), complete), "{body_max}");
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let fake = FakeTarget::start().await;
    let target = target(&fake.url());
    for _ in 0..5 {
        send(&target, &post("/x")).await.unwrap();
    }
    assert_eq!(fake.connections(), 1);
    fake.once("*", "*", Answer::empty(204).closing());
    send(&target, &post("/x")).await.unwrap();
    send(&target, &post("/x")).await.unwrap();
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_request_that_is_not_safe_to_repeat_wants_a_connection_that_was_not_idle_for_long() {
    let fake = FakeTarget::start().await;
    let target = target_with(&fake.url(), |config| config.reuse_idle = Duration::ZERO);
    for _ in 0..3 {
        send(&target, &post("/x")).await.unwrap();
    }
    assert_eq!(fake.connections(), 3);
    send(&target, &get("/x")).await.unwrap();
    assert_eq!(fake.connections(), 3);
}

#[tokio::test]
async fn idle_connections_that_the_target_closed_are_not_used() {
    let mut fake = FakeTarget::start().await;
    let target = target(&fake.url());
    for _ in 0..20 {
        send(&target, &post("/x")).await.unwrap();
        fake.start_again().await;
    }
    assert_eq!(fake.seen().len(), 20);
}

#[tokio::test]
async fn ipv6_literals_are_addresses_too() {
    let fake = FakeTarget::start_v6().await;
    send(&target(&fake.url()), &get("/x")).await.unwrap();
    assert_eq!(fake.seen()[0].header("host"), Some(&*fake.address().to_string()));
}

#[tokio::test]
async fn an_attempt_that_is_dropped_closes_its_connection_and_gives_its_permit_back() {
    let fake = FakeTarget::start().await;
    fake.on("*", "*", Reply::Never { applied: false });
    let target = target(&fake.url());
    let request = post("/x");
    tokio::select! {
        ended = send(&target, &request) => panic!("{ended:?}"),
        _ = fake.wait_for(1) => {}
    }
    fake.wait_until_left_alone().await;
    assert_eq!(target.status().in_flight, PerKind::default());
}

#[tokio::test]
async fn sending_can_be_called_off_at_the_last_moment() {
    let fake = FakeTarget::start().await;
    let target = target_with(&fake.url(), |config| config.breaker.after = 1);
    let asked = AtomicUsize::new(0);
    let permit = target.ticket(PermitKind::Forward, &Claimant::default(), operation()).permit().await;
    let never = || {
        asked.fetch_add(1, Ordering::Relaxed);
        false
    };
    assert_eq!(target.send_if(permit, &post("/x"), never).await.unwrap_err().sent, Sent::No);
    assert_eq!((asked.into_inner(), fake.seen().len()), (1, 0));
    assert_eq!(target.gate(), Gate::Permit, "it tells nothing of the target");
    assert_eq!(send(&target, &post("//../x")).await.unwrap_err().sent, Sent::No);
    assert_eq!(target.gate(), Gate::Permit);
}

#[tokio::test]
async fn no_more_are_in_flight_than_allowed() {
    let fake = FakeTarget::start().await;
    let latch = Latch::new();
    fake.on("*", "*", Reply::from(Answer::empty(204)).after(&latch));
    let target = target_with(&fake.url(), |config| config.max_in_flight = 2);
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let target = Arc::clone(&target);
        sends.spawn(async move { send(&target, &post("/x")).await });
    }
    fake.wait_for(2).await;
    let status = target.status();
    assert_eq!((status.in_flight.forward, status.waiting.forward), (2, 3));
    for sent in 3..=5 {
        latch.let_through(1);
        fake.wait_for(sent).await;
        assert_eq!(target.status().in_flight.forward, 2);
    }
    latch.open();
    for sent in sends.join_all().await {
        assert_eq!(sent.unwrap().status, 204);
    }
    assert_eq!(target.status().totals.answered, 5);
}

#[tokio::test]
async fn a_target_that_breaks_again_and_again_is_left_alone_for_a_while() {
    let mut fake = FakeTarget::start().await;
    let target = target_with(&fake.url(), |config| {
        config.breaker = BreakerConfig { after: 3, retry_after: Duration::from_secs(3600) };
    });
    fake.once("*", "*", Answer::empty(503));
    fake.once("*", "*", Reply::Reset { applied: false });
    // 500 is an answer of the target itself, which works.
    fake.once("*", "*", Answer::empty(500));
    fake.once("*", "*", Answer::empty(502));
    fake.once("*", "*", Answer::empty(504));
    for _ in 0..5 {
        let _ = send(&target, &post("/x")).await;
        assert_eq!(target.status().state, TargetState::Ok);
    }
    fake.stop().await;
    assert_eq!(send(&target, &post("/x")).await.unwrap_err().sent, Sent::No);
    assert!(matches!(target.status().state, TargetState::BreakerOpen { .. }));
    let mut ticket = target.ticket(PermitKind::Forward, &Claimant::default(), operation());
    assert!(matches!(ticket.turn().await, Turn::Waits(Gate::Breaker)));
    let totals = target.status().totals;
    assert_eq!((totals.answered, totals.server_errors, totals.broke, totals.not_sent), (0, 4, 1, 1));
}

#[tokio::test]
async fn what_is_said_not_to_be_sent_was_never_received() {
    let fake = FakeTarget::start().await;
    let target = target_with(&fake.url(), |config| config.breaker.after = 0);
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..400 {
        // Resets before, between and after requests, on new and on idle connections, many at a time.
        match number % 4 {
            0 => fake.reset_connections(1),
            1 => fake.once("*", "*", Reply::Reset { applied: true }),
            2 => fake.once("*", "*", Answer::empty(204).closing()),
            _ => fake.once("*", "*", Reply::Close { applied: false }),
        }
        let target = Arc::clone(&target);
        sends.spawn(async move {
            let path = format!("/{number}");
            (send(&target, &get(&path)).await, path)
        });
        tokio::task::yield_now().await;
    }
    for (ended, path) in sends.join_all().await {
        let received = fake.seen().iter().filter(|seen| seen.uri == path).count();
        match ended.map_err(|broke| broke.sent) {
            Ok(_) => assert_eq!(received, 1, "{path}"),
            Err(Sent::Maybe) => assert!(received <= 1, "{path}"),
            Err(Sent::No) => assert_eq!(received, 0, "{path}"),
        }
    }
}
