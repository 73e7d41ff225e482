//! Notifications of lower controllers, as a server takes them in.

use std::net::TcpListener;

use fanfold_testkit::fake::{Controller, Ending};
use fanfold_testkit::{Answer, FakeTarget, Home};
use serde_json::{Value, json};

use crate::program::{Server, text};

/// An address where nothing listens now: what others are told has to be known before the server starts.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn config(address: &str, tokyo: &FakeTarget) -> String {
    format!(
        "[server]\nlisten = \"{address}\"\ncallback = \"{address}\"\n[store]\nurl = \"sqlite:fanfold.db\"\n\
         [[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n\
         [targets.tokyo]\nurl = \"{}\"\nmonitor = \"msf\"\n\
         [[routes]]\nmatch = \"PUT /v1/slices/{{id}}\"\ndialect = \"msf\"\ntargets = [\"tokyo\"]\n",
        tokyo.url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_wakes_and_never_ends() {
    let (tokyo, controller) = (FakeTarget::start().await, Controller::new().ends(Ending::Never));
    tokyo.serve(controller.clone());
    // After this nothing would be asked for longer than the test has patience, but for a callback.
    let later = Answer::json(200, &json!({"status": "executing"})).header("retry-after", "600");
    tokyo.once("GET", "/v1/operations/*", later.clone());
    tokyo.once("GET", "/v1/operations/*", later);
    let address = free_address();
    let home = Home::new(&config(&address, &tokyo));
    let server = Server::start(&home).await;
    let accepted = server.http.put("/v1/slices/1", &json!({})).await;
    let id = text(&accepted.json()["operation_id"]);
    let seen = tokyo.wait_for(2).await;
    let port = address.rsplit(':').next().unwrap();
    assert_eq!(seen[0].uri, format!("/v1/slices/1?notification_address=127.0.0.1&notification_port={port}"));

    // A stranger says that it has ended, in a body that nobody could read.
    let lower = controller.operations().remove(0);
    let path = format!("/v1/operations/{lower}");
    let answer = server.http.request("PUT", &path, b"<html>it is over</html>").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    tokyo.wait_for(3).await;
    assert_eq!(server.get(&format!("/api/v1/operations/{id}")).await.json()["status"], "executing");
    let unknown = server.http.request("PUT", "/v1/operations/nobody", b"{}").await;
    assert_eq!((unknown.status, &unknown.json()["error_code"]), (404, &json!("030001")));

    controller.finish(&lower, Ending::Completed(200, "{}".to_owned()));
    assert_eq!(controller.notify(&lower).await.status, 200);
    let end = server.end_of(&id).await;
    assert_eq!(text(&end["status"]), "completed", "{end:#}");
    assert_eq!(tokyo.seen().len(), 4);
    let shown: Value = server.get(&format!("/api/v1/operations/{id}")).await.json();
    assert!(!shown["targets"].to_string().contains("notification_address"));
    // It has ended: a word that comes late, or twice, is taken and not followed by a poll.
    for _ in 0..2 {
        assert_eq!(controller.notify(&lower).await.status, 200);
    }
    assert_eq!(tokyo.seen().len(), 4);
    server.stop().await;
}
