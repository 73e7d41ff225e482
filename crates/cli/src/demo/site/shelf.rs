//! What a sample target holds: resources by path, with entity tags and conditional requests (RFC 9110, section 13).
//!
//! Pure: a request goes in, an answer comes out. Connections and manners are the module above.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// The most resources that one target holds; more are refused with 507.
const RESOURCES_MAX: usize = 10_000;

/// The field that tells which operation a request belongs to.
const OPERATION: &str = "fanfold-operation-id";

/// The field in which an id that was issued for a new resource is made known.
const RESOURCE: &str = "fanfold-resource-id";

/// Resources by path.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    resources: BTreeMap<String, Resource>,
    /// Counts changes, and makes versions and ids of it.
    changes: u64,
}

/// A request as the shelf sees it.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    /// Whether the operation of this request shall not be able to undo it.
    pub(super) keep: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Debug, Clone)]
struct Resource {
    body: Bytes,
    content_type: HeaderValue,
    version: u64,
    /// The operation that may not change it again.
    kept_from: Option<HeaderValue>,
}

impl Shelf {
    /// Everything that is there: the bodies by path.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let text = |resource: &Resource| String::from_utf8_lossy(&resource.body).into_owned();
        self.resources.iter().map(|(path, resource)| (path.clone(), text(resource))).collect()
    }

    /// Answers a request, and changes what is there if it is one that does.
    pub(super) fn answer(&mut self, target: &str, wish: Wish<'_>) -> Answer {
        let present = self.resources.get(wish.path);
        if !condition_holds(wish.headers, present) {
            let reads = matches!(*wish.method, Method::GET | Method::HEAD);
            return Answer::empty(if reads { StatusCode::NOT_MODIFIED } else { StatusCode::PRECONDITION_FAILED });
        }
        let operation = wish.headers.get(OPERATION);
        let is_kept = present.is_some_and(|resource| operation.is_some() && resource.kept_from.as_ref() == operation);
        match *wish.method {
            Method::GET | Method::HEAD if wish.path == "/" => self.overview(target),
            Method::GET | Method::HEAD => present.map_or_else(Answer::missing, Resource::read),
            Method::PUT | Method::DELETE if is_kept => Answer::error(StatusCode::CONFLICT, "told to keep what it did"),
            Method::PUT => self.put(wish),
            Method::POST => self.post(target, wish),
            Method::DELETE => match self.resources.remove(wish.path) {
                Some(_) => Answer::empty(StatusCode::NO_CONTENT),
                None => Answer::missing(),
            },
            _ => Answer::error(StatusCode::METHOD_NOT_ALLOWED, "a sample target holds resources, and no more")
                .with(ALLOW, HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE")),
        }
    }

    fn overview(&self, target: &str) -> Answer {
        let shown = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
        let holds: Map<String, Value> = self.all().into_iter().map(|(path, text)| (path, shown(text))).collect();
        Answer::json(StatusCode::OK, &json!({ "target": target, "holds": holds }))
    }

    fn put(&mut self, wish: Wish<'_>) -> Answer {
        let path = wish.path.to_owned();
        let status = if self.resources.contains_key(&path) { StatusCode::OK } else { StatusCode::CREATED };
        match self.store(path, wish) {
            Some(resource) => Answer { status, ..resource.read() },
            None => Answer::full(),
        }
    }

    fn post(&mut self, target: &str, wish: Wish<'_>) -> Answer {
        let issued = wish.headers.get(RESOURCE).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let id = issued.unwrap_or_else(|| format!("{target}-{}", self.changes + 1));
        let path = format!("{}/{id}", wish.path.trim_end_matches('/'));
        let location = HeaderValue::from_str(&path);
        let Some(resource) = self.store(path, wish) else { return Answer::full() };
        let answer = Answer::json(StatusCode::CREATED, &json!({ "id": id })).with(ETAG, resource.tag());
        match location {
            Ok(location) => answer.with(LOCATION, location),
            Err(_) => answer,
        }
    }

    /// Puts the body of a request there; `None` if there is no more room.
    fn store(&mut self, path: String, wish: Wish<'_>) -> Option<&Resource> {
        if self.resources.len() >= RESOURCES_MAX && !self.resources.contains_key(&path) {
            return None;
        }
        self.changes += 1;
        let resource = Resource {
            content_type: wish.headers.get(CONTENT_TYPE).cloned().unwrap_or(OCTETS),
            version: self.changes,
            kept_from: wish.headers.get(OPERATION).filter(|_| wish.keep).cloned(),
            body: wish.body,
        };
        Some(self.resources.entry(path).insert_entry(resource).into_mut())
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl Answer {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self { body: body.to_string().into(), ..Self::empty(status) }.with(CONTENT_TYPE, JSON)
    }

    pub(super) fn error(status: StatusCode, why: &str) -> Self {
        Self::json(status, &json!({ "error": why }))
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The version of the resource that it names.
    pub(super) fn etag(&self) -> Option<String> {
        Some(self.headers.get(ETAG)?.to_str().ok()?.to_owned())
    }

    fn missing() -> Self {
        Self::error(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    fn full() -> Self {
        Self::error(StatusCode::INSUFFICIENT_STORAGE, "a sample target holds no more")
    }
}

impl Resource {
    fn read(&self) -> Answer {
        Answer { body: self.body.clone(), ..Answer::empty(StatusCode::OK) }
            .with(CONTENT_TYPE, self.content_type.clone())
            .with(ETAG, self.tag())
    }

    fn tag(&self) -> HeaderValue {
        HeaderValue::try_from(format!("\"{}\"", self.version)).expect("a quoted number is a valid field value")
    }
}

/// Whether the conditions of a request hold for what is there. All tags are strong.
fn condition_holds(headers: &HeaderMap, present: Option<&Resource>) -> bool {
    let tag = present.map(Resource::tag);
    let lists = |name: HeaderName| -> Option<bool> {
        let list = headers.get(name)?.to_str().unwrap_or_default();
        let listed = |tag: &HeaderValue| list.split(',').any(|one| one.trim().as_bytes() == tag.as_bytes());
        Some(tag.as_ref().is_some_and(|tag| list == "*" || listed(tag)))
    };
    lists(IF_MATCH).unwrap_or(true) && !lists(IF_NONE_MATCH).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(shelf: &mut Shelf, method: Method, path: &str, fields: &[(HeaderName, &str)], body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.extend(fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())));
        let body = Bytes::copy_from_slice(body.as_bytes());
        shelf.answer("tokyo", Wish { method: &method, path, headers: &headers, body, keep: false })
    }

    #[test]
    fn resources_are_made_read_changed_and_taken_away() {
        let mut shelf = Shelf::default();
        let made = ask(&mut shelf, Method::POST, "/cps", &[], "{}");
        assert_eq!((made.status, &made.body[..]), (StatusCode::CREATED, &br#"{"id":"tokyo-1"}"#[..]));
        assert_eq!(made.headers[LOCATION], "/cps/tokyo-1");
        let read = ask(&mut shelf, Method::GET, "/cps/tokyo-1", &[], "");
        assert_eq!((read.status, &read.headers[ETAG]), (StatusCode::OK, &made.headers[ETAG]));
        assert_eq!(ask(&mut shelf, Method::PUT, "/cps/tokyo-1", &[], "{\"a\":1}").status, StatusCode::OK);
        assert_eq!(shelf.all()["/cps/tokyo-1"], "{\"a\":1}");
        assert_eq!(ask(&mut shelf, Method::DELETE, "/cps/tokyo-1", &[], "").status, StatusCode::NO_CONTENT);
        assert_eq!(ask(&mut shelf, Method::DELETE, "/cps/tokyo-1", &[], "").status, StatusCode::NOT_FOUND);
        assert_eq!(ask(&mut shelf, Method::PATCH, "/cps", &[], "").status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(shelf.all().is_empty());
    }

    #[test]
    fn an_issued_id_becomes_the_name_of_the_resource() {
        let mut shelf = Shelf::default();
        let issued = [(HeaderName::from_static(RESOURCE), "c-9")];
        assert_eq!(ask(&mut shelf, Method::POST, "/connectors", &issued, "{}").status, StatusCode::CREATED);
        assert!(shelf.all().contains_key("/connectors/c-9"));
    }

    #[test]
    fn a_change_is_made_only_on_its_conditions() {
        let mut shelf = Shelf::default();
        let none = [(IF_NONE_MATCH, "*")];
        assert_eq!(ask(&mut shelf, Method::PUT, "/x", &none, "1").status, StatusCode::CREATED);
        assert_eq!(ask(&mut shelf, Method::PUT, "/x", &none, "2").status, StatusCode::PRECONDITION_FAILED);
        let tag = ask(&mut shelf, Method::GET, "/x", &[], "").headers[ETAG].clone();
        let same = [(IF_MATCH, tag.to_str().unwrap())];
        assert_eq!(ask(&mut shelf, Method::PUT, "/x", &same, "3").status, StatusCode::OK);
        assert_eq!(ask(&mut shelf, Method::PUT, "/x", &same, "4").status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(ask(&mut shelf, Method::DELETE, "/y", &same, "").status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(shelf.all()["/x"], "3");
    }

    #[test]
    fn what_is_kept_is_kept_from_its_own_operation_only() {
        let mut shelf = Shelf::default();
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, HeaderValue::from_static("op-1"));
        let keep = Wish { method: &Method::PUT, path: "/x", headers: &headers, body: Bytes::new(), keep: true };
        assert_eq!(shelf.answer("tokyo", keep).status, StatusCode::CREATED);
        let by = |operation| [(HeaderName::from_static(OPERATION), operation)];
        assert_eq!(ask(&mut shelf, Method::DELETE, "/x", &by("op-1"), "").status, StatusCode::CONFLICT);
        assert_eq!(ask(&mut shelf, Method::DELETE, "/x", &by("op-2"), "").status, StatusCode::NO_CONTENT);
    }
}
