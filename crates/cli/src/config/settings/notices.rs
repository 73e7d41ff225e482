//! The settings of notices: `[notices]`, and `callback` of routes.

use std::collections::BTreeMap;

use fanfold_engine::target::Tls;
use fanfold_engine::{RouteCallback, SigningSecret};

use super::NoticeSettings;
use super::defaults::{self, span};
use super::target::read_file;
use crate::config::document::Place;
use crate::config::file::{self, SecretText};
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::{Surroundings, signing_secret};

/// How many secrets sign one webhook: two while they change, and some to spare.
const SECRETS_MAX: usize = 8;

/// Notices; `names` are those of the routes, in the order of the file.
pub(super) fn notices(
    file: &file::File,
    names: &[String],
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> NoticeSettings {
    let place = Place::of(["notices"]);
    let nothing = file::Notices::default();
    let notices = file.notices.as_ref().unwrap_or(&nothing);
    let secrets = secrets(&notices.secrets, &place.key("secrets"), around, findings);
    let (backoff, backoff_max) = (span(&notices.backoff), span(&notices.backoff_max));
    let backoff = backoff.unwrap_or(defaults::NOTICE_BACKOFF);
    let backoff_max = backoff_max.unwrap_or(defaults::NOTICE_BACKOFF_MAX);
    if backoff > backoff_max {
        findings.mistake(&place.key("backoff"), Wrong::new("backoff is longer than backoff_max"));
    }
    let (connect, response) = match &notices.timeouts {
        Some(timeouts) => (span(&timeouts.connect), span(&timeouts.response)),
        None => (None, None),
    };
    let public_url = file.server.as_ref().and_then(|server| server.public_url.as_ref());
    NoticeSettings {
        allow: notices.allow.iter().map(|rule| rule.0.clone()).collect(),
        attempts: notices.attempts.unwrap_or(defaults::NOTICE_ATTEMPTS),
        backoff,
        backoff_max,
        connect: connect.unwrap_or(defaults::CONNECT),
        response: response.unwrap_or(defaults::NOTICE_RESPONSE),
        callbacks: callbacks(file, names, notices.secrets.is_empty(), around, findings),
        secrets,
        tls: authorities(notices, &place.key("authorities"), around, findings),
        public_url: public_url.map_or_else(String::new, |url| url.0.0.clone()),
    }
}

/// Who is told of every end, by the name of the route.
fn callbacks(
    file: &file::File,
    names: &[String],
    has_no_secrets: bool,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, RouteCallback> {
    let mut callbacks = BTreeMap::new();
    for (index, (route, name)) in file.routes.iter().zip(names).enumerate() {
        let Some(callback) = &route.callback else { continue };
        let place = Place::of(["routes"]).index(index).key("callback");
        let (url, own): (_, &[SecretText]) = match callback {
            file::Callback::Url(url) => (Some(url), &[]),
            file::Callback::Table(table) => (table.url.as_ref(), &table.secrets),
        };
        if own.is_empty() && has_no_secrets {
            let wrong = Wrong::new("there is nothing to sign what is told with");
            let hint = "set [notices] secrets, or write callback = { url = \"...\", secrets = [\"${env:NAME}\"] }";
            findings.mistake(&place, wrong.hint(hint));
        }
        let secrets = secrets(own, &place.key("secrets"), around, findings);
        if let Some(url) = url {
            callbacks.insert(name.clone(), RouteCallback { url: url.0.clone(), secrets });
        }
    }
    callbacks
}

fn secrets(
    texts: &[SecretText],
    place: &Place,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Vec<SigningSecret> {
    if texts.len() > SECRETS_MAX {
        let wrong = Wrong::new(format!("more than {SECRETS_MAX} secrets"));
        findings.mistake(place, wrong.hint("leave out those that no receiver needs any more"));
    }
    let mut secrets = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let here = place.index(index);
        if !text.0.contains("${") {
            let wrong = Wrong::new("a secret stands in this file");
            findings.warning(&here, wrong.hint("keep it elsewhere, and write ${env:NAME} or ${file:PATH}"));
        }
        match signing_secret(&text.0, around) {
            Ok(secret) => secrets.push(secret),
            Err(wrong) => findings.bad_value(&here, wrong),
        }
    }
    secrets
}

fn authorities(
    notices: &file::Notices,
    place: &Place,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<Tls> {
    let path = around.folder.join(notices.authorities.as_ref()?);
    let pem = read_file(&path).map_err(|wrong| findings.bad_value(place, wrong)).ok()?;
    Tls::new(&pem, None).map_err(|bad| findings.bad_value(place, Wrong::new(bad.to_string()))).ok()
}
