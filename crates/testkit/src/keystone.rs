//! A Keystone: makes tokens for those who know a password, and describes tokens to those who may look at them (Identity API v3).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};

use crate::fake::{Answer, FakeTarget, Reply, Seen, Service};

/// A Keystone on a port of its own. What else it answers can be told to its [`FakeTarget`].
#[derive(Debug)]
pub struct FakeKeystone {
    target: FakeTarget,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What tokens are described as, the catalogue left out.
    tokens: BTreeMap<String, Json>,
    /// Tokens that may look at others.
    services: Vec<String>,
    /// How many were made.
    made: usize,
    expires_at: String,
}

struct Answers(Arc<Mutex<State>>);

impl FakeKeystone {
    /// Where tokens are made and looked at.
    pub const TOKENS: &'static str = "/v3/auth/tokens";

    /// Starts one at `127.0.0.1`. It knows the user `fanfold` of the domain `Default` with the password `s3cret`, who has the project
    /// `service`, and the application credential `1f` with the same secret. Tokens that it makes end at `expires_at`.
    pub async fn start(expires_at: &str) -> Self {
        let target = FakeTarget::start().await;
        let state = State { tokens: BTreeMap::new(), services: Vec::new(), made: 0, expires_at: expires_at.to_owned() };
        let state = Arc::new(Mutex::new(state));
        target.serve(Answers(Arc::clone(&state)));
        Self { target, state }
    }

    /// Its address, without `/v3`.
    pub fn url(&self) -> String {
        self.target.url()
    }

    /// Makes a token for somebody, in a project of their own domain.
    pub fn issue(&self, token: &str, user: &str, project: &str, roles: &[&str]) {
        let domain = json!({ "id": "default", "name": "Default" });
        let mut state = lock(&self.state);
        let described = json!({
            "methods": ["password"],
            "user": { "id": format!("id-of-{user}"), "name": user, "domain": domain, "password_expires_at": null },
            "audit_ids": ["3T2dc1CGQxyJsHdDu1xkcw"],
            "expires_at": state.expires_at,
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "project": { "id": format!("id-of-{project}"), "name": project, "domain": domain },
            "is_domain": false,
            "roles": roles.iter().map(|role| json!({ "id": format!("id-of-{role}"), "name": role })).collect::<Vec<_>>(),
        });
        state.tokens.insert(token.to_owned(), described);
    }

    /// Tokens that it makes from now on end then.
    pub fn expire_at(&self, time: &str) {
        lock(&self.state).expires_at = time.to_owned();
    }

    /// Takes a token back.
    pub fn revoke(&self, token: &str) {
        lock(&self.state).tokens.remove(token);
    }

    /// Takes back all tokens with which others can be looked at.
    pub fn revoke_services(&self) {
        lock(&self.state).services.clear();
    }

    /// How often a token was to be made.
    pub fn logins(&self) -> usize {
        self.target.seen().iter().filter(|request| request.method == "POST").count()
    }

    /// How often a token was looked at.
    pub fn looks(&self) -> usize {
        self.target.seen().iter().filter(|request| request.method == "GET").count()
    }

    /// The server.
    pub fn target(&self) -> &FakeTarget {
        &self.target
    }

    /// The server, to be stopped and started.
    pub fn target_mut(&mut self) -> &mut FakeTarget {
        &mut self.target
    }
}

impl Service for Answers {
    fn answer(&self, request: &Seen) -> Option<Reply> {
        if request.path() != FakeKeystone::TOKENS {
            return Some(error(404, "Not Found").into());
        }
        let mut state = lock(&self.0);
        let answer = match request.method.as_str() {
            "POST" => log_in(&mut state, request),
            "GET" => look_at(&state, request),
            _ => error(405, "Method Not Allowed"),
        };
        Some(answer.into())
    }
}

fn log_in(state: &mut State, request: &Seen) -> Answer {
    let asked: Json = serde_json::from_slice(&request.body).unwrap_or_default();
    let identity = &asked["auth"]["identity"];
    let is_known = match identity["methods"][0].as_str() {
        Some("password") => {
            let user = &identity["password"]["user"];
            *user == json!({ "name": "fanfold", "domain": { "name": "Default" }, "password": "s3cret" })
                && asked["auth"]["scope"]["project"] == json!({ "name": "service", "domain": { "name": "Default" } })
        }
        Some("application_credential") => {
            identity["application_credential"] == json!({ "id": "1f", "secret": "s3cret" })
                && asked["auth"].get("scope").is_none()
        }
        _ => return error(400, "Bad Request"),
    };
    if !is_known {
        return error(401, "Unauthorized");
    }
    state.made += 1;
    let token = format!("service-token-{}", state.made);
    state.services.push(token.clone());
    let domain = json!({ "id": "default", "name": "Default" });
    let body = json!({ "token": {
        "methods": ["password"],
        "user": { "id": "u", "name": "fanfold", "domain": domain, "password_expires_at": null },
        "expires_at": state.expires_at,
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "project": { "id": "p", "name": "service", "domain": domain },
        "roles": [{ "id": "r", "name": "service" }],
    } });
    Answer::json(201, &body).header("x-subject-token", token)
}

fn look_at(state: &State, request: &Seen) -> Answer {
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    if !state.services.contains(&header("x-auth-token")) {
        return error(401, "Unauthorized");
    }
    let token = header("x-subject-token");
    match state.tokens.get(&token) {
        Some(described) => Answer::json(200, &json!({ "token": described })).header("x-subject-token", token),
        None => error(404, "Not Found"),
    }
}

/// An error as the API describes it.
fn error(status: u16, title: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": status, "title": title, "message": "The request was refused." } }))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
