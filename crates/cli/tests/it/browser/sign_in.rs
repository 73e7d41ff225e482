//! Signing in, seeing what one may, and being out again.

use fanfold_core::access::Secret;
use fanfold_testkit::Http;
use fanfold_testkit::browser::{Axe, Browser, Size, Theme};
use serde_json::{Value, json};

use super::{SIZES, World, mark};
use crate::program::{text, things};

/// A server that asks who somebody is, with an operation that waits.
struct Guarded {
    world: World,
    operation: String,
}

impl Guarded {
    async fn start() -> Self {
        let root = Secret::from_random([1; 32]);
        let auth = format!(
            "[auth]\nsession = \"1h\"\n[[auth.tokens]]\nname = \"root\"\nsha256 = \"{}\"\nroles = [\"admin\"]\n",
            root.digest()
        );
        let mut world = World::start(&format!("{auth}{}", things(&["tokyo"]))).await;
        world.server.http = Http::new(&world.server.url).with("authorization", &format!("Bearer {}", root.expose()));
        world.server.http.post("/api/v1/targets/tokyo/hold", &json!({})).await;
        let operation = world.server.put("/things/1").await;
        Self { world, operation }
    }

    /// Makes a token, and gives its id and its secret.
    async fn token(&self, name: &str, role: &str) -> (String, String) {
        let wanted = json!({ "name": name, "roles": [role] });
        let made = self.world.server.http.post("/api/v1/tokens/create", &wanted).await.json();
        (text(&made["token"]["id"]), text(&made["secret"]))
    }

    fn page(&self) -> String {
        format!("/ui/operations/{}", self.operation)
    }
}

async fn sign_in(browser: &Browser, token: &str) {
    browser.see("h1", "Sign in").await;
    browser.write("#f-token", token).await;
    browser.click("main button[type=submit]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_sees_what_they_may_and_is_out_again() {
    let Some(browser) = Browser::start().await else { return };
    for size in SIZES {
        browser.resize(size).await;
        let guarded = Guarded::start().await;
        let (_, reader) = guarded.token("reader", "read").await;
        let (_, operator) = guarded.token("operator", "operate").await;

        guarded.world.show(&browser, &guarded.page()).await;
        sign_in(&browser, "fanfold_mistyped").await;
        browser.see("[role=alert]", "You are not signed in").await;
        sign_in(&browser, &reader).await;
        browser.see("h1", "PUT /things/1").await;
        browser.see(".who", "reader").await;
        browser.see("#live-text", "live").await;
        browser.see_none("a[data-ask]").await;
        assert_eq!(browser.run("return document.cookie", &[]).await, "", "no script sees the session");
        browser.press("Sign out").await;
        browser.see(".banner", "You are signed out.").await;

        guarded.world.show(&browser, &guarded.page()).await;
        sign_in(&browser, &operator).await;
        browser.see(".who", "operator").await;
        browser.press("Cancel…").await;
        browser.see("dialog[open]", "Cancel").await;
        browser.click("dialog button[type=submit]").await;
        browser.see(".states", "canceled").await;
        let ended = guarded.world.server.end_of(&guarded.operation).await;
        assert_eq!(ended["status"], "canceled");
        browser.press("Sign out").await;
        browser.see("h1", "Sign in").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_session_ends_leads_to_the_one_to_sign_in_and_back() {
    let Some(browser) = Browser::start().await else { return };
    let guarded = Guarded::start().await;
    let (id, operator) = guarded.token("operator", "operate").await;
    guarded.world.show(&browser, &guarded.page()).await;
    sign_in(&browser, &operator).await;
    browser.see("#live-text", "live").await;
    mark(&browser).await;
    let revoke = format!("/api/v1/tokens/{id}/revoke");
    assert_eq!(guarded.world.server.http.post(&revoke, &json!({})).await.status, 200);
    browser.see("h1", "Sign in").await;
    let (_, other) = guarded.token("other", "read").await;
    sign_in(&browser, &other).await;
    browser.see("h1", "PUT /things/1").await;
}

async fn is_open_to_all(browser: &Browser, axe: &Axe, size: Size, what: &str) {
    for theme in [Theme::Light, Theme::Dark] {
        browser.theme(theme).await;
        let none: Vec<String> = Vec::new();
        assert_eq!(browser.barriers(axe).await, none, "{what} {theme:?} {size:?}");
        assert_eq!(browser.overhang().await, none, "{what} {size:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shut_out_of_the_page_to_sign_in() {
    let Some(browser) = Browser::start().await else { return };
    let Some(axe) = Axe::found() else { return };
    let guarded = Guarded::start().await;
    let (_, reader) = guarded.token("somebody.with-a-rather-long-name@operations.example", "read").await;
    for size in SIZES {
        browser.resize(size).await;
        guarded.world.show(&browser, &guarded.page()).await;
        browser.see("h1", "Sign in").await;
        let focused: Value = browser.run("return document.activeElement.id", &[]).await;
        assert_eq!(focused, "f-token");
        is_open_to_all(&browser, &axe, size, "asked").await;
        sign_in(&browser, "x").await;
        browser.see("[role=alert]", "You are not signed in").await;
        is_open_to_all(&browser, &axe, size, "refused").await;
        sign_in(&browser, &reader).await;
        browser.see(".who", "somebody").await;
        is_open_to_all(&browser, &axe, size, "signed in").await;
        browser.press("Sign out").await;
        browser.see(".banner", "You are signed out.").await;
        is_open_to_all(&browser, &axe, size, "signed out").await;
    }
}
