//! Clients and targets that mean harm, against the real program: each is refused, or bounded, and nobody else notices.

use fanfold_testkit::hostile::{Rude, attacks};
use fanfold_testkit::{FakeTarget, Home, PATIENCE};

use crate::program::{Server, config, things};

/// A route whose template reads the body as JSON.
const TYPED: &str = "[[routes]]\nname = \"typed\"\nmatch = \"POST /typed\"\ntargets = [\"tokyo\"]\n\
                     request = { body = { n = \"{{ request.json.n }}\" } }\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_hostile_clients_send_is_refused_or_bounded() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{TYPED}", things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let address = server.url.trim_start_matches("http://");
    let mut wrong = Vec::new();
    for attack in attacks() {
        let outcome = attack.send(address, PATIENCE).await.expect("there are connections left");
        if !attack.is_met_by(&outcome) {
            wrong.push(format!("{}: {outcome:?} instead of {:?}", attack.name, attack.statuses));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What came through to the target is what was accepted, and nothing that was hidden behind something else.
    let good = server.put("/things/good").await;
    assert_eq!(server.end_of(&good).await["status"], "completed");
    assert!(!server.process.printed().contains("panicked"), "{}", server.process.printed());
    for request in tokyo.seen() {
        assert!(["/things/1", "/things/good", "/typed"].contains(&request.path()), "{}", request.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_hostile_target_are_bounded_and_never_unpacked() {
    let (rude, tokyo) = (Rude::start().await, FakeTarget::start().await);
    let target = format!(
        "[targets.rude]\nurl = \"{}\"\nmonitor = \"none\"\nretry = {{ attempts = 1 }}\n\
         timeouts = {{ connect = \"2s\", response = \"2s\" }}\nresponse_body_max = \"16KiB\"\n",
        rude.url()
    );
    let routes = "[[routes]]\nmatch = \"PUT /rude/{way}\"\ntargets = [\"rude\"]\n\
                  [[routes]]\nmatch = \"GET /pass/{way}\"\npass = \"rude\"\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{target}{}{routes}", things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let mut ids = Vec::new();
    for way in Rude::WAYS {
        ids.push((way, server.put(&format!("/rude/{way}")).await));
    }
    // Others go on meanwhile.
    let good = server.put("/things/good").await;
    assert_eq!(server.end_of(&good).await["status"], "completed");
    for (way, id) in ids {
        let ended = server.end_of(&id).await;
        let expected = match way {
            // It is a success whatever its body says, and how much of that was read.
            "bomb" | "endless" | "chunks" | "drip" => "completed",
            _ => "failed",
        };
        assert_eq!(ended["status"], expected, "{way}: {ended}");
        let shown = ended.to_string().len();
        assert!(shown < 64 * 1024, "{way}: what is shown of it has {shown} octets");
    }
    // What is passed through goes on for as long as its client reads; the answer begins in time, and the client can leave.
    for way in Rude::WAYS {
        let mut connection = server.http.open().await;
        connection.send(format!("GET /pass/{way} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await;
        connection.until("HTTP/1.1 ").await;
    }
    assert_eq!(server.http.get("/healthz").await.status, 200);
    assert!(!server.process.printed().contains("panicked"), "{}", server.process.printed());
}
