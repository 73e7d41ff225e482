//! Tokens that must not be taken, and why they are not: against the pure function, so that nothing but the token decides.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfold_core::access::Role;
use fanfold_engine::identity::{Algorithm, Identity, IssuerConfig, KeySet, KeysFrom, Reason, TOKEN_BYTES_MAX, verify};
use fanfold_testkit::SigningKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::{ISSUER, after, claims, issuer_config, now};

/// An issuer with one key of each kind.
struct House {
    rsa: SigningKey,
    p256: SigningKey,
    p384: SigningKey,
    ed: SigningKey,
    keys: KeySet,
    config: IssuerConfig,
}

impl House {
    fn new() -> Self {
        let (rsa, p256, p384, ed) =
            (SigningKey::rsa("r"), SigningKey::p256("p"), SigningKey::p384("q"), SigningKey::ed25519("d"));
        let set = json!({ "keys": [rsa.jwk(), p256.jwk(), p384.jwk(), ed.jwk()] });
        let keys = KeySet::read(set.to_string().as_bytes()).unwrap();
        let config = issuer_config(ISSUER, KeysFrom::Given(keys.clone()));
        Self { rsa, p256, p384, ed, keys, config }
    }

    fn verify(&self, token: &str) -> Result<Identity, Reason> {
        verify(token.as_bytes(), &self.keys, &self.config, now())
    }

    /// What becomes of good claims that are changed so, signed as they should be.
    fn claim(&self, change: impl FnOnce(&mut Json)) -> Result<Identity, Reason> {
        let mut claims = claims(ISSUER);
        change(&mut claims);
        self.verify(&self.p256.token(&claims))
    }

    /// What becomes of good claims under this header, signed by the key of P-256.
    fn head(&self, header: &Json) -> Result<Identity, Reason> {
        self.verify(&self.p256.token_with(header, &claims(ISSUER)))
    }
}

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token of these three texts, with nothing looked at.
fn raw(header: &str, claims: &str, signature: &[u8]) -> String {
    format!("{}.{}.{}", encode(header), encode(claims), encode(signature))
}

#[test]
fn good_tokens_are_taken_in_every_way_that_they_may_be_signed() {
    let house = House::new();
    let by = |key: &SigningKey, algorithm: &str| {
        let token = key.token_with(&json!({ "alg": algorithm, "kid": key.id() }), &claims(ISSUER));
        house.verify(&token).unwrap_or_else(|reason| panic!("{algorithm}: {reason}"))
    };
    for algorithm in Algorithm::ALL {
        let key = match algorithm {
            Algorithm::Es256 => &house.p256,
            Algorithm::Es384 => &house.p384,
            Algorithm::EdDsa => &house.ed,
            _ => &house.rsa,
        };
        let identity = by(key, algorithm.as_str());
        assert_eq!((identity.name.as_str(), identity.issuer.as_str()), ("alice", "idp"));
        assert_eq!((identity.access.tenant, identity.access.roles), ("acme".into(), [Role::Operate].into()));
        assert_eq!(identity.expires_at, Some(after(330)), "as long as it is taken, the clocks' difference included");
    }
}

#[test]
fn what_is_not_signed_or_with_what_everybody_knows_is_refused() {
    let house = House::new();
    let text = claims(ISSUER).to_string();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for signature in [&b""[..], b"x"] {
            let refused = house.verify(&raw(&format!(r#"{{"alg":"{none}","kid":"r"}}"#), &text, signature));
            assert!(matches!(refused, Err(Reason::Algorithm(_))), "{none}: {refused:?}");
        }
    }
    // The public key is known to everybody: who takes it for a shared secret lets everybody in.
    let jwk = house.rsa.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for (secret, kid) in [
        (house.rsa.public_der(), "r"),
        (modulus, "r"),
        (jwk.to_string().into_bytes(), "r"),
        (house.p256.public_der(), "p"),
        (house.ed.public_der(), "d"),
        (Vec::new(), "r"),
    ] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let signed = format!("{}.{}", encode(format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#)), encode(&text));
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            mac.update(signed.as_bytes());
            let refused = house.verify(&format!("{signed}.{}", encode(mac.finalize().into_bytes())));
            assert!(matches!(refused, Err(Reason::Algorithm(_))), "{algorithm} {kid}: {refused:?}");
        }
    }
    // Nor does another way of signing do that the issuer's keys could be used for, where it is not allowed.
    let config = IssuerConfig { algorithms: vec![Algorithm::Rs256], ..house.config.clone() };
    let token = house.rsa.token_with(&json!({ "alg": "PS256", "kid": "r" }), &claims(ISSUER));
    assert!(matches!(verify(token.as_bytes(), &house.keys, &config, now()), Err(Reason::Algorithm(_))));
}

#[test]
fn a_key_is_used_for_its_own_kind_of_signature_alone() {
    let house = House::new();
    for (algorithm, kid) in
        [("RS256", "p"), ("ES256", "r"), ("ES384", "p"), ("ES256", "q"), ("EdDSA", "p"), ("ES256", "d"), ("PS512", "d")]
    {
        let refused = house.head(&json!({ "alg": algorithm, "kid": kid }));
        assert!(matches!(refused, Err(Reason::NoSuchKey(_))), "{algorithm} {kid}: {refused:?}");
    }
    // Of the right kind, but of somebody else's.
    for (key, stranger) in [
        (&house.rsa, SigningKey::rsa("r")),
        (&house.p256, SigningKey::p256("p")),
        (&house.p384, SigningKey::p384("q")),
        (&house.ed, SigningKey::ed25519("d")),
    ] {
        assert!(house.verify(&key.token(&claims(ISSUER))).is_ok());
        assert_eq!(house.verify(&stranger.token(&claims(ISSUER))), Err(Reason::Signature), "{stranger:?}");
    }
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let house = House::new();
    let good = house.p256.token(&claims(ISSUER));
    let [header, claimed, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let other = encode(json!({ "iss": ISSUER, "aud": "fanfold", "sub": "root", "org": "acme" }).to_string());
    let header_of_other = encode(r#"{"alg":"ES256","kid":"p","typ":"JWT","x":1}"#);
    for (changed, what) in [
        (format!("{header}.{other}.{signature}"), "claims"),
        (format!("{header_of_other}.{claimed}.{signature}"), "header"),
        (format!("{header}.{claimed}."), "no signature"),
        (format!("{header}.{claimed}.{}", encode(&octets[..63])), "short"),
        (format!("{header}.{claimed}.{}", encode([&octets[..], b"x"].concat())), "long"),
        (format!("{header}.{claimed}.{}", encode([0; 64])), "nothing but zeros"),
        (format!("{header}.{claimed}.{}", encode([&octets[32..], &octets[..32]].concat())), "turned round"),
    ] {
        assert_eq!(house.verify(&changed), Err(Reason::Signature), "{what}");
    }
    for (changed, what) in [
        (format!("{good}=="), "padded"),
        (format!("{header}.{claimed}.{signature}\n"), "a line end"),
        (format!(" {good}"), "a space"),
        (format!("{header}.{claimed}"), "two parts"),
        (format!("{good}.x"), "four parts"),
        (format!("{header}.x.y.z.{signature}"), "encrypted"),
        (good.replace('.', ""), "one part"),
        (String::new(), "nothing"),
        ("..".to_owned(), "dots"),
        ("fanfold_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc".to_owned(), "a token of our own"),
    ] {
        assert!(matches!(house.verify(&changed), Err(Reason::Malformed(_))), "{what}: {:?}", house.verify(&changed));
    }
    assert!(matches!(verify(&[0xff, b'.', b'.'], &house.keys, &house.config, now()), Err(Reason::Malformed(_))));
}

#[test]
fn nothing_in_the_header_brings_a_key_of_its_own() {
    let house = House::new();
    let stranger = SigningKey::p256("p");
    let chain = json!(["MIIB"]);
    for (field, value) in [
        ("jwk", stranger.jwk()),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", chain),
    ] {
        let mut header = json!({ "alg": "ES256", "kid": "p" });
        header[field] = value;
        assert_eq!(house.verify(&stranger.token_with(&header, &claims(ISSUER))), Err(Reason::Signature), "{field}");
        header["kid"] = json!("evil");
        let refused = house.verify(&stranger.token_with(&header, &claims(ISSUER)));
        assert!(matches!(refused, Err(Reason::NoSuchKey(_))), "{field}: {refused:?}");
        // Beside a good signature it does no harm.
        header["kid"] = json!("p");
        if field != "x5c" {
            assert!(house.head(&header).is_ok(), "{field}: {:?}", house.head(&header));
        }
    }
    for kid in ["../../dev/null", "p\0", "P", "p ", "' OR 1=1 --", "r"] {
        assert!(matches!(house.head(&json!({ "alg": "ES256", "kid": kid })), Err(Reason::NoSuchKey(_))), "{kid:?}");
    }
    assert!(house.head(&json!({ "alg": "ES256" })).is_ok(), "there is one key that it can be");
}

#[test]
fn what_a_header_asks_to_be_understood_is_refused_and_so_is_what_is_for_something_else() {
    let house = House::new();
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("x"), json!(["urn:example"])] {
        let refused = house.head(&json!({ "alg": "ES256", "kid": "p", "crit": crit, "b64": false }));
        assert_eq!(refused, Err(Reason::Critical), "{crit}");
    }
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE+JSON", "JWE", "", "xjwt", "image/jwt"] {
        let refused = house.head(&json!({ "alg": "ES256", "kid": "p", "typ": typ }));
        assert!(matches!(refused, Err(Reason::Type(_))), "{typ}: {refused:?}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"] {
        assert!(house.head(&json!({ "alg": "ES256", "kid": "p", "typ": typ })).is_ok(), "{typ}");
    }
    let text = claims(ISSUER).to_string();
    for header in [
        r#"{"alg":"ES256","alg":"none","kid":"p"}"#,
        r#"{"alg":["ES256"],"kid":"p"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"kid":"p"}"#,
        r#"["ES256"]"#,
        "",
        "null",
        "{\"alg\":\"ES256\"} x",
    ] {
        let refused = house.verify(&raw(header, &text, &[1; 64]));
        assert!(matches!(refused, Err(Reason::Malformed(_))), "{header}: {refused:?}");
    }
}

#[test]
fn tokens_of_others_and_for_others_are_refused() {
    let house = House::new();
    for issuer in [
        json!("https://evil.example"),
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!([ISSUER]),
        json!({ "a": ISSUER }),
        json!(""),
        json!(null),
    ] {
        let refused = house.claim(|claims| claims["iss"] = issuer.clone());
        assert!(matches!(refused, Err(Reason::UnknownIssuer(_))), "{issuer}: {refused:?}");
    }
    for audience in [
        json!("other"),
        json!(["a", "b"]),
        json!([]),
        json!("fanfold "),
        json!("FANFOLD"),
        json!(7),
        json!({ "fanfold": 1 }),
        json!(["fan", "fold"]),
        json!(null),
    ] {
        let refused = house.claim(|claims| claims["aud"] = audience.clone());
        assert!(matches!(refused, Err(Reason::Audience { .. })), "{audience}: {refused:?}");
    }
    assert!(house.claim(|claims| claims["aud"] = json!(["other", "fanfold", 7])).is_ok());
    for missing in ["aud", "iss", "exp", "sub", "org"] {
        let refused = house.claim(|claims| drop(claims.as_object_mut().unwrap().remove(missing)));
        assert!(refused.is_err(), "{missing}");
    }
}

#[test]
fn a_token_holds_from_when_and_until_when_it_says() {
    let house = House::new();
    let at = |claim: &str, value: Json| house.claim(|claims| claims[claim] = value);
    let seconds = |seconds: i64| json!(after(seconds).as_second());
    // A clock may be half a minute wrong.
    assert!(at("exp", seconds(-29)).is_ok() && at("nbf", seconds(30)).is_ok() && at("iat", seconds(30)).is_ok());
    assert_eq!(at("exp", seconds(-30)), Err(Reason::Expired(after(-30))));
    assert_eq!(at("nbf", seconds(31)), Err(Reason::TooEarly(after(31))));
    assert_eq!(at("iat", seconds(31)), Err(Reason::FromTheFuture(after(31))));
    assert!(at("exp", json!(now().as_second() as f64 + 0.5)).is_ok(), "fractions of a second are dates as well");
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            json!("1900000000"),
            json!(1e300),
            json!(-1e300),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(true),
            json!([]),
            json!(null),
        ] {
            let refused = at(claim, value.clone());
            assert!(matches!(refused, Err(Reason::Claim { .. })), "{claim} {value}: {refused:?}");
        }
    }
    assert_eq!(at("exp", json!(-1)).unwrap_err().to_string(), "it expired at 1969-12-31T23:59:59Z");
    for optional in ["nbf", "iat"] {
        assert!(house.claim(|claims| drop(claims.as_object_mut().unwrap().remove(optional))).is_ok());
    }
}

#[test]
fn what_a_token_says_of_its_owner_has_to_be_of_use() {
    let house = House::new();
    for (claim, value) in [
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\r\nb")),
        ("sub", json!("x".repeat(257))),
        ("org", json!(["acme"])),
        ("realm_access", json!({ "roles": [1] })),
        ("realm_access", json!({ "roles": { "fanfold-operator": true } })),
    ] {
        let refused = house.claim(|claims| claims[claim] = value.clone());
        assert!(matches!(refused, Err(Reason::Claim { .. })), "{claim} {value}: {refused:?}");
    }
    for nobody in ["default", "Default", "", "a b", "../acme"] {
        let refused = house.claim(|claims| claims["org"] = json!(nobody));
        assert!(matches!(refused, Err(Reason::Tenant(..))), "{refused:?}");
    }
    // Who is known and has no role of use may nothing.
    for (claim, value) in
        [("realm_access", json!(null)), ("realm_access", json!({ "roles": ["FANFOLD-OPERATOR", "operate", "admin"] }))]
    {
        let identity = house.claim(|claims| claims[claim] = value).unwrap();
        assert!(identity.access.roles.is_empty(), "{identity:?}");
    }
    let identity = house.claim(|claims| claims["realm_access"]["roles"] = json!("fanfold-user fanfold-operator"));
    assert_eq!(identity.unwrap().access.roles, [Role::Submit, Role::Operate].into());
}

#[test]
fn tokens_that_are_too_large_or_too_deep_are_not_looked_into() {
    let house = House::new();
    let padded = |length: usize| house.claim(|claims| claims["x"] = json!("x".repeat(length)));
    assert!(padded(5000).is_ok());
    assert_eq!(padded(TOKEN_BYTES_MAX), Err(Reason::TooLong));
    assert_eq!(house.verify(&"a.".repeat(TOKEN_BYTES_MAX)), Err(Reason::TooLong));
    let deep = "[".repeat(3000);
    for token in [raw(&deep, "{}", b"x"), raw(r#"{"alg":"ES256","kid":"p"}"#, &format!("{{\"a\":{deep}"), b"x")] {
        assert!(matches!(house.verify(&token), Err(Reason::Malformed(_))));
    }
}

#[test]
fn no_reason_holds_the_token() {
    let house = House::new();
    let stranger = SigningKey::p256("p");
    let expired = {
        let mut claims = claims(ISSUER);
        claims["exp"] = json!(1);
        house.p256.token(&claims)
    };
    for token in [expired, stranger.token(&claims(ISSUER)), format!("{}x", house.p256.token(&claims(ISSUER)))] {
        let reason = house.verify(&token).unwrap_err();
        for shown in [reason.to_string(), format!("{reason:?}")] {
            assert!(token.split('.').all(|part| !shown.contains(part)), "{shown}");
        }
    }
}
