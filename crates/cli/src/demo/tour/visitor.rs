//! A client of the demo's server, in each of its wire formats, and of the sample targets.

use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::dialect::native::OperationDetail;
use fanfold_engine::target::Tls;
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use tokio::time::Instant;

use crate::client::api::Api;
use crate::client::follow;
use crate::client::{Answer, Call, Client};
use crate::failure::Failure;

/// The pause between two questions how an operation is going.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// How long an operation is asked about. None of the stories takes a tenth of it.
const ASK_FOR: Duration = Duration::from_secs(20);

/// A client of one server.
pub(super) struct Visitor {
    url: String,
    api: Api,
}

/// What came of a request, as the dialect answers it.
pub(super) struct Told {
    /// The answer to the request itself.
    pub(super) accepted: Answer,
    /// The operation, as the dialect shows it at its end.
    pub(super) end: Value,
    /// Its id.
    pub(super) id: OperationId,
}

impl Visitor {
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let server = url.parse().map_err(Failure::Usage)?;
        Ok(Self { url: url.to_owned(), api: Api::new(Client::new(server, &Tls::unused()?)) })
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// A request with a JSON body, or without one if that is null.
    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.api.client().send(call(method, path, body)).await
    }

    /// The same in `msf`, followed to its end by asking for the detail.
    pub(super) async fn msf(&self, method: Method, path: &str, body: &Value) -> Result<Told, Failure> {
        let accepted = self.send(method, path, body).await?;
        let id = self.id(&accepted, accepted_as(&accepted)["operation_id"].as_str())?;
        let ended = |detail: &Value| !matches!(detail["status"].as_str(), Some("unexecuted" | "executing"));
        let end = self.ask(&format!("/v1/operations/{id}"), ended).await?;
        Ok(Told { accepted, end, id })
    }

    /// The same in `plas`, with a token, followed to its end at the location that it gives.
    pub(super) async fn plas(&self, method: Method, path: &str, body: &Value) -> Result<Told, Failure> {
        let mut call = call(method, path, body);
        call.headers.insert(HeaderName::from_static("x-auth-token"), HeaderValue::from_static("a token of the client"));
        let accepted = self.api.client().send(call).await?;
        let body = accepted_as(&accepted);
        let location = body["location"].as_str();
        let id = self.id(&accepted, location.and_then(|location| location.rsplit('/').next()))?;
        let end = self.ask(location.unwrap_or_default(), |detail| detail["finished"] == true).await?;
        Ok(Told { accepted, end, id })
    }

    /// The same in native words, followed by waiting for changes.
    pub(super) async fn native(&self, method: Method, path: &str, body: &Value) -> Result<OperationDetail, Failure> {
        let accepted = self.send(method, path, body).await?;
        let id = self.id(&accepted, accepted_as(&accepted)["id"].as_str())?;
        Ok(follow::to_the_end(&self.api, id, |_| Ok(())).await?.detail)
    }

    /// Asks until the answer says that it has ended.
    async fn ask(&self, path: &str, ended: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let until = Instant::now() + ASK_FOR;
        loop {
            let answer = self.send(Method::GET, path, &Value::Null).await?;
            let detail = accepted_as(&answer);
            if !answer.status.is_success() {
                return Err(self.unexpected(&answer));
            }
            if ended(&detail) || Instant::now() >= until {
                return Ok(detail);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    fn id(&self, answer: &Answer, text: Option<&str>) -> Result<OperationId, Failure> {
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.unexpected(answer))
    }

    fn unexpected(&self, answer: &Answer) -> Failure {
        Failure::NotUnderstood { server: self.url.clone(), detail: format!("{} {}", answer.status, answer.text()) }
    }
}

fn call(method: Method, path: &str, body: &Value) -> Call {
    let mut call = Call::new(method, path);
    if !body.is_null() {
        call.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.body = body.to_string().into();
    }
    call
}

/// The body as JSON; null if it is none.
fn accepted_as(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}
