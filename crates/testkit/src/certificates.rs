//! Certificates of an authority of one's own, made as they are needed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};

/// An authority that nobody trusts who was not told of it.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, without the authority's.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// What stands in the certificate of a client.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// The common name of its subject.
    pub common_name: Option<&'a str>,
    /// Names of hosts.
    pub dns: &'a [&'a str],
    /// URIs.
    pub uris: &'a [&'a str],
}

impl Authority {
    /// Another one than all others.
    #[expect(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let (params, key) = authority();
        let pem = params.self_signed(&key).expect("an authority may sign itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// One that this one vouches for, good until the beginning of a year.
    #[must_use]
    pub fn below(&self, last: i32) -> Self {
        let (mut params, key) = authority();
        params.not_after = date_time_ymd(last, 1, 1);
        let pem = params.signed_by(&key, &self.issuer).expect("the authority may sign").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server on this machine, by name and by address.
    pub fn server(&self) -> Identity {
        self.server_between(2000, 2100)
    }

    /// The same, good from the beginning of one year to the beginning of another.
    pub fn server_between(&self, first: i32, last: i32) -> Identity {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("both are good names");
        params.not_before = date_time_ymd(first, 1, 1);
        params.not_after = date_time_ymd(last, 1, 1);
        self.sign(&params)
    }

    /// A certificate for a client.
    pub fn client(&self, names: &Names<'_>) -> Identity {
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(2100, 1, 1);
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = names.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let ia5 = |name: &&str| name.to_string().try_into().expect("a name is ASCII");
        params.subject_alt_names.extend(names.dns.iter().map(ia5).map(SanType::DnsName));
        params.subject_alt_names.extend(names.uris.iter().map(ia5).map(SanType::URI));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("there is randomness");
        let chain = params.signed_by(&key, &self.issuer).expect("the authority may sign").pem();
        Identity { chain, key: key.serialize_pem() }
    }
}

/// What an authority is made of.
fn authority() -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("there is randomness");
    // Authorities are told apart by their names first.
    let number: String = key.public_key_raw().iter().skip(1).take(8).map(|octet| format!("{octet:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
    (params, key)
}

impl Identity {
    /// Writes `NAME.pem` and `NAME.key` into a folder.
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.chain).expect("the folder is ours");
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&key, &self.key).expect("the folder is ours");
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("the file is ours");
    }
}
