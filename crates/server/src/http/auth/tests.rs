use fanfold_core::access::Secret;
use fanfold_core::{Access, Role, Scope};
use fanfold_engine::identity::Metrics;
use http::HeaderValue;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[tokio::test]
async fn only_this_machine_is_let_in_without_credentials() {
    let (keyring, issuers) = (Keyring::default(), Issuers::new(Metrics::default()));
    for (peer, name) in [
        ("127.0.0.1:5000", Some("local")),
        ("127.8.7.6:5000", Some("local")),
        ("[::1]:5000", Some("local")),
        ("[::ffff:127.0.0.1]:5000", Some("local")),
        ("192.0.2.7:5000", None),
        ("0.0.0.0:5000", None),
        ("[2001:db8::1]:5000", None),
        ("[::ffff:192.0.2.7]:5000", None),
    ] {
        let caller = Authenticator::Loopback
            .authenticate((&keyring, &issuers), peer.parse().unwrap(), None, &HeaderMap::new(), at(0))
            .await;
        assert_eq!(caller.as_ref().ok().map(|caller| caller.name.as_str()), name, "{peer}");
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_wherever_it_is_shown() {
    let secret = Secret::from_random([1; 32]);
    let access = Access { tenant: "acme".into(), roles: [Role::Read].into(), scope: Scope::default() };
    let token = FixedToken {
        name: "anna".to_owned(),
        digest: secret.digest(),
        access: access.clone(),
        expires_at: Some(at(100)),
    };
    let authenticator = Authenticator::from(Authentication::Credentials {
        tokens: vec![token],
        certificates: Vec::new(),
        session_max: Duration::from_secs(60),
    });
    let (keyring, issuers) = (Keyring::default(), Issuers::new(Metrics::default()));
    let shows = async |text: &str, now| {
        let mut fields = HeaderMap::new();
        fields.insert("authorization", HeaderValue::try_from(format!("Bearer {text}")).unwrap());
        authenticator
            .authenticate((&keyring, &issuers), "192.0.2.7:5000".parse().unwrap(), None, &fields, at(now))
            .await
    };
    let caller = shows(secret.expose(), 99).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.access), ("anna", access));
    for (text, now) in [(secret.expose(), 100), (Secret::from_random([2; 32]).expose(), 99)] {
        assert!(matches!(shows(text, now).await, Err(Refusal::StoreUnreachable { .. })), "the store may know it");
    }
    let nothing = authenticator
        .authenticate((&keyring, &issuers), "127.0.0.1:5000".parse().unwrap(), None, &HeaderMap::new(), at(0))
        .await;
    assert_eq!(nothing, Err(Refusal::Unauthenticated), "this machine is no better than another one then");
}
