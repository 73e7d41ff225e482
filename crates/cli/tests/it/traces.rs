//! Traces, as a collector gets them.

use std::collections::{BTreeMap, BTreeSet};

use fanfold_testkit::fake::AUTHORITY;
use fanfold_testkit::{Answer, FakeTarget, Home, Http, Latch, PATIENCE, Reply};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use serde_json::json;

use crate::program::{Server, config, run, serve, text, things};

/// The client's span.
const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// All that has reached a collector.
fn received(collector: &FakeTarget) -> Vec<ResourceSpans> {
    let request = |seen: &fanfold_testkit::Seen| {
        assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("POST", "/v1/traces"));
        assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
        ExportTraceServiceRequest::decode(seen.body.clone()).unwrap().resource_spans
    };
    collector.seen().iter().filter(|seen| seen.applied).flat_map(request).collect()
}

/// The spans that a collector has taken, once there are so many of this name.
async fn spans(collector: &FakeTarget, name: &str, count: usize) -> Vec<Span> {
    let mut requests = 1;
    loop {
        collector.wait_for(requests).await;
        let received = received(collector);
        let spans: Vec<Span> =
            received.into_iter().flat_map(|of| of.scope_spans).flat_map(|scope| scope.spans).collect();
        if spans.iter().filter(|span| span.name == name).count() >= count {
            return spans;
        }
        requests = collector.seen().len() + 1;
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

/// One tree, each span within the time of the one around it; gives its root.
fn one_tree(spans: &[Span]) -> &Span {
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (&span.span_id, span)).collect();
    assert_eq!(by_id.len(), spans.len(), "each has an id of its own");
    let is_root = |span: &&Span| !by_id.contains_key(&span.parent_span_id);
    let roots: Vec<_> = spans.iter().filter(is_root).collect();
    assert_eq!(roots.len(), 1, "{roots:#?}");
    for span in spans {
        assert_eq!(span.trace_id, roots[0].trace_id);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        if let Some(around) = by_id.get(&span.parent_span_id) {
            assert!(around.start_time_unix_nano <= span.start_time_unix_nano, "{span:?} in {around:?}");
            // Notices are sent after the end.
            let is_notice = span.kind == i32::from(SpanKind::Producer);
            assert!(is_notice || span.end_time_unix_nano <= around.end_time_unix_nano, "{span:?} in {around:?}");
        }
    }
    roots[0]
}

/// The configuration of a collector.
fn telemetry(collector: &FakeTarget) -> String {
    format!("[telemetry]\notlp = \"{}\"\n", collector.url())
}

/// The metrics once this line is among them: a collector has a batch before its sender knows.
async fn counted(server: &Server, line: &str) -> String {
    let counted = async {
        loop {
            let metrics = server.get("/metrics").await.text();
            if metrics.contains(line) {
                return metrics;
            }
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("{line} is never shown"))
}

/// One target does it at the second try and one at the first, the third one refuses, and both are undone.
#[tokio::test]
async fn one_joined_trace_for_three_targets_with_a_retry_and_two_undos() {
    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let (tokyo, osaka, kyoto) = (FakeTarget::start().await, FakeTarget::start().await, FakeTarget::start().await);
    let (collector, receiver) = (FakeTarget::start().await, FakeTarget::start().await);
    tokyo.once("PUT", "/things/1", Answer::empty(503));
    let latch = Latch::new();
    kyoto.once("PUT", "/things/1", Reply::from(Answer::empty(409)).after(&latch));
    let targets = [("tokyo", &tokyo), ("osaka", &osaka), ("kyoto", &kyoto)];
    let callback = format!("callback = {{ url = \"{}/told\", secrets = [\"{SECRET}\"] }}\n", receiver.url());
    let routes = things(&["tokyo", "osaka", "kyoto"]);
    let home = Home::new(&config(&targets, &format!("{}{routes}{callback}", telemetry(&collector))));
    let server = Server::start(&home).await;

    let client = server.http.clone().with("traceparent", CLIENT).with("tracestate", "vendor=1");
    let accepted = client.put("/things/1", &json!({ "size": 3 })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = text(&accepted.json()["id"]);
    tokyo.wait_for(2).await;
    osaka.wait_for(1).await;
    kyoto.wait_for(1).await;
    latch.open();
    let end = server.end_of(&id).await;
    assert_eq!((&end["status"], &end["consistency"]), (&json!("failed"), &json!("rolled back")));

    receiver.wait_for(1).await;
    let told = spans(&collector, "notice", 1).await;
    let root = one_tree(&told);
    assert_eq!(hex(&root.trace_id), CLIENT[3..35], "the client's trace");
    assert_eq!(hex(&root.parent_span_id), CLIENT[36..52], "within the client's span");
    assert_eq!((root.name.as_str(), root.kind), ("PUT put-thing", i32::from(SpanKind::Server)));
    assert_eq!(attribute(root, "fanfold.operation.id").as_deref(), Some(id.as_str()));
    assert_eq!(root.status.as_ref().unwrap().code, i32::from(StatusCode::Error));
    assert!(told.iter().all(|span| span.trace_state == "vendor=1"));

    let attempts = |target: &str| -> Vec<(String, Option<String>)> {
        let is_attempt = |span: &&Span| {
            span.kind == i32::from(SpanKind::Client) && attribute(span, "fanfold.target").as_deref() == Some(target)
        };
        told.iter()
            .filter(is_attempt)
            .map(|span| (span.name.clone(), attribute(span, "http.response.status_code")))
            .collect()
    };
    let of = |method: &str, status: &str| (method.to_owned(), Some(status.to_owned()));
    assert_eq!(attempts("tokyo"), [of("PUT", "503"), of("PUT", "200"), of("DELETE", "200")]);
    assert_eq!(attempts("osaka"), [of("PUT", "200"), of("DELETE", "200")]);
    assert_eq!(attempts("kyoto"), [of("PUT", "409")]);
    assert_eq!(told.iter().filter(|span| span.name == "undo").count(), 2);
    assert_eq!(told.iter().filter(|span| span.name == "step").count(), 3);

    // What each target and the receiver was told names the very span that was recorded of it.
    let handed_on: BTreeSet<String> = [&tokyo, &osaka, &kyoto, &receiver]
        .iter()
        .flat_map(|target| target.seen())
        .map(|seen| seen.header("traceparent").unwrap().to_owned())
        .collect();
    let recorded: BTreeSet<String> = told
        .iter()
        .filter(|span| [SpanKind::Client.into(), SpanKind::Producer.into()].contains(&span.kind))
        .map(|span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)))
        .collect();
    assert_eq!(handed_on, recorded);

    let resource = received(&collector).remove(0).resource.unwrap();
    let name = resource.attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
    assert_eq!(name.value.as_ref().unwrap().value, Some(Value::StringValue("fanfold".to_owned())));
    counted(&server, &format!("fanfold_trace_spans_sent_total {}\n", told.len())).await;
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_leaves_one_trace() {
    let (tokyo, collector) = (FakeTarget::start().await, FakeTarget::start().await);
    tokyo.once("PUT", "/things/1", Reply::Never { applied: false });
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{}", telemetry(&collector), things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    server.process.kill();

    let server = Server::start(&home).await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
    let told = spans(&collector, "PUT put-thing", 1).await;
    let root = one_tree(&told);
    assert!(root.parent_span_id.is_empty());
    assert_eq!(hex(&root.trace_id), id.replace('-', ""), "an operation without a client's trace has one of its own");
    let attempts: Vec<&Span> = told.iter().filter(|span| span.name == "PUT").collect();
    assert_eq!(attempts.len(), 2, "{told:#?}");
    assert_eq!(attribute(attempts[0], "http.response.status_code"), None, "the process did not live to see its answer");
    assert_eq!(attribute(attempts[1], "http.response.status_code").as_deref(), Some("200"));
    for (seen, attempt) in tokyo.seen().iter().zip(attempts) {
        assert!(seen.header("traceparent").unwrap().contains(&hex(&attempt.span_id)), "{attempt:?}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_keeps_nothing_waiting() {
    let (tokyo, mut collector) = (FakeTarget::start().await, FakeTarget::start().await);
    collector.stop().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{}", telemetry(&collector), things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let first = server.put("/things/1").await;
    assert_eq!(server.end_of(&first).await["status"], "completed");
    server.process.line("the collector does not take traces").await;
    // It says that it is too busy, and then loses the connection: the batch is sent again and again until it takes it.
    collector.on("POST", "/v1/traces", Answer::empty(200));
    collector.once("POST", "/v1/traces", Answer::empty(503).header("retry-after", "0"));
    collector.once("POST", "/v1/traces", Reply::Reset { applied: false });
    collector.start_again().await;
    let told = spans(&collector, "PUT put-thing", 1).await;
    assert_eq!(attribute(one_tree(&told), "fanfold.operation.id"), Some(first));
    server.process.line("the collector takes traces again").await;

    collector.on("POST", "/v1/traces", Reply::Never { applied: false });
    let second = server.put("/things/2").await;
    assert_eq!(server.end_of(&second).await["status"], "completed");
    let printed = server.stop().await;
    assert!(printed.contains("did not take all traces in time spans=4"), "{printed}");
}

#[tokio::test]
async fn a_stop_sends_what_there_still_is() {
    let (tokyo, collector) = (FakeTarget::start().await, FakeTarget::start().await);
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{}", telemetry(&collector), things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let ids = [server.put("/things/1").await, server.put("/things/2").await];
    for id in &ids {
        server.end_of(id).await;
    }
    server.stop().await;
    let told = spans(&collector, "PUT put-thing", 2).await;
    let roots: BTreeSet<_> = told.iter().filter_map(|span| attribute(span, "fanfold.operation.id")).collect();
    assert_eq!(roots, ids.into_iter().collect());
}

#[tokio::test]
async fn what_a_collector_refuses_is_told_and_not_sent_again() {
    let (tokyo, collector) = (FakeTarget::start().await, FakeTarget::start().await);
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too much".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    collector.once("POST", "/v1/traces", Answer::text(401, "who are you"));
    collector.once("POST", "/v1/traces", Answer::text(200, answer).header("content-type", "application/x-protobuf"));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{}", telemetry(&collector), things(&["tokyo"]))));
    let server = Server::start(&home).await;
    server.end_of(&server.put("/things/1").await).await;
    let line = server.process.line("the collector does not take traces").await;
    assert!(line.contains("401") && !line.contains("who are you"), "what it says may repeat a credential: {line}");
    server.end_of(&server.put("/things/2").await).await;
    collector.wait_for(2).await;
    // Both batches have four spans: the whole, its wait, the step and its attempt.
    let refused = "fanfold_trace_spans_lost_total{reason=\"refused\"} 6\n";
    let metrics = counted(&server, refused).await;
    assert!(metrics.contains("fanfold_trace_spans_sent_total 2\n"), "{metrics}");
}

#[tokio::test]
async fn headers_reach_the_collector_and_nobody_else() {
    let (tokyo, collector) = (FakeTarget::start().await, FakeTarget::start().await);
    let home = Home::new("");
    std::fs::write(home.path().join("token"), "s3cret\n").unwrap();
    let headers = "headers = { authorization = \"Bearer ${file:token}\" }\nservice_name = \"edge\"\nshare = 0.0\n";
    let rest = format!("{}{headers}{}", telemetry(&collector), things(&["tokyo"]));
    home.configure(&config(&[("tokyo", &tokyo)], &rest));
    let checked = run(home.path(), &["check", "fanfold.toml"]).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let server = Server::start(&home).await;

    // A share of nothing: only what a client traces is told.
    server.end_of(&server.put("/things/1").await).await;
    let traced = Http::new(&server.url).with("traceparent", CLIENT);
    let id = text(&traced.put("/things/2", &json!({})).await.json()["id"]);
    server.end_of(&id).await;
    let printed = server.stop().await;
    let told = spans(&collector, "PUT put-thing", 1).await;
    assert_eq!(attribute(one_tree(&told), "fanfold.operation.id"), Some(id));
    assert_eq!(collector.seen()[0].header("authorization"), Some("Bearer s3cret"));
    assert!(!printed.contains("s3cret"), "{printed}");
    let flags: Vec<_> = tokyo.seen().iter().map(|seen| seen.header("traceparent").unwrap()[53..].to_owned()).collect();
    assert_eq!(flags, ["00", "01"], "targets are told what is recorded");
}

#[tokio::test]
async fn a_collector_of_another_authority_is_trusted_only_if_that_is_configured() {
    let (tokyo, collector) = (FakeTarget::start().await, FakeTarget::start_tls().await);
    let home = Home::new("");
    std::fs::write(home.path().join("ca.pem"), AUTHORITY).unwrap();
    let rest = |more: &str| format!("{}{more}{}", telemetry(&collector), things(&["tokyo"]));
    home.configure(&config(&[("tokyo", &tokyo)], &rest("authorities = \"ca.pem\"\n")));
    let server = Server::start(&home).await;
    server.end_of(&server.put("/things/1").await).await;
    spans(&collector, "PUT put-thing", 1).await;
    server.stop().await;

    home.configure(&config(&[("tokyo", &tokyo)], &rest("")));
    let process = serve(&home);
    let url = process.url().await;
    let accepted = Http::new(&url).put("/things/2", &json!({})).await;
    assert_eq!(accepted.status, 202);
    process.line("the collector does not take traces").await;
}

#[tokio::test]
async fn log_lines_about_an_operation_have_its_trace() {
    let (tokyo, collector) = (FakeTarget::start().await, FakeTarget::start().await);
    tokyo.once("POST", "/things", Reply::Reset { applied: true });
    let route = "[[routes]]\nname = \"add-thing\"\nmatch = \"POST /things\"\ntargets = [\"tokyo\"]\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{route}", telemetry(&collector))));
    let server = Server::start(&home).await;
    let accepted = server.http.clone().with("traceparent", CLIENT).post("/things", &json!({})).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let line = server.process.line(&text(&accepted.json()["id"])).await;
    assert!(line.contains(&format!("trace_id={}", &CLIENT[3..35])), "{line}");
}
