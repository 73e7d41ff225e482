//! The settings of the server itself: `[server]`, `[[mounts]]`.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use fanfold_core::dialect::{self, Mount};
use fanfold_core::plan::DialectName;

use super::defaults::{self, span};
use super::{ServerSettings, tls};
use crate::config::document::Place;
use crate::config::file::{self, MountDialect};
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::Surroundings;
use crate::config::value::TextForm;

/// Goes before `[server] listen`.
pub(crate) const LISTEN_VARIABLE: &str = "FANFOLD_LISTEN";

/// Fanfold's own paths, which go before every mount and route.
const OWN_PATHS: [&str; 6] = ["/api/v1", "/ui", "/metrics", "/healthz", "/readyz", "/openapi.json"];

/// Whether `path` is `prefix` or lies below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `[server]`. `longest_attempt`: the longest time that any attempt can be on the wire.
pub(super) fn server(
    file: &file::File,
    longest_attempt: Duration,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> ServerSettings {
    let nothing = file::Server::default();
    let server = file.server.as_ref().unwrap_or(&nothing);
    let place = Place::of(["server"]);
    let connections_max = count(server.connections_max.unwrap_or(defaults::CONNECTIONS_MAX));
    ServerSettings {
        listen: listen(server, file.auth.is_some(), around, findings),
        callback: callback(file, server, &place, findings),
        public_url: server.public_url.as_ref().map(|url| url.0.0.clone()),
        shutdown_grace: shutdown_grace(span(&server.shutdown_grace), longest_attempt, &place, findings),
        request_head_max: server.request_head_max.map_or(defaults::REQUEST_HEAD_MAX, |size| size.0),
        request_body_max: server.request_body_max.map_or(defaults::REQUEST_BODY_MAX, |size| size.0),
        connections_max,
        followers_max: followers_max(server, connections_max, &place, findings),
        tls: server.tls.as_ref().and_then(|tls| tls::tls(tls, server, around, findings)),
    }
}

pub(super) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Who may follow, of all tenants together.
pub(super) fn followers_bound(server: &file::Server) -> usize {
    let connections_max = count(server.connections_max.unwrap_or(defaults::CONNECTIONS_MAX));
    server.followers_max.map_or(connections_max / 4 * 3, count)
}

fn followers_max(server: &file::Server, connections_max: usize, place: &Place, findings: &mut Findings<'_>) -> usize {
    let followers_max = followers_bound(server);
    if followers_max >= connections_max {
        let wrong = Wrong::new(format!(
            "followers_max is {followers_max} of {connections_max} connections: followers could take them all, and nobody else \
             would be answered"
        ));
        findings
            .warning(&place.key("followers_max"), wrong.hint("make connections_max larger, or followers_max smaller"));
    }
    followers_max
}

/// Controllers notify below `/v1`, whatever else is mounted where.
fn callback(
    file: &file::File,
    server: &file::Server,
    place: &Place,
    findings: &mut Findings<'_>,
) -> Option<SocketAddrV4> {
    let address = server.callback.as_ref()?.0;
    let hears = |mount: &file::Mount| {
        mount.dialect == Some(MountDialect::Msf) && mount.prefix.as_ref().is_some_and(|prefix| prefix.0.0 == "/v1")
    };
    if !file.mounts.iter().any(hears) {
        let wrong = Wrong::new("callback without a mount that hears notifications, which come to /v1/operations/...");
        let hint = "add a [[mounts]] table with dialect = \"msf\" and prefix = \"/v1\", or leave callback out";
        findings.mistake(&place.key("callback"), wrong.hint(hint));
    }
    Some(address)
}

fn listen(
    server: &file::Server,
    is_authenticated: bool,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> SocketAddr {
    let local = SocketAddr::from(([127, 0, 0, 1], 8080));
    let exposed = |address: &SocketAddr| {
        let wrong = Wrong::new(format!("listening on {address} would let everybody who reaches it start operations"));
        (!is_authenticated && !address.ip().is_loopback()).then(|| {
            wrong.hint(
                "add an [auth] table, so that callers have to show who they are (docs/authentication.md); or listen on \
                 \"127.0.0.1:8080\" or \"[::1]:8080\"",
            )
        })
    };
    if let Some(address) = from_variable::<SocketAddr>(LISTEN_VARIABLE, around, findings) {
        if let Some(wrong) = exposed(&address) {
            findings.mistake_elsewhere(LISTEN_VARIABLE, wrong);
        }
        return address;
    }
    let address = server.listen.as_ref().map_or(local, |text| text.0);
    let place = Place::of(["server", "listen"]);
    if let Some(wrong) = exposed(&address) {
        findings.mistake(&place, wrong);
    } else if server.tls.is_none() && !address.ip().is_loopback() {
        let wrong = Wrong::new("what callers show of who they are crosses the network in clear");
        let hint = "add [server.tls]; or listen on a loopback address, behind a proxy on this machine that speaks TLS";
        findings.warning(&place, wrong.hint(hint));
    }
    address
}

/// The value of an environment variable that goes before a key of the file.
pub(super) fn from_variable<T: TextForm>(
    name: &str,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<T> {
    let text = (around.variable)(name)?;
    match T::read(&text) {
        Ok(value) => Some(value),
        Err(wrong) => {
            findings.mistake_elsewhere(name, wrong);
            None
        }
    }
}

fn shutdown_grace(
    configured: Option<Duration>,
    longest_attempt: Duration,
    server: &Place,
    findings: &mut Findings<'_>,
) -> Duration {
    let needed = longest_attempt + defaults::GRACE_MARGIN;
    if let Some(configured) = configured
        && configured < needed
    {
        let wrong = Wrong::new(
            "shutdown_grace is shorter than the longest attempt: a stop may break attempts off, and leave their outcome unknown",
        );
        findings.warning(
            &server.key("shutdown_grace"),
            wrong.hint(format!("leave it out, or make it {}s or longer", needed.as_secs_f64())),
        );
    }
    configured.unwrap_or(needed)
}

/// `[[mounts]]`
pub(super) fn mounts(file: &file::File, findings: &mut Findings<'_>) -> Vec<Mount> {
    let public_url = file.server.as_ref().and_then(|server| server.public_url.as_ref());
    let public_url = public_url.map_or_else(String::new, |url| url.0.0.clone());
    let mut settled: Vec<Mount> = Vec::new();
    for (index, mount) in file.mounts.iter().enumerate() {
        let place = Place::of(["mounts"]).index(index);
        let (Some(dialect), Some(prefix)) = (mount.dialect, &mount.prefix) else { continue };
        let prefix = prefix.0.0.clone();
        if let Some(wrong) = collision(&prefix, &settled) {
            findings.mistake(&place.key("prefix"), wrong);
        }
        check_foreign_keys(dialect, mount, &place, findings);
        let mut settings = dialect::Settings { public_url: public_url.clone(), ..dialect::Settings::default() };
        if let Some(zone) = &mount.time_zone {
            settings.zone = zone.0.clone();
        }
        if let Some(letter_case) = mount.letter_case {
            settings.letter_case = letter_case.into();
        }
        settled.push(Mount { dialect: DialectName::from(dialect), prefix, settings });
    }
    settled
}

fn collision(prefix: &str, others: &[Mount]) -> Option<Wrong> {
    if let Some(own) = OWN_PATHS.into_iter().find(|own| is_below(prefix, own) || is_below(own, prefix)) {
        return Some(Wrong::new(format!("the prefix {prefix:?} is in the way of {own:?}, which is Fanfold's own")));
    }
    let other = others.iter().find(|other| is_below(prefix, &other.prefix) || is_below(&other.prefix, prefix))?;
    let wrong = Wrong::new(format!("the prefix {prefix:?} overlaps with the mount at {:?}", other.prefix));
    Some(wrong.hint("two wire formats cannot share a path: mount them at prefixes of which none begins with the other"))
}

/// A setting of the other wire format would be ignored.
fn check_foreign_keys(dialect: MountDialect, mount: &file::Mount, place: &Place, findings: &mut Findings<'_>) {
    let foreign = match dialect {
        MountDialect::Msf => mount.letter_case.is_some().then_some(("letter_case", "plas")),
        MountDialect::Plas => mount.time_zone.is_some().then_some(("time_zone", "msf")),
    };
    if let Some((key, owner)) = foreign {
        let wrong = Wrong::new(format!("only a mount of {owner:?} has {key:?}")).hint("leave it out");
        findings.bad_key(&place.key(key), wrong);
    }
}
