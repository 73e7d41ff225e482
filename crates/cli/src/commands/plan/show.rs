//! A dry run laid out for people: what becomes of the request, then a block for each target.

use fanfold_core::dialect::native::{
    Content, PlanForm, PlanOutcome, PlannedOperation, PlannedTarget, PlannedUndo, RequestForm,
};
use fanfold_core::plan::{Limits, Monitor, OnLocked, Order};
use http::Method;

use crate::commands::ops::time;
use crate::failure::Failure;
use crate::output::{Paint, Tone, print_line, printable, word};

/// The most characters of a body that are shown.
const BODY_CHARACTERS_MAX: usize = 2_000;

pub(super) fn print(method: &Method, path: &str, form: &PlanForm) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let (tone, outcome) = match form.outcome {
        PlanOutcome::Accepted => (Tone::Good, "accepted"),
        PlanOutcome::PassedThrough => (Tone::Good, "passed through"),
        PlanOutcome::OwnPath => (Tone::Plain, "answered by Fanfold itself"),
        PlanOutcome::Refused => (Tone::Bad, "refused"),
    };
    let route = form.route.as_ref().map(|route| format!(", route {route}")).unwrap_or_default();
    let mount = if form.mount.is_empty() { String::new() } else { format!(" at {}", form.mount) };
    let head = format!("{method} {path}: {}{route} ({}{mount})", paint.apply(tone, outcome), form.dialect);
    print_line(&head)?;
    let mut lines = vec![form.detail.clone()];
    if let Some(answer) = &form.answer {
        lines.push(format!("the client is answered {}", answer.status));
        lines.extend(body_lines(answer.body.as_ref()));
    }
    if let Some(pass) = &form.pass {
        lines.push(format!("{}: {}", pass.target, pass.url.as_deref().unwrap_or("not configured")));
    }
    lines.extend(form.operation.iter().flat_map(operation_lines));
    for line in lines {
        print_line(&printable(&format!("  {line}")))?;
    }
    for target in form.operation.iter().flat_map(|operation| &operation.targets) {
        print_line("")?;
        for line in target_lines(target) {
            print_line(&printable(&line))?;
        }
    }
    Ok(())
}

fn operation_lines(operation: &PlannedOperation) -> Vec<String> {
    let mut lines = vec![format!("{} {}", word(&operation.verb), operation.resource)];
    if let Some(id) = operation.repeats {
        lines.push(format!(
            "it was accepted before, as operation {id}, and would get that one again: nothing below is done"
        ));
    }
    lines.extend(operation.retry_of.map(|id| format!("it retries operation {id}")));
    lines.extend(operation.lock.as_ref().map(|lock| {
        let otherwise = match lock.on_locked {
            OnLocked::Reject => "is refused where another operation holds it",
            OnLocked::Queue => "waits its turn where another operation holds it",
        };
        format!("lock {:?}: it {otherwise}", lock.key)
    }));
    lines.extend(
        operation.idempotency_key.as_ref().map(|key| format!("idempotency key {:?}, of the {}", key.key, key.given_by)),
    );
    lines.extend(operation.start_at.map(|at| format!("starts at {}", time(at))));
    if let Order::Waves(sizes) = &operation.order {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        lines.push(format!("waves of {}, then the rest", sizes.join(", ")));
    }
    lines.extend(operation.rules.iter().cloned());
    lines.push(format!("deadline {}, kept for {}", span(operation.deadline_ms), span(operation.retention_ms)));
    lines.extend(
        operation
            .told
            .iter()
            .map(|told| format!("its end is told to {} (asked by the {})", told.address, told.asked_by)),
    );
    lines.extend(operation.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn target_lines(target: &PlannedTarget) -> Vec<String> {
    let missing = if target.is_configured { "" } else { ", not configured: it would be waited for" };
    let mut lines = vec![format!("{} (id {}, wave {}{missing})", target.target, target.id, target.wave + 1)];
    lines.extend(request_lines("", &target.forward));
    lines.extend(undo_lines(&target.undo));
    if let Some(probe) = &target.probe {
        lines.extend(probe.request.iter().flat_map(|request| request_lines("probe: ", request)));
        lines.push(format!("    applied if {}", probe.applied));
        lines.extend(probe.note.iter().map(|note| format!("    {note}")));
    }
    if let Some(success) = &target.success {
        lines.push(format!("  success: {success}"));
    }
    let monitor = match &target.monitor {
        Monitor::Unset => "the outcome is unknown: no monitor is configured".to_owned(),
        Monitor::None => "it is done".to_owned(),
        Monitor::Msf => "its operation is followed, as of an msf controller".to_owned(),
        Monitor::Plas => "its operation is followed, as of plas".to_owned(),
        Monitor::Location => "the location that it names is followed".to_owned(),
        Monitor::Poll(rule) => format!("{} is polled until {}", rule.path, rule.done),
    };
    lines.push(format!("  after a 202: {monitor}"));
    lines.push(format!("  limits: {}", limits(&target.limits)));
    if target.undo.kind != "none" {
        lines.push(format!("  limits of the undo: {}", limits(&target.undo_limits)));
    }
    let repeated = if target.repeatable { "is sent again" } else { "is not sent again" };
    lines.push(format!("  it {repeated} where it may have been applied; settles in {}", span(target.settle_ms)));
    lines
}

fn undo_lines(undo: &PlannedUndo) -> Vec<String> {
    let mut lines: Vec<String> = undo.request.iter().flat_map(|request| request_lines("undo: ", request)).collect();
    lines.extend(undo.if_absent.iter().flat_map(|request| request_lines("undo if it was not there: ", request)));
    if lines.is_empty() {
        lines.push("  undo:".to_owned());
    }
    lines.extend(undo.note.iter().map(|note| format!("    {note}")));
    lines
}

fn request_lines(what: &str, request: &RequestForm) -> Vec<String> {
    let mut lines = vec![format!("  {what}{} {}", request.method, request.uri)];
    lines.extend(request.headers.iter().map(|(name, value)| format!("    {name}: {value}")));
    lines.extend(body_lines(request.body.as_ref()).into_iter().map(|line| format!("    {line}")));
    lines
}

fn body_lines(body: Option<&Content>) -> Vec<String> {
    match body {
        None => Vec::new(),
        Some(Content::Text(text)) => {
            let shown: String = text.chars().take(BODY_CHARACTERS_MAX).collect();
            let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
            if shown.len() < text.len() {
                lines.push(format!("(cut off; {} bytes in all)", text.len()));
            }
            lines
        }
        Some(Content::Octets { base64 }) => vec![format!("(no text; {} characters of base64)", base64.len())],
        Some(Content::Apart { bytes }) => vec![format!("({bytes} bytes)")],
    }
}

fn limits(limits: &Limits) -> String {
    let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    format!(
        "{} attempts within {}, backoff {} to {}, connect {}, response {}",
        limits.attempts,
        span(millis(limits.budget)),
        span(millis(limits.backoff)),
        span(millis(limits.backoff_max)),
        span(millis(limits.connect)),
        span(millis(limits.response))
    )
}

/// A span in the largest unit that it is a whole number of.
fn span(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let whole = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{millis} ms"), |(unit, word)| format!("{} {word}", millis / unit))
}
