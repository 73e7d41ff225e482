//! The settings of targets: `[targets.NAME]` over `[defaults]`.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_core::plan::{Limits, Monitor, PollRule};
use fanfold_core::route::spec::TargetSpec;
use fanfold_engine::target::{TargetConfig, TargetUrl, Tls, is_hop_by_hop};
use http::{HeaderName, HeaderValue};

use super::TargetSettings;
use super::defaults::{self, level, span};
use super::redaction::is_credential;
use crate::config::document::Place;
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::{Surroundings, header_value};
use crate::config::value::is_target_name;

/// The largest file with a certificate or a key, in octets.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A target as far as the file is right about it.
pub(super) struct Draft {
    /// What planning needs to know.
    pub(super) spec: TargetSpec,
    config: Option<TargetConfig>,
}

impl Draft {
    /// The target, if nothing is missing.
    pub(super) fn complete(self) -> Option<TargetSettings> {
        Some(TargetSettings { spec: self.spec, config: self.config? })
    }
}

/// Every target that the file names, those with mistakes too, so that routes may refer to them.
pub(super) fn targets(
    file: &file::File,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> BTreeMap<TargetName, Draft> {
    let nothing = file::Defaults::default();
    let defaults = file.defaults.as_ref().unwrap_or(&nothing);
    check_ids(&file.targets, findings);
    let mut drafts = BTreeMap::new();
    for (name, target) in &file.targets {
        let place = Place::of(["targets", name]);
        if !is_target_name(name) {
            let wrong = Wrong::new(format!("{name:?} is not a name of a target"));
            findings.bad_key(&place, wrong.hint("use 1 to 64 letters, digits, \"_\" and \"-\""));
        }
        let spec = spec(name, target, defaults);
        check_backoff(&spec.step, &place.key("retry"), findings);
        check_backoff(&spec.undo, &place.key("undo_retry"), findings);
        let config = config(name, target, defaults, around, findings);
        drafts.insert(TargetName::from(name.as_str()), Draft { spec, config });
    }
    drafts
}

/// The longest time that an attempt within these bounds can be on the wire.
pub(super) fn longest_attempt(limits: &Limits) -> Duration {
    limits.connect + limits.response
}

/// What is wrong with sending a header field of this name, if anything.
pub(super) fn unfit_header(name: &HeaderName) -> Option<Wrong> {
    let text = name.as_str();
    let is_own = text.starts_with("fanfold-") || ["idempotency-key", "traceparent", "tracestate"].contains(&text);
    let is_framing = is_hop_by_hop(name) || ["host", "content-length", "expect"].contains(&text);
    if is_own {
        Some(Wrong::new(format!("the header {text:?} is set by Fanfold, anew for each attempt")).hint("leave it out"))
    } else if is_framing {
        Some(
            Wrong::new(format!("the header {text:?} belongs to the connection, and cannot be set"))
                .hint("leave it out"),
        )
    } else {
        None
    }
}

fn check_ids(targets: &BTreeMap<String, file::Target>, findings: &mut Findings<'_>) {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, target) in targets {
        let id = target.id.as_deref().unwrap_or(name);
        let place = Place::of(["targets", name, "id"]);
        match known.insert(id, name) {
            Some(other) => findings
                .mistake(&place, Wrong::new(format!("the targets {other:?} and {name:?} have the same id {id:?}"))),
            None if id != name && targets.contains_key(id) => findings.warning(
                &place,
                Wrong::new(format!("{id:?} is the id of this target and the name of another"))
                    .hint("an expression in targets_from that gives it means this one: ids go before names"),
            ),
            None => {}
        }
    }
}

fn check_backoff(limits: &Limits, place: &Place, findings: &mut Findings<'_>) {
    if limits.backoff > limits.backoff_max {
        let place = if findings.has(&place.key("backoff")) { place.key("backoff") } else { place.key("backoff_max") };
        let hint = "what a target does not say itself is as in [defaults], or else 500ms and 30s";
        findings.mistake(&place, Wrong::new("backoff is longer than backoff_max").hint(hint));
    }
}

fn spec(name: &str, target: &file::Target, common: &file::Defaults) -> TargetSpec {
    let bounds = |common_retry: Option<&file::Retry>, own_retry: Option<&file::Retry>| {
        let common = level(common_retry, common.timeouts.as_ref(), common.response_body_max);
        let own = level(own_retry, target.timeouts.as_ref(), target.response_body_max);
        own.over(&common.over(&defaults::limits()))
    };
    TargetSpec {
        id: target.id.clone().unwrap_or_else(|| name.to_owned()),
        monitor: monitor(target.monitor.as_ref()),
        step: bounds(common.retry.as_ref(), target.retry.as_ref()),
        undo: bounds(common.undo_retry.as_ref(), target.undo_retry.as_ref()),
        settle: span(&target.settle).or(span(&common.settle)).unwrap_or(defaults::SETTLE),
    }
}

fn monitor(monitor: Option<&file::Monitor>) -> Monitor {
    match monitor {
        None => Monitor::Unset,
        Some(file::Monitor::None) => Monitor::None,
        Some(file::Monitor::Msf) => Monitor::Msf,
        Some(file::Monitor::Plas) => Monitor::Plas,
        Some(file::Monitor::Location) => Monitor::Location,
        // A rule with a key missing has been reported; the rest of it is of no further use.
        Some(file::Monitor::Poll(poll)) => Monitor::Poll(PollRule {
            path: poll.path.clone().unwrap_or_default(),
            done: poll.done.clone().unwrap_or_default(),
            success: poll.success.clone().unwrap_or_default(),
        }),
    }
}

/// `None` only if there is a mistake in the findings.
fn config(
    name: &str,
    target: &file::Target,
    common: &file::Defaults,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<TargetConfig> {
    let place = Place::of(["targets", name]);
    let headers = headers(&target.headers, &place.key("headers"), around, findings);
    let tls = match &target.tls {
        Some(files) => Some(tls(files, &place.key("tls"), around, findings)?),
        None => None,
    };
    let url = followed(target.url.clone()?.0, target, &place.key("monitor_prefix"), findings)?;
    let mut config = TargetConfig::new(name.into(), url);
    if tls.is_some() && !config.url.is_secure() {
        findings.mistake(&place.key("tls"), Wrong::new("tls without https").hint("write url = \"https://...\""));
    }
    config.headers = headers;
    config.tls = tls;
    set(&mut config.max_in_flight, target.max_in_flight.or(common.max_in_flight));
    set(&mut config.undo_max_in_flight, target.undo_in_flight.or(common.undo_in_flight));
    set(&mut config.pass_waiting_max, target.pass_waiting_max.or(common.pass_waiting_max));
    for breaker in [&common.breaker, &target.breaker].into_iter().flatten() {
        config.breaker.after = breaker.breaks.unwrap_or(config.breaker.after);
        config.breaker.retry_after = span(&breaker.pause).unwrap_or(config.breaker.retry_after);
    }
    config.reuse_idle = span(&target.reuse_idle).or(span(&common.reuse_idle)).unwrap_or(config.reuse_idle);
    Some(config)
}

/// The address with the path below which the target's operations are followed, where that is told.
fn followed(url: TargetUrl, target: &file::Target, place: &Place, findings: &mut Findings<'_>) -> Option<TargetUrl> {
    let Some(prefix) = &target.monitor_prefix else { return Some(url) };
    match &target.monitor {
        Some(file::Monitor::Plas | file::Monitor::Location) => {}
        None | Some(file::Monitor::None | file::Monitor::Msf | file::Monitor::Poll(_)) => {
            let wrong = Wrong::new("there is no monitor here that follows an address of the target's");
            findings.mistake(place, wrong.hint("set monitor = \"location\" or \"plas\", or leave monitor_prefix out"));
        }
    }
    let url = url.with_monitor_prefix(prefix);
    let hint = "write a path from the root of the address, as in \"/operations\", or \"/\" for all of it";
    url.map_err(|bad| findings.mistake(place, Wrong::new(bad.to_string()).hint(hint))).ok()
}

fn set(field: &mut usize, value: Option<u32>) {
    if let Some(value) = value {
        *field = usize::try_from(value).unwrap_or(usize::MAX);
    }
}

pub(super) fn headers(
    headers: &BTreeMap<String, file::HeaderText>,
    place: &Place,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut known: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, text) in headers {
        let here = place.key(name);
        let Ok(field) = name.parse::<HeaderName>() else {
            findings.bad_key(&here, Wrong::new(format!("{name:?} is not the name of a header")));
            continue;
        };
        if let Some(wrong) = unfit_header(&field) {
            findings.bad_key(&here, wrong);
        } else if known.iter().any(|(other, _)| *other == field) {
            findings
                .bad_key(&here, Wrong::new(format!("the header {name:?} stands here twice, in different letter case")));
        }
        if is_credential(field.as_str()) && !text.0.contains("${") {
            let wrong = Wrong::new(format!("a credential stands in this file ({name:?})"));
            findings.warning(&here, wrong.hint("keep it elsewhere, and write ${env:NAME} or ${file:PATH}"));
        }
        match header_value(&text.0, around) {
            Ok(value) => known.push((field, value)),
            Err(wrong) => findings.bad_value(&here, wrong),
        }
    }
    known
}

fn tls(files: &file::TargetTls, place: &Place, around: &Surroundings<'_>, findings: &mut Findings<'_>) -> Option<Tls> {
    let mut read = |key: &str, path| read_named(path, &place.key(key), around, findings);
    let (authorities, chain, key) =
        (read("authorities", &files.authorities), read("certificate", &files.certificate), read("key", &files.key));
    let (authorities, chain, key) = (authorities?, chain?, key?);
    if files.certificate.is_some() != files.key.is_some() {
        let wrong = Wrong::new("certificate and key go together").hint("write both, or neither");
        findings.mistake(place, wrong);
        return None;
    }
    let identity = files.key.is_some().then_some((chain.as_slice(), key.as_slice()));
    Tls::new(&authorities, identity).map_err(|bad| findings.mistake(place, Wrong::new(bad.to_string()))).ok()
}

/// What is in a file that may be named there, and nothing if none is. `None` only if there is a mistake in the findings.
pub(super) fn read_named(
    path: &Option<String>,
    place: &Place,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Vec<u8>> {
    match path {
        None => Some(Vec::new()),
        Some(path) => read_file(&around.folder.join(path)).map_err(|wrong| findings.bad_value(place, wrong)).ok(),
    }
}

pub(super) fn read_file(path: &std::path::Path) -> Result<Vec<u8>, Wrong> {
    use std::io::Read as _;
    let cannot = |why: &dyn std::fmt::Display| Wrong::new(format!("cannot read {}: {why}", path.display()));
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| cannot(&error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut octets).map_err(|error| cannot(&error))?;
    match octets.len() as u64 > FILE_BYTES_MAX {
        true => Err(cannot(&format!("it is longer than {FILE_BYTES_MAX} bytes"))),
        false => Ok(octets),
    }
}
