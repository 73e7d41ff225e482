//! Following operations over restarts of the server.

use fanfold_testkit::{Answer, FakeTarget, Home, Http, Latch, Process, RawConnection, Reply};
use serde_json::Value;

use crate::program::{PROGRAM, Server, config, text, things};

/// A server with one target, which can be ended and started again under the same address.
struct Place {
    tokyo: FakeTarget,
    home: Home,
    latch: Latch,
}

impl Place {
    /// The first request to the target is answered once the latch is opened.
    async fn start() -> (Self, Server) {
        let (tokyo, latch) = (FakeTarget::start().await, Latch::new());
        tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&latch));
        let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
        let server = Server::start(&home).await;
        let address = server.url.trim_start_matches("http://").to_owned();
        home.configure(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])).replace("127.0.0.1:0", &address));
        (Self { tokyo, home, latch }, server)
    }

    /// An operation whose attempt is on the wire.
    async fn running(&self, server: &Server) -> String {
        let id = server.put("/things/1").await;
        self.tokyo.wait_for(1).await;
        id
    }
}

/// The events of a stream, each as its number and its data.
struct Events(RawConnection);

impl Events {
    async fn open(http: &Http, path: &str, last: Option<u64>) -> Self {
        let mut connection = http.open().await;
        let field = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        // By HTTP/1.0, so that the body comes as it is and not in chunks.
        connection.send(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n{field}\r\n").as_bytes()).await;
        let head = connection.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        Self(connection)
    }

    /// Reads until an event of this name has come.
    async fn until(&mut self, name: &str, seen: &mut Vec<(u64, Value)>) {
        loop {
            let block = self.0.until("\n\n").await;
            seen.extend(event(&block));
            if block.lines().any(|line| line == format!("event: {name}")) {
                return;
            }
        }
    }

    /// Reads all that comes until the server is gone.
    async fn rest(&mut self, seen: &mut Vec<(u64, Value)>) {
        let rest = self.0.rest().await;
        // What broke off in the middle does not count, as in a browser.
        let whole = rest.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        seen.extend(whole.split("\n\n").filter_map(event));
    }
}

fn event(block: &str) -> Option<(u64, Value)> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    Some((field("id: ")?.parse().unwrap(), serde_json::from_str(field("data: ")?).unwrap()))
}

async fn history(server: &Server, id: &str) -> Vec<Value> {
    let history = server.get(&format!("/api/v1/operations/{id}/history")).await.json();
    history["history"].as_array().unwrap().clone()
}

/// Follows one operation and all of them while the server is ended and started again, and compares what came with what is
/// recorded.
async fn follow_over(end: impl AsyncFnOnce(&Place, Server)) {
    let (place, server) = Place::start().await;
    let id = place.running(&server).await;
    let (one, all) = (format!("/api/v1/operations/{id}/events"), "/api/v1/events");
    let (mut seen_of_one, mut seen_of_all) = (Vec::new(), Vec::new());
    let mut following_one = Events::open(&server.http, &one, None).await;
    following_one.until("attempt_started", &mut seen_of_one).await;
    let mut following_all = Events::open(&server.http, &format!("{all}?after=0"), None).await;
    following_all.until("attempt_started", &mut seen_of_all).await;

    end(&place, server).await;
    following_one.rest(&mut seen_of_one).await;
    following_all.rest(&mut seen_of_all).await;

    let server = Server::start(&place.home).await;
    place.latch.open();
    let last = |seen: &[(u64, Value)]| seen.last().map(|(number, _)| *number);
    let ended = server.end_of(&id).await;
    let told = seen_of_one.iter().any(|(_, data)| !data["status"].is_null());
    if !told {
        let mut following_one = Events::open(&server.http, &one, last(&seen_of_one)).await;
        following_one.until("end", &mut seen_of_one).await;
    }
    let again = server.http.clone().with("last-event-id", &last(&seen_of_one).unwrap().to_string()).get(&one).await;
    assert_eq!(again.status, 204, "its end was told");
    // One more operation, so that there is something for the other stream in any case.
    let other = server.put("/things/2").await;
    server.end_of(&other).await;
    let mut following_all = Events::open(&server.http, all, last(&seen_of_all)).await;
    while !seen_of_all.iter().any(|(_, data)| data["operation"] == other && data["status"] == "completed") {
        following_all.until("response_composed", &mut seen_of_all).await;
    }

    let numbers: Vec<u64> = seen_of_all.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "neither a gap nor one twice");
    let of_one =
        |seen: &[(u64, Value)]| seen.iter().filter(|(_, data)| data["operation"] == id).cloned().collect::<Vec<_>>();
    assert_eq!(of_one(&seen_of_all), seen_of_one);
    let recorded = history(&server, &id).await;
    let names = |entries: &mut dyn Iterator<Item = &Value>| {
        entries.map(|entry| (entry["sequence"].clone(), text(&entry["event"]))).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut seen_of_one.iter().map(|(_, data)| data)), names(&mut recorded.iter()));
    assert_eq!(seen_of_one.last().unwrap().1["status"], ended["status"]);
}

#[tokio::test]
async fn follower_reconnecting_over_a_restart_without_a_gap() {
    follow_over(async |_, server| server.process.kill()).await;
    // A graceful stop records the answer on the wire, and its streams tell it before they end.
    follow_over(async |place, server| {
        server.process.terminate();
        server.process.line("stopping").await;
        place.latch.open();
        let (status, printed) = server.process.ended().await;
        assert_eq!(status.code(), Some(0), "{printed}");
    })
    .await;
}

#[tokio::test]
async fn watching_survives_a_restart_of_the_server() {
    let (place, server) = Place::start().await;
    let id = place.running(&server).await;
    let watch = |arguments: &[&str]| -> Process {
        place.home.start(PROGRAM, &[&["ops", "watch"], arguments, &["--server", &server.url]].concat())
    };
    let watching = [watch(&[&id]), watch(&[&id, "--output", "json"])];
    watching[0].line("is sent PUT /things/1").await;
    watching[1].line("attempt_started").await;

    server.process.kill();
    for watching in &watching {
        watching.line("trying again").await;
    }
    place.latch.open();
    let server = Server::start(&place.home).await;
    let [story, events] = watching;
    let (status, printed) = story.ended().await;
    assert_eq!(status.code(), Some(0), "{printed}");
    assert_eq!(printed.matches("is sent PUT /things/1").count(), 2, "each attempt once: {printed}");
    assert!(printed.contains("Completed after"), "{printed}");
    let (status, printed) = events.ended().await;
    assert_eq!(status.code(), Some(0), "{printed}");
    let told: Vec<Value> = printed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sequence: Vec<u64> = told.iter().filter_map(|entry| entry["sequence"].as_u64()).collect();
    let recorded = history(&server, &id).await;
    assert_eq!(sequence, (1..=recorded.len() as u64).collect::<Vec<_>>(), "neither a gap nor one twice: {printed}");
}

#[tokio::test]
async fn all_operations_are_watched() {
    let (place, server) = Place::start().await;
    place.latch.open();
    let watching = place.home.start(PROGRAM, &["ops", "watch", "--server", &server.url]);
    let following = async {
        while !server.get("/metrics").await.text().contains("fanfold_http_followers{kind=\"all\"} 1") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(fanfold_testkit::PATIENCE, following).await.expect("the command follows");
    let id = server.put("/things/1").await;
    let told = watching.line("ended completed").await;
    assert!(told.contains(&id), "{told}");
    assert!(watching.printed().contains("tokyo  answers 200: done"), "{}", watching.printed());
}
