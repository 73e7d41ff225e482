use super::*;
use crate::message::Headers;
use crate::plan::policy::{Monitor, PollRule};
use crate::route::fixtures::compiled_target as target;

fn poll(monitor: Monitor, status: u16, body: &str) -> Poll {
    let headers: Headers = vec![("retry-after".to_owned(), "3".to_owned())];
    let body = Bytes::from(body.to_owned());
    let answer = Answered { status, headers: &headers, body: &body, complete: true };
    target(monitor, None).read_poll(&answer, Timestamp::UNIX_EPOCH)
}

/// The reading of an ended operation with the status and body of its response.
fn end(poll: Poll) -> (Reading, u16, String) {
    match poll {
        Poll::Ended { reading, answer, trouble } => {
            assert_eq!(trouble.is_none(), reading == (Reading::Succeeded { etag: None }), "{trouble:?}");
            let body = match answer.body.0 {
                crate::Content::Inline(octets) => String::from_utf8(octets.to_vec()).unwrap(),
                crate::Content::Empty => String::new(),
                other @ (crate::Content::Apart { .. } | crate::Content::Same(_)) => panic!("{other:?}"),
            };
            (reading, answer.status, body)
        }
        other @ (Poll::StillRunning { .. } | Poll::Unclear { .. }) => panic!("not ended: {other:?}"),
    }
}

fn running() -> Poll {
    Poll::StillRunning { retry_after: Some(Duration::from_secs(3)) }
}

fn is_unclear(poll: &Poll) -> bool {
    matches!(poll, Poll::Unclear { retry_after: Some(_), .. })
}

fn custom() -> Monitor {
    Monitor::Poll(PollRule {
        path: "/jobs/{{ response.json.job }}".to_owned(),
        done: "response.json.state != 'running'".to_owned(),
        success: "response.json.state == 'good'".to_owned(),
    })
}

const SUCCEEDED: Reading = Reading::Succeeded { etag: None };

#[test]
fn an_msf_operation_is_followed_to_its_end() {
    for body in ["{\"status\":\"executing\"}", "{\"status\":\"unexecuted\",\"response\":null}"] {
        assert_eq!(poll(Monitor::Msf, 200, body), running());
    }
    let completed = r#"{"status":"completed","response":{"status_code":201,"body":"{\"cp_id\":\"5\"}"}}"#;
    assert_eq!(end(poll(Monitor::Msf, 200, completed)), (SUCCEEDED, 201, "{\"cp_id\":\"5\"}".to_owned()));
    assert_eq!(end(poll(Monitor::Msf, 200, "{\"status\":\"completed\"}")), (SUCCEEDED, 200, String::new()));
    // No response has such a status, so none can be given to a client as it is.
    for odd in [100, 101, 199, 600, 65_535] {
        let body = format!(r#"{{"status":"completed","response":{{"status_code":{odd},"body":"x"}}}}"#);
        assert_eq!(end(poll(Monitor::Msf, 200, &body)), (SUCCEEDED, 200, String::new()), "{odd}");
    }
    let canceled =
        r#"{"status":"canceled","response":{"status_code":500,"body":"{\"data_consistency\":\"rolled back\"}"}}"#;
    assert_eq!(end(poll(Monitor::Msf, 200, canceled)).0, Reading::Unknown);
    assert_eq!(end(poll(Monitor::Msf, 404, "")).0, Reading::Unknown);
}

#[test]
fn a_failed_msf_operation_is_read_by_its_data_consistency() {
    for (word, reading) in [
        ("rolled back", Reading::NotApplied),
        ("not consistent", Reading::NotConsistent),
        ("unknown", Reading::Unknown),
        ("nonsense", Reading::Unknown),
    ] {
        let body = format!(
            r#"{{"status":"failed","response":{{"status_code":500,"body":"{{\"data_consistency\":\"{word}\"}}"}}}}"#
        );
        let (found, status, body) = end(poll(Monitor::Msf, 200, &body));
        assert_eq!((found, status), (reading, 500), "{word}");
        assert!(body.contains(word));
    }
    let gone = r#"{"status":"failed","response":{"status_code":404,"body":"{\"data_consistency\":\"rolled back\"}"}}"#;
    assert_eq!(end(poll(Monitor::Msf, 200, gone)).0, Reading::Gone);
    let updated = r#"{"status":"failed","response":{"status_code":500,"body":"{\"data_consistency\":\"updated\"}"}}"#;
    assert!(matches!(poll(Monitor::Msf, 200, updated), Poll::Ended { reading: SUCCEEDED, trouble: Some(_), .. }));
    assert_eq!(end(poll(Monitor::Msf, 200, "{\"status\":\"failed\"}")), (Reading::Unknown, 500, String::new()));
}

#[test]
fn polls_that_show_nothing_are_asked_again() {
    for (status, body) in
        [(200, ""), (200, "[]"), (200, "{\"status\":\"done\"}"), (500, ""), (503, ""), (429, ""), (401, ""), (302, "")]
    {
        assert!(is_unclear(&poll(Monitor::Msf, status, body)), "{status} {body}");
    }
    assert!(is_unclear(&poll(Monitor::Plas, 200, "{\"finished\":\"yes\"}")));
    assert!(is_unclear(&poll(Monitor::Location, 500, "")));
    let body = Bytes::from_static(b"{\"status\":\"completed\"}");
    let answer = Answered { status: 200, headers: &vec![], body: &body, complete: false };
    let poll = target(Monitor::Msf, None).read_poll(&answer, Timestamp::UNIX_EPOCH);
    assert!(matches!(poll, Poll::Unclear { retry_after: None, .. }));
}

#[test]
fn a_plas_operation_is_followed_to_its_end() {
    assert_eq!(poll(Monitor::Plas, 200, "{\"finished\":false}"), running());
    let success = r#"{"finished":true,"result":{"result":"success","reason":""}}"#;
    assert_eq!(end(poll(Monitor::Plas, 200, success)), (SUCCEEDED, 200, success.to_owned()));
    let failed = r#"{"finished":true,"result":{"result":"failed","reason":"no space"}}"#;
    assert_eq!(
        end(poll(Monitor::Plas, 200, failed)),
        (Reading::Unknown, 500, "{\"error_msg\":\"no space\"}".to_owned())
    );
    assert_eq!(end(poll(Monitor::Plas, 200, "{\"finished\":true}")).0, Reading::Unknown);
    assert_eq!(end(poll(Monitor::Plas, 410, "")).0, Reading::Unknown);
    // An operation that is not known is a 400 in this protocol; any other 400 says nothing of it.
    let unknown = "{\"error_code\":\"PLAS.0404\",\"error_msg\":\"no such operation\"}";
    assert_eq!(end(poll(Monitor::Plas, 400, unknown)).0, Reading::Unknown);
    for body in ["{\"error_code\":\"PLAS.0400\",\"error_msg\":\"\"}", "", "<html>"] {
        assert!(is_unclear(&poll(Monitor::Plas, 400, body)), "{body}");
    }
    assert!(is_unclear(&poll(Monitor::Msf, 400, unknown)), "it is no word of another protocol");
}

#[test]
fn a_location_is_followed_to_its_end() {
    assert_eq!(poll(Monitor::Location, 202, ""), running());
    for word in ["NotStarted", "Running", "InProgress", "in_progress", "Accepted", "pending"] {
        assert_eq!(poll(Monitor::Location, 200, &format!("{{\"status\":\"{word}\"}}")), running(), "{word}");
    }
    for body in
        ["{\"status\":\"Succeeded\"}", "{\"name\":\"x\"}", "", "{\"status\":{\"a\":1}}", "{\"status\":\"COMPLETE\"}"]
    {
        assert_eq!(end(poll(Monitor::Location, 200, body)), (SUCCEEDED, 200, body.to_owned()));
    }
    assert_eq!(end(poll(Monitor::Location, 204, "")).0, SUCCEEDED);
    for body in ["<html>sign in</html>", "ok", "{\"status\":\"ACTIVE\"}", "{\"status\":\"Timed out\"}"] {
        assert!(is_unclear(&poll(Monitor::Location, 200, body)), "{body}");
    }
    assert_eq!(end(poll(Monitor::Location, 200, "{\"status\":\"error\"}")).0, Reading::Unknown);
    assert_eq!(end(poll(Monitor::Location, 200, "{\"status\":\"Failed\"}")).0, Reading::Unknown);
    let rolled_back = "{\"status\":\"Failed\",\"data_consistency\":\"rolled back\"}";
    assert_eq!(end(poll(Monitor::Location, 200, rolled_back)).0, Reading::NotApplied);
    assert_eq!(end(poll(Monitor::Location, 200, "{\"status\":\"Canceled\"}")).0, Reading::Unknown);
    assert_eq!(end(poll(Monitor::Location, 303, "")).0, Reading::Unknown);
}

#[test]
fn a_poll_rule_decides_by_its_conditions() {
    assert_eq!(poll(custom(), 200, "{\"state\":\"running\"}"), running());
    assert_eq!(end(poll(custom(), 200, "{\"state\":\"good\"}")).0, SUCCEEDED);
    assert_eq!(end(poll(custom(), 200, "{\"state\":\"bad\"}")).0, Reading::Unknown);
    assert_eq!(end(poll(custom(), 404, "")).0, Reading::Unknown);
    assert!(is_unclear(&poll(custom(), 200, "<html>")));
    // An error in JSON has no `state`, which is not the end of the operation.
    for status in [401, 403, 429, 500, 502, 503] {
        assert!(is_unclear(&poll(custom(), status, "{\"error\":\"no\"}")), "{status}");
    }
    let gone = PollRule { path: "/x".into(), done: "response.status == 404".into(), success: "true".into() };
    assert_eq!(end(poll(Monitor::Poll(gone), 404, "")).0, SUCCEEDED);
}

#[test]
fn polls_go_where_the_protocol_says() {
    let address = |monitor: Monitor, reference: &str| target(monitor, None).poll_address(reference);
    let below = |path: &str| Some(PollAddress::BelowPrefix(path.to_owned()));
    assert_eq!(address(Monitor::Msf, "a/b c"), below("/v1/operations/a%2Fb%20c"));
    assert_eq!(address(custom(), "/jobs/1"), below("/jobs/1"));
    assert_eq!(address(Monitor::Location, "/x?y"), Some(PollAddress::FromRoot("/x?y".to_owned())));
    assert_eq!(address(Monitor::Plas, "/x"), Some(PollAddress::FromRoot("/x".to_owned())));
    assert_eq!(address(Monitor::None, "x"), None);
}
