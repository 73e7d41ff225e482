//! The console as a browser without scripts gets it: pages, what they may do, and what their forms do.

use std::time::Duration;

use fanfold_core::plan::{DialectName, OnFailure, Order};
use fanfold_core::route::spec::{LimitsOverride, OperationSpec};
use fanfold_engine::{BULK_MAX, Config, RouteCallback, SigningSecret};
use fanfold_server::ServerConfig;
use fanfold_testkit::{Answer, FakeTarget, HttpAnswer, PATIENCE, Reply};
use serde_json::json;

use crate::bulk::scheduled;
use crate::rig::{Rig, front, operation, route, routes};

/// Something that a page must never take for its own.
const HOSTILE: &str = "</pre><script>alert(1)</script>\"'&";

fn page(answer: &HttpAnswer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{}", answer.status);
    answer.text()
}

async fn form(rig: &Rig, path: &str, body: &str) -> HttpAnswer {
    let own = rig.http.clone().with("origin", &format!("http://{}", rig.address));
    own.request("POST", path, body.as_bytes()).await
}

/// What stands in a page between two pieces of it, with its references undone.
fn between(page: &str, before: &str, after: &str) -> String {
    let piece = page.split(before).nth(1).unwrap_or_else(|| panic!("{before} is missing: {page}"));
    piece.split(after).next().unwrap().replace("&#38;", "&")
}

/// A rig with one more route, for `POST`.
async fn with_route(name: &str, spec: OperationSpec) -> Rig {
    let rig = Rig::start().await;
    let mut routes = routes();
    routes.push(route(name, DialectName::Native, &format!("POST /{name}"), spec));
    rig.server.replace_front(front(routes));
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_there_and_may_load_nothing_of_others() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/things", &json!({ "name": "x" })).await;
    rig.ended(&id).await;
    let one = format!("/ui/operations/{id}");
    for path in ["/ui", "/ui/", "/ui/operations", &one, "/ui/targets", "/ui/routes", "/ui/notices", "/ui/attention"] {
        let answer = rig.http.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let text = page(&answer);
        assert!(text.contains("<h1>") && text.contains("</html>"), "{path}");
        for piece in text.split(['"', '\'']).filter(|piece| piece.contains("://")) {
            assert!(piece.contains("127.0.0.1") || piece.contains("w3.org"), "{path} names {piece}");
        }
        assert!(!text.contains(" style=") && !text.contains(" onclick="), "{path}");
    }
    let text = page(&rig.http.get("/ui").await);
    for file in text.split('"').filter(|piece| piece.starts_with("/ui/assets/")) {
        let answer = rig.http.get(file).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("cache-control").unwrap().contains("immutable"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_others_is_shown_and_never_taken_for_a_page() {
    let rig = Rig::start().await;
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({ "why": HOSTILE })));
    let id = rig.accept("POST", "/things", &json!({ "name": HOSTILE, "password": "hunter2" })).await;
    rig.ended(&id).await;
    let text = page(&rig.http.get(&format!("/ui/operations/{id}")).await);
    assert!(!text.contains("<script>alert") && text.contains("alert(1)"), "it is shown, and harmless");
    assert!(!text.contains("hunter2"), "secrets are taken out");
    assert!(text.contains("rolled back") && text.contains("curl -gi --path-as-is -X POST"), "{text}");
    let list = page(&rig.http.get("/ui/operations?text=%3Cscript%3Ealert(1)").await);
    assert!(!list.contains("<script>alert"), "what was asked for is shown, and harmless");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_narrowed_down_by_their_address() {
    let rig = Rig::start().await;
    rig.osaka.once("POST", "/things", Answer::json(409, &json!({ "why": "no" })));
    let failed = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&failed).await;
    let good = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&good).await;
    let http = &rig.http;
    let list = |query: &'static str| async move { page(&http.get(&format!("/ui/operations{query}")).await) };
    let both = list("").await;
    assert!(both.contains(&failed) && both.contains(&good));
    let some = list("?status=failed&text=&route=things&since=1h").await;
    assert!(some.contains(&failed) && !some.contains(&good) && some.contains("osaka: the target answered 409"));
    assert!(list("?status=canceled").await.contains("No operation fits"));
    let bad = rig.http.get("/ui/operations?since=yesterday").await;
    assert_eq!(bad.status, 400);
    assert!(page(&bad).contains("neither a time"));
    // What has come since the page was opened is counted, and shifts nothing.
    let newer = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&newer).await;
    let again = page(&rig.http.get(&format!("/ui/operations?from={good}")).await);
    assert!(again.contains(">1 newer<") && !again.contains(&newer) && again.contains(&failed), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_operation_is_retried_after_the_question() {
    let rig = Rig::start().await;
    rig.osaka.once("POST", "/things", Answer::json(409, &json!({ "why": "no" })));
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    let question = page(&rig.http.get(&format!("/ui/operations/{id}/retry")).await);
    assert!(question.contains("sends the request again to tokyo and osaka"), "{question}");
    assert_eq!(rig.tokyo.seen().len(), 2, "asking sends nothing");
    let done = form(&rig, &format!("/ui/operations/{id}/retry"), "").await;
    assert_eq!(done.status, 303);
    let retry = done.header("location").unwrap().to_owned();
    let text = page(&rig.http.get(&retry).await);
    assert!(text.contains("retry of") && text.contains(&id), "{text}");
    let again = form(&rig, &format!("/ui/operations/{id}/retry"), "").await;
    assert_eq!(again.status, 409);
    assert!(page(&again).contains("Nothing was changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_undone_is_told_to_be_left_out_of_a_retry() {
    let rig = Rig::start().await;
    rig.osaka.once("POST", "/things", Answer::empty(409));
    rig.tokyo.on("DELETE", "*", Answer::empty(409));
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    let text = page(&rig.http.get(&format!("/ui/operations/{id}")).await);
    assert!(text.contains("in the requested state still: the undo was not done"), "{text}");
    let question = page(&rig.http.get(&format!("/ui/operations/{id}/retry")).await);
    assert!(question.contains("sends the request again to osaka."), "{question}");
    assert!(question.contains("tokyo: not called, since it succeeded there and could not be undone"), "{question}");
    let before = rig.tokyo.seen().len();
    let done = form(&rig, &format!("/ui/operations/{id}/retry"), "").await;
    rig.ended(done.header("location").unwrap().rsplit('/').next().unwrap().split('?').next().unwrap()).await;
    assert_eq!(rig.tokyo.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_held_and_released() {
    let rig = Rig::start().await;
    let done = form(&rig, "/ui/targets/tokyo/hold", "reason=power+work").await;
    assert_eq!((done.status, done.header("location")), (303, Some("/ui/targets?done=held")));
    let text = page(&rig.http.get("/ui/targets?done=held").await);
    assert!(text.contains("held by local: power work") && text.contains("The target is on hold"), "{text}");
    assert_eq!(form(&rig, "/ui/targets/tokyo/release", "").await.status, 303);
    assert!(!page(&rig.http.get("/ui/targets").await).contains("power work"));
    assert_eq!(form(&rig, "/ui/targets/nowhere/hold", "").await.status, 404);
    assert_eq!(form(&rig, "/ui/targets/tokyo/hold", &format!("reason={}", "x".repeat(1001))).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_page_that_says_so() {
    let rig = Rig::start().await;
    for path in ["/ui/nothing", "/ui/operations/x", "/ui/attention/7/applied", "/ui/notices/x/replay", "/ui/%ff"] {
        let answer = rig.http.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(page(&answer).contains("<h1>Not found</h1>"), "{path}");
    }
    let answer = rig.http.request("DELETE", "/ui/targets", b"").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(rig.http.get("/ui/assets/nothing").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_hears_of_changes() {
    let rig = Rig::start().await;
    let mut connection = rig.http.open().await;
    connection.send(b"GET /ui/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    connection.until("retry: 2000").await;
    rig.accept("POST", "/things", &json!({})).await;
    connection.until("event: change").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_canceled_after_a_look_at_what_that_would_do() {
    let rig = Rig::start().await;
    assert_eq!(form(&rig, "/ui/targets/tokyo/hold", "").await.status, 303);
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(rig.accept("POST", &format!("/queue/{number}"), &json!({})).await);
    }
    let other = rig.accept("PUT", "/things/7", &json!({})).await;
    let look = page(&rig.http.get("/ui/operations/cancel?route=queue").await);
    assert!(look.contains("It would be done with <b class=\"num\">3</b>"), "{look}");
    assert!(ids.iter().all(|id| look.contains(id)) && !look.contains(&other));
    let until = between(&look, "name=\"shown_until\" value=\"", "\"");
    // What is accepted after the look is none of it.
    let later = rig.accept("POST", "/queue/9", &json!({})).await;
    for id in ids.iter().chain([&other, &later]) {
        assert!(rig.detail(id).await.json()["ended_at"].is_null(), "a look changes nothing");
    }
    let body = format!("shown_until={until}");
    let done = form(&rig, "/ui/operations/cancel?route=queue", &body).await;
    assert!(page(&done).contains("It was done with <b class=\"num\">3</b>"));
    for id in &ids {
        assert_eq!(rig.ended(id).await["status"], "canceled");
        let text = page(&rig.http.get(&format!("/ui/operations/{id}")).await);
        let tones =
            (text.contains("<span class=\"chip doubt\">"), text.contains("<p class=\"said doubt\">Canceled after"));
        assert_eq!(tones, (true, true), "its status means the same at both places: {text}");
    }
    assert!(rig.detail(&other).await.json()["ended_at"].is_null());
    assert!(rig.detail(&later).await.json()["ended_at"].is_null());
    for (path, body) in [("/ui/operations/cancel", &*body), ("/ui/operations/cancel?route=queue", "")] {
        assert_eq!(form(&rig, path, body).await.status, 400, "{path} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_retried_after_a_look_at_it() {
    let rig = Rig::start().await;
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({})));
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    let path = "/ui/operations/retry?route=things&since=1h";
    let look = page(&rig.http.get(path).await);
    assert!(
        look.contains("It would be done with <b class=\"num\">1</b>") && look.contains("calls tokyo, osaka"),
        "{look}"
    );
    let body = format!("shown_until={}", between(&look, "name=\"shown_until\" value=\"", "\""));
    let done = page(&form(&rig, path, &body).await);
    assert!(done.contains("It was done with <b class=\"num\">1</b>"), "{done}");
    let then = between(&done, " <a href=\"/ui/operations/", "\">its retry");
    assert_eq!(rig.ended(&then).await["retry_of"], json!(id));
    let again = page(&form(&rig, path, &body).await);
    assert!(again.contains("refused for <b class=\"num\">1</b>") && again.contains("retry that one"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_than_are_looked_at_at_once_a_link_goes_on_with_the_next_ones() {
    let rig = Rig::start().await;
    assert_eq!(form(&rig, "/ui/targets/tokyo/hold", "").await.status, 303);
    for number in 0..=BULK_MAX {
        scheduled(&rig, number).await;
    }
    for _ in 0..2 {
        assert_eq!(rig.http.post("/api/v1/operations/cancel", &json!({ "all": true })).await.status, 200);
    }
    let first = page(&rig.http.get("/ui/operations/retry?status=canceled").await);
    assert!(first.contains(&format!("It would be done with <b class=\"num\">{BULK_MAX}</b>.")), "{first}");
    let until = between(&first, "name=\"shown_until\" value=\"", "\"");
    let body = format!("shown_until={until}");
    let done = page(&form(&rig, &between(&first, "method=\"post\" action=\"", "\""), &body).await);
    assert!(done.contains(&format!("It was done with <b class=\"num\">{BULK_MAX}</b>.")), "{done}");
    // Those that were retried have failed still: they are not looked at once more.
    let next = between(&done, "there are more. <a href=\"", "\"");
    assert_eq!(
        next,
        between(&first, "or <a href=\"", "\""),
        "it is the look at the next ones that the first look leads to"
    );
    let rest = page(&rig.http.get(&next).await);
    assert!(rest.contains("It would be done with <b class=\"num\">1</b>.") && rest.contains(&until), "{rest}");
    let done = page(&form(&rig, &between(&rest, "method=\"post\" action=\"", "\""), &body).await);
    assert!(done.contains("It was done with <b class=\"num\">1</b>.") && !done.contains("there are more"), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_page_chooses_no_operations() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    let list = page(&rig.http.get("/ui/operations?limit=5").await);
    assert!(list.contains(&id) && !list.contains("Cancel these"), "{list}");
    for path in ["/ui/operations/cancel?limit=5", "/ui/operations/retry?page_token=o.1"] {
        assert_eq!(rig.http.get(path).await.status, 400, "{path}");
        assert_eq!(form(&rig, path, "shown_until=2026-11-27T00:00:00Z").await.status, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_by_a_text_does_not_search_again_by_itself() {
    let rig = Rig::start().await;
    let first = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&first).await;
    let second = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&second).await;
    for (query, is_live) in [("route=things", true), ("text=things", false), ("text=nothing", false)] {
        let list = page(&rig.http.get(&format!("/ui/operations?{query}&from={first}")).await);
        assert_eq!(list.contains("sse-connect"), is_live, "{query}: {list}");
        assert_eq!(list.contains(">1 newer<"), is_live, "{query}: {list}");
        assert_eq!(list.contains("is not kept up to date"), !is_live, "{query}: {list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_two_people_send_again_are_sent() {
    const LETTERS: usize = 40;
    let receiver = FakeTarget::start().await;
    receiver.on("POST", "*", Answer::empty(410));
    let mut config = Config::new([7; 32]);
    config.notices.secrets = vec![SigningSecret::read(&format!("whsec_{}", "A".repeat(32))).unwrap()];
    config.notices.attempts = 1;
    let rig = Rig::of(ServerConfig::default(), config).await;
    let callback = RouteCallback { url: receiver.url().parse().unwrap(), secrets: Vec::new() };
    rig.server.replace_front(front(routes()).with_callbacks([("thing".to_owned(), callback)].into()));
    for number in 0..LETTERS {
        rig.accept("PUT", &format!("/things/{number}"), &json!({})).await;
    }
    let in_state = async |state: &str| {
        let notices = rig.http.get(&format!("/api/v1/notices?limit=100&state={state}")).await.json();
        notices["notices"].as_array().unwrap().len()
    };
    let dead = async { while in_state("dead").await < LETTERS {} };
    tokio::time::timeout(PATIENCE, dead).await.expect("nobody takes them");
    receiver.on("POST", "*", Reply::Never { applied: false });
    let again = || form(&rig, "/ui/notices/replay", "");
    let (one, other) = tokio::join!(again(), again());
    for done in [one, other] {
        assert_eq!((done.status, done.header("location")), (303, Some("/ui/notices?done=replayed")), "{}", done.text());
    }
    assert_eq!((in_state("dead").await, in_state("pending").await), (0, LETTERS));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_history_that_is_too_long_for_a_page_nothing_is_told_that_is_not_so() {
    let stubborn = LimitsOverride {
        attempts: Some(1_000),
        backoff: Some(Duration::from_micros(1)),
        backoff_max: Some(Duration::from_micros(1)),
        ..LimitsOverride::default()
    };
    let spec = OperationSpec { order: Order::Sequence, step_limits: stubborn, ..operation(&["tokyo", "osaka"]) };
    let rig = with_route("stubborn", spec).await;
    rig.tokyo.on("POST", "/stubborn", Answer::empty(429));
    let id = rig.accept("POST", "/stubborn", &json!({})).await;
    // Each attempt is at least begun, answered, and waited after.
    rig.tokyo.wait_for(340).await;
    rig.tokyo.on("POST", "/stubborn", Answer::json(201, &json!({ "id": "t" })));
    assert_eq!(rig.ended(&id).await["status"], "completed");
    let text = page(&rig.http.get(&format!("/ui/operations/{id}")).await);
    assert_eq!(text.matches("first 1000 events").count(), 2, "timeline and targets say so: {text}");
    assert!(!text.contains("Nothing was sent.") && text.contains("What was sent is among the later events."), "{text}");
    assert!(!text.contains("was not called") && !text.contains(" so far"), "{text}");
    let plan = page(&form(&rig, "/ui/routes/plan", "method=POST&uri=%2Fstubborn&body=%7B%7D").await);
    assert!(plan.contains(">wave 1<") && plan.contains(">wave 2<"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_note_has_one_name() {
    let spec = OperationSpec { on_failure: OnFailure::Hold, ..operation(&["tokyo", "osaka"]) };
    let rig = with_route("choice", spec).await;
    rig.osaka.on("POST", "/choice", Answer::json(409, &json!({})));
    rig.accept("POST", "/choice", &json!({})).await;
    let note = async {
        loop {
            let notes = rig.http.get("/api/v1/attention").await.json();
            if let Some(note) = notes["attention"].get(0) {
                break note.clone();
            }
        }
    };
    let note = tokio::time::timeout(PATIENCE, note).await.expect("a person is asked");
    assert_eq!(note["answers"], json!(["retry", "roll_back", "end_as_it_is"]));
    let list = page(&rig.http.get("/ui/attention").await);
    for answer in note["answers"].as_array().unwrap() {
        let path = format!("/ui/attention/{}/{}", note["id"], answer.as_str().unwrap());
        let name = between(&page(&rig.http.get(&path).await), "<button type=\"submit\"", "</button>");
        let name = name.split_once('>').unwrap().1;
        assert!(list.contains(&format!(">{name}…</a>")) || list.contains(&format!(">{name}</a>")), "{name}: {list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_what_would_be_sent_and_how_it_would_be_undone() {
    let rig = Rig::start().await;
    let empty = page(&rig.http.get("/ui/routes/plan?route=things").await);
    assert!(empty.contains("<option selected>POST</option>") && empty.contains("value=\"/things\""), "{empty}");
    let fields = "method=POST&uri=%2Fthings&headers=content-type%3A+application%2Fjson&body=%7B%22password%22%3A%22hunter2%22%7D";
    let text =
        page(&form(&rig, "/ui/routes/plan", &format!("{fields}&answers=tokyo+201+%7B%22id%22%3A%22t7%22%7D")).await);
    assert!(text.contains("becomes an operation") && text.contains("DELETE") && text.contains("/things/t7"), "{text}");
    assert!(text.contains("response.json.id"), "what only osaka's answer tells stands by its name: {text}");
    let plan = text.split("id=\"plan\"").nth(1).unwrap();
    for nothing in ["it becomes an operation", ">Undo<", ">wave 1<"] {
        assert!(!plan.contains(nothing), "it tells nothing new: {nothing}");
    }
    assert!(!plan.contains("hunter2"), "secrets are taken out of what is shown");
    let refused = page(&form(&rig, "/ui/routes/plan", "method=POST&uri=%2Fnowhere").await);
    assert!(refused.contains("is refused"), "{refused}");
    for nonsense in ["uri=%2Fthings&headers=nonsense", "uri=things"] {
        let bad = form(&rig, "/ui/routes/plan", &format!("method=POST&{nonsense}")).await;
        assert_eq!(bad.status, 400, "{nonsense}");
        assert!(page(&bad).contains("This is no request"), "{nonsense}");
    }
    assert_eq!(rig.http.get("/api/v1/operations").await.json()["operations"], json!([]));
    assert_eq!(rig.tokyo.seen().len(), 0);
}
