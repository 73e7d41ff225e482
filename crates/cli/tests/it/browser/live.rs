//! Pages that are kept up to date, and nothing that moves under a person's hands.

use fanfold_testkit::browser::Browser;
use fanfold_testkit::{Answer, Latch, Reply};
use serde_json::Value;

use super::{SIZES, World, is_marked, mark};
use crate::program::things;

async fn first_row(browser: &Browser) -> Value {
    browser.run("return document.querySelector('.list tbody tr').id", &[]).await
}

async fn ended(world: &World, path: &str) {
    let id = world.server.put(path).await;
    world.server.end_of(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_counts_what_is_newer_and_stays() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let world = World::start(&things(&["tokyo"])).await;
        for _ in 0..3 {
            ended(&world, "/things/1").await;
        }
        world.show(&browser, "/ui/operations").await;
        browser.see("#live-text", "live").await;
        mark(&browser).await;
        let first = first_row(&browser).await;
        browser.write("#f-text", "half a wor").await;

        for number in 1..=3 {
            ended(&world, "/things/2").await;
            browser.see(".newer", &format!("{number} newer")).await;
            assert_eq!(first_row(&browser).await, first, "what is read stays where it is");
            assert_eq!(browser.run("return document.activeElement.id", &[]).await, "f-text", "the focus stays");
            assert_eq!(browser.run("return document.activeElement.value", &[]).await, "half a wor");
        }
        assert!(is_marked(&browser).await);
        browser.press("3 newer").await;
        browser.until("for the newest", "return document.querySelectorAll('.list tbody tr').length === 6", &[]).await;
        assert_ne!(first_row(&browser).await, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_opened_stays_open() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let world = World::start(&format!("{}order = \"sequence\"\n", things(&["tokyo", "osaka"]))).await;
        let latch = Latch::new();
        world.osaka.once("PUT", "/things/1", Reply::from(Answer::empty(201)).after(&latch));
        let id = world.server.put("/things/1").await;
        world.osaka.wait_for(1).await;
        world.show(&browser, &format!("/ui/operations/{id}")).await;
        browser.see("#live-text", "live").await;
        browser.click("#attempt-tokyo-1 > summary").await;
        browser.click("#request > summary").await;
        browser.click("#attempt-tokyo-1[open] .message summary").await;
        mark(&browser).await;
        latch.let_through(1);
        browser.see(".states", "completed").await;
        for open in ["#attempt-tokyo-1[open] .message details[open]", "#request[open]"] {
            let there = "return document.querySelector(arguments[0]) !== null";
            assert_eq!(browser.run(there, &[open.into()]).await, true, "{open}");
        }
        assert!(is_marked(&browser).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_draw_what_happens() {
    const HIGH: &str = "const line = document.querySelector('.plot .line-completed'); \
        return line.points.numberOfItems > 1 && [...line.points].some((point) => point.y < 99)";
    const SEEN: &str = "const line = document.querySelector('.plot .line-completed'), box = line.getBoundingClientRect(); \
        const plot = line.closest('.chart').getBoundingClientRect(), style = getComputedStyle(line); \
        return line instanceof SVGPolylineElement && box.width > 1 && box.height > 10 && box.left >= plot.left \
        && box.right <= plot.right && box.top >= plot.top && style.stroke !== 'none' && style.visibility === 'visible'";
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let world = World::start(&things(&["tokyo"])).await;
        world.show(&browser, "/ui").await;
        browser.see("#live-text", "live").await;
        mark(&browser).await;
        ended(&world, "/things/1").await;
        browser.until("for a line that rises", HIGH, &[]).await;
        assert_eq!(browser.run(SEEN, &[]).await, true, "the line is within its chart, and has a colour");
        assert!(is_marked(&browser).await);
    }
}
