//! The tables about the server itself: `[server]`, `[store]`, `[notices]`, `[[mounts]]`.

use std::net::{SocketAddr, SocketAddrV4};

use fanfold_core::dialect;
use fanfold_core::plan::DialectName;
use fanfold_engine::AllowRule;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::{BaseUrl, Prefix, Size, Span, StoreUrl, Text};

/// `[server]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Address and port to listen on. Default: "127.0.0.1:8080". Another address than a loopback one needs authentication.
    pub(crate) listen: Option<Text<SocketAddr>>,
    /// IPv4 address and port that lower `msf` controllers are told to notify. Without it they are polled only.
    pub(crate) callback: Option<Text<SocketAddrV4>>,
    /// The address under which clients reach this server, for absolute links. Without it links are relative.
    pub(crate) public_url: Option<Text<BaseUrl>>,
    /// How long a stopping server lets attempts on the wire finish.
    /// Default: the longest connect plus response timeout of any target, plus 2 s.
    #[schemars(extend("x-range" = ["0s", "1d"]))]
    pub(crate) shutdown_grace: Option<Text<Span>>,
    /// The longest request line and header fields together. Default: 32 KiB.
    #[schemars(extend("x-range" = ["1KiB", "256KiB"]))]
    pub(crate) request_head_max: Option<Size>,
    /// The longest request body. Default: 1 MiB.
    #[schemars(extend("x-range" = ["1KiB", "64MiB"]))]
    pub(crate) request_body_max: Option<Size>,
    /// Open connections at the most; further ones wait until one ends. Default: 16384.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub(crate) connections_max: Option<u32>,
    /// Who may follow operations at the same time, by streams of events and by waits; further ones are refused.
    /// Default: three quarters of `connections_max`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) followers_max: Option<u32>,
    /// The certificate that HTTPS is served with. Without it HTTP is served.
    pub(crate) tls: Option<ServerTls>,
}

/// `[server] tls`: files in PEM form. Relative paths count from the folder of the configuration file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerTls {
    /// The certificate chain that is shown to clients, the own certificate first.
    #[schemars(required)]
    pub(crate) certificate: Option<String>,
    /// The private key of `certificate`.
    #[schemars(required)]
    pub(crate) key: Option<String>,
    /// Authorities that certificates of clients are trusted by, these alone. Without it clients are asked for none.
    pub(crate) client_authorities: Option<String>,
    /// Whether a client without a certificate is not talked to. Default: false.
    pub(crate) require_client_certificate: Option<bool>,
}

/// `[store]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// Where operations are kept. Default: "sqlite:fanfold.db", in the folder of the configuration file.
    pub(crate) url: Option<Text<StoreUrl>>,
    /// PostgreSQL only, and needed there: what secrets in requests are encrypted with, 32 bytes in base64, put in with
    /// ${env:NAME} or ${file:PATH}; the same on every node. (The embedded store makes a key of its own beside its file.)
    pub(crate) key: Option<SecretText>,
    /// PostgreSQL only: keys that nothing is encrypted with, and that open what other nodes encrypt or what was encrypted before;
    /// as `key` is written, up to 7. A key is changed on one node after the other: first every node gets the new one here, then
    /// as `key` with the former one here, and at last without it (docs/operating.md). Default: none.
    pub(crate) other_keys: Option<Vec<SecretText>>,
    /// PostgreSQL only: the password of the database's user, put in with ${env:NAME} or ${file:PATH}; goes before one in `url`.
    pub(crate) password: Option<SecretText>,
    /// PostgreSQL only: what this node is called, where nodes are shown. Default: the name of the machine.
    pub(crate) node: Option<String>,
    /// PostgreSQL only: how long the others leave a node alone that they do not hear of, before they take its operations over.
    /// Default: 10 s.
    #[schemars(extend("x-range" = ["1s", "10m"]))]
    pub(crate) lease: Option<Text<Span>>,
    /// PostgreSQL only: connections of this node that read. It has four more. Default: 8.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) readers: Option<u32>,
    /// PostgreSQL only: whether nothing is accepted or sent while the server names no synchronous standby
    /// (`synchronous_standby_names`), without which a failover can lose what was accepted. Default: false.
    pub(crate) require_sync_standby: Option<bool>,
    /// From this size of the store on, operations that ended go before their retention is over, oldest first, but none
    /// younger than `keep_min`. Default: no such bound.
    #[schemars(extend("x-range" = ["16MiB", "1024TiB"]))]
    pub(crate) size_soft: Option<Size>,
    /// From this size of the store on, nothing new is accepted. Default: no such bound.
    #[schemars(extend("x-range" = ["16MiB", "1024TiB"]))]
    pub(crate) size_hard: Option<Size>,
    /// How long after its end an operation is kept in spite of `size_soft`. Default: 24 h.
    #[schemars(extend("x-range" = ["24h", "36500d"]))]
    pub(crate) keep_min: Option<Text<Span>>,
    /// How long an entry of the audit trail is kept. Nodes that share a database should agree: the shortest of theirs counts.
    /// Default: 400 d.
    #[schemars(extend("x-range" = ["24h", "36500d"]))]
    pub(crate) keep_audit: Option<Text<Span>>,
    /// How many operations may wait or run; from then on nothing new is accepted. Default: 1,000,000.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(crate) waiting_max: Option<u32>,
    /// How many operations may wait for one lock; a further one is refused. Default: 1,000.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) lock_queue_max: Option<u32>,
    /// Bodies up to this size stand in the record itself, longer ones apart. Default: 4 KiB.
    #[schemars(extend("x-range" = ["0B", "64KiB"]))]
    pub(crate) inline_max: Option<Size>,
}

/// `[notices]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notices {
    /// Which addresses that a caller gives may be notified: networks, addresses and names of hosts, each with or without a
    /// port. Default: none.
    #[serde(default)]
    pub(crate) allow: Vec<Text<AllowRule>>,
    /// How often a notice is tried before it is put on the list of dead letters. Default: 20.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) attempts: Option<u32>,
    /// The longest wait before the second attempt; it doubles with each further one. Default: 1 s.
    #[schemars(extend("x-range" = ["1ms", "1h"]))]
    pub(crate) backoff: Option<Text<Span>>,
    /// The longest wait between two attempts. Default: 10 min.
    #[schemars(extend("x-range" = ["1ms", "1d"]))]
    pub(crate) backoff_max: Option<Text<Span>>,
    /// How long one attempt may take.
    pub(crate) timeouts: Option<NoticeTimeouts>,
    /// What webhooks are signed with, all of them at once, so that receivers can change from one to the other: each
    /// "whsec_" and base64, put in with ${env:NAME} or ${file:PATH}. Default: none, and no client can ask for a webhook.
    #[serde(default)]
    pub(crate) secrets: Vec<SecretText>,
    /// File with authorities in PEM form that receivers are trusted by, beside those of the platform.
    pub(crate) authorities: Option<String>,
}

/// A secret as it stands in the file: it is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct SecretText(pub(crate) String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// `[notices] timeouts`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticeTimeouts {
    /// To connect. Default: 3 s.
    #[schemars(extend("x-range" = ["1ms", "1h"]))]
    pub(crate) connect: Option<Text<Span>>,
    /// From the first byte sent to the last byte received. Default: 10 s.
    #[schemars(extend("x-range" = ["1ms", "1d"]))]
    pub(crate) response: Option<Text<Span>>,
}

/// `[[mounts]]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mount {
    /// The wire format. The native API needs no mount: it is always at /api/v1.
    #[schemars(required)]
    pub(crate) dialect: Option<MountDialect>,
    /// The path prefix. The routes of this dialect lie below it.
    #[schemars(required)]
    pub(crate) prefix: Option<Text<Prefix>>,
    /// `msf` only: the time zone of the times that clients see, by its IANA name. Default: "UTC".
    pub(crate) time_zone: Option<Text<TimeZone>>,
    /// `plas` only: whether `operationType` is "Create" (title) or "create" (lower). Default: "title".
    pub(crate) letter_case: Option<LetterCase>,
}

/// The wire formats that can be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MountDialect {
    /// Multi-Service Fabric controllers.
    Msf,
    /// The PLAS connector.
    Plas,
}

/// How `plas` spells the kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LetterCase {
    /// `Create`, `Update`, `Delete`.
    Title,
    /// `create`, `update`, `delete`.
    Lower,
}

impl From<MountDialect> for DialectName {
    fn from(dialect: MountDialect) -> Self {
        match dialect {
            MountDialect::Msf => Self::Msf,
            MountDialect::Plas => Self::Plas,
        }
    }
}

impl From<LetterCase> for dialect::LetterCase {
    fn from(letter_case: LetterCase) -> Self {
        match letter_case {
            LetterCase::Title => Self::AsInTable,
            LetterCase::Lower => Self::Lower,
        }
    }
}
