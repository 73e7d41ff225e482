//! Issuers that are slow, broken or lie: whatever they say, nobody gets in by it, and nothing here is used up.

use std::time::Duration;

use fanfold_engine::identity::{Config, Issuers, KeysFrom, Metrics, NotVerified};
use fanfold_testkit::{Answer, FakeIssuer, FakeTarget, Latch, Reply, SigningKey};
use prometheus_client::registry::Registry;
use serde_json::{Value as Json, json};

use super::{claims, issuer_config, now, pass};

struct Rig {
    key: SigningKey,
    issuer: FakeIssuer,
    issuers: Issuers,
    metrics: Metrics,
    token: String,
}

impl Rig {
    async fn new() -> Self {
        let key = SigningKey::p256("a");
        let issuer = FakeIssuer::start(&[&key]).await;
        let metrics = Metrics::default();
        let issuers = Issuers::new(metrics.clone());
        let config = issuer_config(&issuer.url(), KeysFrom::Discovery(issuer.url().parse().unwrap()));
        issuers.replace(Config { issuers: vec![config], keystone: None }).unwrap();
        let token = key.token(&claims(&issuer.url()));
        Self { key, issuer, issuers, metrics, token }
    }

    async fn is_taken(&self) -> bool {
        match self.issuers.verify_bearer(&self.token, now()).await {
            Ok(_) => true,
            Err(NotVerified::Unavailable { .. }) => false,
            Err(NotVerified::Refused(reason)) => panic!("{reason}"),
        }
    }

    fn document(&self, change: impl FnOnce(&mut Json)) -> Answer {
        let url = self.issuer.url();
        let mut document = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        change(&mut document);
        Answer::json(200, &document)
    }

    /// What the metrics show.
    fn shown(&self) -> String {
        let mut registry = Registry::default();
        self.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }
}

#[tokio::test]
async fn a_document_that_leads_elsewhere_is_not_followed() {
    let elsewhere = FakeTarget::start().await;
    let rig = Rig::new().await;
    elsewhere.on("GET", "/keys", Answer::json(200, &json!({ "keys": [rig.key.jwk()] })));
    let url = rig.issuer.url();
    let lies: Vec<(&str, Reply)> = vec![
        ("another issuer", rig.document(|said| said["issuer"] = json!("https://evil.example")).into()),
        ("a slash more", rig.document(|said| said["issuer"] = json!(format!("{url}/"))).into()),
        (
            "keys at another port",
            rig.document(|said| said["jwks_uri"] = json!(format!("{}/keys", elsewhere.url()))).into(),
        ),
        (
            "keys at another name",
            rig.document(|said| said["jwks_uri"] = json!(url.replace("127.0.0.1", "localhost"))).into(),
        ),
        ("keys without TLS", rig.document(|said| said["jwks_uri"] = json!("http://idp.example/keys")).into()),
        ("keys in a file", rig.document(|said| said["jwks_uri"] = json!("file:///etc/passwd")).into()),
        ("keys with a password", rig.document(|said| said["jwks_uri"] = json!("https://a:b@idp.example/keys")).into()),
        ("no keys", rig.document(|said| drop(said.as_object_mut().unwrap().remove("jwks_uri"))).into()),
        ("a list", Answer::json(200, &json!([])).into()),
        ("a page", Answer::text(200, "<html>log in</html>").into()),
        ("nothing", Answer::empty(204).into()),
        ("a redirect", Answer::empty(302).header("location", format!("{}/x", elsewhere.url())).into()),
        ("an error", Answer::empty(500).into()),
        ("too much", Answer::text(200, " ".repeat(64 * 1024 + 1)).into()),
    ];
    for (what, lie) in lies {
        rig.issuer.target().once("GET", FakeIssuer::DISCOVERY, lie);
        assert!(!rig.is_taken().await, "{what}");
        pass(Duration::from_secs(10)).await;
    }
    assert_eq!(rig.issuer.readings(), 0);
    assert!(elsewhere.seen().is_empty());
    assert!(rig.is_taken().await);
}

#[tokio::test]
async fn keys_that_are_none_do_not_take_the_place_of_good_ones() {
    let rig = Rig::new().await;
    assert!(rig.is_taken().await);
    let elsewhere = format!("{}/other", rig.issuer.url());
    let lies: Vec<(&str, Reply)> = vec![
        ("none", Answer::json(200, &json!({ "keys": [] })).into()),
        ("a secret", Answer::json(200, &json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "a" }] })).into()),
        ("a page", Answer::text(200, "<html>log in</html>").into()),
        ("too much", Answer::text(200, " ".repeat(256 * 1024 + 1)).into()),
        ("half of it", Reply::Half(Answer::json(200, &json!({ "keys": [rig.key.jwk()] })), 20)),
        ("less than it says", Reply::WrongLength(Answer::json(200, &json!({ "keys": [rig.key.jwk()] })), 10_000)),
        ("nothing", Reply::Close { applied: false }),
        ("a reset", Reply::Reset { applied: false }),
        ("a redirect", Answer::empty(307).header("location", elsewhere).into()),
        ("an error", Answer::json(500, &json!({ "keys": [rig.key.jwk()] })).into()),
        ("no HTTP", Reply::Raw(b"hello\r\n\r\n".to_vec().into())),
        (
            "another protocol",
            Reply::Raw(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec().into(),
            ),
        ),
    ];
    for (what, lie) in lies {
        // Old enough to be waited for.
        pass(Duration::from_secs(3600)).await;
        let before = rig.issuer.readings();
        rig.issuer.target().once("GET", FakeIssuer::KEYS, lie);
        assert!(rig.is_taken().await, "{what}");
        assert_eq!(rig.issuer.readings(), before + 1, "{what}");
    }
    assert!(
        rig.shown().contains("fanfold_issuer_requests_total{issuer=\"idp\",result=\"failed\"} 12\n"),
        "{}",
        rig.shown()
    );
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_or_only_slowly_is_not_waited_for_without_end() {
    let rig = Rig::new().await;
    let latch = Latch::new();
    let keys = Answer::json(200, &json!({ "keys": [rig.key.jwk()] }));
    for (slow, asked) in [
        (Reply::Never { applied: false }, 2),
        // Piece by piece, each of which comes in time.
        (Reply::Slow(keys, 1, latch.clone()), 4),
    ] {
        rig.issuer.target().once("GET", FakeIssuer::KEYS, slow);
        let taken = tokio::join!(rig.is_taken(), async {
            rig.issuer.target().wait_for(asked).await;
            for _ in 0..5 {
                latch.let_through(1);
                pass(Duration::from_secs(1)).await;
            }
        });
        assert!(!taken.0);
        pass(Duration::from_secs(10)).await;
    }
    assert!(rig.is_taken().await);
}

#[tokio::test]
async fn what_came_of_tokens_is_counted() {
    let rig = Rig::new().await;
    assert!(rig.is_taken().await && rig.is_taken().await);
    let stranger = SigningKey::p256("a").token(&claims(&rig.issuer.url()));
    let foreign = rig.key.token(&claims("https://evil.example"));
    for token in [stranger.as_str(), &foreign, "x"] {
        assert!(rig.issuers.verify_bearer(token, now()).await.is_err());
    }
    assert!(rig.issuers.verify_keystone("x", now()).await.is_err());
    let shown = rig.shown();
    for line in [
        "fanfold_credentials_total{issuer=\"idp\",result=\"verified\"} 2\n",
        "fanfold_credentials_total{issuer=\"idp\",result=\"refused\"} 1\n",
        "fanfold_credentials_total{issuer=\"unknown\",result=\"refused\"} 3\n",
        "fanfold_issuer_requests_total{issuer=\"idp\",result=\"answered\"} 1\n",
        "fanfold_issuer_keys_age_seconds{issuer=\"idp\"} ",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
}
