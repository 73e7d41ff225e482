//! What is seen of a page, by a person and by the browser itself.

use serde_json::{Value, json};

use super::{Browser, programs};

/// Runs the rules of axe-core over the page, and gives what is serious or worse: the rule, what it says, and where.
const JUDGE: &str = r#"
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"], preload: false }).then(
  (found) => done(found.violations
    .filter((one) => one.impact === "serious" || one.impact === "critical")
    .map((one) => one.id + " (" + one.help + "): "
      + one.nodes.slice(0, 5).map((node) => node.html.slice(0, 200) + " " + node.any.map((check) => check.message).join(" ")).join("\n  "))),
  (error) => done(["axe-core: " + error]));"#;

/// What sticks out of the page at its right, seen from the window's width, deepest first. A phone shows a page that is too wide in
/// a wider window, and a window at a desk has a scroll bar.
const OVERHANG: &str = r#"
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width && innerWidth <= width + 20) return [];
return [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > width + 1).reverse()
  .slice(0, 5).map((one) => one.outerHTML.slice(0, 120)).concat("the page is " + document.documentElement.scrollWidth + " wide");"#;

/// The rules of accessibility that pages are judged by.
#[derive(Debug)]
pub struct Axe(String);

impl Axe {
    /// The rules in the file that `FANFOLD_TESTS_AXE` names. Nothing if there is none, which is printed: the test is skipped
    /// then. If `FANFOLD_TESTS_NEED_BROWSER` is set, it panics instead.
    pub fn found() -> Option<Self> {
        programs::axe().map(Self)
    }
}

impl Browser {
    /// Waits until something that the selector fits reads like this, or has it within.
    pub async fn see(&self, css: &str, text: &str) {
        let look = "return [...document.querySelectorAll(arguments[0])].some(\
                    (one) => one.innerText.replace(/\\s+/g, ' ').includes(arguments[1]))";
        self.until(&format!("to see {text:?} in {css}"), look, &[json!(css), json!(text)]).await;
    }

    /// Waits until nothing that the selector fits is there.
    pub async fn see_none(&self, css: &str) {
        let look = "return document.querySelector(arguments[0]) === null";
        self.until(&format!("to see no {css}"), look, &[json!(css)]).await;
    }

    /// Waits until a script returns something that is true.
    pub async fn until(&self, what: &str, script: &str, arguments: &[Value]) {
        self.patiently(what, async || {
            let met = self.client.execute(script, arguments.to_vec()).await;
            // It fails while one page makes room for another.
            met.is_ok_and(|met| met == true).then_some(())
        })
        .await;
    }

    /// Runs a script in the page, and gives what it returns.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let ran = self.client.execute(script, arguments.to_vec()).await;
        ran.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The text of the first thing that the selector fits, once it is there.
    pub async fn text(&self, css: &str) -> String {
        let look = "return document.querySelector(arguments[0])?.innerText";
        self.patiently(&format!("for {css}"), async || {
            let text = self.client.execute(look, vec![json!(css)]).await.ok()?;
            text.as_str().map(str::to_owned)
        })
        .await
    }

    /// What the browser has complained about since it was asked last: errors of scripts, breaches of the policy, what was not
    /// found.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.chromium("se/log", json!({ "type": "browser" })).await;
        let log = log.as_array().cloned().unwrap_or_default();
        let grave = log.iter().filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        grave.map(|entry| format!("{}: {}", entry["source"], entry["message"])).collect()
    }

    /// The addresses that the page has asked for since this was asked last.
    pub async fn requested(&self) -> Vec<String> {
        let log = self.chromium("se/log", json!({ "type": "performance" })).await;
        let messages = log.as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str());
        let events = messages.filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let asked = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        asked.filter_map(|event| event["message"]["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// What is wrong with the page by the rules of axe-core, as far as it is serious or critical.
    pub async fn barriers(&self, axe: &Axe) -> Vec<String> {
        self.run(&axe.0, &[]).await;
        let found = self.client.execute_async(JUDGE, Vec::new()).await;
        texts(&found.unwrap_or_else(|error| panic!("axe-core: {error}")))
    }

    /// What of the page lies to the right of the window.
    pub async fn overhang(&self) -> Vec<String> {
        texts(&self.run(OVERHANG, &[]).await)
    }

    /// A picture of the window, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a page is shown")
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
