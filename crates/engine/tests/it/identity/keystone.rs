//! A Keystone over real sockets: it is asked, its answers are remembered, and it is left alone when it ails.

use std::time::Duration;

use fanfold_core::access::Role;
use fanfold_engine::identity::{
    Config, Credentials, Grant, Grants, Identity, Issuers, KeystoneConfig, KeystoneTenant, Metrics, NotVerified, Owned,
    Password, Reason, TenantNames,
};
use fanfold_testkit::{Answer, FakeKeystone, Latch, Reply, Seen};
use futures_util::future::join_all;
use jiff::Timestamp;

use super::pass;

const EXPIRES: &str = "2026-06-01T13:00:00.000000Z";

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn config(keystone: &FakeKeystone) -> KeystoneConfig {
    let owned = |name: &str| Owned { name: name.to_owned(), domain: "Default".to_owned() };
    let grant = Grant { roles: [Role::Submit, Role::Read].into(), ..Grant::default() };
    KeystoneConfig {
        address: keystone.url().parse().unwrap(),
        credentials: Credentials::Password {
            user: owned("fanfold"),
            password: Password::new("s3cret".to_owned()),
            project: owned("service"),
        },
        authorities: Vec::new(),
        cache: Duration::from_secs(60),
        tenant: KeystoneTenant::ProjectId(TenantNames::default()),
        grants: Grants([("member".to_owned(), grant)].into()),
    }
}

fn issuers(config: KeystoneConfig) -> Issuers {
    let issuers = Issuers::new(Metrics::default());
    issuers.replace(Config { issuers: Vec::new(), keystone: Some(config) }).unwrap();
    issuers
}

async fn rig() -> (FakeKeystone, Issuers) {
    let keystone = FakeKeystone::start(EXPIRES).await;
    keystone.issue("alices", "alice", "lab", &["member", "reader"]);
    let issuers = issuers(config(&keystone));
    (keystone, issuers)
}

async fn show(issuers: &Issuers, token: &str) -> Result<Identity, NotVerified> {
    issuers.verify_keystone(token, now()).await
}

fn wait_of(outcome: &Result<Identity, NotVerified>) -> Option<Duration> {
    match outcome {
        Err(NotVerified::Unavailable { retry_after }) => Some(*retry_after),
        Ok(_) | Err(NotVerified::Refused(_)) => None,
    }
}

#[tokio::test]
async fn keystone_is_asked_once_about_a_token_however_many_show_it() {
    let (keystone, issuers) = rig().await;
    assert!(issuers.has_keystone() && !issuers.has_issuers());
    let outcomes = join_all((0..50).map(|_| show(&issuers, "alices"))).await;
    let identity = outcomes.into_iter().map(Result::unwrap).next_back().unwrap();
    assert_eq!((identity.name.as_str(), identity.issuer.as_str()), ("alice@Default", "keystone"));
    assert_eq!(
        (identity.access.tenant, identity.access.roles),
        ("id-of-lab".into(), [Role::Submit, Role::Read].into())
    );
    assert_eq!(identity.expires_at, Some(EXPIRES.parse().unwrap()));
    assert_eq!((keystone.logins(), keystone.looks()), (1, 1));
    let [login, look]: [Seen; 2] = keystone.target().seen().try_into().unwrap();
    assert_eq!((login.uri.as_str(), look.uri.as_str()), ("/v3/auth/tokens?nocatalog", "/v3/auth/tokens?nocatalog"));
    assert!(look.header("openstack-identity-access-rules").is_none(), "we cannot heed access rules, and do not say so");
}

#[tokio::test]
async fn what_keystone_said_holds_for_a_while_and_never_longer_than_the_token() {
    let (keystone, issuers) = rig().await;
    assert!(show(&issuers, "alices").await.is_ok());
    pass(Duration::from_secs(59)).await;
    keystone.revoke("alices");
    assert!(show(&issuers, "alices").await.is_ok());
    let later: Timestamp = "2026-06-01T13:00:00Z".parse().unwrap();
    let expired = issuers.verify_keystone("alices", later).await;
    assert!(matches!(expired, Err(NotVerified::Refused(Reason::Expired(_)))), "{expired:?}");
    assert_eq!(keystone.looks(), 1);
    pass(Duration::from_secs(1)).await;
    assert_eq!(show(&issuers, "alices").await, Err(NotVerified::Refused(Reason::Unknown)));
    assert_eq!(keystone.looks(), 2);
}

#[tokio::test]
async fn a_token_that_is_not_known_is_refused_and_asked_about_again_after_a_moment() {
    let (keystone, issuers) = rig().await;
    for _ in 0..5 {
        assert_eq!(show(&issuers, "bobs").await, Err(NotVerified::Refused(Reason::Unknown)));
    }
    assert_eq!(keystone.looks(), 1);
    keystone.issue("bobs", "bob", "lab", &[]);
    pass(Duration::from_secs(10)).await;
    let bob = show(&issuers, "bobs").await.unwrap();
    assert!(bob.access.roles.is_empty(), "known, and may nothing");
}

#[tokio::test]
async fn what_no_header_can_carry_is_not_asked_about() {
    let (keystone, issuers) = rig().await;
    for bad in ["", "a b", "a\r\nx-auth-token: b", "é", "a\0b", "a\tb", " alices"] {
        let refused = show(&issuers, bad).await;
        assert!(matches!(refused, Err(NotVerified::Refused(Reason::Malformed(_)))), "{bad:?}: {refused:?}");
    }
    let long = show(&issuers, &"x".repeat(8 * 1024 + 1)).await;
    assert_eq!(long, Err(NotVerified::Refused(Reason::TooLong)));
    assert!(keystone.target().seen().is_empty());
}

#[tokio::test]
async fn our_own_token_is_renewed_before_its_end_and_when_it_is_not_taken_any_more() {
    let (keystone, issuers) = rig().await;
    for number in 1..=20 {
        keystone.issue(&format!("t{number}"), "alice", "lab", &["member"]);
    }
    assert!(show(&issuers, "t1").await.is_ok());
    keystone.revoke_services();
    // All of those who come meanwhile get along with one new one.
    let outcomes = join_all((2..=9).map(|number| {
        let issuers = &issuers;
        async move { show(issuers, &format!("t{number}")).await }
    }));
    assert!(outcomes.await.iter().all(Result::is_ok));
    assert_eq!(keystone.logins(), 2);
    keystone.expire_at("2026-06-01T14:00:00.000000Z");
    keystone.issue("t10", "alice", "lab", &["member"]);
    let soon: Timestamp = "2026-06-01T12:59:00Z".parse().unwrap();
    assert!(issuers.verify_keystone("t10", soon).await.is_ok());
    assert_eq!(keystone.logins(), 3);
}

#[tokio::test]
async fn an_application_credential_does_as_well() {
    let keystone = FakeKeystone::start(EXPIRES).await;
    keystone.issue("alices", "alice", "lab", &["member"]);
    let credentials = Credentials::Application { id: "1f".to_owned(), secret: Password::new("s3cret".to_owned()) };
    let issuers = issuers(KeystoneConfig { credentials, ..config(&keystone) });
    assert!(show(&issuers, "alices").await.is_ok());
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_and_again() {
    let keystone = FakeKeystone::start(EXPIRES).await;
    let credentials = Credentials::Application { id: "1f".to_owned(), secret: Password::new("wrong".to_owned()) };
    let issuers = issuers(KeystoneConfig { credentials, ..config(&keystone) });
    for round in 1..=2 {
        let outcomes = join_all((0..50).map(|number| {
            let issuers = &issuers;
            async move { show(issuers, &format!("t{number}")).await }
        }));
        assert!(outcomes.await.iter().all(|outcome| wait_of(outcome).is_some()));
        assert!(wait_of(&show(&issuers, "another").await).unwrap() > Duration::from_secs(20));
        assert_eq!((keystone.logins(), keystone.looks()), (round, 0));
        pass(Duration::from_secs(30)).await;
    }
}

#[tokio::test]
async fn tokens_of_ours_that_are_never_taken_do_not_go_round_in_circles() {
    let (keystone, issuers) = rig().await;
    keystone.target().on("GET", FakeKeystone::TOKENS, Answer::empty(401));
    assert!(wait_of(&show(&issuers, "alices").await).is_some());
    assert_eq!((keystone.logins(), keystone.looks()), (2, 2));
    assert!(wait_of(&show(&issuers, "bobs").await).is_some());
    assert_eq!((keystone.logins(), keystone.looks()), (2, 2));
}

#[tokio::test]
async fn a_keystone_that_ails_is_left_alone_and_what_it_said_holds() {
    let (mut keystone, issuers) = rig().await;
    assert!(show(&issuers, "alices").await.is_ok());
    for (answer, least) in [
        (Answer::empty(503), 2),
        (Answer::empty(503).header("retry-after", "30"), 30),
        (Answer::empty(429).header("retry-after", "86400"), 60),
        (Answer::empty(403), 2),
    ] {
        keystone.target().once("GET", FakeKeystone::TOKENS, answer);
        let before = keystone.looks();
        let wait = wait_of(&show(&issuers, "bobs").await).unwrap();
        assert_eq!(wait, Duration::from_secs(least));
        assert!(wait_of(&show(&issuers, "carols").await).is_some());
        assert!(show(&issuers, "alices").await.is_ok());
        assert_eq!(keystone.looks(), before + 1);
        pass(wait).await;
        assert!(show(&issuers, "alices").await.is_ok());
    }
    keystone.target_mut().stop().await;
    assert!(wait_of(&show(&issuers, "dans").await).is_some());
    assert!(show(&issuers, "alices").await.is_ok());
    keystone.target_mut().start_again().await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(show(&issuers, "dans").await, Err(NotVerified::Refused(Reason::Unknown)));
}

#[tokio::test]
async fn a_token_that_keystone_stumbles_over_keeps_nobody_else_out() {
    let (keystone, issuers) = rig().await;
    assert!(show(&issuers, "alices").await.is_ok());
    for (number, stumble) in [
        Answer::empty(500),
        Answer::text(200, "{\"token\": {}}"),
        Answer::empty(302).header("location", "http://127.0.0.1:1/"),
    ]
    .into_iter()
    .enumerate()
    {
        let (bad, good) = (format!("bad{number}"), format!("good{number}"));
        keystone.issue(&good, "bob", "lab", &["member"]);
        keystone.target().once("GET", FakeKeystone::TOKENS, stumble);
        assert!(wait_of(&show(&issuers, &bad).await).is_some());
        assert!(show(&issuers, &good).await.is_ok(), "{number}");
    }
}

#[tokio::test]
async fn questions_beyond_what_may_be_asked_at_once_are_for_later() {
    let (keystone, issuers) = rig().await;
    let latch = Latch::new();
    keystone.target().on("GET", FakeKeystone::TOKENS, Reply::from(Answer::empty(404)).after(&latch));
    let tokens: Vec<String> = (0..600).map(|number| format!("t{number}")).collect();
    let outcomes = join_all(tokens.iter().map(|token| show(&issuers, token)));
    let (outcomes, ()) = tokio::join!(outcomes, async {
        // One for our own token.
        keystone.target().wait_for(1 + 32).await;
        assert_eq!(keystone.looks(), 32);
        latch.open();
    });
    let later = outcomes.iter().filter(|outcome| wait_of(outcome) == Some(Duration::from_secs(1))).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(NotVerified::Refused(_)))).count();
    assert_eq!((refused, later), (512, 88));
}

#[tokio::test]
async fn those_who_wait_to_be_asked_about_hear_that_keystone_ails() {
    let (keystone, issuers) = rig().await;
    let latch = Latch::new();
    keystone.target().on("GET", FakeKeystone::TOKENS, Reply::from(Answer::empty(503)).after(&latch));
    let tokens: Vec<String> = (0..100).map(|number| format!("t{number}")).collect();
    let (outcomes, ()) = tokio::join!(join_all(tokens.iter().map(|token| show(&issuers, token))), async {
        keystone.target().wait_for(1 + 32).await;
        latch.open();
    });
    assert!(outcomes.iter().all(|outcome| wait_of(outcome).is_some()));
    assert_eq!(keystone.looks(), 32);
}

#[tokio::test]
async fn a_reload_that_changes_something_forgets_what_was_said() {
    let (keystone, issuers) = rig().await;
    assert!(show(&issuers, "alices").await.is_ok());
    let replace = |config| issuers.replace(Config { issuers: Vec::new(), keystone: Some(config) }).unwrap();
    replace(config(&keystone));
    assert!(show(&issuers, "alices").await.is_ok());
    assert_eq!(keystone.looks(), 1);
    replace(KeystoneConfig { grants: Grants::default(), ..config(&keystone) });
    assert!(show(&issuers, "alices").await.unwrap().access.roles.is_empty());
    assert_eq!(keystone.looks(), 2);
}
