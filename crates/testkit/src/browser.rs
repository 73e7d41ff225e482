//! A browser: Chromium without a window, in a profile of its own, driven over WebDriver by its `chromedriver`.
//!
//! Whatever is asked of a page is asked until it can be done, or is so, for at most [`PATIENCE`]: pages change under the hands of
//! whoever drives them. Nothing here waits for time to pass.

mod driver;
mod eyes;
mod hands;
mod programs;

use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::Http;
use crate::patience::PATIENCE;
use driver::Driver;
use programs::Programs;

pub use eyes::Axe;
pub use hands::Key;

/// Browsers at the same time, in all tests of a process: each takes a core while it starts.
const BROWSERS_MAX: usize = 2;

/// How often a page is looked at until it is as it should be.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A window of 1280 by 900.
pub const DESK: Size = Size { width: 1280, height: 900, is_phone: false };

/// The screen of a phone, 390 wide.
pub const PHONE: Size = Size { width: 390, height: 844, is_phone: true };

/// What a page is laid out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    width: u32,
    height: u32,
    is_phone: bool,
}

/// What colours a person has asked their machine for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scripts {
    On,
    Off,
}

/// A browser with one window. It is gone, with its profile, when this is dropped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    /// For what WebDriver has no words for, and Chromium has.
    http: Http,
    session: String,
    _driver: Driver,
    _seat: SemaphorePermit<'static>,
}

impl Browser {
    /// Starts one. Nothing if a program is missing, which is printed: the test is skipped then. If
    /// `FANFOLD_TESTS_NEED_BROWSER` is set, it panics instead.
    pub async fn start() -> Option<Self> {
        Self::open_with(Scripts::On).await
    }

    /// Starts one in which no page may run a script.
    pub async fn start_without_scripts() -> Option<Self> {
        Self::open_with(Scripts::Off).await
    }

    async fn open_with(scripts: Scripts) -> Option<Self> {
        static SEATS: Semaphore = Semaphore::const_new(BROWSERS_MAX);
        let programs = Programs::found()?;
        let seat = SEATS.acquire().await.expect("nobody closes it");
        let driver = Driver::start(&programs).await;
        let wanted = wanted(&programs, &driver, scripts);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(wanted).connect(driver.url());
        let client = connecting.await.unwrap_or_else(|error| panic!("no browser: {error}\n{}", driver.printed()));
        let session = client.session_id().await.expect("the driver is there").expect("a session has an id");
        let http = Http::new(driver.url());
        let browser = Self { client, http, session, _driver: driver, _seat: seat };
        browser.resize(DESK).await;
        Some(browser)
    }

    /// Lays pages out for this size from now on.
    pub async fn resize(&self, Size { width, height, is_phone }: Size) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Asks for these colours from now on.
    pub async fn theme(&self, theme: Theme) {
        let value = match theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// The address of the page that is shown.
    pub async fn address(&self) -> String {
        self.client.current_url().await.expect("a page is shown").into()
    }

    /// Asks until there is an answer. Panics with the words of `what` if there is none in time.
    async fn patiently<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let asking = async {
            loop {
                if let Some(answer) = ask().await {
                    return answer;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!("waited in vain {what}, on this page:\n{}", self.described().await),
        }
    }

    /// Where it is and what it reads like, for whoever has to find out why a test fails.
    async fn described(&self) -> String {
        let page = "return location.href + '\\n' + document.body.innerText";
        let page = self.client.execute(page, Vec::new()).await;
        page.ok().and_then(|page| page.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// A command of Chromium's own protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.chromium("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// A command of Chromium's driver.
    async fn chromium(&self, command: &str, parameters: Value) -> Value {
        let answer = self.http.post(&format!("/session/{}/{command}", self.session), &parameters).await;
        assert_eq!(answer.status, 200, "{command}: {}", answer.text());
        answer.json()["value"].take()
    }
}

/// How the browser is to be: alone, with a new profile, and with all that it has to say about pages.
fn wanted(programs: &Programs, driver: &Driver, scripts: Scripts) -> fantoccini::wd::Capabilities {
    let profile = format!("--user-data-dir={}", driver.profile().display());
    let mut arguments = vec![profile.as_str(), "--window-size=1280,900"];
    arguments.extend(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    arguments.extend(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    let scripts = match scripts {
        Scripts::On => 1,
        Scripts::Off => 2,
    };
    let wanted = json!({
        "goog:chromeOptions": {
            "binary": programs.browser,
            "args": arguments,
            "prefs": { "profile.managed_default_content_settings.javascript": scripts },
        },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    });
    match wanted {
        Value::Object(wanted) => wanted,
        _ => unreachable!("it is written as an object above"),
    }
}
