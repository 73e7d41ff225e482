//! An issuer of JWT: keys that sign for real, and a server that publishes them as OpenID Connect Discovery says.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

use crate::fake::{Answer, FakeTarget};

/// A key that signs tokens.
pub struct SigningKey {
    id: String,
    kind: Kind,
}

enum Kind {
    Rsa(Box<RsaKey>),
    Ec { key: EcdsaKeyPair, curve: &'static str },
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// RSA of 2048 bits.
    pub fn rsa(id: &str) -> Self {
        let key = RsaKey::generate(KeySize::Rsa2048).expect("a key can be made");
        Self { id: id.to_owned(), kind: Kind::Rsa(Box::new(key)) }
    }

    /// P-256.
    pub fn p256(id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key can be made");
        Self { id: id.to_owned(), kind: Kind::Ec { key, curve: "P-256" } }
    }

    /// P-384.
    pub fn p384(id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key can be made");
        Self { id: id.to_owned(), kind: Kind::Ec { key, curve: "P-384" } }
    }

    /// Ed25519.
    pub fn ed25519(id: &str) -> Self {
        let key = Ed25519KeyPair::generate().expect("a key can be made");
        Self { id: id.to_owned(), kind: Kind::Ed(key) }
    }

    /// What it is called.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its public part as a JSON Web Key, for signatures.
    pub fn jwk(&self) -> Json {
        let mut jwk = match &self.kind {
            Kind::Rsa(key) => {
                let public = key.public_key();
                let (modulus, exponent) = (public.modulus().big_endian_without_leading_zero(), public.exponent());
                let exponent = exponent.big_endian_without_leading_zero();
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Kind::Ec { key, curve } => {
                // Uncompressed: one octet that says so, and then both coordinates.
                let (x, y) = key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Kind::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) }),
        };
        jwk["kid"] = self.id.as_str().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The public part as it is written in a file in PEM form, as which it was used by mistake for a shared secret (RSA only).
    pub fn public_der(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Rsa(key) => key.public_key().as_ref().to_vec(),
            Kind::Ec { key, .. } => key.public_key().as_ref().to_vec(),
            Kind::Ed(key) => key.public_key().as_ref().to_vec(),
        }
    }

    /// A token with these claims, signed in the usual way of this kind of key.
    pub fn token(&self, claims: &Json) -> String {
        self.token_with(&json!({ "typ": "JWT", "alg": self.algorithm(), "kid": self.id }), claims)
    }

    /// A token with this header and these claims, signed in the way that the header says, or else in the usual one.
    pub fn token_with(&self, header: &Json, claims: &Json) -> String {
        let algorithm = header["alg"].as_str().unwrap_or_default();
        let signed = signed_part(header, claims);
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    fn algorithm(&self) -> &'static str {
        match &self.kind {
            Kind::Rsa(_) => "RS256",
            Kind::Ec { curve: "P-256", .. } => "ES256",
            Kind::Ec { .. } => "ES384",
            Kind::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Rsa(key) => {
                let way: &'static dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(way, &random, message, &mut signature).expect("an RSA key signs");
                signature
            }
            Kind::Ec { key, .. } => key.sign(&random, message).expect("a key of a curve signs").as_ref().to_vec(),
            Kind::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

/// Header and claims as they are signed.
fn signed_part(header: &Json, claims: &Json) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Publishes keys. What else it answers can be told to its [`FakeTarget`].
#[derive(Debug)]
pub struct FakeIssuer {
    target: FakeTarget,
}

impl FakeIssuer {
    /// Where the document is that says where the keys are.
    pub const DISCOVERY: &'static str = "/.well-known/openid-configuration";

    /// Where the keys are.
    pub const KEYS: &'static str = "/keys";

    /// Starts one at `127.0.0.1`, with these keys.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        Self::on(FakeTarget::start().await, keys)
    }

    /// Starts one that speaks TLS, as `localhost`, with a certificate of [`crate::fake::AUTHORITY`].
    pub async fn start_tls(keys: &[&SigningKey]) -> Self {
        Self::on(FakeTarget::start_tls().await, keys)
    }

    fn on(target: FakeTarget, keys: &[&SigningKey]) -> Self {
        let url = target.url();
        let document = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "jwks_uri": format!("{url}{}", Self::KEYS),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        target.on("GET", Self::DISCOVERY, Answer::json(200, &document));
        let issuer = Self { target };
        issuer.publish(keys);
        issuer
    }

    /// How it calls itself.
    pub fn url(&self) -> String {
        self.target.url()
    }

    /// From now on it has these keys.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Json> = keys.iter().map(|key| key.jwk()).collect();
        self.target.on("GET", Self::KEYS, Answer::json(200, &json!({ "keys": keys })));
    }

    /// How often its keys were read.
    pub fn readings(&self) -> usize {
        self.target.seen().iter().filter(|request| request.path() == Self::KEYS).count()
    }

    /// The server.
    pub fn target(&self) -> &FakeTarget {
        &self.target
    }

    /// The server, to be stopped and started.
    pub fn target_mut(&mut self) -> &mut FakeTarget {
        &mut self.target
    }
}
