//! Callers who are known by the certificate that they connect with.

use fanfold_core::access::{Secret, SecretDigest};
use fanfold_core::{Access, Role, Scope};
use fanfold_server::{CertificateName, ClientCertificates, FixedCertificate, FixedToken, ServerConfig, Tls};
use fanfold_testkit::Http;
use fanfold_testkit::certificates::{Authority, Identity, Names};

use crate::rig::{Rig, credentials};

/// A server that asks for certificates of an authority, and knows whose one of them is.
struct Asking {
    rig: Rig,
    servers: Authority,
    clients: Authority,
    token: Secret,
}

impl Asking {
    async fn start(are_required: bool) -> Self {
        let rig = Rig::with(ServerConfig::default()).await;
        let asking =
            Self { rig, servers: Authority::new(), clients: Authority::new(), token: Secret::from_random([1; 32]) };
        asking.ask_for(&asking.clients, are_required);
        asking.know(&[("portal", "portal.example", Role::Read)]);
        asking
    }

    /// Asks for certificates of these authorities from now on.
    fn ask_for(&self, authority: &Authority, are_required: bool) {
        let own = self.servers.server();
        let clients = ClientCertificates { authorities: authority.pem().as_bytes(), are_required };
        let tls = Tls::new(own.chain.as_bytes(), own.key.as_bytes(), Some(clients)).unwrap();
        self.rig.server.replace_tls(Some(tls));
    }

    /// Knows these, by name, name of host and role, and one token.
    fn know(&self, known: &[(&str, &str, Role)]) {
        let access = |role| Access { tenant: "acme".into(), roles: [role].into(), scope: Scope::default() };
        let certificates = known.iter().map(|(name, dns, role)| FixedCertificate {
            name: (*name).to_owned(),
            is: CertificateName::Dns((*dns).to_owned()),
            access: access(*role),
        });
        let digest: SecretDigest = self.token.digest();
        let token = FixedToken { name: "anna".to_owned(), digest, access: access(Role::Operate), expires_at: None };
        let certificates = certificates.collect();
        self.rig.server.replace_authentication(credentials(vec![token], certificates));
    }

    fn portal(&self) -> Identity {
        self.clients.client(&Names { dns: &["portal.example"], ..Names::default() })
    }

    fn showing(&self, identity: &Identity) -> Http {
        Http::new(&self.rig.address).trusting_as(self.servers.pem(), identity)
    }

    fn showing_nothing(&self) -> Http {
        Http::new(&self.rig.address).trusting(self.servers.pem())
    }
}

#[tokio::test]
async fn a_certificate_says_who_asks_and_what_they_may() {
    let asking = Asking::start(false).await;
    let portal = asking.showing(&asking.portal());
    let caller = portal.get("/api/v1/caller").await.json();
    assert_eq!((&caller["name"], &caller["tenant"]), (&"portal".into(), &"acme".into()), "{caller}");
    assert_eq!((&caller["credential"], &caller["roles"]), (&"certificate".into(), &serde_json::json!(["read"])));
    assert_eq!(portal.post("/things", &serde_json::json!({})).await.status, 404, "it may read alone");
    assert_eq!(asking.showing_nothing().get("/api/v1/caller").await.status, 401);
    let unknown = asking.clients.client(&Names { dns: &["other.example"], ..Names::default() });
    assert_eq!(asking.showing(&unknown).get("/api/v1/caller").await.status, 401);
}

#[tokio::test]
async fn what_a_request_shows_goes_before_what_its_connection_was_opened_with() {
    let asking = Asking::start(false).await;
    let portal = asking.showing(&asking.portal());
    let with_token = portal.clone().with("authorization", &format!("Bearer {}", asking.token.expose()));
    assert_eq!(with_token.get("/api/v1/caller").await.json()["name"], "anna");
    let with_something_else = portal.with("authorization", "Basic YTpi");
    assert_eq!(with_something_else.get("/api/v1/caller").await.status, 401, "it is not taken for the other one");
}

#[tokio::test]
async fn a_certificate_of_others_or_none_where_one_is_required_is_not_talked_to() {
    let asking = Asking::start(true).await;
    assert_eq!(asking.showing(&asking.portal()).get("/api/v1/caller").await.status, 200);
    let others = Authority::new().client(&Names { dns: &["portal.example"], ..Names::default() });
    assert!(asking.showing(&others).try_request("GET", "/api/v1/caller", b"").await.is_err());
    assert!(asking.showing_nothing().try_request("GET", "/api/v1/caller", b"").await.is_err());
    asking.ask_for(&asking.clients, false);
    assert!(
        asking.showing(&others).try_request("GET", "/api/v1/caller", b"").await.is_err(),
        "optional is not anything"
    );
    let of_a_server = asking.servers.server();
    assert!(asking.showing(&of_a_server).try_request("GET", "/api/v1/caller", b"").await.is_err());
}

#[tokio::test]
async fn who_is_no_longer_known_is_out_on_open_connections_too() {
    let asking = Asking::start(false).await;
    let request = b"GET /api/v1/caller HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut open = asking.showing(&asking.portal()).open().await;
    open.send(request).await;
    assert_eq!(open.answer().await.status, 200);
    let mut stream = asking.showing(&asking.portal()).open().await;
    stream.send(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    stream.until("\r\n\r\n").await;

    // The same certificate and the same rights: nobody notices.
    asking.know(&[("portal", "portal.example", Role::Read), ("other", "other.example", Role::Read)]);
    asking.ask_for(&asking.clients, true);
    open.send(request).await;
    assert_eq!(open.answer().await.status, 200);

    asking.know(&[("other", "other.example", Role::Read)]);
    open.send(request).await;
    assert_eq!(open.answer().await.status, 401);
    stream.rest().await;
}

#[tokio::test]
async fn an_authority_that_is_no_longer_trusted_lets_nobody_in_on_open_connections_either() {
    let asking = Asking::start(false).await;
    let request = b"GET /api/v1/caller HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut open = asking.showing(&asking.portal()).open().await;
    open.send(request).await;
    assert_eq!(open.answer().await.status, 200);
    let mut stream = asking.showing(&asking.portal()).open().await;
    stream.send(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    stream.until("\r\n\r\n").await;
    asking.ask_for(&Authority::new(), false);
    open.send(request).await;
    assert_eq!(open.answer().await.status, 401);
    stream.rest().await;
}

#[tokio::test]
async fn a_token_of_the_configuration_that_is_gone_ends_what_it_has_open() {
    let asking = Asking::start(false).await;
    let shown = format!("authorization: Bearer {}", asking.token.expose());
    let mut stream = asking.showing_nothing().open().await;
    let head = format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n{shown}\r\nconnection: close\r\n\r\n");
    stream.send(head.as_bytes()).await;
    stream.until("\r\n\r\n").await;
    let authentication = credentials(Vec::new(), Vec::new());
    asking.rig.server.replace_authentication(authentication);
    stream.rest().await;
}

/// What a server answers that knows what its store has: it reads it as it begins to ask who somebody is.
async fn read(http: &Http, path: &str) -> fanfold_testkit::HttpAnswer {
    let told = async {
        loop {
            let answer = http.get(path).await;
            if answer.status != 503 {
                return answer;
            }
        }
    };
    tokio::time::timeout(fanfold_testkit::PATIENCE, told).await.expect("the store is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_before_a_certificate_and_one_that_has_ended_does_not() {
    let asking = Asking::start(false).await;
    let browser = asking.showing(&asking.portal()).with("origin", &format!("https://{}", asking.rig.address));
    let ended = "__Secure-fanfold-session=fanfold_ended";
    let page = read(&browser.clone().with("cookie", ended), "/ui").await;
    assert_eq!((page.status, page.text().contains("signed in as </span>portal ")), (200, true), "{}", page.text());
    assert_eq!(asking.showing_nothing().with("cookie", ended).get("/ui").await.status, 303);

    let written = format!("token={}", asking.token.expose());
    let signed_in = browser.request("POST", "/ui/sign-in", written.as_bytes()).await;
    let cookie = signed_in.header("set-cookie").unwrap_or_else(|| panic!("{}", signed_in.text()));
    let anna = browser.clone().with("cookie", cookie.split(';').next().unwrap());
    assert!(anna.get("/ui").await.text().contains("signed in as </span>anna "));
    assert_eq!(anna.request("POST", "/ui/sign-out", b"").await.status, 303);
    assert!(anna.get("/ui").await.text().contains("signed in as </span>portal "));
}
