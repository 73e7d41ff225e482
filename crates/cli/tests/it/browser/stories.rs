//! What people come to the console for.

use fanfold_testkit::browser::Browser;
use fanfold_testkit::{Answer, Latch, Reply};
use serde_json::json;

use super::{SIZES, World, is_marked, mark};
use crate::program::{text, things};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_operation_is_found_read_retried_and_watched_to_its_end() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        find_and_retry(&browser).await;
    }
}

async fn find_and_retry(browser: &Browser) {
    let world = World::start(&things(&["tokyo"])).await;
    world.tokyo.once("PUT", "/things/1", Answer::json(409, &json!({ "why": "the rack is full" })));
    let good = world.server.put("/things/2").await;
    world.server.end_of(&good).await;
    let failed = world.server.put("/things/1").await;
    world.server.end_of(&failed).await;

    world.show(browser, "/ui").await;
    browser.press("Operations").await;
    browser.choose("#f-status", "failed").await;
    browser.press("Show").await;
    browser.until("for the address", "return location.search.includes('status=failed')", &[]).await;
    browser.see(".list", "/things/1").await;
    assert!(!browser.text(".list").await.contains("/things/2"));

    browser.click(".list .what a").await;
    browser.see("h1", "PUT /things/1").await;
    browser.see("#target-tokyo .problem", "409").await;
    browser.click("#attempt-tokyo-1 > summary").await;
    browser.see("#attempt-tokyo-1[open] pre", "the rack is full").await;

    let latch = Latch::new();
    world.tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(201)).after(&latch));
    browser.press("Retry…").await;
    browser.see("dialog[open]", "sends the request again to tokyo").await;
    assert_eq!(world.tokyo.seen().len(), 2, "asking sends nothing");
    browser.click("dialog button[type=submit]").await;
    browser.see(".banner", "This is the retry").await;
    mark(browser).await;
    world.tokyo.wait_for(3).await;
    browser.see(".states", "calling").await;
    latch.let_through(1);
    browser.see(".states", "completed").await;
    assert!(is_marked(browser).await, "it ends without being loaded again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_resolved_and_the_operation_goes_on() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        resolve(&browser).await;
    }
}

async fn resolve(browser: &Browser) {
    let world = World::start(
        "[[routes]]\nname = \"post-thing\"\nmatch = \"POST /things\"\ntargets = [\"tokyo\", \"osaka\"]\n\
         order = \"sequence\"\non_unknown = \"hold\"\n",
    )
    .await;
    let latch = Latch::new();
    world.tokyo.once("POST", "/things", Reply::Reset { applied: true });
    world.osaka.once("POST", "/things", Reply::from(Answer::empty(201)).after(&latch));
    world.show(browser, "/ui").await;
    browser.see(".empty", "No person is needed").await;
    let id = text(&world.server.http.post("/things", &json!({})).await.json()["id"]);

    browser.see(".note", "tokyo").await;
    browser.see("nav .badge", "1").await;
    browser.click("nav a[href='/ui/attention']").await;
    browser.see("h1", "Needs attention").await;
    browser.press("It was applied…").await;
    browser.see("dialog[open]", "the change is there").await;
    browser.write("dialog #f-remark", "I have looked").await;
    browser.click("dialog button[type=submit]").await;
    browser.see(".banner", "The answer was recorded").await;
    assert!(browser.address().await.contains(&id));
    mark(browser).await;
    world.osaka.wait_for(1).await;
    latch.let_through(1);
    browser.see(".states", "completed").await;
    browser.see(".events", "I have looked").await;
    assert!(is_marked(browser).await, "it ends without being loaded again");
    assert_eq!(world.tokyo.seen().len(), 1, "what was applied is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_held_and_released() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        hold_and_release(&browser).await;
    }
}

async fn hold_and_release(browser: &Browser) {
    let world = World::start(&things(&["tokyo"])).await;
    world.show(browser, "/ui/targets").await;
    browser.click("#t-tokyo a[href$='/hold']").await;
    browser.see("dialog[open]", "Hold tokyo back?").await;
    browser.write("dialog #f-reason", "power work").await;
    browser.click("dialog button[type=submit]").await;
    browser.see("#t-tokyo", "held by local: power work").await;

    let id = world.server.put("/things/1").await;
    browser.click("#t-tokyo a[href^='/ui/operations']").await;
    browser.see(".list", "held").await;
    browser.click(".list .what a").await;
    browser.see(".plain-list", "it is on hold").await;
    assert!(browser.address().await.contains(&id));

    browser.press("Targets").await;
    browser.click("#t-tokyo a[href$='/release']").await;
    browser.see("dialog[open]", "Release tokyo?").await;
    browser.click("dialog button[type=submit]").await;
    browser.see(".banner", "released").await;
    world.tokyo.wait_for(1).await;
    browser.click("#t-tokyo a[href^='/ui/operations']").await;
    browser.see(".list", "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_a_question_is_a_page() {
    let Some(browser) = Browser::start_without_scripts().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let world = World::start(&things(&["tokyo"])).await;
        world.tokyo.once("PUT", "/things/1", Answer::empty(409));
        let failed = world.server.put("/things/1").await;
        world.server.end_of(&failed).await;
        world.show(&browser, &format!("/ui/operations/{failed}")).await;
        assert_eq!(browser.run("return typeof htmx", &[]).await, "undefined", "no script has run");
        browser.press("Retry…").await;
        browser.see("h1", "Retry PUT /things/1?").await;
        browser.click("#question button[type=submit]").await;
        browser.see(".banner", "This is the retry").await;
        world.tokyo.wait_for(2).await;
        let retry = world.server.get(&format!("/api/v1/operations/{failed}")).await.json();
        let retry = text(&retry["retried_by"]);
        assert_eq!(world.server.end_of(&retry).await["status"], "completed");
        world.show(&browser, &format!("/ui/operations/{retry}")).await;
        browser.see(".states", "completed").await;
    }
}
