//! The five stories: what is asked, and what should come of it.

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{OperationDetail, OutcomeWord};
use fanfold_core::operation::{Consistency, RollbackResult, Status, UndoEnd};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::check::Checks;
use super::visitor::{Told, Visitor};
use crate::demo::site::Site;
use crate::demo::stage::Stage;
use crate::failure::Failure;

/// The sites that a connection point and a profile are at.
const THREE: [&str; 3] = ["tokyo", "osaka", "sapporo"];

/// Never to be seen in an answer.
const PASSWORD: &str = "correct horse battery staple";

/// One story.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scene {
    Everywhere,
    RolledBack,
    Restored,
    Canary,
    Connector,
}

impl Scene {
    pub(super) const ALL: [Self; 5] =
        [Self::Everywhere, Self::RolledBack, Self::Restored, Self::Canary, Self::Connector];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "One request, three sites, and all of them do it",
            Self::RolledBack => "One of three refuses, and the others are rolled back",
            Self::Restored => "A change of what was there before is taken back, guarded by its version",
            Self::Canary => "A roll-out in waves that its canary stops",
            Self::Connector => "The same engine in other words: a connector, asked for and queried in \"plas\"",
        }
    }

    pub(super) fn gist(self) -> &'static str {
        match self {
            Self::Everywhere => "The client speaks \"msf\", and sends a password that only the targets get to see.",
            Self::RolledBack => "Each target gave an id of its own for what it made; the undo deletes just that.",
            Self::Restored => "Fanfold reads what is there, changes it, and writes it back with If-Match.",
            Self::Canary => "Five sites get new firmware: tokyo first, two more if that is well, then the rest.",
            Self::Connector => "The id of the connector is issued at acceptance, and made known to the back end.",
        }
    }

    /// Plays it, and gives the operation that it is about.
    pub(super) async fn play(
        self,
        stage: &Stage,
        visitor: &Visitor,
        checks: &mut Checks,
    ) -> Result<OperationId, Failure> {
        match self {
            Self::Everywhere => everywhere(stage, visitor, checks).await,
            Self::RolledBack => rolled_back(stage, visitor, checks).await,
            Self::Restored => restored(stage, visitor, checks).await,
            Self::Canary => canary(stage, visitor, checks).await,
            Self::Connector => connector(stage, visitor, checks).await,
        }
    }
}

async fn everywhere(stage: &Stage, visitor: &Visitor, checks: &mut Checks) -> Result<OperationId, Failure> {
    let body = json!({ "name": "Zürich–東京", "vlan": 100, "bgp": { "md5_password": PASSWORD, "peer": null } });
    let told = visitor.msf(Method::POST, "/v1/slices/blue/cps", &body).await?;
    checks.same("the status of the acceptance", told.accepted.status, StatusCode::ACCEPTED);
    checks.says("the status", &told.end["status"], "completed");
    checks.says("the status code of the response", &told.end["response"]["status_code"], 201);
    checks.says("the rollback", &told.end["rollbacks"], Value::Null);
    checks.holds("the password is in no answer", !told.end.to_string().contains(PASSWORD));
    checks.same("the number of clusters", told.end["target_clusters"].as_array().map(Vec::len), Some(3));
    for (index, name) in THREE.iter().enumerate() {
        let cluster = &told.end["target_clusters"][index];
        checks.says(&format!("the id of cluster {name}"), &cluster["cluster_id"], (index + 1).to_string());
        checks.says(&format!("the answer of {name}"), &cluster["response"]["status_code"], 201);
        let held = made(stage.site(name), "/v1/slices/blue/cps/");
        checks.same(&format!("what {name} holds"), held, vec![body.to_string()]);
    }
    Ok(told.id)
}

async fn rolled_back(stage: &Stage, visitor: &Visitor, checks: &mut Checks) -> Result<OperationId, Failure> {
    let body = json!({ "vlan": 200, "sample": { "osaka": "refuse" } });
    let told = visitor.msf(Method::POST, "/v1/slices/green/cps", &body).await?;
    checks.says("the status", &told.end["status"], "failed");
    checks.says("the status code of the response", &told.end["response"]["status_code"], 500);
    let error = told.end["response"]["body"].as_str().unwrap_or_default();
    let error: Value = serde_json::from_str(error).unwrap_or_default();
    checks.says("the error code", &error["error_code"], "300001");
    checks.says("the consistency", &error["data_consistency"], "rolled back");
    for (index, result) in ["success", "failed", "success"].into_iter().enumerate() {
        let cluster = &error["target_clusters"][index];
        checks.says(&format!("the result of cluster {}", index + 1), &cluster["request_results"], result);
    }
    check_undos(&told, checks);
    for (name, expected) in [("tokyo", "POST DELETE"), ("osaka", "POST"), ("sapporo", "POST DELETE")] {
        let site = stage.site(name);
        checks.same(&format!("the calls at {name}"), calls(site, "/v1/slices/green/cps").join(" "), expected);
        checks.same(&format!("what {name} holds"), made(site, "/v1/slices/green/"), Vec::<String>::new());
    }
    Ok(told.id)
}

fn check_undos(told: &Told, checks: &mut Checks) {
    let rollbacks = &told.end["rollbacks"];
    checks.says("the result of the rollback", &rollbacks["result"], "completed");
    let undone = rollbacks["target_clusters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<_> = undone.iter().map(|cluster| &cluster["cluster_id"]).collect();
    checks.same("the clusters that were rolled back", ids, ["1", "3"]);
    for cluster in undone {
        checks.says("the method of an undo", &cluster["request"]["method"], "DELETE");
        checks.says("the answer to an undo", &cluster["response"]["status_code"], 204);
    }
}

async fn restored(stage: &Stage, visitor: &Visitor, checks: &mut Checks) -> Result<OperationId, Failure> {
    let (path, before) = ("/profiles/gold", json!({ "mbit": 100 }));
    for name in THREE {
        let answer = Visitor::new(&stage.site(name).url())?.send(Method::PUT, path, &before).await?;
        checks.same(&format!("the answer to what was there before at {name}"), answer.status, StatusCode::CREATED);
    }
    let body = json!({ "mbit": 1000, "sample": { "sapporo": "refuse" } });
    let detail = visitor.native(Method::PUT, path, &body).await?;
    checks.same("the status", detail.summary.status, Status::Failed);
    checks.same("the consistency", detail.summary.consistency, Some(Consistency::RolledBack));
    checks.same("the rollback", detail.rollback.as_ref().map(|of| of.result), Some(RollbackResult::Completed));
    let undone = Some(UndoEnd::Undone);
    checks.same("the undos", undos(&detail), [undone, undone, None]);
    for name in THREE {
        let site = stage.site(name);
        checks.same(&format!("what {name} holds"), made(site, path), vec![before.to_string()]);
    }
    for name in ["tokyo", "osaka"] {
        let changes: Vec<_> =
            stage.site(name).received().into_iter().filter(|call| call.method == Method::PUT).collect();
        checks.same(&format!("the number of changes at {name}"), changes.len(), 3);
        let condition = changes.last().and_then(|undo| undo.header("if-match"));
        let version = changes.get(1).and_then(|change| change.etag.as_deref());
        checks.holds(&format!("the change at {name} gave a version"), version.is_some());
        checks.same(&format!("the condition of the undo at {name}"), condition, version);
    }
    Ok(detail.summary.id)
}

async fn canary(stage: &Stage, visitor: &Visitor, checks: &mut Checks) -> Result<OperationId, Failure> {
    let body = json!({ "version": "2.1", "sample": { "tokyo": "refuse" } });
    let detail = visitor.native(Method::POST, "/firmware", &body).await?;
    checks.same("the status", detail.summary.status, Status::Failed);
    checks.same("the consistency", detail.summary.consistency, Some(Consistency::RolledBack));
    let waves: Vec<_> = detail.targets.iter().map(|target| target.wave).collect();
    checks.same("the waves", waves, [0, 1, 1, 2, 2]);
    let outcomes: Vec<_> = detail.targets.iter().map(|target| target.outcome).collect();
    let (failed, skipped) = (Some(OutcomeWord::Failed), Some(OutcomeWord::Skipped));
    checks.same("the outcomes", outcomes, [failed, skipped, skipped, skipped, skipped]);
    checks.same("the calls at tokyo", calls(stage.site("tokyo"), "/firmware").join(" "), "POST");
    for name in ["osaka", "sapporo", "nagoya", "fukuoka"] {
        checks.same(&format!("the calls at {name}"), calls(stage.site(name), "/firmware").join(" "), "");
    }
    Ok(detail.summary.id)
}

async fn connector(stage: &Stage, visitor: &Visitor, checks: &mut Checks) -> Result<OperationId, Failure> {
    const CONNECTORS: &str = "/v1.0/plasconnector/connectors";
    let body = json!({ "name": "billing", "sample": { "backoffice": 0.2 } });
    let told = visitor.plas(Method::POST, CONNECTORS, &body).await?;
    checks.same("the status of the acceptance", told.accepted.status, StatusCode::ACCEPTED);
    checks.says("the operation", &told.end["operationId"], told.id.to_string());
    checks.says("the type of the operation", &told.end["operationType"], "Create");
    checks.says("whether it is finished", &told.end["finished"], true);
    checks.says("the result", &told.end["result"]["result"], "success");
    checks.says("the reason", &told.end["result"]["reason"], "");
    let accepted = told.accepted.text();
    let issued = accepted.split("/connectors/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let site = stage.site("backoffice");
    let call = site.received().pop();
    let header = |name: &str| call.as_ref().and_then(|call| call.header(name).map(str::to_owned));
    checks.same("the id that the back end was told", header("fanfold-resource-id").as_deref(), Some(issued));
    checks.same("the token of the client at the back end", header("x-auth-token"), None::<String>);
    let held = made(site, &format!("{CONNECTORS}/{issued}"));
    checks.same("what the back end holds", held, vec![body.to_string()]);
    Ok(told.id)
}

/// What a site holds at a path that begins so.
fn made(site: &Site, prefix: &str) -> Vec<String> {
    let all = site.holds().into_iter().filter(|(path, _)| path.starts_with(prefix));
    all.map(|(_, body)| body).collect()
}

/// The methods of the calls that a site received at a path that begins so.
fn calls(site: &Site, prefix: &str) -> Vec<String> {
    let all = site.received().into_iter().filter(|call| call.uri.starts_with(prefix));
    all.map(|call| call.method.to_string()).collect()
}

fn undos(detail: &OperationDetail) -> Vec<Option<UndoEnd>> {
    detail.targets.iter().map(|target| target.undo.as_ref().and_then(|undo| undo.outcome)).collect()
}
