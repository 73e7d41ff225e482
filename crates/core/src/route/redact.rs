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
        self.reference(address).replace(REDACTED_ENCODED, REDACTED)
    }

    /// The public form of a web address, or of its path and query, as text that is such a one itself.
    pub fn reference(&self, reference: &str) -> String {
        self.uri(reference).unwrap_or_else(|| reference.to_owned())
    }

    /// Whether a text is what [`Redaction::reference`] has taken something out of.
    pub fn is_public_reference(reference: &str) -> bool {
        reference.contains(REDACTED_ENCODED)
    }

    fn uri(&self, uri: &str) -> Option<String> {
        let (path, query) = uri.split_once('?')?;
        self.pairs(query).map(|query| format!("{path}?{query}"))
    }

    fn headers(&self, headers: &Headers) -> Option<Headers> {
        let of = |(name, value): &(String, String)| {
            let is_secret = self.headers.iter().any(|other| other == name) || self.fits(name);
            if is_secret { Some(REDACTED.to_owned()) } else { self.text(value) }
        };
        let public: Vec<Option<String>> = headers.iter().map(of).collect();
        if public.iter().all(Option::is_none) {
            return None;
        }
        let public = headers.iter().zip(public).map(|((name, value), public)| {
            let value = public.unwrap_or_else(|| value.clone());
            (name.clone(), value)
        });
        Some(public.collect())
    }

    /// The public form of a text that no name says anything of: the value of a header, or of a JSON member. `None` if it is its
    /// own. Addresses lose the secrets in their queries; what gives a secret away in other words goes as a whole.
    pub(crate) fn text(&self, text: &str) -> Option<String> {
        if self.keys.is_empty() {
            return None;
        }
        if is_credential(text) {
            return Some(REDACTED.to_owned());
        }
        let public = self.uri(text);
        let left = public.as_deref().unwrap_or(text).replace(REDACTED_ENCODED, "").replace(REDACTED, "");
        if self.is_assigned(&left) { Some(REDACTED.to_owned()) } else { public }
    }

    /// Whether a text gives a value to one of the names: `password=x`, `"token": "x"`, `my_secret : x`, `<password>x`.
    fn is_assigned(&self, text: &str) -> bool {
        if !text.contains(['=', ':', '>']) {
            return false;
        }
        let text = text.to_lowercase();
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ']' | '\\');
        let is_followed = |end: usize| {
            let rest = text[end..].trim_start_matches(is_of_name).trim_start();
            let value = rest.strip_prefix(['=', ':']).unwrap_or_default().trim_start();
            !value.is_empty() && !value.starts_with(['&', ';', ',', ')', '}', '#'])
        };
        let is_element = |begin: usize, end: usize| {
            let is_opened = text[..begin].trim_end_matches(|c: char| c == ':' || is_of_name(c)).ends_with('<');
            let value = text[end..].split_once('>').map_or("", |(_, value)| value.trim_start());
            is_opened && !value.is_empty() && (!value.starts_with('<') || value.starts_with("<!"))
        };
        let ends = |key: &String| {
            let mut found = text.match_indices(key.as_str()).map(|(at, found)| (at, at + found.len()));
            found.any(|(begin, end)| is_followed(end) || is_element(begin, end))
        };
        self.keys.iter().filter(|key| !key.is_empty()).any(ends)
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
        let mut codings = headers.iter().filter(|(name, _)| name == "content-encoding");
        let is_encoded = codings.any(|(_, coding)| !coding.eq_ignore_ascii_case("identity"));
        let Some(text) = std::str::from_utf8(octets).ok().filter(|_| !is_encoded) else {
            let is_secret = is_encoded || self.is_mentioned(&String::from_utf8_lossy(octets));
            return is_secret.then(|| Bytes::from_static(REDACTED.as_bytes()));
        };
        // Clients often send JSON under the media type of a form, or under none, so the text itself goes first.
        if text.trim_start().starts_with(['{', '[']) {
            if self.pointers.is_empty() && !self.is_mentioned(text) && !may_hold_credential(text) {
                return None;
            }
            if let Ok(public) = redact_json::redact(text, self) {
                return public.map(Bytes::from);
            }
        } else if header(headers, "content-type").is_some_and(is_form) && form::is_one(text) {
            return self.pairs(text).map(Bytes::from);
        }
        (self.is_mentioned(text) || is_credential(text)).then(|| Bytes::from_static(REDACTED.as_bytes()))
    }

    /// Whether a key may stand anywhere in a text. Escapes may hide one, so a text with any of them may; and so may NUL between
    /// the letters, as UTF-16 has it.
    fn is_mentioned(&self, text: &str) -> bool {
        if text.contains('\0') {
            return self.is_mentioned(&text.replace('\0', ""));
        }
        if !self.keys.is_empty() && (text.contains("\\u") || text.contains("\\U")) {
            return true;
        }
        self.fits(text)
    }

    fn pairs(&self, raw: &str) -> Option<String> {
        let is_secret = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_nested = || {
                let value = form::decode(value);
                is_credential(&value) || self.is_assigned(&value)
            };
            let is_there = !["", REDACTED, REDACTED_ENCODED].contains(&value);
            is_there && (self.fits(&form::decode(name)) || is_nested())
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

/// How the value of `Authorization` begins for whoever has been given a token.
const BEARER: &str = "bearer ";

/// Whether a text is a credential whatever its name: a token as `Authorization` carries it, or an address with a password.
fn is_credential(text: &str) -> bool {
    let text = text.trim();
    let is_bearer = text.get(..BEARER.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEARER));
    let is_one_word = |word: &str| !word.is_empty() && !word.contains([' ', '=']);
    if is_bearer && is_one_word(text[BEARER.len()..].trim_end_matches('=')) {
        return true;
    }
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ', '"', '\'', '<', '>', '\\']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// Whether such a credential may stand anywhere in a text.
fn may_hold_credential(text: &str) -> bool {
    text.contains("://") && text.contains('@') || text.to_ascii_lowercase().contains(BEARER)
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
