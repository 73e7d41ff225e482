//! The targets behind the server, and its configuration.

use fanfold_testkit::fake::{Controller, Ending};
use fanfold_testkit::{Answer, FakeTarget, Reply, Resources};
use serde_json::json;

use crate::caller;

pub(super) struct Targets {
    good: FakeTarget,
    /// Breaks off every change after it was read, so that its outcome is unknown.
    broken: FakeTarget,
    failing: FakeTarget,
    /// A lower controller, whose operations never end.
    lower: FakeTarget,
    pub(super) controller: Controller,
}

const BEGINNING: &str = r#"
[server]
listen = "127.0.0.1:0"

[notices]
allow = ["127.0.0.1"]
secrets = ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
attempts = 1

[[mounts]]
dialect = "msf"
prefix = "/v1"

[[mounts]]
dialect = "plas"
prefix = "/v1.0/plasconnector"

# What breaks here breaks on purpose, and steps must not wait until a target is tried again.
[defaults]
breaker = { breaks = 1000, pause = "1s" }
settle = "0s"
"#;

/// Routes of every dialect, and one for each way in which operations can end, or wait.
const ROUTES: &str = r#"
[[routes]]
name = "put-thing"
match = "PUT /things/{id}"
targets = ["tokyo", "osaka"]
undo = { method = "DELETE", path = "/things/{{ path.id }}" }

[[routes]]
name = "read-things"
match = "GET /things/{*rest}"
pass = "tokyo"

[[routes]]
name = "wait"
match = "PUT /waiting/{id}"
targets = ["busy"]

[[routes]]
name = "ask"
match = "POST /asked/{id}"
targets = ["broken"]
on_unknown = "hold"

[[routes]]
name = "tell"
match = "POST /told/{id}"
targets = ["broken"]

[[routes]]
name = "fail"
match = "PUT /failed/{id}"
targets = ["failing"]

[[routes]]
name = "call"
match = "PUT /called/{id}"
targets = ["tokyo"]
callback = "http://127.0.0.1:9/nobody"

[[routes]]
name = "create-cp"
dialect = "msf"
match = "POST /v1/slices/{slice_id}/cps"
targets = ["tokyo", "osaka"]
undo = { method = "DELETE", path = "/v1/slices/{{ path.slice_id }}/cps/{{ response.json.id }}" }

[[routes]]
name = "change-below"
dialect = "msf"
match = "PUT /v1/slices/{slice_id}"
targets = ["lower"]

[[routes]]
name = "read-slices"
dialect = "msf"
match = "GET /v1/slices/{*rest}"
pass = "tokyo"

[[routes]]
name = "create-connector"
dialect = "plas"
match = "POST /v1.0/plasconnector/connectors"
targets = ["tokyo"]
request = { method = "PUT", path = "/connectors/{{ resource.id }}" }

[[routes]]
name = "delete-connector"
dialect = "plas"
match = "DELETE /v1.0/plasconnector/connectors/{connector_id}"
targets = ["tokyo"]
request = { path = "/connectors/{{ path.connector_id }}" }
"#;

impl Targets {
    pub(super) async fn start() -> Self {
        let (good, broken) = (FakeTarget::start().await, FakeTarget::start().await);
        let (failing, lower) = (FakeTarget::start().await, FakeTarget::start().await);
        let resources = Resources::new();
        // What is passed through finds something; where nothing is, the target says so itself.
        resources.put("/v1/slices/s", "{}");
        good.serve(resources);
        broken.on("*", "*", Reply::Reset { applied: false });
        failing.on("*", "*", Answer::json(409, &json!({ "error": "it always does" })));
        let controller = Controller::new().ends(Ending::Never);
        lower.serve(controller.clone());
        Self { good, broken, failing, lower, controller }
    }

    pub(super) fn config(&self, database: &str) -> String {
        let targets: String = [
            ("tokyo", &self.good, "none"),
            ("osaka", &self.good, "none"),
            ("spare", &self.good, "none"),
            ("busy", &self.good, "none"),
            ("broken", &self.broken, "none"),
            ("failing", &self.failing, "none"),
            ("lower", &self.lower, "msf"),
        ]
        .map(|(name, target, monitor)| {
            format!("\n[targets.{name}]\nurl = \"{}\"\nmonitor = \"{monitor}\"\n", target.url())
        })
        .concat();
        format!("{BEGINNING}\n{}[store]\nurl = \"sqlite:{database}\"\n{targets}{ROUTES}", caller::config())
    }
}
