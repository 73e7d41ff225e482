//! What would be sent after acceptance, told beforehand: undos and probes, rendered as they will be, with the names of values in
//! place of those that only the answer of a target gives.

use bytes::Bytes;
use http::Method;

use super::compiled::{CompiledProbe, CompiledTarget, CompiledUndo};
use super::later::{is_later, named};
use super::reading::strong_etag;
use super::render::{StepValues, restore_request};
use crate::message::Headers;
use crate::operation::{Image, Trouble};
use crate::plan::{Plan, Redaction};
use crate::{Body, Content, Request};

/// A request that would be sent, in its public form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The request. Where it `is_later`, there are names in it.
    pub request: Request,
    /// Whether a part of it is known only after the answer of the target.
    pub is_later: bool,
}

/// How a step would be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoPreview {
    /// It would not.
    Nothing,
    /// By this request.
    Request(Preview),
    /// By a request that cannot be rendered: it fails, or, without an answer, more is to be known first.
    NotRendered {
        /// Why.
        trouble: Trouble,
        /// Whether that was tried with an answer, so that the undo would fail.
        fails: bool,
    },
    /// By writing back what was read before the change; as it would be if the resource is there, or is not.
    Restore {
        /// If it was there.
        there: Box<Preview>,
        /// If it was not; `None`: then there is nothing to bring back.
        absent: Option<Box<Preview>>,
    },
}

impl CompiledTarget {
    /// How a step would be undone whose answer, if it is given, is [`StepValues::response`].
    pub fn preview_undo(&self, values: &StepValues<'_>) -> UndoPreview {
        let plan = values.operation.plan;
        match self.undo() {
            None => UndoPreview::Nothing,
            Some(CompiledUndo::Restore) => {
                let etag = values.response.and_then(|answer| strong_etag(answer.headers));
                let forward = &plan.steps[values.step.get()].request;
                let restored = |was_absent| Box::new(restored(forward, plan, etag.clone(), was_absent));
                // Of what was not there nothing was deleted.
                let absent = (forward.method != Method::DELETE).then(|| restored(true));
                UndoPreview::Restore { there: restored(false), absent }
            }
            Some(CompiledUndo::Request(template)) => {
                let rendered = match values.response {
                    Some(_) => template.render(values),
                    None => template.render_in(&values.scope().with_names_of(&["response"]), values.step_path()),
                };
                match rendered {
                    Ok(request) => UndoPreview::Request(shown(&request, plan)),
                    Err(trouble) => UndoPreview::NotRendered { trouble, fails: values.response.is_some() },
                }
            }
        }
    }

    /// The probe of a step that was not answered.
    pub fn preview_probe(&self, values: &StepValues<'_>) -> Option<Result<Preview, Trouble>> {
        let probe: &CompiledProbe = self.probe()?;
        let scope = values.scope().with_names_of(&["response", "snapshot"]);
        Some(probe.request_in(&scope).map(|request| shown(&request, values.operation.plan)))
    }
}

/// The public form of a request of this plan.
fn shown(request: &Request, plan: &Plan) -> Preview {
    let public = public(request, &plan.policy.redaction);
    let is_later = is_later(&public.uri)
        || public.headers.iter().any(|(_, value)| is_later(value))
        || matches!(&public.body.0, Content::Inline(octets) if std::str::from_utf8(octets).is_ok_and(is_later));
    Preview { request: with_names(public), is_later }
}

/// The public form.
fn public(request: &Request, redaction: &Redaction) -> Request {
    redaction.request(request).unwrap_or_else(|| request.clone())
}

fn with_names(request: Request) -> Request {
    let headers: Headers = request.headers.into_iter().map(|(name, value)| (name, named(&value))).collect();
    let body = match &request.body.0 {
        Content::Inline(octets) => match std::str::from_utf8(octets) {
            Ok(text) => Body::inline(named(text)),
            Err(_) => request.body,
        },
        Content::Empty | Content::Apart { .. } | Content::Same(_) => request.body,
    };
    Request { uri: named(&request.uri), headers, body, ..request }
}

/// A restore as it would be, with words for what is read around the change.
fn restored(forward: &Request, plan: &Plan, etag: Option<String>, was_absent: bool) -> Preview {
    let etag = etag.or_else(|| Some("{{ the entity tag after the change }}".to_owned()));
    let after = Image::Present { etag, digest: None, content_type: None };
    let (before, body) = if was_absent {
        (Image::Absent, Bytes::new())
    } else {
        let content_type = Some("{{ that of the resource before the change }}".to_owned());
        let before = Image::Present { etag: None, digest: None, content_type };
        (before, Bytes::from_static(b"{{ the resource as it was read before the change }}"))
    };
    let request = restore_request(forward, &before, Some(&after), &body);
    Preview { request: public(&request, &plan.policy.redaction), is_later: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ProbeRule, RequestTemplate, UndoRule};
    use crate::route::fixtures::{accepting, incoming, issued, operation, targets};
    use crate::route::{Answered, CompiledPolicy, Handling, OperationValues, RouteTable};
    use crate::{OperationId, StepIndex};

    fn preview(method: &str, undo: UndoRule, answer: Option<(&Headers, &str)>) -> (UndoPreview, Option<Preview>) {
        let probe =
            Some(ProbeRule { path: "/things/{{ path.id }}".to_owned(), applied: "response.status == 200".to_owned() });
        let spec = crate::route::spec::OperationSpec { undo: Some(undo), probe, ..operation(&["tokyo"]) };
        let table =
            RouteTable::compile(vec![accepting(&format!("{method} /things/{{id}}"), spec)], &targets()).unwrap();
        let Handling::Operation(route) = &table.routes()[0].handling else { panic!("it accepts operations") };
        let plan = route.plan(incoming(method, "{\"n\":1,\"password\":\"p\"}"), issued()).unwrap().plan;
        let policy = CompiledPolicy::new(&plan.policy).unwrap();
        let body = Bytes::from_static(b"{\"n\":1,\"password\":\"p\"}");
        let octets = answer.map(|(_, body)| Bytes::from(body.to_owned())).unwrap_or_default();
        let id = OperationId::from_bytes([7; 16]);
        let operation = OperationValues { operation: id, plan: &plan, request: &plan.request, request_body: &body };
        let response = answer.map(|(headers, _)| Answered { status: 201, headers, body: &octets, complete: true });
        let values = StepValues { operation, step: StepIndex(0), response, snapshot: None };
        let target = policy.target(&"tokyo".into()).unwrap();
        (target.preview_undo(&values), target.preview_probe(&values).map(Result::unwrap))
    }

    fn template(body: serde_json::Value) -> UndoRule {
        UndoRule::Request(Box::new(RequestTemplate {
            method: Some("DELETE".to_owned()),
            path: Some("/things/{{ response.json.id }}/of/{{ path.id }}".to_owned()),
            headers: [("if-match".to_owned(), "{{ response.headers.etag }}".to_owned())].into(),
            body: Some(crate::plan::BodyTemplate::Json(body)),
            ..RequestTemplate::default()
        }))
    }

    #[test]
    fn what_is_known_later_stands_by_its_name_and_the_rest_is_rendered() {
        let body = serde_json::json!({ "n": "{{ request.json.n }}", "id": "{{ response.json.id }}", "password": "{{ request.json.password }}" });
        let (undo, probe) = preview("PUT", template(body.clone()), None);
        let UndoPreview::Request(shown) = undo else { panic!("{undo:?}") };
        assert!(shown.is_later);
        assert_eq!(shown.request.uri, "/things/{{ response.json.id }}/of/a%2Fb");
        assert_eq!(shown.request.headers[0].1, "{{ response.headers.etag }}");
        let expected = r#"{"id":"{{ response.json.id }}","n":1,"password":"[redacted]"}"#;
        assert_eq!(shown.request.body, Body::inline(expected));
        let probe = probe.unwrap();
        assert_eq!((probe.request.uri.as_str(), probe.is_later), ("/things/a%2Fb", false));

        let etag = vec![("etag".to_owned(), "\"1\"".to_owned())];
        let (undo, _) = preview("PUT", template(body.clone()), Some((&etag, "{\"id\":7}")));
        let UndoPreview::Request(shown) = undo else { panic!("{undo:?}") };
        assert_eq!((shown.request.uri.as_str(), shown.is_later), ("/things/7/of/a%2Fb", false));
        let (undo, _) = preview("PUT", template(body), Some((&etag, "{}")));
        assert!(matches!(undo, UndoPreview::NotRendered { fails: true, .. }), "{undo:?}");
    }

    #[test]
    fn a_restore_is_shown_for_what_was_there_and_what_was_not() {
        let etag = vec![("etag".to_owned(), "\"1\"".to_owned())];
        let (undo, _) = preview("PUT", UndoRule::Restore, Some((&etag, "{}")));
        let UndoPreview::Restore { there, absent: Some(absent) } = undo else { panic!("{undo:?}") };
        assert_eq!((there.request.method, absent.request.method), (Method::PUT, Method::DELETE));
        assert!(there.request.headers.contains(&("if-match".to_owned(), "\"1\"".to_owned())));
        let (undo, _) = preview("DELETE", UndoRule::Restore, None);
        let UndoPreview::Restore { there, absent: None } = undo else { panic!("{undo:?}") };
        assert!(there.request.headers.contains(&("if-none-match".to_owned(), "*".to_owned())));
    }
}
