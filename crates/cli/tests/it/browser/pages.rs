//! What holds for every page: nobody is shut out, nothing sticks out, nothing is asked of another host, nothing breaks.

use fanfold_testkit::browser::{Axe, Browser, Theme};
use fanfold_testkit::{Answer, Reply};
use serde_json::{Value, json};

use super::{SIZES, World};
use crate::program::{text, things};

/// Routes whose operations end in every way.
const ROUTES: &str = "\
[notices]
allow = [\"127.0.0.1\"]
attempts = 1

[[mounts]]
dialect = \"msf\"
prefix = \"/v1\"

[[routes]]
name = \"put-thing\"
match = \"PUT /things/{id}\"
targets = [\"tokyo\", \"osaka\"]
undo = { method = \"DELETE\", path = \"/things/{{ path.id }}\" }

[[routes]]
name = \"post-thing\"
match = \"POST /things\"
targets = [\"tokyo\"]
on_unknown = \"hold\"

[[routes]]
name = \"put-told\"
dialect = \"msf\"
match = \"PUT /v1/told/{id}\"
targets = [\"tokyo\"]
";

/// A server that has something to show on every page, and the paths of its pages.
async fn full() -> (World, Vec<String>) {
    let world = World::start(ROUTES).await;
    let http = &world.server.http;
    world.osaka.once("PUT", "/things/1", Answer::json(409, &json!({ "why": "the rack is full" })));
    let failed = world.server.put("/things/1").await;
    world.server.end_of(&failed).await;
    world.tokyo.once("POST", "/things", Reply::Reset { applied: true });
    let unknown = text(&http.post("/things", &json!({})).await.json()["id"]);
    until(&world, "/api/v1/attention", "attention").await;
    let address = world.osaka.address();
    let told = format!("/v1/told/1?notification_address={}&notification_port={}", address.ip(), address.port());
    world.osaka.on("PUT", "*", Answer::empty(500));
    assert_eq!(http.put(&told, &json!({})).await.status, 202);
    until(&world, "/api/v1/notices?state=dead", "notices").await;
    http.post("/api/v1/targets/osaka/hold", &json!({ "reason": "power work" })).await;
    let held = world.server.put("/things/2").await;
    let paths = [
        "/ui".to_owned(),
        "/ui/operations".to_owned(),
        "/ui/operations?status=failed&resource=%2Fthings%2F1".to_owned(),
        "/ui/operations?status=canceled".to_owned(),
        "/ui/operations?since=yesterday".to_owned(),
        format!("/ui/operations/{failed}"),
        format!("/ui/operations/{unknown}"),
        format!("/ui/operations/{held}"),
        format!("/ui/operations/{failed}/retry"),
        format!("/ui/operations/{held}/extend"),
        "/ui/operations/cancel?route=put-thing".to_owned(),
        "/ui/operations/retry?route=put-thing".to_owned(),
        "/ui/attention".to_owned(),
        "/ui/attention/1/applied".to_owned(),
        "/ui/targets".to_owned(),
        "/ui/routes".to_owned(),
        "/ui/routes/plan?route=put-thing".to_owned(),
        "/ui/notices".to_owned(),
        "/ui/notices?state=dead".to_owned(),
        "/ui/drain".to_owned(),
        "/ui/nothing".to_owned(),
    ];
    (world, paths.into())
}

/// Waits until a list has something in it.
async fn until(world: &World, path: &str, name: &str) {
    let filled = async { while world.server.get(path).await.json()[name].as_array().is_none_or(Vec::is_empty) {} };
    tokio::time::timeout(fanfold_testkit::PATIENCE, filled).await.unwrap_or_else(|_| panic!("{path} stays empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shut_out_of_a_page_and_nothing_sticks_out() {
    let Some(browser) = Browser::start().await else { return };
    let Some(axe) = Axe::found() else { return };
    let (world, paths) = full().await;
    for size in SIZES {
        browser.resize(size).await;
        for theme in [Theme::Light, Theme::Dark] {
            browser.theme(theme).await;
            for path in &paths {
                world.show(&browser, path).await;
                browser.see("h1", "").await;
                let none: Vec<String> = Vec::new();
                assert_eq!(browser.barriers(&axe).await, none, "{path} {theme:?} {size:?}");
                assert_eq!(browser.overhang().await, none, "{path} {size:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_breaks_or_asks_another_host() {
    let Some(browser) = Browser::start().await else { return };
    let (world, paths) = full().await;
    for path in &paths {
        world.show(&browser, path).await;
        browser.see("h1", "").await;
        let is_refused = path.contains("yesterday") || path.ends_with("nothing");
        let complaints: Vec<String> = browser.complaints().await;
        let grave: Vec<_> = complaints.iter().filter(|one| !is_refused || !one.contains("status of 4")).collect();
        assert!(grave.is_empty(), "{path}: {grave:?}");
    }
    let asked = browser.requested().await;
    let others: Vec<_> =
        asked.iter().filter(|url| url.starts_with("http") && !url.starts_with(&world.server.url)).collect();
    assert!(!asked.is_empty() && others.is_empty(), "{others:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_canceled_after_a_look_at_them() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let world = World::start(&things(&["tokyo"])).await;
        world.server.http.post("/api/v1/targets/tokyo/hold", &json!({})).await;
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(world.server.put(&format!("/things/{number}")).await);
        }
        world.show(&browser, "/ui/operations").await;
        browser.choose("#f-target", "tokyo").await;
        browser.press("Show").await;
        browser.press("Cancel these…").await;
        browser.see(".lead", "It would be done with 3").await;
        browser.see(".list", "it ends canceled at once").await;
        browser.press("Cancel 3").await;
        browser.see(".lead", "It was done with 3").await;
        for id in &ids {
            assert_eq!(world.server.end_of(id).await["status"], "canceled");
        }
        browser.press("Back to the list").await;
        browser.see(".list", "canceled").await;
        assert_eq!(world.tokyo.seen().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_tried_out_without_being_sent() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let world = World::start(&things(&["tokyo", "osaka"])).await;
        world.show(&browser, "/ui/routes").await;
        browser.click("article a[href^='/ui/routes/plan']").await;
        browser.see("h1", "Dry run").await;
        browser.run("document.querySelector('#f-uri').value = '/things/7'", &[]).await;
        browser.write("#f-body", "{\"size\": 3}").await;
        browser.press("Show the plan").await;
        browser.see("#plan", "becomes an operation").await;
        browser.see("article", "DELETE").await;
        browser.see("article", "/things/7").await;
        let listed = world.server.get("/api/v1/operations").await.json();
        assert_eq!(listed["operations"], Value::Array(Vec::new()));
        assert_eq!(world.tokyo.seen().len() + world.osaka.seen().len(), 0);
    }
}
