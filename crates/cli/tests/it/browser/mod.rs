//! The console in a browser: the real program, fake targets, and Chromium, as far as it is installed.

mod keyboard;
mod live;
mod pages;
mod sign_in;
mod stories;

use fanfold_testkit::browser::{Browser, DESK, PHONE, Size};
use fanfold_testkit::{FakeTarget, Home};

use crate::program::{Server, config};

/// What everything is tried at, one after the other.
const SIZES: [Size; 2] = [DESK, PHONE];

/// A server with two targets.
struct World {
    tokyo: FakeTarget,
    osaka: FakeTarget,
    server: Server,
    _home: Home,
}

impl World {
    /// With these routes.
    async fn start(routes: &str) -> Self {
        let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
        let home = Home::new(&config(&[("tokyo", &tokyo), ("osaka", &osaka)], routes));
        let server = Server::start(&home).await;
        Self { tokyo, osaka, server, _home: home }
    }

    /// Shows a page of its console.
    async fn show(&self, browser: &Browser, path: &str) {
        browser.open(&format!("{}{path}", self.server.url)).await;
    }
}

/// Remembers in the page that it is this one, which loading it again would forget.
async fn mark(browser: &Browser) {
    browser.run("window.marked = true", &[]).await;
}

/// Whether the page is the one that was marked.
async fn is_marked(browser: &Browser) -> bool {
    browser.run("return window.marked === true", &[]).await == true
}
