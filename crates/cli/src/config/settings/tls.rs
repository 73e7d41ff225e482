//! The settings of TLS towards clients: `[server.tls]`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use fanfold_server::{ClientCertificates, Tls, Validity};
use jiff::Timestamp;

use super::target::read_named;
use crate::config::document::Place;
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::Surroundings;

/// For so long before its end a certificate is warned of. The alert on it in `ops/prometheus` has the same time.
const ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);

/// `None` only if there is a mistake in the findings.
pub(super) fn tls(
    files: &file::ServerTls,
    server: &file::Server,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Tls> {
    let place = Place::of(["server", "tls"]);
    check_neighbours(server, findings);
    let (_, key_path) = (files.certificate.as_ref()?, files.key.as_ref()?);
    let mut read = |key: &str, path| read_named(path, &place.key(key), around, findings);
    let (chain, key) = (read("certificate", &files.certificate), read("key", &files.key));
    let authorities = read("client_authorities", &files.client_authorities);
    let (chain, key, authorities) = (chain?, key?, authorities?);
    let (are_asked, are_required) =
        (files.client_authorities.is_some(), files.require_client_certificate.unwrap_or(false));
    if are_required && !are_asked {
        let wrong = Wrong::new("no client is asked for a certificate that could be required");
        let hint = "name those who vouch for them as client_authorities";
        findings.mistake(&place.key("require_client_certificate"), wrong.hint(hint));
    }
    if is_open_to_all(&around.folder.join(key_path)) {
        let wrong = Wrong::new("everybody on this machine can read the private key").hint("chmod o-r");
        findings.warning(&place.key("key"), wrong);
    }
    let clients = are_asked.then_some(ClientCertificates { authorities: &authorities, are_required });
    let tls =
        Tls::new(&chain, &key, clients).map_err(|bad| findings.mistake(&place, Wrong::new(bad.to_string()))).ok()?;
    if let Some(wrong) = out_of_date(tls.validity(), around.now) {
        findings.warning(&place.key("certificate"), wrong);
    }
    Some(tls)
}

/// What is said beside it and does not go with it.
fn check_neighbours(server: &file::Server, findings: &mut Findings<'_>) {
    let place = Place::of(["server"]);
    if server.public_url.as_ref().is_some_and(|url| url.0.0.starts_with("http:")) {
        let wrong = Wrong::new("links would lead to http, and this server speaks https").hint("write https://...");
        findings.warning(&place.key("public_url"), wrong);
    }
    if server.callback.is_some() {
        let wrong = Wrong::new("controllers notify without TLS, which this server does not take with [server.tls]");
        let hint =
            "let this address lead to a proxy that speaks TLS to this server, or leave it out: they are polled then";
        findings.warning(&place.key("callback"), wrong.hint(hint));
    }
}

/// A warning, and no mistake: clients refuse such a certificate, and what was accepted before has to be carried on all the same.
fn out_of_date(validity: Validity, now: Timestamp) -> Option<Wrong> {
    let Validity { begins_at, ends_at } = validity;
    if now < begins_at {
        Some(Wrong::new(format!("the certificate is good from {begins_at} on only: clients will refuse it until then")))
    } else if ends_at <= now {
        let wrong = Wrong::new(format!("the certificate was good until {ends_at}: clients will refuse it"));
        Some(wrong.hint("put a new one in its place, and reload (SIGHUP)"))
    } else if ends_at.duration_since(now).unsigned_abs() < ENDS_SOON {
        let wrong = Wrong::new(format!("the certificate is good until {ends_at} only"));
        Some(wrong.hint("put a new one in its place, and reload (SIGHUP)"))
    } else {
        None
    }
}

fn is_open_to_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
