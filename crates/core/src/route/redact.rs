//! Public forms: what is taken out of messages before they are shown. Owns what is taken out; sealing what was, and joining it
//! again, is the store's and the engine's.
//!
//! Whatever is not understood is treated as if it held a secret as soon as it mentions one: a body that is no JSON and no form is
//! taken out as a whole if the name of a key stands anywhere in it, an encoded one (`Content-Encoding`) always.

use bytes::Bytes;

use super::headers::is_form;
use super::{form, redact_json};
use crate::message::{Headers, header};
use crate::plan::Plan;
use crate::plan::Redaction;
use crate::{Answer, Body, Content, Request, Slot, StepIndex};

/// What stands in place of what was taken out.
pub const REDACTED: &str = "[redacted]";

/// The same where brackets would have to be encoded: in queries and forms.
const REDACTED_ENCODED: &str = "%5Bredacted%5D";

impl Redaction {
    /// What is taken out unless configuration says otherwise.
    pub fn standard() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            keys: owned(&[
                "access_key",
                "accesskey",
                "api-key",
                "api_key",
                "apikey",
                "authorization",
                "credential",
                "passphrase",
                "passwd",
                "password",
                "private_key",
                "privatekey",
                "secret",
                "token",
            ]),
            headers: owned(&[
                "authorization",
                "cookie",
                "proxy-authorization",
                "set-cookie",
                "x-api-key",
                "x-auth-token",
            ]),
            pointers: Vec::new(),
            reveal: Vec::new(),
        }
    }

    /// The public form of a request; `None` if nothing is taken out. A body that does not stand in the request is left alone.
    pub fn request(&self, request: &Request) -> Option<Request> {
        let uri = self.uri(&request.uri);
        let headers = self.headers(&request.headers);
        let body = self.body(&request.body, &request.headers);
        if uri.is_none() && headers.is_none() && body.is_none() {
            return None;
        }
        Some(Request {
            method: request.method.clone(),
            uri: uri.unwrap_or_else(|| request.uri.clone()),
            headers: headers.unwrap_or_else(|| request.headers.clone()),
            body: body.unwrap_or_else(|| request.body.clone()),
            sealed: true,
        })
    }

    /// The public form of an answer; `None` if nothing is taken out. A body that does not stand in the answer is left alone.
    pub fn answer(&self, answer: &Answer) -> Option<Answer> {
        let headers = self.headers(&answer.headers);
        let body = self.body(&answer.body, &answer.headers);
        if headers.is_none() && body.is_none() {
            return None;
        }
        Some(Answer {
            status: answer.status,
            headers: headers.unwrap_or_else(|| answer.headers.clone()),
            body: body.unwrap_or_else(|| answer.body.clone()),
            complete: answer.complete,
            sealed: true,
        })
    }

    /// Whether the name of a JSON member, a form field or a query parameter is one whose value is taken out.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.keys.iter().any(|key| name.contains(key.as_str()))
    }

    /// The public form of a web address, to be read by people: it is nobody's to be called.
    pub fn address(&self, address: &str) -> String {
        let public = self.uri(address).map(|public| public.replace(REDACTED_ENCODED, REDACTED));
        public.unwrap_or_else(|| address.to_owned())
    }

    fn uri(&self, uri: &str) -> Option<String> {
        let (path, query) = uri.split_once('?')?;
        self.pairs(query).map(|query| format!("{path}?{query}"))
    }

    fn headers(&self, headers: &Headers) -> Option<Headers> {
        let is_secret = |name: &str| self.headers.iter().any(|other| other == name);
        if !headers.iter().any(|(name, _)| is_secret(name)) {
            return None;
        }
        let public = headers.iter().map(|(name, value)| {
            let value = if is_secret(name) { REDACTED.to_owned() } else { value.clone() };
            (name.clone(), value)
        });
        Some(public.collect())
    }

    fn body(&self, body: &Body, headers: &Headers) -> Option<Body> {
        let octets = match &body.0 {
            Content::Inline(octets) => octets,
            Content::Empty | Content::Apart { .. } | Content::Same(_) => return None,
        };
        self.octets(octets, headers).map(Body::inline)
    }

    fn octets(&self, octets: &Bytes, headers: &Headers) -> Option<Bytes> {
        if self.keys.is_empty() && self.pointers.is_empty() {
            return None;
        }
        let is_encoded =
            header(headers, "content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        let Some(text) = std::str::from_utf8(octets).ok().filter(|_| !is_encoded) else {
            let is_secret = is_encoded || self.is_mentioned(&String::from_utf8_lossy(octets));
            return is_secret.then(|| Bytes::from_static(REDACTED.as_bytes()));
        };
        // Clients often send JSON under the media type of a form, or under none, so the text itself goes first.
        if text.trim_start().starts_with(['{', '[']) {
            if self.pointers.is_empty() && !self.is_mentioned(text) {
                return None;
            }
            if let Ok(public) = redact_json::redact(text, self) {
                return public.map(Bytes::from);
            }
        } else if header(headers, "content-type").is_some_and(is_form) {
            return self.pairs(text).map(Bytes::from);
        }
        self.is_mentioned(text).then(|| Bytes::from_static(REDACTED.as_bytes()))
    }

    /// Whether a key may stand anywhere in a text. Escapes may hide one, so a text with any of them may.
    fn is_mentioned(&self, text: &str) -> bool {
        if !self.keys.is_empty() && (text.contains("\\u") || text.contains("\\U")) {
            return true;
        }
        self.fits(text)
    }

    fn pairs(&self, raw: &str) -> Option<String> {
        let is_secret = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            !value.is_empty() && self.fits(&form::decode(name))
        };
        if !raw.split('&').any(is_secret) {
            return None;
        }
        let public = raw.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(pair) => format!("{name}={REDACTED_ENCODED}"),
            Some(_) | None => pair.to_owned(),
        });
        Some(public.collect::<Vec<_>>().join("&"))
    }
}

/// The public form of a plan whose messages are originals, and the originals that differ from it. A step that passes the
/// accepted body on shares what happens to that body: its original is to be read with the original of [`Slot::Request`].
pub fn seal(mut plan: Plan) -> (Plan, Vec<(Slot, Request)>) {
    let policy = plan.policy.clone();
    let redaction = &policy.redaction;
    let mut originals = Vec::new();
    let mut is_body_sealed = false;
    if let Some(public) = redaction.request(&plan.request) {
        is_body_sealed = public.body != plan.request.body;
        originals.push((Slot::Request, std::mem::replace(&mut plan.request, public)));
    }
    for (at, step) in plan.steps.iter_mut().enumerate() {
        let passes_on = step.request.body.0 == Content::Same(Slot::Request);
        let public = redaction
            .request(&step.request)
            .or_else(|| (passes_on && is_body_sealed).then(|| Request { sealed: true, ..step.request.clone() }));
        if let Some(public) = public {
            let index = u16::try_from(at).expect("a plan has at most 65,536 steps, `targets_max` sees to it");
            originals.push((Slot::StepRequest(StepIndex(index)), std::mem::replace(&mut step.request, public)));
        }
    }
    (plan, originals)
}

#[cfg(test)]
mod tests;
