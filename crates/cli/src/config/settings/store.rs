//! The settings of the store: `[store]`.

use std::path::Path;

use fanfold_store::{SEALING_KEYS_MAX, SealingKey};

use super::defaults::{self, span};
use super::server::{count, from_variable};
use super::{NodeSettings, StoreSettings};
use crate::config::document::Place;
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::{Surroundings, password, sealing_key};
use crate::config::value::StoreUrl;

/// Goes before `[store] url`.
pub(crate) const STORE_URL_VARIABLE: &str = "FANFOLD_STORE_URL";

/// `[store]`
pub(super) fn store(store: file::Store, around: &Surroundings<'_>, findings: &mut Findings<'_>) -> StoreSettings {
    let place = Place::of(["store"]);
    let from_environment = from_variable::<StoreUrl>(STORE_URL_VARIABLE, around, findings);
    let is_from_environment = from_environment.is_some();
    let url = from_environment.or(store.url.as_ref().map(|url| url.0.clone()));
    if let Some(wrong) = url.as_ref().and_then(|url| unfit_folder(url, &around.folder)) {
        match is_from_environment {
            true => findings.mistake_elsewhere(STORE_URL_VARIABLE, wrong),
            false => findings.mistake(&place.key("url"), wrong),
        }
    }
    let (soft, hard) = (store.size_soft.map(|size| size.0), store.size_hard.map(|size| size.0));
    if let (Some(soft), Some(hard)) = (soft, hard)
        && soft >= hard
    {
        findings.mistake(
            &place.key("size_hard"),
            Wrong::new("size_hard is not larger than size_soft").hint(
                "make room between them: up to size_soft nothing is removed, from size_hard on nothing is accepted",
            ),
        );
    }
    let built_in = fanfold_store::Limits::default();
    let mut url = resolve(url.unwrap_or(StoreUrl::Sqlite { path: "fanfold.db".into() }), &around.folder);
    if let (StoreUrl::Postgres { url }, Some(text)) = (&mut url, &store.password) {
        warn_of_plain_secret(&text.0, &place.key("password"), findings);
        match password(&text.0, around) {
            Ok(password) => url.set_password(&password),
            Err(wrong) => findings.bad_value(&place.key("password"), wrong),
        }
    }
    if matches!(url, StoreUrl::Postgres { .. }) && store.key.is_none() {
        let wrong =
            Wrong::new("a PostgreSQL store needs a key, the same on every node, and none is given").hint(KEY_HINT);
        match is_from_environment {
            true => findings.mistake_elsewhere(STORE_URL_VARIABLE, wrong),
            false => findings.mistake(&place.key("url"), wrong),
        }
    }
    StoreSettings {
        node: node(&store, &url, &place, around, findings),
        url,
        limits: fanfold_store::Limits {
            inline_max: store.inline_max.map_or(built_in.inline_max, |size| to_usize(size.0)),
            waiting_max: store.waiting_max.map_or(built_in.waiting_max, u64::from),
            tenant_waiting_max: built_in.tenant_waiting_max,
            lock_queue_max: store.lock_queue_max.map_or(built_in.lock_queue_max, u64::from),
            size_soft: soft,
            size_hard: hard,
            keep_min: span(&store.keep_min).unwrap_or(built_in.keep_min),
            tokens_max: built_in.tokens_max,
            tenant_tokens_max: built_in.tenant_tokens_max,
            sessions_max: built_in.sessions_max,
            tenant_sessions_max: built_in.tenant_sessions_max,
            sessions_each_max: built_in.sessions_each_max,
            audit_kept: span(&store.keep_audit).unwrap_or(built_in.audit_kept),
        },
    }
}

/// What concerns a store that nodes share: needed with PostgreSQL, refused with the embedded one.
fn node(
    store: &file::Store,
    url: &StoreUrl,
    place: &Place,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Option<NodeSettings> {
    match url {
        StoreUrl::Sqlite { .. } => {
            let given = [
                ("key", store.key.is_some()),
                ("other_keys", store.other_keys.is_some()),
                ("password", store.password.is_some()),
                ("node", store.node.is_some()),
                ("lease", store.lease.is_some()),
                ("readers", store.readers.is_some()),
                ("require_sync_standby", store.require_sync_standby.is_some()),
            ];
            // Where the url is wrong nobody knows which store is meant.
            let is_known = !findings.is_wrong(&place.key("url"));
            for (key, _) in given.into_iter().filter(|_| is_known).filter(|(_, is_given)| *is_given) {
                let wrong = Wrong::new(format!("{key} means nothing to the embedded store"));
                findings.mistake(&place.key(key), wrong.hint("leave it out, or use url = \"postgres://...\""));
            }
            None
        }
        StoreUrl::Postgres { .. } => {
            let text = store.key.as_ref()?;
            warn_of_plain_secret(&text.0, &place.key("key"), findings);
            if let Some(name) = &store.node
                && (name.len() > NODE_NAME_MAX || name.chars().any(char::is_control))
            {
                let wrong = Wrong::new("this is no name of a node");
                let hint = format!("take at most {NODE_NAME_MAX} bytes without control characters");
                findings.mistake(&place.key("node"), wrong.hint(hint));
            }
            let key =
                sealing_key(&text.0, around).map_err(|wrong| findings.bad_value(&place.key("key"), wrong)).ok()?;
            let other_keys = other_keys(store, &key, place, around, findings);
            Some(NodeSettings {
                key,
                other_keys,
                name: store.node.clone().unwrap_or_else(machine),
                lease: span(&store.lease).unwrap_or(defaults::LEASE),
                readers: count(store.readers.unwrap_or(defaults::READERS)),
                require_sync_standby: store.require_sync_standby.unwrap_or(false),
            })
        }
    }
}

/// Keys that open and do not seal: each is one of its own.
fn other_keys(
    store: &file::Store,
    key: &SealingKey,
    place: &Place,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> Vec<SealingKey> {
    let (texts, place) = (store.other_keys.as_deref().unwrap_or_default(), place.key("other_keys"));
    let mut keys = vec![key.clone()];
    for (number, text) in texts.iter().enumerate() {
        let place = place.index(number);
        warn_of_plain_secret(&text.0, &place, findings);
        match sealing_key(&text.0, around) {
            Ok(key) if keys.contains(&key) => {
                findings.mistake(&place, Wrong::new("this key is there already").hint("leave it out here"));
            }
            Ok(key) => keys.push(key),
            Err(wrong) => findings.bad_value(&place, wrong),
        }
    }
    if keys.len() > SEALING_KEYS_MAX {
        let hint = "retire those that nothing is sealed with any more; \"fanfold key list\" shows which";
        findings.mistake(&place, Wrong::new(format!("there are more than {} keys", SEALING_KEYS_MAX - 1)).hint(hint));
    }
    keys.split_off(1)
}

fn warn_of_plain_secret(text: &str, place: &Place, findings: &mut Findings<'_>) {
    if !text.contains("${") {
        let wrong = Wrong::new("a secret stands in this file");
        findings.warning(place, wrong.hint("keep it elsewhere, and write ${env:NAME} or ${file:PATH}"));
    }
}

/// How long the name of a node may be.
const NODE_NAME_MAX: usize = 100;

/// What to do about a missing key.
const KEY_HINT: &str =
    "make one with: openssl rand -base64 32, and write key = \"${env:FANFOLD_STORE_KEY}\" in [store]";

/// The name of the machine.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What is wrong with the folder of a store's file. The folder of the configuration itself needs no look.
fn unfit_folder(url: &StoreUrl, folder: &Path) -> Option<Wrong> {
    let StoreUrl::Sqlite { path } = url else { return None };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty())?;
    let parent = folder.join(parent);
    let shown = parent.display();
    match std::fs::metadata(&parent) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(Wrong::new(format!("{shown} is not a folder")).hint("name a file in a folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(
            Wrong::new(format!("there is no folder {shown}"))
                .hint("make it first: the file of the store is made by itself, its folder is not"),
        ),
        Err(error) => Some(
            Wrong::new(format!("the folder {shown} cannot be reached: {error}"))
                .hint("the user that runs Fanfold must be able to write there"),
        ),
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A relative path counts from the folder of the file, so that a start from elsewhere does not open an empty store.
fn resolve(url: StoreUrl, folder: &Path) -> StoreUrl {
    match url {
        StoreUrl::Sqlite { path } => StoreUrl::Sqlite { path: folder.join(path) },
        StoreUrl::Postgres { url } => StoreUrl::Postgres { url },
    }
}
