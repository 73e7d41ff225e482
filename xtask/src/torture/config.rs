//! The configuration of the server under torture, as a whole, without some targets, and with a mistake.

use std::fmt::Write as _;
use std::time::Duration;

use crate::caller;

use super::plans::{LOWER, PLANS, Plan, REMOVED, SHORT};

/// What webhooks are signed with: the new one, and the old one, which goes when targets are removed.
pub(super) const SECRETS: [&str; 2] =
    ["whsec_bmV3IHNlY3JldCBvZiB0aGUgdG9ydHVyZSBydW4=", "whsec_b2xkIHNlY3JldCBvZiB0aGUgdG9ydHVyZSBydW4="];

/// Tries after which a notice is given up; few, so that some are.
pub(super) const NOTICE_TRIES: usize = 4;

/// How long an attempt may take until it is answered.
pub(super) const ANSWERED: Duration = Duration::from_millis(CONNECT_MS + RESPONSE_MS);

/// How long after that a target may still act.
pub(super) const SETTLE: Duration = Duration::from_millis(SETTLE_MS);

/// How long nodes leave each other alone.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// What secrets are encrypted with where nodes share a database.
const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// How long after its recorded start an attempt may leave.
pub(super) const CONNECT: Duration = Duration::from_millis(CONNECT_MS);

const CONNECT_MS: u64 = 500;
const RESPONSE_MS: u64 = 400;
const SETTLE_MS: u64 = 150;

/// Which configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// Without the targets in [`REMOVED`], the routes that need them, and the old secret.
    Reduced,
    /// With a route to a target that is not there; it must change nothing.
    Bad,
}

/// Where everything listens.
pub(super) struct Places {
    /// Where clients and lower controllers go: the server, or what stands in front of several.
    pub(super) server: String,
    /// Where each server listens.
    pub(super) nodes: Vec<String>,
    /// The database that several share; `None`: one server with a file.
    pub(super) database: Option<String>,
    /// Names and URLs.
    pub(super) targets: Vec<(&'static str, String)>,
    /// The URL of who is told.
    pub(super) receiver: String,
}

/// The configuration: everything is quick, so that a kill meets all of it.
pub(super) fn config(places: &Places, node: usize, form: Form) -> String {
    let reduced = form == Form::Reduced;
    let secrets = if reduced { format!("{:?}", &SECRETS[..1]) } else { format!("{SECRETS:?}") };
    let mut text = format!(
        "[server]\nlisten = \"{}\"\ncallback = \"{}\"\nshutdown_grace = \"3s\"\n\n\
         {}[store]\n{}\n\
         [notices]\nallow = [\"127.0.0.0/8\"]\nsecrets = {secrets}\nattempts = {NOTICE_TRIES}\nbackoff = \"50ms\"\n\
         backoff_max = \"400ms\"\ntimeouts = {{ connect = \"500ms\", response = \"400ms\" }}\n\n\
         [[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n\n",
        places.nodes[node],
        places.server,
        caller::config(),
        store(places, node)
    );
    for (name, url) in places.targets.iter().filter(|(name, _)| !(reduced && REMOVED.contains(name))) {
        text.push_str(&target(name, url));
    }
    for plan in PLANS.iter().filter(|plan| !(reduced && plan.is_removable())) {
        text.push_str(&route(plan, &places.receiver));
    }
    if form == Form::Bad {
        text.push_str("[[routes]]\nmatch = \"POST /bad\"\ntargets = [\"nobody\"]\n");
    }
    text
}

fn store(places: &Places, node: usize) -> String {
    match &places.database {
        None => "url = \"sqlite:fanfold.db\"\n".to_owned(),
        Some(url) => {
            format!("url = \"{url}\"\nkey = \"{KEY}\"\nnode = \"node-{node}\"\nlease = \"{}s\"\n", LEASE.as_secs())
        }
    }
}

fn target(name: &str, url: &str) -> String {
    let monitor = match LOWER.iter().find(|(lower, _)| *lower == name) {
        None => "monitor = \"none\"",
        Some((_, style)) => style.monitor(),
    };
    format!(
        "[targets.{name}]\nurl = \"{url}\"\n{monitor}\nsettle = \"{SETTLE_MS}ms\"\n\
         timeouts = {{ connect = \"{CONNECT_MS}ms\", response = \"{RESPONSE_MS}ms\", lower = \"2s\" }}\n\
         retry = {{ attempts = 4, backoff = \"20ms\", backoff_max = \"100ms\", budget = \"20s\" }}\n\
         undo_retry = {{ attempts = 8, backoff = \"20ms\", backoff_max = \"100ms\", budget = \"30s\" }}\n\
         breaker = {{ breaks = 20, pause = \"200ms\" }}\n\n"
    )
}

fn route(plan: &Plan, receiver: &str) -> String {
    let path = plan.path.replace("{}", "{id}");
    let mut text = String::new();
    writeln!(text, "[[routes]]\nname = \"{}\"\nmatch = \"{} {path}\"", plan.name, plan.method)
        .expect("writing to a String cannot fail");
    for line in plan.settings.lines() {
        let short = SHORT.iter().find(|(word, _)| *word == line);
        text.push_str(&short.map_or(line, |(_, whole)| *whole).replace("{receiver}", receiver));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_a_table_with_targets() {
        let places = Places {
            server: "127.0.0.1:0".into(),
            nodes: vec!["127.0.0.1:0".into()],
            database: None,
            targets: Vec::new(),
            receiver: "http://127.0.0.1:1".into(),
        };
        for (form, count) in
            [(Form::Whole, PLANS.len()), (Form::Reduced, PLANS.len() - 2), (Form::Bad, PLANS.len() + 1)]
        {
            let text = config(&places, 0, form);
            let file: toml::Table = text.parse().unwrap();
            let routes = file["routes"].as_array().unwrap();
            assert_eq!(routes.len(), count);
            assert!(routes.iter().all(|route| route["targets"].is_array()), "{text}");
        }
    }
}
