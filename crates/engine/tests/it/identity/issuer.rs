//! An issuer over real sockets: its keys are found, kept, renewed and missed.

use std::time::Duration;

use fanfold_core::access::Role;
use fanfold_engine::identity::{
    Config, Grant, Identity, IssuerConfig, IssuerTenant, Issuers, KeySet, KeysFrom, Metrics, NotVerified, Reason,
};
use fanfold_testkit::fake::AUTHORITY;
use fanfold_testkit::{Answer, FakeIssuer, Latch, Reply, SigningKey};
use futures_util::future::join_all;
use serde_json::json;
use tokio::task::JoinSet;

use super::{claims, issuer_config, now, pass};

fn discovered(issuer: &FakeIssuer) -> IssuerConfig {
    issuer_config(&issuer.url(), KeysFrom::Discovery(issuer.url().parse().unwrap()))
}

fn issuers(configs: impl IntoIterator<Item = IssuerConfig>) -> Issuers {
    let issuers = Issuers::new(Metrics::default());
    issuers.replace(config(configs)).unwrap();
    issuers
}

fn config(configs: impl IntoIterator<Item = IssuerConfig>) -> Config {
    Config { issuers: configs.into_iter().collect(), keystone: None }
}

async fn show(issuers: &Issuers, token: &str) -> Result<Identity, NotVerified> {
    issuers.verify_bearer(token, now()).await
}

fn is_unavailable(outcome: &Result<Identity, NotVerified>) -> bool {
    matches!(outcome, Err(NotVerified::Unavailable { retry_after }) if !retry_after.is_zero())
}

fn is_unknown_key(outcome: &Result<Identity, NotVerified>) -> bool {
    matches!(outcome, Err(NotVerified::Refused(Reason::NoSuchKey(_))))
}

#[tokio::test]
async fn keys_are_found_by_the_issuer_and_read_once_however_many_ask() {
    let key = SigningKey::p256("a");
    let issuer = FakeIssuer::start(&[&key]).await;
    let issuers = issuers([discovered(&issuer)]);
    assert!(issuers.has_issuers() && !issuers.has_keystone());
    let token = key.token(&claims(&issuer.url()));
    let outcomes = join_all((0..50).map(|_| show(&issuers, &token))).await;
    for outcome in outcomes {
        assert_eq!(outcome.unwrap().name, "alice");
    }
    assert_eq!(issuer.readings(), 1);
    let asked = issuer.target().seen();
    assert_eq!(asked[0].path(), FakeIssuer::DISCOVERY);
    assert_eq!((asked[1].path(), asked[1].header("accept")), (FakeIssuer::KEYS, Some("application/json")));
    assert!(asked.iter().all(|request| request.header("authorization").is_none()), "nobody is told of the token");
}

#[tokio::test]
async fn an_issuer_below_a_path_is_asked_there_and_over_tls_by_its_authority() {
    let key = SigningKey::ed25519("a");
    let issuer = FakeIssuer::start_tls(&[&key]).await;
    let url = format!("{}/realms/x", issuer.url());
    let document = json!({ "issuer": url, "jwks_uri": format!("{}/keys", issuer.url()) });
    issuer.target().on("GET", "/realms/x/.well-known/openid-configuration", Answer::json(200, &document));
    let mut config = issuer_config(&url, KeysFrom::Discovery(url.parse().unwrap()));
    let token = key.token(&claims(&url));
    assert!(is_unavailable(&show(&issuers([config.clone()]), &token).await), "nobody vouches for it");
    config.authorities = AUTHORITY.as_bytes().to_vec();
    assert_eq!(show(&issuers([config]), &token).await.unwrap().name, "alice");
}

#[tokio::test]
async fn keys_at_an_address_of_their_own_and_keys_at_hand_need_no_document() {
    let key = SigningKey::rsa("a");
    let issuer = FakeIssuer::start(&[&key]).await;
    let address = format!("{}/keys?tenant=x", issuer.url());
    issuer.target().on("GET", FakeIssuer::DISCOVERY, Answer::empty(500));
    let token = key.token(&claims("urn:anything"));
    let by_address = issuers([issuer_config("urn:anything", KeysFrom::Address(address.parse().unwrap()))]);
    assert!(show(&by_address, &token).await.is_ok());
    assert_eq!(issuer.target().seen()[0].uri, "/keys?tenant=x");
    let set = KeySet::read(json!({ "keys": [key.jwk()] }).to_string().as_bytes()).unwrap();
    let at_hand = issuers([issuer_config("urn:anything", KeysFrom::Given(set))]);
    assert!(show(&at_hand, &token).await.is_ok());
    let stranger = SigningKey::rsa("b").token(&claims("urn:anything"));
    assert!(is_unknown_key(&show(&at_hand, &stranger).await));
    assert_eq!(issuer.readings(), 1);
}

#[tokio::test]
async fn a_new_key_is_taken_on_and_an_old_one_dropped() {
    let (old, new) = (SigningKey::p256("old"), SigningKey::p256("new"));
    let issuer = FakeIssuer::start(&[&old]).await;
    let issuers = issuers([discovered(&issuer)]);
    let [by_old, by_new] = [&old, &new].map(|key| key.token(&claims(&issuer.url())));
    assert!(show(&issuers, &by_old).await.is_ok());
    issuer.publish(&[&new]);
    // It was asked a moment ago.
    assert!(is_unknown_key(&show(&issuers, &by_new).await));
    assert_eq!(issuer.readings(), 1);
    pass(Duration::from_secs(30)).await;
    assert!(show(&issuers, &by_new).await.is_ok());
    assert!(is_unknown_key(&show(&issuers, &by_old).await));
    assert_eq!(issuer.readings(), 2);
}

#[tokio::test]
async fn a_new_key_without_a_name_is_taken_on_too() {
    let (old, new) = (SigningKey::p256("a"), SigningKey::p256("a"));
    let issuer = FakeIssuer::start(&[&old]).await;
    let issuers = issuers([discovered(&issuer)]);
    let nameless = |key: &SigningKey| key.token_with(&json!({ "alg": "ES256" }), &claims(&issuer.url()));
    assert!(show(&issuers, &nameless(&old)).await.is_ok());
    issuer.publish(&[&new]);
    pass(Duration::from_secs(30)).await;
    assert!(show(&issuers, &nameless(&new)).await.is_ok());
    assert_eq!(show(&issuers, &nameless(&old)).await, Err(NotVerified::Refused(Reason::Signature)));
}

#[tokio::test]
async fn a_storm_of_names_that_are_made_up_makes_the_issuer_be_asked_once() {
    let (key, stranger) = (SigningKey::p256("a"), SigningKey::p256("x"));
    let issuer = FakeIssuer::start(&[&key]).await;
    let issuers = issuers([discovered(&issuer)]);
    let good = key.token(&claims(&issuer.url()));
    assert!(show(&issuers, &good).await.is_ok());
    for round in 1..=3 {
        pass(Duration::from_secs(30)).await;
        let made_up: Vec<String> = (0..200)
            .map(|number| {
                let header = json!({ "alg": "ES256", "kid": format!("{round}-{number}") });
                stranger.token_with(&header, &claims(&issuer.url()))
            })
            .collect();
        let outcomes = join_all(made_up.iter().map(|token| show(&issuers, token))).await;
        assert!(outcomes.iter().all(is_unknown_key));
        // One after the other neither.
        for token in &made_up[..10] {
            assert!(is_unknown_key(&show(&issuers, token).await));
        }
        assert_eq!(issuer.readings(), 1 + round);
    }
    // Tokens of nobody here do not make anybody be asked.
    let foreign = stranger.token(&claims("https://evil.example"));
    let refused = show(&issuers, &foreign).await;
    assert!(matches!(refused, Err(NotVerified::Refused(Reason::UnknownIssuer(_)))), "{refused:?}");
    assert_eq!(issuer.target().connections(), issuer.target().seen().last().unwrap().connection + 1);
    assert!(show(&issuers, &good).await.is_ok(), "whoever has a good token never waits for that");
}

#[tokio::test]
async fn whoever_shows_a_new_key_while_keys_are_read_waits_for_them() {
    let (old, new) = (SigningKey::p256("old"), SigningKey::p256("new"));
    let issuer = FakeIssuer::start(&[&old]).await;
    let issuers = issuers([discovered(&issuer)]);
    let [by_old, by_new] = [&old, &new].map(|key| key.token(&claims(&issuer.url())));
    assert!(show(&issuers, &by_old).await.is_ok());
    pass(Duration::from_secs(3600)).await;
    issuer.publish(&[&old, &new]);
    let latch = Latch::new();
    let document = json!({ "issuer": issuer.url(), "jwks_uri": format!("{}/keys", issuer.url()) });
    issuer.target().once("GET", FakeIssuer::DISCOVERY, Reply::from(Answer::json(200, &document)).after(&latch));
    let mut waiting = JoinSet::new();
    for token in [by_old, by_new.clone(), by_new] {
        let issuers = issuers.clone();
        waiting.spawn(async move { show(&issuers, &token).await.is_ok() });
    }
    issuer.target().wait_for(3).await;
    latch.open();
    assert_eq!(waiting.join_all().await, [true, true, true]);
    assert_eq!(issuer.readings(), 2);
}

#[tokio::test]
async fn keys_are_read_ahead_of_their_time_while_nobody_waits() {
    let key = SigningKey::p256("a");
    let issuer = FakeIssuer::start(&[&key]).await;
    let issuers = issuers([discovered(&issuer)]);
    let token = key.token(&claims(&issuer.url()));
    assert!(show(&issuers, &token).await.is_ok());
    pass(Duration::from_secs(44 * 60)).await;
    assert!(show(&issuers, &token).await.is_ok());
    assert_eq!(issuer.readings(), 1);
    pass(Duration::from_secs(2 * 60)).await;
    // The answer is held back, and the token taken all the same.
    let latch = Latch::new();
    let keys = json!({ "keys": [key.jwk()] });
    issuer.target().once("GET", FakeIssuer::KEYS, Reply::from(Answer::json(200, &keys)).after(&latch));
    assert!(show(&issuers, &token).await.is_ok());
    issuer.target().wait_for(4).await;
    latch.open();
}

#[tokio::test]
async fn old_keys_hold_on_for_a_day_while_the_issuer_is_away() {
    let key = SigningKey::p256("a");
    let mut issuer = FakeIssuer::start(&[&key]).await;
    let issuers = issuers([discovered(&issuer)]);
    let token = key.token(&claims(&issuer.url()));
    assert!(show(&issuers, &token).await.is_ok());
    issuer.target_mut().stop().await;
    for _ in 0..23 {
        pass(Duration::from_secs(3600)).await;
        assert!(show(&issuers, &token).await.is_ok());
    }
    // A key that is not at hand cannot be told from one that is made up.
    let new = SigningKey::p256("new").token(&claims(&issuer.url()));
    assert!(is_unavailable(&show(&issuers, &new).await));
    pass(Duration::from_secs(3600)).await;
    assert!(is_unavailable(&show(&issuers, &token).await));
    issuer.target_mut().start_again().await;
    assert!(is_unavailable(&show(&issuers, &token).await), "it is left alone for a while");
    pass(Duration::from_secs(10)).await;
    assert!(show(&issuers, &token).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_asked_again_and_again_but_not_by_everybody() {
    let key = SigningKey::p256("a");
    let issuer = FakeIssuer::start(&[&key]).await;
    issuer.target().on("GET", FakeIssuer::KEYS, Answer::empty(503));
    let issuers = issuers([discovered(&issuer)]);
    let token = key.token(&claims(&issuer.url()));
    for round in 1..=3 {
        let outcomes = join_all((0..50).map(|_| show(&issuers, &token))).await;
        assert!(outcomes.iter().all(is_unavailable));
        assert!(is_unavailable(&show(&issuers, &token).await));
        assert_eq!(issuer.readings(), round);
        pass(Duration::from_secs(10)).await;
    }
    issuer.publish(&[&key]);
    assert!(show(&issuers, &token).await.is_ok());
}

#[tokio::test]
async fn a_reload_keeps_the_keys_and_changes_what_roles_are_worth() {
    let key = SigningKey::p256("a");
    let mut issuer = FakeIssuer::start(&[&key]).await;
    let mut configured = discovered(&issuer);
    let issuers = issuers([configured.clone()]);
    let token = key.token(&claims(&issuer.url()));
    assert_eq!(show(&issuers, &token).await.unwrap().access.roles, [Role::Operate].into());
    issuer.target_mut().stop().await;
    let grant = Grant { roles: [Role::Read].into(), ..Grant::default() };
    configured.grants.0.insert("fanfold-operator".to_owned(), grant);
    issuers.replace(config([configured.clone()])).unwrap();
    assert_eq!(show(&issuers, &token).await.unwrap().access.roles, [Role::Read].into());
    // What cannot be set up changes nothing.
    let bad = IssuerConfig { authorities: b"-----BEGIN CERTIFICATE-----\nx".to_vec(), ..configured.clone() };
    assert!(issuers.replace(config([bad])).is_err());
    assert!(show(&issuers, &token).await.is_ok());
    // Nor does what is only made ready.
    let prepared = issuers.prepare(Config::default()).unwrap();
    assert!(show(&issuers, &token).await.is_ok());
    drop(prepared);
    // Keys that are to be read elsewhere are not those.
    let elsewhere = format!("{}/elsewhere", issuer.url());
    configured.keys = KeysFrom::Address(elsewhere.parse().unwrap());
    issuers.replace(config([configured])).unwrap();
    assert!(is_unavailable(&show(&issuers, &token).await));
    issuers.replace(Config::default()).unwrap();
    assert_eq!(show(&issuers, &token).await, Err(NotVerified::Refused(Reason::NoIssuer)));
}

#[tokio::test]
async fn one_issuer_may_stand_there_for_several_audiences() {
    let key = SigningKey::p256("a");
    let issuer = FakeIssuer::start(&[&key]).await;
    let customers = discovered(&issuer);
    let house = IssuerConfig {
        name: "house".to_owned(),
        audience: "fanfold-ops".to_owned(),
        tenant: IssuerTenant::Fixed("default".into()),
        ..discovered(&issuer)
    };
    let issuers = issuers([customers, house]);
    let token = |audience: serde_json::Value| {
        let mut claims = claims(&issuer.url());
        claims["aud"] = audience;
        key.token(&claims)
    };
    let customer = show(&issuers, &token(json!("fanfold"))).await.unwrap();
    assert_eq!((customer.issuer.as_str(), customer.access.tenant), ("idp", "acme".into()));
    let ops = show(&issuers, &token(json!(["x", "fanfold-ops"]))).await.unwrap();
    assert_eq!((ops.issuer.as_str(), ops.access.tenant), ("house", "default".into()));
    let neither = show(&issuers, &token(json!("x"))).await;
    assert!(matches!(neither, Err(NotVerified::Refused(Reason::Audience { .. }))), "{neither:?}");
}
