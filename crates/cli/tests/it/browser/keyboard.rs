//! The console without a mouse.

use fanfold_testkit::Answer;
use fanfold_testkit::browser::{Browser, Key};

use super::{SIZES, World};
use crate::program::things;

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_reached_and_done_with_keys() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let world = World::start(&things(&["tokyo"])).await;
        world.tokyo.once("PUT", "/things/1", Answer::empty(409));
        let failed = world.server.put("/things/1").await;
        world.server.end_of(&failed).await;
        let page = format!("/ui/operations/{failed}");

        world.show(&browser, &page).await;
        browser.key(Key::Tab).await;
        assert_eq!(browser.focused().await, "To the content");
        let shown = "const box = document.activeElement.getBoundingClientRect(); return box.top >= 0 && box.left >= 0";
        assert_eq!(browser.run(shown, &[]).await, true, "the link is seen while it has the focus");
        browser.key(Key::Enter).await;
        browser.until("for the content", "return document.activeElement.id === 'main'", &[]).await;
        browser.key_until(Key::Tab, 2, "Retry…").await;

        world.show(&browser, &page).await;
        browser.key_until(Key::Tab, 2, "Fanfold").await;
        for entry in ["Now", "Operations", "Attention", "Targets", "Routes", "Notices"] {
            browser.key(Key::Tab).await;
            assert_eq!(browser.focused().await, entry);
        }

        browser.key_until(Key::Tab, 3, "Retry…").await;
        browser.key(Key::Enter).await;
        browser.see("dialog[open]", "sends the request again").await;
        browser.key(Key::Escape).await;
        browser.see_none("dialog[open]").await;
        assert_eq!(browser.focused().await, "Retry…", "the focus is where it was");
        assert_eq!(world.tokyo.seen().len(), 1, "leaving it sends nothing");

        browser.key(Key::Enter).await;
        browser.see("dialog[open]", "sends the request again").await;
        browser.until("for the button", "return document.activeElement.closest('dialog') !== null", &[]).await;
        if browser.focused().await != "Retry" {
            browser.key_until(Key::Tab, 3, "Retry").await;
        }
        browser.key(Key::Enter).await;
        browser.see(".banner", "This is the retry").await;
    }
}
