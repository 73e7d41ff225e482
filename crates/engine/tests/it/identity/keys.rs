//! Sets of keys, as issuers publish them and as they should not.

use fanfold_engine::identity::{BadKeys, KeySet, KeysFrom, Reason, verify};
use fanfold_testkit::SigningKey;
use serde_json::{Value as Json, json};

use super::{ISSUER, claims, issuer_config, now};

fn read(keys: &[Json]) -> Result<KeySet, BadKeys> {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes())
}

/// What becomes of a good token of `key` with these keys.
fn taken(keys: &KeySet, key: &SigningKey, kid: Option<&str>) -> Result<(), Reason> {
    let mut header =
        json!({ "alg": key.jwk()["kty"].as_str().map(|kty| if kty == "RSA" { "RS256" } else { "ES256" }) });
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    let token = key.token_with(&header, &claims(ISSUER));
    let config = issuer_config(ISSUER, KeysFrom::Given(keys.clone()));
    verify(token.as_bytes(), keys, &config, now()).map(drop)
}

fn with(key: &SigningKey, change: impl FnOnce(&mut Json)) -> Json {
    let mut jwk = key.jwk();
    change(&mut jwk);
    jwk
}

#[test]
fn keys_for_something_else_are_left_out() {
    let key = SigningKey::p256("a");
    for (name, jwk) in [
        ("for encryption", with(&key, |jwk| jwk["use"] = json!("enc"))),
        ("to sign with only", with(&key, |jwk| jwk["key_ops"] = json!(["sign"]))),
        ("for another algorithm", with(&key, |jwk| jwk["alg"] = json!("ES384"))),
        ("for an algorithm nobody knows", with(&key, |jwk| jwk["alg"] = json!("ES256K"))),
        ("to agree upon keys", with(&key, |jwk| jwk["alg"] = json!("ECDH-ES"))),
        ("of another curve", with(&key, |jwk| jwk["crv"] = json!("P-521"))),
        ("of a curve nobody knows", with(&key, |jwk| jwk["crv"] = json!("secp256k1"))),
        (
            "a shared secret",
            json!({ "kty": "oct", "kid": "a", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256" }),
        ),
        ("of no kind", json!({ "kid": "a" })),
        ("broken", json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": "!", "y": "?" })),
        ("no key", json!("a")),
        ("of 1024 bits", json!({ "kty": "RSA", "kid": "a", "e": "AQAB", "n": "w".repeat(171) })),
        ("far too large", json!({ "kty": "RSA", "kid": "a", "e": "AQAB", "n": "w".repeat(1368) })),
    ] {
        assert_eq!(read(std::slice::from_ref(&jwk)).err(), Some(BadKeys::NoneFits), "{name}");
        // Beside a good one it does no harm, though it is called the same.
        let keys = read(&[jwk, key.jwk()]).unwrap();
        assert_eq!(taken(&keys, &key, Some("a")), Ok(()), "{name}");
    }
    for jwk in [
        with(&key, |jwk| drop(jwk.as_object_mut().unwrap().remove("use"))),
        with(&key, |jwk| jwk["alg"] = json!("ES256")),
        with(&key, |jwk| jwk["key_ops"] = json!(["verify"])),
        with(&key, |jwk| jwk["x5c"] = json!(["MIIB"])),
        with(&key, |jwk| jwk["d"] = json!("a private part, which should not be here")),
    ] {
        assert_eq!(taken(&read(std::slice::from_ref(&jwk)).unwrap(), &key, Some("a")), Ok(()), "{jwk}");
    }
}

#[test]
fn of_several_keys_with_one_name_each_counts() {
    let (first, second, stranger) = (SigningKey::p256("a"), SigningKey::p256("a"), SigningKey::p256("a"));
    let other_kind = SigningKey::rsa("a");
    let keys = read(&[other_kind.jwk(), first.jwk(), second.jwk()]).unwrap();
    for key in [&first, &second, &other_kind] {
        assert_eq!(taken(&keys, key, Some("a")), Ok(()), "{key:?}");
    }
    assert_eq!(taken(&keys, &stranger, Some("a")), Err(Reason::Signature));
    // They are not tried without end.
    let crowd: Vec<SigningKey> = (0..6).map(|_| SigningKey::p256("a")).collect();
    let keys = read(&crowd.iter().map(SigningKey::jwk).collect::<Vec<_>>()).unwrap();
    assert_eq!(taken(&keys, &crowd[3], Some("a")), Ok(()));
    assert_eq!(taken(&keys, &crowd[4], Some("a")), Err(Reason::Signature));
}

#[test]
fn a_token_that_names_no_key_is_taken_where_it_can_be_one_only() {
    let (one, other, rsa) = (SigningKey::p256("a"), SigningKey::p256("b"), SigningKey::rsa("c"));
    let keys = read(&[one.jwk(), rsa.jwk()]).unwrap();
    assert_eq!(taken(&keys, &one, None), Ok(()));
    assert_eq!(taken(&keys, &rsa, None), Ok(()));
    let keys = read(&[one.jwk(), other.jwk()]).unwrap();
    assert_eq!(taken(&keys, &one, None), Err(Reason::WhichKey));
    // Nor is a key without a name taken for one that a token names.
    let nameless = with(&one, |jwk| drop(jwk.as_object_mut().unwrap().remove("kid")));
    let keys = read(&[nameless]).unwrap();
    assert_eq!(taken(&keys, &one, None), Ok(()));
    assert!(matches!(taken(&keys, &one, Some("a")), Err(Reason::NoSuchKey(_))));
}

#[test]
fn what_is_no_set_of_keys_is_told() {
    let key = SigningKey::p256("a").jwk();
    assert_eq!(read(&[]), Err(BadKeys::NoneFits));
    assert_eq!(read(&vec![key.clone(); 65]), Err(BadKeys::TooMany));
    assert!(read(&vec![key; 64]).is_ok());
    for text in ["", "{}", "[]", "null", "{\"keys\": {}}", "<html>", "{\"keys\": [}"] {
        assert!(matches!(KeySet::read(text.as_bytes()), Err(BadKeys::Unreadable(_))), "{text}");
    }
    assert_eq!(KeySet::read(&vec![b' '; 256 * 1024 + 1]), Err(BadKeys::TooLong));
}
