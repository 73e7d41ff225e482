//! Text forms of values whose own crates give none, for `#[serde(with = ...)]`.

/// An HTTP method as its name.
pub mod method {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(missing_docs, reason = "the pair that serde asks for")]
    pub fn serialize<S: Serializer>(method: &http::Method, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(method.as_str())
    }

    #[expect(missing_docs, reason = "the pair that serde asks for")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<http::Method, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// A span of time as whole milliseconds.
pub mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(missing_docs, reason = "the pair that serde asks for")]
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    #[expect(missing_docs, reason = "the pair that serde asks for")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Octets as text where they are UTF-8, else as `{"base64": "..."}`.
pub mod octets {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Octets { base64: String },
    }

    #[expect(missing_docs, reason = "the pair that serde asks for")]
    pub fn serialize<S: Serializer>(octets: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(octets) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Form::Octets { base64: STANDARD.encode(octets) }.serialize(serializer),
        }
    }

    #[expect(missing_docs, reason = "the pair that serde asks for")]
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Bytes::from(text)),
            Form::Octets { base64 } => STANDARD.decode(base64).map(Bytes::from).map_err(serde::de::Error::custom),
        }
    }
}
