//! A REST store with entity tags and conditional requests, to be changed and restored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::json;

use super::{Answer, Reply, Seen, Service};

/// Resources by path. Clones share them, so that a test can look at and change what a target serves.
#[derive(Debug, Clone)]
pub struct Resources {
    strong: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    by_path: BTreeMap<String, Resource>,
    /// Counts changes, and makes versions and ids.
    changes: u64,
}

#[derive(Debug, Clone)]
struct Resource {
    body: Bytes,
    content_type: String,
    version: u64,
}

impl Resources {
    /// An empty store that gives strong entity tags.
    #[expect(clippy::new_without_default, reason = "whether tags are strong is worth saying")]
    pub fn new() -> Self {
        Self { strong: true, state: Arc::default() }
    }

    /// An empty store that gives weak ones, which no condition of a restore can use.
    pub fn with_weak_tags() -> Self {
        Self { strong: false, state: Arc::default() }
    }

    /// What stands at `path`.
    pub fn get(&self, path: &str) -> Option<String> {
        self.lock().by_path.get(path).map(|resource| String::from_utf8_lossy(&resource.body).into_owned())
    }

    /// Puts something there, as somebody else would.
    pub fn put(&self, path: &str, body: &str) {
        self.lock().store(path, Bytes::copy_from_slice(body.as_bytes()), "application/json");
    }

    /// Takes it away, as somebody else would.
    pub fn remove(&self, path: &str) {
        self.lock().by_path.remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&self, version: u64) -> String {
        if self.strong { format!("\"{version}\"") } else { format!("W/\"{version}\"") }
    }

    /// Whether the conditions of a change hold (RFC 9110, section 13.1): weak tags never satisfy `If-Match`.
    fn condition_holds(&self, request: &Seen, present: Option<&Resource>) -> bool {
        let tag = present.map(|resource| self.tag(resource.version));
        let listed = |list: &str| list.split(',').any(|one| Some(one.trim()) == tag.as_deref());
        let matches = request.header("if-match").is_none_or(|list| match list {
            "*" => present.is_some(),
            list => self.strong && listed(list),
        });
        let none_matches = request.header("if-none-match").is_none_or(|list| match list {
            "*" => present.is_none(),
            list => !listed(list),
        });
        matches && none_matches
    }
}

impl Service for Resources {
    fn answer(&self, request: &Seen) -> Option<Reply> {
        let path = request.path().to_owned();
        let mut state = self.lock();
        let present = state.by_path.get(&path).cloned();
        let reading = matches!(request.method.as_str(), "GET" | "HEAD");
        if !self.condition_holds(request, present.as_ref()) {
            return Some(Answer::empty(if reading { 304 } else { 412 }).into());
        }
        let content_type = request.header("content-type").unwrap_or("application/octet-stream");
        let answer = match (request.method.as_str(), present) {
            ("GET" | "HEAD", Some(resource)) => Answer::text(200, resource.body)
                .header("content-type", resource.content_type)
                .header("etag", self.tag(resource.version)),
            ("GET" | "HEAD" | "DELETE", None) => Answer::json(404, &json!({"error": "not found"})),
            ("DELETE", Some(_)) => {
                state.by_path.remove(&path);
                Answer::empty(204)
            }
            ("PUT", present) => {
                let version = state.store(&path, request.body.clone(), content_type);
                let status = if present.is_some() { 200 } else { 201 };
                Answer::text(status, request.body.clone())
                    .header("content-type", content_type)
                    .header("etag", self.tag(version))
            }
            ("POST", _) => {
                let id = (state.changes + 1).to_string();
                let path = format!("{}/{id}", path.trim_end_matches('/'));
                let version = state.store(&path, request.body.clone(), content_type);
                Answer::json(201, &json!({"id": id})).header("location", path).header("etag", self.tag(version))
            }
            _ => Answer::empty(405).header("allow", "GET, HEAD, PUT, POST, DELETE"),
        };
        Some(answer.into())
    }
}

impl State {
    fn store(&mut self, path: &str, body: Bytes, content_type: &str) -> u64 {
        self.changes += 1;
        let version = self.changes;
        self.by_path.insert(path.to_owned(), Resource { body, content_type: content_type.to_owned(), version });
        version
    }
}
