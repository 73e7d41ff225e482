//! A dry run: a request is pasted, and the page shows what would become of it. Nothing is recorded or sent.

use std::collections::BTreeMap;

use askama::Template;
use fanfold_core::dialect::Refusal;
use fanfold_core::dialect::native::{
    Content, PlanForm, PlanOutcome, PlanRequest, PlannedOperation, PlannedTarget, Problem, SampleAnswer,
};
use fanfold_core::route::Handling;
use fanfold_core::story::Tone;
use fanfold_core::{Headers, TargetName};

use super::form::Form;
use super::message::Message;
use super::shell::{Place, Shell};
use super::words::{Chip, span};
use super::{OK, page};
use crate::http::Front;
use crate::http::auth::Caller;
use crate::http::native::plan::dry_run;
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// The methods of requests that change something.
const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "DELETE", "GET"];

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    shell: Shell,
    asked: Fields,
    error: Option<String>,
    planned: Option<Planned>,
}

/// What stands in the form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Fields {
    methods: Vec<(&'static str, bool)>,
    uri: String,
    headers: String,
    body: String,
    answers: String,
}

/// What would become of it.
struct Planned {
    outcome: Chip,
    /// What there is to say beyond that.
    detail: Option<String>,
    facts: Vec<(&'static str, String)>,
    rules: Vec<String>,
    notes: Vec<String>,
    told: Vec<String>,
    answer: Option<Message>,
    targets: Vec<TargetPlan>,
}

/// What would be done at one target.
struct TargetPlan {
    name: String,
    /// What stands beside its name.
    remark: String,
    forward: Message,
    facts: Vec<(&'static str, String)>,
    /// Its undos, with what each is for where there are several.
    undo: Vec<(Option<&'static str>, Message)>,
    undo_words: String,
    probe: Option<Message>,
    probe_words: Option<String>,
}

/// The empty form, or one that begins with what the query says.
pub(super) async fn ask(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let asked = Fields::begun(&query, &visit.front);
    show(shared, &visit.caller, asked, Ok(None)).await
}

/// Shows what would become of it.
pub(super) async fn answer(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let Visit { caller, front, body, .. } = visit;
    let form = Form::read(body)?;
    let asked = Fields::of(&form);
    let planned = match asked.request(&form) {
        Ok(request) => dry_run(shared, &front, &caller, &request).await,
        Err(refusal) => Err(refusal.into()),
    };
    match planned {
        Ok(plan) => show(shared, &caller, asked, Ok(Some(Planned::of(&plan)))).await,
        Err(Stop::Refused(refusal)) => show(shared, &caller, asked, Err(refusal)).await,
        Err(stop) => Err(stop),
    }
}

async fn show(
    shared: &Shared,
    caller: &Caller,
    asked: Fields,
    planned: Result<Option<Planned>, Refusal>,
) -> Result<Response, Stop> {
    let shell = Shell::of(shared, caller, Place::Routes, "Dry run").await;
    let (status, planned, error) = match planned {
        Ok(planned) => (OK, planned, None),
        Err(refusal) => (page::status(&Problem::from(&refusal)), None, Some(refusal.to_string())),
    };
    page::render(status, &PlanPage { shell, asked, error, planned })
}

impl Fields {
    /// With method and path of a route, where the query names one.
    fn begun(query: &Form, front: &Front) -> Self {
        let routes = front.routes().routes().iter();
        let mut named = routes.filter(|route| query.one("route") == Some(&*route.name));
        let Some(route) = named.find(|route| matches!(route.handling, Handling::Operation(_))) else {
            return Self { methods: methods("POST"), ..Self::default() };
        };
        let headers = "content-type: application/json".to_owned();
        Self { methods: methods(route.method.as_str()), uri: route.pattern.clone(), headers, ..Self::default() }
    }

    fn of(form: &Form) -> Self {
        Self {
            methods: methods(form.one("method").unwrap_or("POST")),
            uri: form.exact("uri").to_owned(),
            headers: form.exact("headers").to_owned(),
            body: form.exact("body").to_owned(),
            answers: form.exact("answers").to_owned(),
        }
    }

    fn request(&self, form: &Form) -> Result<PlanRequest, Refusal> {
        // Forms send CR LF for each line break (HTML standard, section 4.10.22.4), whoever typed it meant LF.
        let body = self.body.replace("\r\n", "\n");
        Ok(PlanRequest {
            method: form.one("method").unwrap_or("POST").to_owned(),
            uri: self.uri.trim().to_owned(),
            headers: headers(&self.headers)?,
            body: (!body.is_empty()).then_some(Content::Text(body)),
            answers: answers(&self.answers)?,
        })
    }
}

fn methods(chosen: &str) -> Vec<(&'static str, bool)> {
    METHODS.iter().map(|method| (*method, *method == chosen)).collect()
}

fn headers(text: &str) -> Result<Headers, Refusal> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let fields = lines.map(|line| {
        let field =
            line.split_once(':').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        field.ok_or_else(|| Refusal::BadValue {
            detail: format!("a header is written as in \"content-type: application/json\", and not as {line:?}"),
        })
    });
    fields.collect()
}

/// One answer on a line: target, status, body.
fn answers(text: &str) -> Result<BTreeMap<TargetName, SampleAnswer>, Refusal> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let answers = lines.map(|line| {
        let mut words = line.splitn(3, char::is_whitespace);
        let target = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| status.parse::<u16>().ok());
        let body = words.next().map(|body| Content::Text(body.trim().to_owned()));
        let headers = body.iter().map(|_| ("content-type".to_owned(), "application/json".to_owned())).collect();
        let bad = || Refusal::BadValue {
            detail: format!("an answer is written as in \"tokyo 201 {{\\\"id\\\": 7}}\", and not as {line:?}"),
        };
        Ok((TargetName::from(target), SampleAnswer { status: status.ok_or_else(bad)?, headers, body }))
    });
    answers.collect()
}

impl Planned {
    fn of(plan: &PlanForm) -> Self {
        let tone = match plan.outcome {
            PlanOutcome::Accepted => (Tone::Good, "becomes an operation"),
            PlanOutcome::PassedThrough => (Tone::Busy, "is passed through"),
            PlanOutcome::OwnPath => (Tone::Plain, "is answered by Fanfold"),
            PlanOutcome::Refused => (Tone::Bad, "is refused"),
        };
        let mut facts = vec![("dialect", format!("{} {}", plan.dialect, plan.mount).trim_end().to_owned())];
        facts.extend(plan.route.clone().map(|route| ("route", route)));
        facts.extend(plan.refusal.clone().map(|word| ("refused as", word)));
        if let Some(pass) = &plan.pass {
            facts.push(("target", pass.target.to_string()));
            facts.extend(pass.url.clone().map(|url| ("address", url)));
        }
        let operation = plan.operation.as_ref();
        facts.extend(operation.map(operation_facts).unwrap_or_default());
        let told = operation.map(|operation| {
            let told =
                operation.told.iter().map(|told| format!("{} (asked for by the {})", told.address, told.asked_by));
            told.collect()
        });
        Self {
            outcome: Chip::new(tone.0, tone.1),
            detail: (plan.outcome != PlanOutcome::Accepted).then(|| plan.detail.clone()),
            facts,
            rules: operation.map(|operation| operation.rules.clone()).unwrap_or_default(),
            notes: operation.map(|operation| operation.notes.clone()).unwrap_or_default(),
            told: told.unwrap_or_default(),
            answer: plan.answer.as_ref().map(Message::of_answer),
            targets: operation.map(|operation| TargetPlan::all(&operation.targets)).unwrap_or_default(),
        }
    }
}

fn operation_facts(operation: &PlannedOperation) -> Vec<(&'static str, String)> {
    let millis = |ms| span(std::time::Duration::from_millis(ms));
    let mut facts = vec![("kind", operation.verb.as_str().to_owned()), ("resource", operation.resource.clone())];
    facts.extend(operation.lock.as_ref().map(|lock| ("lock", lock.key.clone())));
    let key = operation.idempotency_key.as_ref();
    facts.extend(key.map(|key| ("idempotency key", format!("{} (of the {})", key.key, key.given_by))));
    facts.extend(operation.repeats.map(|id| ("repeats", id.to_string())));
    facts.extend(operation.retry_of.map(|id| ("retries", id.to_string())));
    facts.push(("starts", operation.start_at.map_or("at once".to_owned(), |at| at.to_string())));
    facts.push(("order", super::routes::order(&operation.order)));
    facts.push(("deadline", millis(operation.deadline_ms)));
    facts.push(("kept", millis(operation.retention_ms)));
    facts
}

impl TargetPlan {
    fn all(targets: &[PlannedTarget]) -> Vec<Self> {
        let has_waves = targets.iter().any(|target| target.wave > 0);
        targets.iter().map(|target| Self::of(target, has_waves)).collect()
    }

    fn of(target: &PlannedTarget, has_waves: bool) -> Self {
        let undo = &target.undo;
        let mut undos = Vec::new();
        undos.extend(
            undo.request.as_ref().map(|request| (undo_title(&undo.kind), Message::of_request(request, Some("")))),
        );
        undos.extend(
            undo.if_absent
                .as_ref()
                .map(|request| (Some("If there was nothing before"), Message::of_request(request, Some("")))),
        );
        let undo_words = match undo.kind.as_str() {
            "none" => "What succeeds here is not undone: the route has no undo.".to_owned(),
            _ => undo.note.clone().unwrap_or_default(),
        };
        let limits = &target.limits;
        let facts = vec![
            ("attempts", format!("{}, within {}", limits.attempts, span(limits.budget))),
            ("sent again after doubt", if target.repeatable { "yes" } else { "no" }.to_owned()),
            ("success", target.success.clone().unwrap_or_else(|| "any 2xx".to_owned())),
            ("time to answer", span(limits.response)),
        ];
        let mut remark = Vec::new();
        remark.extend(has_waves.then(|| format!("wave {}", target.wave + 1)));
        remark.extend((!target.is_configured).then(|| "no longer configured".to_owned()));
        let probe = target.probe.as_ref();
        Self {
            name: target.target.to_string(),
            remark: remark.join(", "),
            forward: Message::of_request(&target.forward, Some("")),
            facts,
            undo: undos,
            undo_words,
            probe: probe.and_then(|probe| probe.request.as_ref()).map(|request| Message::of_request(request, Some(""))),
            probe_words: probe.map(|probe| {
                let note = probe.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
                format!("applied if {}{note}", probe.applied)
            }),
        }
    }
}

fn undo_title(kind: &str) -> Option<&'static str> {
    (kind == "restore").then_some("If there was something before")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_answers_are_lines() {
        let found = headers("Content-Type: application/json\r\n\r\nx: a:b").unwrap();
        let expected = [("content-type", "application/json"), ("x", "a:b")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(matches!(headers("nonsense"), Err(Refusal::BadValue { .. })));
        let found = answers("tokyo 201 {\"id\": 7}\nosaka 409").unwrap();
        assert_eq!(found[&TargetName::from("tokyo")].body, Some(Content::Text("{\"id\": 7}".to_owned())));
        assert_eq!((found[&TargetName::from("osaka")].status, &found[&TargetName::from("osaka")].body), (409, &None));
        assert!(matches!(answers("tokyo done"), Err(Refusal::BadValue { .. })));
    }
}
