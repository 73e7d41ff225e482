//! Signing in to the console: what a session is good for, how long, and what pages of others can do with it.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfold_core::access::{Secret, SecretDigest};
use fanfold_core::{Access, Role, Scope};
use fanfold_engine::{Clock as _, SessionOutcome, TokenOutcome, TokenRequest};
use fanfold_server::{FixedToken, ServerConfig};
use fanfold_store::SessionOf;
use fanfold_testkit::{Answer, Http, HttpAnswer, PATIENCE};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::rig::{Rig, credentials, front_at, routes};

/// What the cookie is called where browsers come by https, as those of the rig do.
const COOKIE: &str = "__Secure-fanfold-session";

fn fixed(number: u8, name: &str, roles: &[Role]) -> (FixedToken, String) {
    let secret = Secret::from_random([number; 32]);
    let access = Access { roles: roles.iter().copied().collect(), ..Access::full() };
    let token = FixedToken { name: name.to_owned(), digest: secret.digest(), access, expires_at: None };
    (token, secret.expose().to_owned())
}

/// A server that asks who somebody is, and the token of somebody who may do everything.
async fn guarded() -> (Rig, String) {
    let rig = Rig::start().await;
    let (token, secret) = fixed(1, "root", &[Role::Admin]);
    rig.ask_for(vec![token]);
    (rig, secret)
}

/// A client that says that its own page asks.
fn own(rig: &Rig) -> Http {
    rig.http.clone().with("origin", &format!("http://{}", rig.address))
}

async fn form(http: &Http, path: &str, body: &str) -> HttpAnswer {
    http.request("POST", path, body.as_bytes()).await
}

/// What the answer has the browser keep: name and value.
fn cookie(answer: &HttpAnswer) -> String {
    let field = answer.header("set-cookie").unwrap_or_else(|| panic!("{} {}", answer.status, answer.text()));
    field.split(';').next().unwrap().to_owned()
}

/// Signs in, and gives the cookie and a browser that has it.
async fn sign_in(rig: &Rig, token: &str) -> (String, Http) {
    let answer = form(&own(rig), "/ui/sign-in", &format!("token={token}&next=%2Fui")).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/ui")), "{}", answer.text());
    let cookie = cookie(&answer);
    let browser = own(rig).with("cookie", &cookie);
    (cookie, browser)
}

/// Waits until a page leads to the one to sign in.
async fn until_shut_out(browser: &Http) {
    let shut_out = async { while browser.get("/ui").await.status != 303 {} };
    tokio::time::timeout(PATIENCE, shut_out).await.expect("the session ends");
}

/// Makes a token in the store.
async fn made(rig: &Rig, name: &str, access: Access, lasts: Option<SignedDuration>) -> (String, String) {
    let expires_at = lasts.map(|lasts| rig.clock.now() + lasts);
    let wanted = TokenRequest { name: name.to_owned(), access, expires_at, by: "me".to_owned() };
    let TokenOutcome::Created { token, secret } = rig.engine.create_token(wanted).await.unwrap() else {
        panic!("it is the first")
    };
    let listed = async { while rig.showing(secret.expose()).get("/api/v1/caller").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, listed).await.expect("it is good");
    (token.id.to_string(), secret.expose().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_comes_to_the_page_they_wanted_and_signs_out() {
    let (rig, token) = guarded().await;
    let wanted = rig.http.get("/ui/operations?status=failed").await;
    let page = "/ui/sign-in?next=%2Fui%2Foperations%3Fstatus%3Dfailed";
    assert_eq!((wanted.status, wanted.header("location")), (303, Some(page)));
    assert_eq!(wanted.header("cache-control"), Some("no-store"));
    let page = rig.http.get(page).await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert!(page.text().contains("value=\"/ui/operations?status=failed\""), "{}", page.text());
    assert!(!page.text().contains("<nav"), "whoever is not known is shown nothing of the server");

    let body = format!("token=+{token}+&next=%2Fui%2Foperations%3Fstatus%3Dfailed");
    let answer = form(&own(&rig), "/ui/sign-in", &body).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/ui/operations?status=failed")));
    let field = answer.header("set-cookie").unwrap();
    let (name, rest) = field.split_once('=').unwrap();
    let (secret, attributes) = rest.split_once("; ").unwrap();
    assert_eq!((name, attributes), (COOKIE, "Path=/ui; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"));
    assert!(secret.starts_with("fanfold_") && secret.len() == 51 && secret != token);

    let browser = own(&rig).with("cookie", &format!("other=1; {COOKIE}={secret}"));
    let page = browser.get("/ui/operations?status=failed").await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert!(page.text().contains("signed in as </span>root<"), "{}", page.text());
    assert!(page.text().contains("action=\"/ui/sign-out\""));
    assert_eq!(rig.http.get("/ui/sign-out").await.status, 303);
    assert_eq!(browser.get("/ui/sign-out").await.status, 405, "a link signs nobody out");

    let out = form(&browser, "/ui/sign-out", "").await;
    assert_eq!((out.status, out.header("location")), (303, Some("/ui/sign-in?done=signed_out")));
    let gone = "__Secure-fanfold-session=; Path=/ui; Max-Age=0; HttpOnly; SameSite=Lax; Secure";
    assert_eq!(out.header("set-cookie"), Some(gone));
    assert_eq!(browser.get("/ui").await.status, 303, "what is left of the cookie is good for nothing");
    assert!(rig.http.get("/ui/sign-in?done=signed_out").await.text().contains("You are signed out."));
    let again = form(&browser, "/ui/sign-out", "").await;
    assert_eq!((again.status, again.header("location")), (303, Some("/ui/sign-in?done=signed_out")));

    let trail = rig.showing(&token).get("/api/v1/audit?by=root").await.json();
    let entries = trail["audit"].as_array().unwrap().iter();
    let told: Vec<_> =
        entries.map(|one| ["action", "outcome", "credential"].map(|key| one[key].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ["sign_out", "done", "session"],
            ["sign_out", "asked", "session"],
            ["sign_in", "done", "fixed_token"],
            ["sign_in", "asked", "fixed_token"]
        ]
    );
}

/// Goal: whoever signs out is told so, although the request is made with what it ends. Method: so often that now and then the end
/// is noticed before the answer is ready.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_is_not_cut_off_by_the_end_of_its_own_session() {
    let (rig, token) = guarded().await;
    for _ in 0..40 {
        let (_, browser) = sign_in(&rig, &token).await;
        let out = form(&browser, "/ui/sign-out", "").await;
        assert_eq!((out.status, out.header("location")), (303, Some("/ui/sign-in?done=signed_out")), "{}", out.text());
    }
    let trail = rig.showing(&token).get("/api/v1/audit?action=sign_out&limit=100").await.json();
    let done = trail["audit"].as_array().unwrap().iter().filter(|entry| entry["outcome"] == "done");
    assert_eq!(done.count(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_browsers_come_by_http_the_cookie_has_another_name_and_the_other_one_counts_for_nothing() {
    let (rig, token) = guarded().await;
    rig.server.replace_front(front_at("http://fanfold.example", routes()));
    let answer = form(&own(&rig), "/ui/sign-in", &format!("token={token}")).await;
    let field = answer.header("set-cookie").unwrap();
    assert!(field.starts_with("fanfold-session=fanfold_") && field.ends_with("; HttpOnly; SameSite=Lax"), "{field}");
    let cookie = cookie(&answer);
    assert_eq!(own(&rig).with("cookie", &cookie).get("/ui").await.status, 200);
    assert_eq!(own(&rig).with("cookie", &format!("__Secure-{cookie}")).get("/ui").await.status, 303);
    assert_eq!(own(&rig).with("cookie", &format!("{cookie}; {cookie}")).get("/ui").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_not_told_why_and_what_they_wrote_is_nowhere() {
    let (rig, token) = guarded().await;
    let (submit, of_submit) = fixed(2, "feeder", &[Role::Submit]);
    let (root, _) = fixed(1, "root", &[Role::Admin]);
    rig.ask_for(vec![root, submit]);
    // From then on it is known what the store has.
    sign_in(&rig, &token).await;
    let mut pages = BTreeSet::new();
    let wrong = Secret::from_random([9; 32]).expose().to_owned();
    for written in [wrong.as_str(), &of_submit, "hunter2", "", "%3Cscript%3E"] {
        let answer = form(&own(&rig), "/ui/sign-in", &format!("token={written}&next=%2F%2Fevil.example")).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{written}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        let text = answer.text();
        assert!(text.contains("You are not signed in") && text.contains("value=\"/ui\""), "{text}");
        assert!(written.is_empty() || !text.contains(written), "{text}");
        assert!(!text.contains("<script>") && !text.contains("evil.example"), "{text}");
        pages.insert(text);
    }
    assert_eq!(pages.len(), 1, "all of them are told the same");
    let trail = rig.showing(&token).get("/api/v1/audit?action=sign_in_refused").await.text();
    assert_eq!(trail.matches("\"outcome\":\"refused\"").count() + trail.matches("\"outcome\": \"refused\"").count(), 5);
    assert!(!trail.contains("hunter2") && !trail.contains(&wrong) && trail.contains("127.0.0.1"), "{trail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_too_many_bad_tokens_is_to_wait_and_good_ones_are_good_all_the_same() {
    let failure_pace = fanfold_server::Pace::new(1, Duration::from_secs(600), 2);
    let rig = Rig::with(ServerConfig { failure_pace, ..ServerConfig::default() }).await;
    let (token, secret) = fixed(1, "root", &[Role::Admin]);
    rig.ask_for(vec![token]);
    // From then on it is known what the store has.
    sign_in(&rig, &secret).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let refused = form(&own(&rig), "/ui/sign-in", "token=x").await;
        statuses.push((refused.status, refused.header("retry-after").is_some()));
    }
    assert_eq!(statuses, [(401, false), (401, false), (429, true)]);
    sign_in(&rig, &secret).await;
    let trail = rig.showing(&secret).get("/api/v1/audit?action=sign_in_refused").await.json();
    assert_eq!(trail["audit"].as_array().unwrap().len(), 2, "nobody fills the trail by trying");
}

/// Goal: a tenant that begins all the sessions it can keeps nobody else out, and its own people are told why they have to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_has_all_its_sessions_keeps_nobody_else_out() {
    let rig = Rig::start().await;
    let (root, root_secret) = fixed(1, "root", &[Role::Admin]);
    let (mut boss, boss_secret) = fixed(2, "boss", &[Role::Admin]);
    boss.access.tenant = "acme".into();
    let (mut other, other_secret) = fixed(3, "other", &[Role::Admin]);
    other.access.tenant = "other".into();
    rig.ask_for(vec![root, boss, other]);
    let ends = rig.clock.now() + SignedDuration::from_hours(1);
    for number in 100..150 {
        let of = SessionOf::FixedToken(SecretDigest::from([number; 32]));
        let begun = (0..20).map(|_| rig.engine.begin_session(of.clone(), "acme".into(), ends));
        for begun in join_all(begun).await {
            assert!(matches!(begun, Ok(SessionOutcome::Begun { .. })), "{begun:?}");
        }
    }
    let full = form(&own(&rig), "/ui/sign-in", &format!("token={boss_secret}")).await;
    assert_eq!((full.status, full.header("retry-after")), (503, Some("60")), "{}", full.text());
    assert!(full.text().contains("the tenant has as many sessions as a tenant may have"), "{}", full.text());
    assert_eq!(full.header("set-cookie"), None);
    sign_in(&rig, &root_secret).await;
    sign_in(&rig, &other_secret).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_others_does_nothing_with_a_session_and_signs_nobody_in() {
    let (rig, token) = guarded().await;
    let (cookie, _) = sign_in(&rig, &token).await;
    let local = format!("http://{}", rig.address);
    for (fields, is_own) in [
        (&[][..], false),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("origin", "http://fanfold.example")], false),
        (&[("origin", "https://fanfold.example"), ("origin", "https://evil.example")], false),
        (&[("origin", "https://fanfold.example"), ("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("origin", "https://fanfold.example")], true),
        (&[("origin", local.as_str()), ("sec-fetch-site", "same-origin")], true),
    ] {
        let http = fields.iter().fold(rig.http.clone(), |http, (name, value)| http.with(name, value));
        let held = form(&http.clone().with("cookie", &cookie), "/ui/targets/tokyo/hold", "").await;
        assert_eq!(held.status, if is_own { 303 } else { 400 }, "{fields:?}: {}", held.text());
        let signed_in = form(&http, "/ui/sign-in", &format!("token={token}")).await;
        assert_eq!(signed_in.status, if is_own { 303 } else { 400 }, "{fields:?}");
        assert_eq!(signed_in.header("set-cookie").is_some(), is_own, "{fields:?}");
        if !is_own {
            assert_eq!(form(&http.with("cookie", &cookie), "/ui/sign-out", "").await.status, 400, "{fields:?}");
        }
    }
    // Programs show what no browser adds by itself.
    assert_eq!(form(&rig.showing(&token), "/ui/targets/tokyo/release", "").await.status, 303);
    let seen = rig.http.clone().with("cookie", &cookie).with("origin", "https://evil.example").get("/ui").await;
    assert_eq!(seen.status, 200, "a link may lead here, and what is shown can be read by nobody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_for_the_console_alone() {
    let (rig, token) = guarded().await;
    let (cookie, browser) = sign_in(&rig, &token).await;
    let secret = cookie.split_once('=').unwrap().1;
    assert_eq!(browser.get("/ui").await.status, 200);
    for path in ["/api/v1/operations", "/api/v1/caller", "/openapi.json", "/metrics", "/v1/operations", "/pass/x", "/x"]
    {
        assert_eq!(browser.get(path).await.status, 401, "{path}");
        assert_eq!(rig.showing(secret).get(path).await.status, 401, "{path}");
    }
    assert_eq!(browser.post("/things", &json!({})).await.status, 401);
    assert_eq!(rig.showing(secret).get("/ui").await.status, 401, "whoever shows a token shows none of these");
    let both = browser.clone().with("authorization", "Bearer x").get("/ui").await;
    assert_eq!(both.status, 401, "what a program shows is what counts");
    let listed = rig.showing(&token).get("/api/v1/tokens").await.json();
    assert_eq!(listed["tokens"], Value::Array(Vec::new()), "it is no token of a program's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_sent_on_to_no_target_and_no_target_sets_one() {
    let (rig, token) = guarded().await;
    let (cookie, _) = sign_in(&rig, &token).await;
    let answer = Answer::text(200, "x")
        .header("set-cookie", "theirs=1")
        .header("set-cookie", format!("{COOKIE}=evil; Path=/ui; Secure"))
        .header("set-cookie", "fanfold-session=evil; Path=/ui")
        .header("set-cookie", "=fanfold-session=evil; Path=/ui");
    rig.tokyo.on("GET", "/pass/x", answer);
    let program = rig.showing(&token).with("cookie", &format!("a=1; {cookie}; fanfold-session=x; b=2"));
    let passed = program.get("/pass/x").await;
    assert_eq!(passed.status, 200);
    let sent = rig.tokyo.seen().remove(0);
    let cookies: Vec<_> = sent.headers.iter().filter(|(name, _)| name == "cookie").collect();
    assert_eq!(cookies, [&("cookie".to_owned(), "a=1; b=2".to_owned())]);
    let set: Vec<_> = passed.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(set, [&("set-cookie".to_owned(), "theirs=1".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_token_at_every_node_and_so_does_the_page_that_is_open() {
    let (rig, root) = guarded().await;
    let (id, secret) = made(&rig, "anna", Access::full(), None).await;
    let (cookie, browser) = sign_in(&rig, &secret).await;
    let (server, other, _serving) = rig.another().await;
    let (token, _) = fixed(1, "root", &[Role::Admin]);
    server.replace_authentication(credentials(vec![token], Vec::new()));
    let elsewhere = other.with("cookie", &cookie);
    let let_in = async { while elsewhere.get("/ui").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, let_in).await.expect("a session is good at every node");
    let mut page = rig.http.open().await;
    page.send(format!("GET /ui/live HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n").as_bytes()).await;
    page.until("retry: ").await;
    let revoked = rig.showing(&root).post(&format!("/api/v1/tokens/{id}/revoke"), &json!({})).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(browser.get("/ui").await.status, 303);
    page.until("0\r\n\r\n").await;
    until_shut_out(&elsewhere).await;
    let live = browser.get("/ui/live").await;
    assert_eq!((live.status, live.header("location")), (401, None), "a stream is not sent to another page");
    let part = browser.clone().with("hx-request", "true").get("/ui").await;
    assert_eq!((part.status, part.header("location")), (401, None), "neither is a part of a page");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_at_every_node() {
    let (rig, root) = guarded().await;
    let (cookie, browser) = sign_in(&rig, &root).await;
    let (_, second) = sign_in(&rig, &root).await;
    let (server, other, _serving) = rig.another().await;
    let (token, _) = fixed(1, "root", &[Role::Admin]);
    server.replace_authentication(credentials(vec![token], Vec::new()));
    let elsewhere = other.with("cookie", &cookie);
    let let_in = async { while elsewhere.get("/ui").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, let_in).await.expect("a session is good at every node");
    assert_eq!(form(&browser, "/ui/sign-out", "").await.status, 303);
    until_shut_out(&elsewhere).await;
    assert_eq!(second.get("/ui").await.status, 200, "another session of the same person goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_no_better_than_its_token_of_the_configuration() {
    let (rig, root) = guarded().await;
    let (cookie, browser) = sign_in(&rig, &root).await;
    assert_eq!(browser.get("/ui/drain").await.status, 200);
    let mut page = rig.http.open().await;
    page.send(format!("GET /ui/live HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n").as_bytes()).await;
    page.until("retry: ").await;
    let (narrow, _) = fixed(1, "root", &[Role::Read]);
    rig.ask_for(vec![narrow]);
    page.until("0\r\n\r\n").await;
    assert_eq!(browser.get("/ui").await.status, 200);
    let denied = browser.get("/ui/drain").await;
    assert_eq!((denied.status, denied.header("content-type")), (404, Some("text/html; charset=utf-8")));
    let (other, _) = fixed(2, "root", &[Role::Admin]);
    rig.ask_for(vec![other]);
    assert_eq!(browser.get("/ui").await.status, 303, "the name is the same, and the token another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_expires_with_its_token_and_has_what_that_has() {
    let (rig, _) = guarded().await;
    let scope = Scope { targets: Some(["tokyo".into()].into()), ..Scope::default() };
    let access = Access { tenant: "acme".into(), roles: [Role::Read].into(), scope };
    let (_, secret) = made(&rig, "anna", access, Some(SignedDuration::from_mins(5))).await;
    let answer = form(&own(&rig), "/ui/sign-in", &format!("token={secret}")).await;
    let lasts = answer.header("set-cookie").unwrap().split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
    assert!((200..=300).contains(&lasts.parse::<u32>().unwrap()), "{lasts}");
    let page = own(&rig).with("cookie", &cookie(&answer)).get("/ui/targets").await.text();
    assert!(page.contains("of acme</span>") && page.contains("t-tokyo") && !page.contains("t-osaka"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_where_a_token_is_made_to_end_earlier() {
    let (rig, root) = guarded().await;
    let (cookie, _) = sign_in(&rig, &root).await;
    let mut page = rig.http.open().await;
    page.send(format!("GET /ui/live HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n").as_bytes()).await;
    page.until("retry: ").await;
    let mut events = rig.http.open().await;
    let shown = format!("authorization: Bearer {root}");
    events.send(format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n{shown}\r\n\r\n").as_bytes()).await;
    events.until("\r\n\r\n").await;
    let (token, _) = fixed(1, "root", &[Role::Admin]);
    rig.ask_for(vec![FixedToken { expires_at: Some(rig.clock.now() - SignedDuration::from_secs(1)), ..token }]);
    page.until("0\r\n\r\n").await;
    events.until("0\r\n\r\n").await;
}

/// Goal: what is done is answered as done. Method: the store can be written, and not be read, just then.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_or_out_is_told_so_although_nobody_can_read_it_yet() {
    let (rig, root) = guarded().await;
    sign_in(&rig, &root).await;
    rig.lossy.be_away(true);
    let (_, browser) = sign_in(&rig, &root).await;
    rig.lossy.be_away(false);
    let let_in = async { while browser.get("/ui").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, let_in).await.expect("the session is good");
    rig.lossy.be_away(true);
    let out = form(&browser, "/ui/sign-out", "").await;
    assert_eq!((out.status, out.header("location")), (303, Some("/ui/sign-in?done=signed_out")), "{}", out.text());
    rig.lossy.be_away(false);
    until_shut_out(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_good_elsewhere_fails_to_sign_in_no_more_often_than_a_bad_one() {
    let failure_pace = fanfold_server::Pace::new(1, Duration::from_secs(600), 2);
    let rig = Rig::with(ServerConfig { failure_pace, ..ServerConfig::default() }).await;
    let (submit, secret) = fixed(2, "feeder", &[Role::Submit]);
    rig.ask_for(vec![submit]);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(form(&own(&rig), "/ui/sign-in", &format!("token={secret}")).await.status);
    }
    assert_eq!(statuses, [401, 401, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_attempts_to_sign_in_are_all_counted_and_do_not_fill_the_trail() {
    let failure_pace = fanfold_server::Pace::new(1_000, Duration::from_secs(60), 1_000);
    let rig = Rig::with(ServerConfig { failure_pace, ..ServerConfig::default() }).await;
    let (root, secret) = fixed(1, "root", &[Role::Admin]);
    let (submit, of_submit) = fixed(2, "feeder", &[Role::Submit]);
    rig.ask_for(vec![root, submit]);
    for _ in 0..200 {
        assert_eq!(form(&own(&rig), "/ui/sign-in", &format!("token={of_submit}")).await.status, 401);
    }
    let trail = rig.showing(&secret).get("/api/v1/audit?action=sign_in_refused&limit=200").await.json();
    let recorded = trail["audit"].as_array().unwrap().len();
    assert!((60..200).contains(&recorded), "{recorded}");
    let metrics = rig.showing(&secret).get("/metrics").await.text();
    assert!(metrics.contains("fanfold_http_rejected_total{reason=\"unauthenticated\"} 200\n"), "{metrics}");
}

/// Goal: nobody is shown what they may not do. Method: the pages of something of everything, for whoever reads and for whoever
/// operates.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_button_for_what_somebody_may_not_do() {
    let rig = Rig::start().await;
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({})));
    rig.tokyo.on("DELETE", "/things/*", Answer::empty(409));
    let failed = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&failed).await;
    let (reader, of_reader) = fixed(2, "reader", &[Role::Read]);
    let (operator, of_operator) = fixed(3, "operator", &[Role::Operate]);
    let (root, of_root) = fixed(1, "root", &[Role::Admin]);
    rig.ask_for(vec![reader, operator, root]);
    let one = format!("/ui/operations/{failed}");
    let retry = format!("href=\"{one}/retry\"");
    let buttons = [
        ("/ui", "/acknowledge\"", Role::Operate),
        ("/ui", "href=\"/ui/drain\"", Role::Admin),
        ("/ui/operations?status=failed", "href=\"/ui/operations/cancel?", Role::Operate),
        ("/ui/operations?status=failed", "href=\"/ui/operations/retry?", Role::Operate),
        (&one, &retry, Role::Operate),
        (&one, "/acknowledge\"", Role::Operate),
        ("/ui/attention", "/acknowledge\"", Role::Operate),
        ("/ui/targets", "href=\"/ui/targets/tokyo/hold\"", Role::Operate),
        ("/ui/routes", "href=\"/ui/routes/plan\"", Role::Read),
    ];
    for (token, role) in [(of_reader, Role::Read), (of_operator, Role::Operate), (of_root, Role::Admin)] {
        let (_, browser) = sign_in(&rig, &token).await;
        for (path, button, needed) in buttons {
            let page = browser.get(path).await;
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(page.text().contains(button), role.includes(needed), "{path} {button} {role}");
            let dead_links = ["href=\"/api/", "href=\"/openapi"].map(|link| page.text().contains(link));
            assert_eq!(dead_links, [false; 2], "the API takes no session: {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anybody_asked_who_they_are_there_is_nothing_to_sign_in_to() {
    let rig = Rig::start().await;
    for (method, path) in [("GET", "/ui/sign-in"), ("POST", "/ui/sign-in"), ("GET", "/ui/sign-in?next=%2Fui")] {
        let answer = own(&rig).request(method, path, b"").await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/ui")), "{method} {path}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let page = rig.http.get("/ui").await.text();
    assert!(!page.contains("/ui/sign-out") && !page.contains("signed in as"), "{page}");
}
