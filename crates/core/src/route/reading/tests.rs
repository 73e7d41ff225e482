use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::plan::policy::{Monitor, PollRule};
use crate::route::fixtures::compiled_target as target;

const ASKED: Asked<'static> = Asked { scheme: "http", authority: "target:80", path: "/v1/things", below: "" };

struct Sent {
    status: u16,
    headers: Headers,
    body: Bytes,
    complete: bool,
}

fn sent(status: u16, headers: &[(&str, &str)], body: &str) -> Sent {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sent { status, headers, body: Bytes::from(body.to_owned()), complete: true }
}

impl Sent {
    fn incomplete(self) -> Self {
        Self { complete: false, ..self }
    }

    fn read_by(&self, target: &CompiledTarget, leg: Leg) -> (Reading, Option<Trouble>) {
        let answer =
            Answered { status: self.status, headers: &self.headers, body: &self.body, complete: self.complete };
        read_answer(target, leg, &ASKED, &answer, Timestamp::UNIX_EPOCH)
    }

    fn read(&self, target: &CompiledTarget) -> Reading {
        self.read_by(target, Leg::Forward).0
    }
}

fn succeeded() -> Reading {
    Reading::Succeeded { etag: None }
}

fn not_taken_on(seconds: Option<u64>) -> Reading {
    Reading::NotTakenOn { retry_after: seconds.map(Duration::from_secs) }
}

#[test]
fn every_status_has_its_row() {
    let target = target(Monitor::Unset, None);
    let mut table: Vec<(u16, Reading)> = Vec::new();
    table.extend((200..=299).filter(|status| *status != 202).map(|status| (status, succeeded())));
    table.push((202, Reading::Unknown));
    for status in 300..=399 {
        let is_redirect = matches!(status, 301 | 302 | 307 | 308);
        table.push((status, if is_redirect { Reading::NotApplied } else { Reading::Ambiguous }));
    }
    for status in 400..=499 {
        table.push((
            status,
            match status {
                408 | 425 | 429 => not_taken_on(None),
                404 | 410 => Reading::Gone,
                412 => Reading::PreconditionFailed,
                _ => Reading::NotApplied,
            },
        ));
    }
    table.extend((500..=599).map(|status| (status, Reading::Ambiguous)));
    for (status, reading) in table {
        let (found, trouble) = sent(status, &[], "").read_by(&target, Leg::Forward);
        assert_eq!(found, reading, "{status}");
        assert_eq!(trouble.is_none(), found == succeeded(), "{status}");
    }
}

#[test]
fn a_target_that_asks_to_wait_did_not_take_the_request_on() {
    let target = target(Monitor::None, None);
    for status in [408, 425, 429, 503] {
        assert_eq!(sent(status, &[("retry-after", "7")], "").read(&target), not_taken_on(Some(7)));
    }
    let date = [("retry-after", "Thu, 01 Jan 1970 00:01:00 GMT")];
    assert_eq!(sent(503, &date, "").read(&target), not_taken_on(Some(60)));
    assert_eq!(sent(503, &[("retry-after", "soon")], "").read(&target), Reading::Ambiguous);
    assert_eq!(sent(500, &[("retry-after", "7")], "").read(&target), Reading::Ambiguous);
    assert_eq!(sent(429, &[("retry-after", "soon")], "").read(&target), not_taken_on(None));
}

#[test]
fn only_a_strong_entity_tag_counts() {
    let target = target(Monitor::None, None);
    for (value, etag) in [
        ("\"v1\"", Some("\"v1\"")),
        ("\"\"", Some("\"\"")),
        ("W/\"v1\"", None),
        ("v1", None),
        ("\"v1", None),
        ("\"v 1\"", None),
        ("\"a\"b\"", None),
    ] {
        let expected = Reading::Succeeded { etag: etag.map(str::to_owned) };
        assert_eq!(sent(200, &[("etag", value)], "").read(&target), expected, "{value}");
    }
}

#[test]
fn the_success_condition_judges_forward_answers() {
    let target = target(Monitor::None, Some("response.json.ok"));
    assert_eq!(sent(200, &[], "{\"ok\":true}").read(&target), succeeded());
    assert_eq!(sent(409, &[], "{\"ok\":true}").read(&target), succeeded());
    assert_eq!(sent(200, &[], "{\"ok\":false}").read(&target), Reading::Ambiguous);
    assert_eq!(sent(200, &[], "{}").read(&target), Reading::Ambiguous);
    let (reading, trouble) = sent(200, &[], "<xml/>").read_by(&target, Leg::Forward);
    assert_eq!(reading, Reading::Ambiguous);
    assert!(trouble.unwrap().detail.contains("is not JSON"));
    assert_eq!(sent(400, &[], "{\"ok\":false}").read(&target), Reading::NotApplied);
    assert_eq!(sent(500, &[], "").read(&target), Reading::Ambiguous);
    assert_eq!(sent(200, &[], "{\"ok\":false}").read_by(&target, Leg::Undo).0, succeeded());
}

#[test]
fn a_body_that_broke_off_does_not_make_a_2xx_less() {
    assert_eq!(sent(200, &[], "{").incomplete().read(&target(Monitor::None, None)), succeeded());
    assert_eq!(sent(200, &[], "{").incomplete().read(&target(Monitor::None, Some("response.json.ok"))), succeeded());
    assert_eq!(sent(202, &[], "{").incomplete().read(&target(Monitor::Msf, None)), Reading::Unknown);
    let body = "{\"data_consistency\":\"rolled back\"}";
    assert_eq!(sent(500, &[], body).incomplete().read(&target(Monitor::None, None)), Reading::Ambiguous);
}

#[test]
fn a_server_error_is_read_by_its_data_consistency() {
    let target = target(Monitor::None, None);
    for (word, reading) in [
        ("\"rolled back\"", Reading::NotApplied),
        ("\"updated\"", succeeded()),
        ("\"not consistent\"", Reading::NotConsistent),
        ("\"unknown\"", Reading::Ambiguous),
        ("\"Rolled Back\"", Reading::Ambiguous),
        ("null", Reading::Ambiguous),
    ] {
        let body = format!("{{\"error_code\":\"060002\",\"error_message\":\"x\",\"data_consistency\":{word}}}");
        assert_eq!(sent(500, &[], &body).read(&target), reading, "{word}");
        assert_eq!(sent(400, &[], &body).read(&target), Reading::NotApplied, "{word}");
    }
    assert_eq!(sent(502, &[], "[]").read(&target), Reading::Ambiguous);
}

#[test]
fn a_202_is_read_by_its_monitor() {
    let accepted = |reference: &str| Reading::LowerAccepted { reference: reference.to_owned() };
    let rule = PollRule {
        path: "/jobs/{{ response.json.job }}".to_owned(),
        done: "response.json.done".to_owned(),
        success: "response.json.ok".to_owned(),
    };
    let long = format!("{{\"operation_id\":\"{}\"}}", "x".repeat(LOWER_REFERENCE_BYTES_MAX + 1));
    let location = [("location", "/things/1"), ("operation-location", "http://target/ops/5?v=1")];
    for (monitor, headers, body, reading) in [
        (Monitor::None, &[][..], "", succeeded()),
        (Monitor::Unset, &[], "{\"operation_id\":\"1\"}", Reading::Unknown),
        (Monitor::Msf, &[], "{\"operation_id\":\"20170101\"}", accepted("20170101")),
        (Monitor::Msf, &[], "{\"operation_id\":\"\"}", Reading::Unknown),
        (Monitor::Msf, &[], "{\"operation_id\":\"..\"}", Reading::Unknown),
        (Monitor::Msf, &[], "{\"operation_id\":5}", Reading::Unknown),
        (Monitor::Msf, &[], "{}", Reading::Unknown),
        (Monitor::Msf, &[], "", Reading::Unknown),
        (Monitor::Msf, &[], long.as_str(), Reading::Unknown),
        (Monitor::Plas, &[], "{\"location\":\"/v1.0/x/operations/1\"}", accepted("/v1.0/x/operations/1")),
        (Monitor::Plas, &[], "{\"location\":\"http://evil/x\"}", Reading::Unknown),
        (Monitor::Location, &location[..1], "", accepted("/things/1")),
        (Monitor::Location, &location[..], "", accepted("/ops/5?v=1")),
        (Monitor::Location, &[("location", "https://target/x")], "", Reading::Unknown),
        (Monitor::Location, &[], "", Reading::Unknown),
        (Monitor::Poll(rule.clone()), &[], "{\"job\":\"a/b\"}", accepted("/jobs/a%2Fb")),
        (Monitor::Poll(rule.clone()), &[], "{}", Reading::Unknown),
    ] {
        let target = target(monitor.clone(), None);
        for leg in [Leg::Forward, Leg::Undo] {
            let (found, trouble) = sent(202, headers, body).read_by(&target, leg);
            assert_eq!(found, reading, "{monitor:?} {body}");
            assert_eq!(trouble.is_some(), reading == Reading::Unknown, "{monitor:?} {body}");
        }
    }
}

#[test]
fn a_monitor_goes_before_the_success_condition_and_its_absence_does_not() {
    let condition = Some("response.status < 300");
    let body = "{\"operation_id\":\"1\"}";
    let lower = Reading::LowerAccepted { reference: "1".to_owned() };
    assert_eq!(sent(202, &[], body).read(&target(Monitor::Msf, condition)), lower);
    assert_eq!(sent(202, &[], body).read(&target(Monitor::Unset, condition)), succeeded());
    assert_eq!(sent(202, &[], body).read(&target(Monitor::Unset, Some("response.json.ok"))), Reading::Unknown);
    assert_eq!(sent(200, &[], "").read(&target(Monitor::Msf, None)), succeeded());
}
