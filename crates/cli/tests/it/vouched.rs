//! Callers whom others vouch for: an OpenID Connect issuer and a Keystone, as the real program asks them.

use fanfold_engine::{Clock as _, SystemClock};
use fanfold_testkit::{FakeIssuer, FakeKeystone, FakeTarget, Home, Http, HttpAnswer, SigningKey};
use serde_json::{Value, json};

use crate::program::{Server, config, things};

/// An issuer, a Keystone, and a server that takes their word.
struct Rig {
    key: SigningKey,
    issuer: FakeIssuer,
    keystone: FakeKeystone,
    target: FakeTarget,
    home: Home,
}

impl Rig {
    async fn new() -> Self {
        let key = SigningKey::p256("a");
        let issuer = FakeIssuer::start(&[&key]).await;
        let keystone = FakeKeystone::start("2099-01-01T00:00:00.000000Z").await;
        let target = FakeTarget::start().await;
        let home = Home::new("");
        let rig = Self { key, issuer, keystone, target, home };
        std::fs::write(rig.home.path().join("password"), "s3cret\n").unwrap();
        rig.configure("{ roles = [\"submit\", \"read\"], targets = [\"tokyo\"] }");
        rig
    }

    /// With what the role `user` of the issuer is worth.
    fn configure(&self, user: &str) {
        let auth = format!(
            "[[auth.issuers]]\nname = \"idp\"\nissuer = \"{}\"\naudience = \"fanfold\"\nname_claim = \"email\"\n\
             tenant_claim = \"org\"\nroles_claim = \"realm_access.roles\"\nroles = {{ user = {user} }}\n\
             [auth.keystone]\nurl = \"{}/v3\"\nusername = \"fanfold\"\npassword = \"${{file:password}}\"\n\
             project = \"service\"\ntenants = {{ id-of-ops = \"default\" }}\n\
             roles = {{ member = [\"submit\", \"read\"], admin = [\"admin\"] }}\n",
            self.issuer.url(),
            self.keystone.url()
        );
        self.home.configure(&config(&[("tokyo", &self.target)], &format!("{auth}{}", things(&["tokyo"]))));
    }

    /// A token of the issuer for this audience.
    fn token(&self, audience: &str) -> String {
        // Far enough in the future for whenever this runs.
        self.token_until(audience, 4_000_000_000)
    }

    /// The same, which expires at this second.
    fn token_until(&self, audience: &str, exp: i64) -> String {
        self.key.token(&json!({
            "iss": self.issuer.url(), "aud": audience, "sub": "7", "email": "alice@acme.example", "org": "acme",
            "exp": exp, "realm_access": { "roles": ["user"] },
        }))
    }

    /// Takes the issuer out of the configuration.
    fn without_issuer(&self) {
        let written = std::fs::read_to_string(self.home.path().join("fanfold.toml")).unwrap();
        let (before, rest) = written.split_once("[[auth.issuers]]").unwrap();
        let (_, after) = rest.split_once("[auth.keystone]").unwrap();
        self.home.configure(&format!("{before}[auth.keystone]{after}"));
    }
}

fn bearer(server: &Server, token: &str) -> Http {
    Http::new(&server.url).with("authorization", &format!("Bearer {token}"))
}

fn auth_token(server: &Server, token: &str) -> Http {
    Http::new(&server.url).with("x-auth-token", token)
}

async fn caller(http: &Http) -> HttpAnswer {
    http.get("/api/v1/caller").await
}

fn fields(caller: &Value) -> [&Value; 5] {
    ["name", "tenant", "credential", "roles", "targets"].map(|field| &caller[field])
}

#[tokio::test]
async fn callers_are_who_their_issuers_say_and_see_what_is_theirs() {
    let rig = Rig::new().await;
    rig.keystone.issue("bobs", "bob", "lab", &["member"]);
    rig.keystone.issue("carols", "carol", "ops", &["admin"]);
    let server = Server::start(&rig.home).await;
    assert_eq!(server.get("/api/v1/caller").await.status, 401);

    let alice = bearer(&server, &rig.token("fanfold"));
    let said = caller(&alice).await.json();
    let expected = json!(["alice@acme.example (idp)", "acme", "issuer", ["submit", "read"], ["tokyo"]]);
    assert_eq!(json!(fields(&said)), expected);
    let (bob, carol) = (auth_token(&server, "bobs"), auth_token(&server, "carols"));
    let said = caller(&bob).await.json();
    assert_eq!(
        json!(fields(&said)),
        json!(["bob@Default (keystone)", "id-of-lab", "issuer", ["submit", "read"], null])
    );
    assert_eq!(caller(&carol).await.json()["tenant"], "default");

    let accepted = alice.put("/things/1", &json!({})).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let path = format!("/api/v1/operations/{}?wait=10s", accepted.json()["id"].as_str().unwrap());
    assert_eq!(alice.get(&path).await.json()["status"], "completed");
    assert_eq!(bob.get(&path).await.status, 404, "another tenant's");
    let sent = rig.target.wait_for(1).await;
    assert!(sent[0].header("authorization").is_none(), "the token is for nobody else");

    for bad in
        [rig.token("another"), "x.y.z".to_owned(), SigningKey::p256("a").token(&json!({ "iss": rig.issuer.url() }))]
    {
        let refused = caller(&bearer(&server, &bad)).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
    }
    assert_eq!(caller(&auth_token(&server, "mallorys")).await.status, 401);
    let shown = carol.get("/metrics").await.text();
    for line in [
        "fanfold_credentials_total{issuer=\"idp\",result=\"verified\"}",
        "fanfold_credentials_total{issuer=\"keystone\",result=\"refused\"} 1\n",
        "fanfold_issuer_keys_age_seconds{issuer=\"idp\"}",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let printed = server.stop().await;
    for secret in ["s3cret", "service-token", "bobs", "carols", &rig.token("fanfold")[..40]] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}

#[tokio::test]
async fn a_reload_changes_what_roles_are_worth_while_issuers_are_away() {
    let mut rig = Rig::new().await;
    let server = Server::start(&rig.home).await;
    let alice = bearer(&server, &rig.token("fanfold"));
    assert_eq!(caller(&alice).await.status, 200);
    rig.issuer.target_mut().stop().await;
    rig.keystone.target_mut().stop().await;
    rig.configure("[\"operate\"]");
    server.process.reload();
    server.process.line("the configuration was reloaded").await;
    assert_eq!(caller(&alice).await.json()["roles"], json!(["operate"]));

    // Whoever is not known yet is to come again.
    let later = caller(&auth_token(&server, "bobs")).await;
    assert_eq!((later.status, later.header("retry-after").is_some()), (503, true), "{}", later.text());
    server.process.line("the issuer of credentials cannot be asked").await;
}

/// Signs in with what somebody wrote, and gives the cookie with what the browser was told of it.
async fn sign_in(server: &Server, token: &str) -> (Http, String) {
    let own = Http::new(&server.url).with("sec-fetch-site", "same-origin");
    let answer = own.request("POST", "/ui/sign-in", format!("token={token}").as_bytes()).await;
    let field = answer.header("set-cookie").unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    let cookie = field.split(';').next().unwrap();
    (own.with("cookie", cookie), field)
}

#[tokio::test]
async fn whoever_is_vouched_for_signs_in_to_the_console_for_as_long_as_their_issuer_counts() {
    let rig = Rig::new().await;
    rig.keystone.issue("bobs", "bob", "lab", &["member"]);
    let server = Server::start(&rig.home).await;
    let (alice, lasts) = sign_in(&server, &rig.token("fanfold")).await;
    assert!(lasts.contains("; Max-Age=43200;"), "{lasts}");
    let page = alice.get("/ui").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("alice@acme.example (idp) <span class=\"quiet\">of acme</span>"), "{}", page.text());
    // Nobody says of which kind a token is that is written.
    let (bob, _) = sign_in(&server, "bobs").await;
    assert!(bob.get("/ui").await.text().contains("bob@Default (keystone)"));
    let (_, lasts) = sign_in(&server, &rig.token_until("fanfold", SystemClock.now().as_second() + 600)).await;
    let lasts: u32 = lasts.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    assert!(lasts <= 630, "a session is good no longer than the token is taken: {lasts}");

    rig.without_issuer();
    server.process.reload();
    server.process.line("the configuration was reloaded").await;
    assert_eq!((alice.get("/ui").await.status, bob.get("/ui").await.status), (303, 200));
}

/// Goal: whoever is let in by a token that has expired just now is answered as anybody is. Clocks may differ by half a minute.
#[tokio::test]
async fn a_token_that_expired_a_moment_ago_is_good_for_the_whole_of_a_request() {
    let rig = Rig::new().await;
    let server = Server::start(&rig.home).await;
    let alice = bearer(&server, &rig.token_until("fanfold", SystemClock.now().as_second() - 10));
    let accepted = alice.put("/things/1", &json!({})).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
}

#[tokio::test]
async fn an_issuer_that_is_taken_out_ends_what_is_open_by_its_word() {
    let rig = Rig::new().await;
    let server = Server::start(&rig.home).await;
    let shown = format!("authorization: Bearer {}", rig.token("fanfold"));
    let mut events = Http::new(&server.url).open().await;
    events.send(format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n{shown}\r\n\r\n").as_bytes()).await;
    assert!(events.until("\r\n\r\n").await.contains(" 200 "));
    rig.without_issuer();
    server.process.reload();
    events.until("0\r\n\r\n").await;
}
