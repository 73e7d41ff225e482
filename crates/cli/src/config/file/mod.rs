//! The configuration file as it is written: one structure for each table, whose documentation is that of the JSON Schema.
//!
//! Nothing is decided here. A key that may be left out is an `Option` even where it is needed (the schema says which are), so
//! that a file with mistakes can still be read as far as it is right. Defaults are applied by [`super::settings`].

mod auth;
mod auth_issuers;
mod choice;
mod limits;
mod route;
mod server;
mod target;
mod telemetry;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::Value as Json;

pub(crate) use auth::{Auth, Certificate, Role, Token};
pub(crate) use auth_issuers::{Algorithm, Issuer, Keystone, RoleGrant, TenantFrom};
pub(crate) use choice::OnUnknown;
pub(crate) use limits::{Limits, Tenant};
pub(crate) use route::{Body, Callback, Probe, Redact, RequestParts, Require, Route, Undo};
pub(crate) use server::{Mount, MountDialect, Notices, SecretText, Server, ServerTls, Store};
pub(crate) use target::{Defaults, HeaderText, Monitor, Retry, Target, TargetTls, Timeouts};
pub(crate) use telemetry::Telemetry;

/// The configuration of Fanfold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Fanfold configuration")]
pub(crate) struct File {
    /// The server itself: where it listens, and what it takes.
    pub(crate) server: Option<Server>,
    /// Who may call, and what they may do. With it everybody has to show who they are, this machine included.
    pub(crate) auth: Option<Auth>,
    /// Where operations are kept, and how much of them.
    pub(crate) store: Option<Store>,
    /// What one caller may take, whose tenant does not say otherwise.
    pub(crate) limits: Option<Limits>,
    /// What differs for single tenants, by name: 1 to 64 letters, digits, spaces and any of `.`, `_`, `-`, `@`.
    #[serde(default)]
    pub(crate) tenants: BTreeMap<String, Tenant>,
    /// How completions are told to those who asked for it.
    pub(crate) notices: Option<Notices>,
    /// Where traces of operations are sent.
    pub(crate) telemetry: Option<Telemetry>,
    /// At which path prefixes which wire formats are spoken.
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
    /// What holds for every target and route that does not say otherwise.
    pub(crate) defaults: Option<Defaults>,
    /// The back ends, by name: 1 to 64 letters, digits, `_` and `-`.
    #[serde(default)]
    pub(crate) targets: BTreeMap<String, Target>,
    /// What is done with which requests. The order does not matter: the most specific pattern wins.
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
}

/// The JSON Schema of the file, draft 2020-12.
pub(crate) fn schema() -> Json {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<File>().to_value();
    remove_null(&mut schema);
    schema
}

/// TOML has no null, so an `Option` is a key that may be left out and nothing else.
fn remove_null(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if let Some(Json::Array(kinds)) = object.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = kinds.as_slice() {
                    let kind = kind.clone();
                    object.insert("type".to_owned(), kind);
                }
            }
            if let Some(Json::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [Json::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            if let Some(Json::Array(words)) = object.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            object.values_mut().for_each(remove_null);
        }
        Json::Array(elements) => elements.iter_mut().for_each(remove_null),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
