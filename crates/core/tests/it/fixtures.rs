//! Operations in every state that a client may see, built by hand, and answers in readable form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::{Bodies, Mount, Reply, View, dialect};
use fanfold_core::operation::{
    Cause, Consistency, Course, Deadline, End, Gate, Lower, LowerTime, Operation, Outcome, Probing, RollbackResult,
    Send, Stage, Status, Step, StepPhase, Trouble, TroubleKind, Undo, UndoEnd, UndoPhase,
};
use fanfold_core::plan::{
    DialectName, Front, Limits, Lock, Monitor, OnFailure, OnLocked, OnUndoFailure, OnUnknown, Order, Policy, Redaction,
    Require, StepPlan, TargetPolicy, Verb,
};
use fanfold_core::{Answer, Body, Content, OperationId, Plan, Request, Slot, TargetName, TenantId};
use http::Method;
use jiff::{SignedDuration, Timestamp};

pub(crate) const CLUSTERS: [(&str, &str); 3] = [("tokyo", "1"), ("osaka", "2"), ("kyoto", "3")];

pub(crate) const LOWER_ERROR: &str =
    r#"{"error_code":"030002","error_message":"CP already exists.","data_consistency":"rolled back"}"#;

/// So many seconds after the operation was accepted.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let accepted: Timestamp = "2018-09-13T01:50:00Z".parse().unwrap();
    accepted + SignedDuration::from_secs(seconds)
}

pub(crate) fn id(number: u8) -> OperationId {
    OperationId::new(at(0), [number; 10])
}

pub(crate) fn mount(name: DialectName) -> Mount {
    match name {
        DialectName::Native => Mount::new(name, ""),
        DialectName::Msf => Mount::new(name, "/v1"),
        DialectName::Plas => Mount::new(name, "/v1.0/plasconnector"),
    }
}

pub(crate) fn request(method: Method, uri: &str, body: &str) -> Request {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Request { method, uri: uri.to_owned(), headers, body: Body::inline(body.to_owned()), sealed: false }
}

pub(crate) fn answer(status: u16, body: &str) -> Answer {
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("content-length".to_owned(), body.len().to_string()),
    ];
    Answer { status, headers, body: Body::inline(body.to_owned()), complete: true, sealed: false }
}

pub(crate) fn trouble(kind: TroubleKind, detail: &str) -> Trouble {
    Trouble { kind, detail: detail.to_owned() }
}

/// An operation with a request to each of the first `targets` clusters, as it is at acceptance.
pub(crate) fn accepted(name: DialectName, targets: usize) -> Operation {
    Operation::accepted(id(1), TenantId::default(), Arc::new(plan(name, targets)), at(0))
}

/// The same, begun, with these steps.
pub(crate) fn begun(name: DialectName, stage: Stage, steps: Vec<Step>) -> Operation {
    let operation = accepted(name, steps.len());
    Operation {
        started_at: Some(at(1)),
        updated_at: at(5),
        deadline: Deadline::At(at(3600)),
        stage,
        steps,
        ..operation
    }
}

/// The same, ended in this way; the consistency and the final response are worked out as they would be.
pub(crate) fn ended(name: DialectName, status: Status, cause: Option<Cause>, steps: Vec<Step>) -> Operation {
    let undone = steps.iter().any(|step| step.undo.as_ref().is_some_and(|undo| undo.request.is_some()));
    let undo_failed = steps.iter().any(|step| {
        step.undo
            .as_ref()
            .is_some_and(|undo| undo.request.is_some() && !matches!(undo.phase, UndoPhase::Ended(UndoEnd::Undone)))
    });
    let rollback = match (status, undone, undo_failed) {
        (Status::Completed, ..) => None,
        (_, true, false) => Some(RollbackResult::Completed),
        (_, true, true) => Some(RollbackResult::Failed),
        (_, false, _) => Some(RollbackResult::None),
    };
    let rollback_at = rollback.map(|_| if undone { at(20) } else { at(30) });
    let operation = begun(name, Stage::Forward, steps);
    let end = End { status, cause, at: at(30), consistency: operation.consistency(), rollback, rollback_at };
    finish(operation, end)
}

pub(crate) fn finish(mut operation: Operation, end: End) -> Operation {
    operation.updated_at = end.at;
    operation.stage = Stage::Finishing(end.clone());
    let wire = dialect(operation.plan.front.dialect);
    let response = wire.final_response(View { operation: &operation, bodies: &Bodies::new() }, &end);
    operation.stage = Stage::Ended { end, response };
    operation
}

/// Every scenario by name, in one dialect.
pub(crate) fn scenarios(name: DialectName) -> Vec<(&'static str, Operation)> {
    let mut all = running(name);
    all.extend(terminal(name));
    all
}

pub(crate) fn running(name: DialectName) -> Vec<(&'static str, Operation)> {
    let forward = |steps| begun(name, Stage::Forward, steps);
    let calling = || sending(Send::Calling { since: at(5) });
    let lower = Lower {
        reference: "20180913_105001".to_owned(),
        since: at(2),
        time: LowerTime::Until(at(1802)),
        cancel: false,
        unclear: None,
    };
    let gate = |gate| sending(Send::Due { gate });
    vec![
        ("unexecuted", unexecuted(name)),
        ("calling", forward(vec![succeeded(), calling(), Step::default()])),
        (
            "following",
            forward(vec![Step {
                course: course(answer(202, r#"{"operation_id":"7"}"#)),
                ..sending(Send::Following(lower))
            }]),
        ),
        ("backing_off", forward(vec![calling(), backing_off()])),
        ("waiting", forward(vec![calling(), gate(Gate::Breaker)])),
        ("held", forward(vec![gate(Gate::Permit), gate(Gate::Held), gate(Gate::Missing)])),
        ("probing", forward(vec![probing(), gate(Gate::Held)])),
        (
            "needs_attention",
            forward(vec![Step { phase: StepPhase::AwaitingPerson { since: at(4) }, ..probing() }, calling()]),
        ),
        (
            "deciding",
            begun(name, Stage::Deciding { cause: Cause::StepsFailed, since: at(6) }, vec![succeeded(), refused()]),
        ),
        ("canceling", begun(name, Stage::Closing(canceled()), vec![calling(), skipped()])),
        (
            "rolling_back",
            begun(
                name,
                Stage::RollingBack { cause: Cause::StepsFailed, since: at(20) },
                vec![undoing(UndoPhase::Sending(Send::Calling { since: at(21) })), refused()],
            ),
        ),
    ]
}

pub(crate) fn terminal(name: DialectName) -> Vec<(&'static str, Operation)> {
    let failed = |steps| ended(name, Status::Failed, Some(Cause::StepsFailed), steps);
    vec![
        ("completed", ended(name, Status::Completed, None, vec![succeeded(), succeeded()])),
        ("completed_by_quorum", ended(name, Status::Completed, None, vec![unreachable(), succeeded()])),
        ("failed_with_rollback", failed(vec![undone(UndoEnd::Undone), refused(), skipped()])),
        ("failed_without_rollback", failed(vec![unreachable(), refused()])),
        ("failed_at_one_target", failed(vec![refused()])),
        ("failed_unreachable", failed(vec![unreachable()])),
        ("rollback_failed", failed(vec![undone(UndoEnd::Conflict), refused()])),
        ("no_undo", failed(vec![no_undo(), refused()])),
        ("unknown", failed(vec![undone(UndoEnd::Undone), unknown()])),
        ("unknown_at_one_target", failed(vec![unknown()])),
        (
            "deadline_passed",
            ended(name, Status::Failed, Some(Cause::DeadlinePassed), vec![undone(UndoEnd::Undone), skipped()]),
        ),
        ("canceled", ended(name, Status::Canceled, Some(canceled()), vec![undone(UndoEnd::Undone), skipped()])),
        ("canceled_before_start", canceled_before_start(name)),
    ]
}

pub(crate) fn unexecuted(name: DialectName) -> Operation {
    let mut plan = plan(name, 2);
    plan.lock = Some(Lock { key: "slice/7".to_owned(), on_locked: OnLocked::Queue });
    plan.start_at = Some(at(600));
    Operation::accepted(id(1), TenantId::default(), Arc::new(plan), at(0))
}

pub(crate) fn canceled_before_start(name: DialectName) -> Operation {
    let mut operation = accepted(name, 2);
    operation.steps = vec![skipped(), skipped()];
    let consistency = Consistency::RolledBack;
    let end = End {
        status: Status::Canceled,
        cause: Some(canceled()),
        at: at(3),
        consistency,
        rollback: None,
        rollback_at: None,
    };
    finish(operation, end)
}

pub(crate) fn canceled() -> Cause {
    Cause::Canceled { by: "ops@example.com".to_owned() }
}

pub(crate) fn succeeded() -> Step {
    Step {
        phase: StepPhase::Ended(Outcome::Succeeded),
        course: course(answer(201, r#"{"cp_id":"cp-9"}"#)),
        ..Step::default()
    }
}

/// Refused with an error body of the lower controller's own.
pub(crate) fn refused() -> Step {
    let course =
        Course { trouble: Some(trouble(TroubleKind::Refused, "it answered 409")), ..course(answer(409, LOWER_ERROR)) };
    Step { phase: failed_phase(Consistency::RolledBack), course, ..Step::default() }
}

pub(crate) fn unreachable() -> Step {
    let course = Course {
        attempts: 5,
        first_at: Some(at(1)),
        trouble: Some(trouble(TroubleKind::Unreachable, "connection refused")),
        ..Course::default()
    };
    Step { phase: failed_phase(Consistency::RolledBack), course, ..Step::default() }
}

pub(crate) fn not_consistent() -> Step {
    let course =
        Course { trouble: Some(trouble(TroubleKind::Refused, "it answered 500")), ..course(answer(500, "oops")) };
    Step { phase: failed_phase(Consistency::NotConsistent), course, ..Step::default() }
}

pub(crate) fn unknown() -> Step {
    Step { phase: StepPhase::Ended(Outcome::Unknown), course: tainted(), ..Step::default() }
}

pub(crate) fn skipped() -> Step {
    Step { phase: StepPhase::Ended(Outcome::Skipped), ..Step::default() }
}

pub(crate) fn probing() -> Step {
    Step {
        phase: StepPhase::Probing(Probing::Waiting { until: at(12) }),
        course: tainted(),
        probes: 1,
        ..Step::default()
    }
}

pub(crate) fn sending(send: Send) -> Step {
    let course = Course { attempts: 1, first_at: Some(at(1)), ..Course::default() };
    Step { phase: StepPhase::Sending(send), course, ..Step::default() }
}

pub(crate) fn backing_off() -> Step {
    let trouble = Some(trouble(TroubleKind::Refused, "it answered 503"));
    let course = Course { trouble, ..course(answer(503, "later")) };
    Step { phase: StepPhase::Sending(Send::BackingOff { until: at(9) }), course, ..Step::default() }
}

pub(crate) fn undoing(phase: UndoPhase) -> Step {
    let request = Some(request(Method::DELETE, "/v1/slices/l2/7/cps/cp-9", ""));
    let course = Course { attempts: 1, first_at: Some(at(21)), ..Course::default() };
    Step { undo: Some(Undo { phase, request, course }), ..succeeded() }
}

pub(crate) fn undone(end: UndoEnd) -> Step {
    let mut step = undoing(UndoPhase::Ended(end));
    let undo = step.undo.as_mut().unwrap();
    match end {
        UndoEnd::Undone => undo.course.answer = Some(answer(204, "")),
        UndoEnd::Failed | UndoEnd::Conflict => {
            undo.course.answer = Some(answer(412, "changed"));
            undo.course.trouble = Some(trouble(TroubleKind::Conflict, "its version is another one"));
        }
        UndoEnd::Unknown | UndoEnd::NotPossible => {
            undo.course.trouble = Some(trouble(TroubleKind::TimedOut, "no answer within 30 s"));
        }
    }
    step
}

pub(crate) fn no_undo() -> Step {
    let course = Course { trouble: Some(trouble(TroubleKind::NoUndo, "the route has no undo")), ..Course::default() };
    let undo = Undo { phase: UndoPhase::Ended(UndoEnd::NotPossible), request: None, course };
    Step { undo: Some(undo), ..succeeded() }
}

/// An answer as a person would read it: status, fields, and the body, indented where it is JSON.
pub(crate) fn show(reply: &Reply) -> String {
    let mut text = format!("{}\n", reply.status);
    for (name, value) in &reply.headers {
        writeln!(text, "{name}: {value}").unwrap();
    }
    format!("{text}\n{}", indented(&reply.body))
}

/// The final response of an operation, its body found where it stands.
pub(crate) fn show_final(operation: &Operation) -> String {
    let response = operation.response().unwrap();
    let octets = View { operation, bodies: &Bodies::new() }.octets(Slot::Final).to_vec();
    let status = http::StatusCode::from_u16(response.status).unwrap();
    let place = match &response.body.0 {
        Content::Same(slot) => format!("(the body of {slot})\n"),
        Content::Empty | Content::Inline(_) | Content::Apart { .. } => String::new(),
    };
    let reply = Reply { status, headers: response.headers.clone(), body: octets.into() };
    format!("{place}{}", show(&reply))
}

pub(crate) fn indented(body: &[u8]) -> String {
    match serde_json::from_slice::<Box<serde_json::value::RawValue>>(body) {
        Ok(_) => indent(std::str::from_utf8(body).unwrap()),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Indents JSON and keeps the order of its members, which a parser into a map would not.
fn indent(json: &str) -> String {
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    let mut rest = json.chars().peekable();
    while let Some(one) = rest.next() {
        if quoted {
            text.push(one);
            quoted = escaped || one != '"';
            escaped = one == '\\' && !escaped;
            continue;
        }
        match one {
            '"' => {
                quoted = true;
                text.push(one);
            }
            '{' | '[' if matches!(rest.peek(), Some('}' | ']')) => {
                text.push(one);
                text.extend(rest.next());
            }
            '{' | '[' => {
                depth += 1;
                write!(text, "{one}\n{:width$}", "", width = depth * 2).unwrap();
            }
            '}' | ']' => {
                depth -= 1;
                write!(text, "\n{:width$}{one}", "", width = depth * 2).unwrap();
            }
            ',' => write!(text, ",\n{:width$}", "", width = depth * 2).unwrap(),
            ':' => text.push_str(": "),
            one => text.push(one),
        }
    }
    text
}

fn failed_phase(consistency: Consistency) -> StepPhase {
    StepPhase::Ended(Outcome::Failed { consistency })
}

fn course(answer: Answer) -> Course {
    Course { attempts: 1, first_at: Some(at(1)), answer: Some(answer), ..Course::default() }
}

fn tainted() -> Course {
    let trouble = Some(trouble(TroubleKind::TimedOut, "no answer within 30 s"));
    Course { attempts: 1, first_at: Some(at(1)), tainted_at: Some(at(2)), trouble, ..Course::default() }
}

fn plan(name: DialectName, targets: usize) -> Plan {
    let (uri, body) = match name {
        DialectName::Native => ("/slices/l2/7/cps?dry=no", r#"{"cp":{"vlan":100}}"#),
        DialectName::Msf => {
            ("/v1/slices/l2/7/cps?notification_address=192.168.100.9&notification_port=65000", r#"{"cp":{"vlan":100}}"#)
        }
        DialectName::Plas => ("/v1.0/plasconnector/connectors", r#"{"name":"sales"}"#),
    };
    let attributes = match name {
        DialectName::Msf => vec![("notification_address", "192.168.100.9"), ("notification_port", "65000")],
        DialectName::Native | DialectName::Plas => Vec::new(),
    };
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let step = |(target, target_id): &(&str, &str), wave| StepPlan {
        target: TargetName::from(*target),
        target_id: (*target_id).to_owned(),
        wave,
        request: request(Method::POST, uri.split('?').next().unwrap(), body),
    };
    Plan {
        route: "create-cp".to_owned(),
        front: Front {
            dialect: name,
            mount: mount(name).prefix,
            attributes: attributes.into_iter().map(owned).collect(),
        },
        verb: Verb::Create,
        resource: uri.split('?').next().unwrap().to_owned(),
        resource_id: (name == DialectName::Plas).then(|| "e7b778a7-5d94-4263-813f-4aec18473a5a".to_owned()),
        request: request(Method::POST, uri, body),
        captures: BTreeMap::new(),
        lock: None,
        start_at: None,
        retry_of: None,
        first: None,
        fingerprint: None,
        policy: Arc::new(policy()),
        steps: CLUSTERS.iter().take(targets).zip(0..).map(|(cluster, wave)| step(cluster, wave)).collect(),
    }
}

fn policy() -> Policy {
    let targets = CLUSTERS.iter().map(|(name, _)| (TargetName::from(*name), target_policy())).collect();
    Policy {
        order: Order::Parallel,
        require: Require::All,
        wave_failures: 0,
        on_failure: OnFailure::Rollback,
        on_unknown: OnUnknown::Fail,
        on_undo_failure: OnUndoFailure::Attention,
        deadline: Duration::from_secs(3600),
        result: None,
        redaction: Redaction::default(),
        retention: Duration::from_secs(30 * 24 * 3600),
        targets,
    }
}

fn target_policy() -> TargetPolicy {
    let limits = Limits {
        attempts: 5,
        backoff: Duration::from_millis(500),
        backoff_max: Duration::from_secs(30),
        budget: Duration::from_secs(300),
        connect: Duration::from_secs(3),
        response: Duration::from_secs(30),
        lower: Duration::from_secs(1800),
        response_body_max: 1 << 20,
    };
    TargetPolicy {
        monitor: Monitor::None,
        step: limits.clone(),
        undo_limits: limits,
        settle: Duration::from_secs(10),
        repeatable: None,
        success: None,
        undo: None,
        probe: None,
    }
}
