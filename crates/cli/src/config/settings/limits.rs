//! The settings of what one caller may take: `[limits]`, `[tenants.NAME]`.

use std::time::Duration;

use fanfold_core::{PerTenant, TenantId};
use fanfold_engine::Weight;
use fanfold_server::Pace;

use super::defaults::{FAILURES_PER_MINUTE, REQUESTS_PER_SECOND};
use super::server::{self, count};
use super::{LimitSettings, TenantLimits};
use crate::config::document::Place;
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::value::is_tenant_name;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// `[limits]` and `[tenants.NAME]`
pub(super) fn limits(file: &file::File, findings: &mut Findings<'_>) -> LimitSettings {
    for name in file.tenants.keys().filter(|name| !is_tenant_name(name)) {
        let wrong = Wrong::new(format!("{name:?} is not a name of a tenant"));
        findings.bad_key(
            &Place::of(["tenants", name]),
            wrong.hint("use 1 to 64 letters, digits, spaces and any of . _ - @"),
        );
    }
    warn_of_no_bounds(file, findings);
    let nothing = file::Limits::default();
    let limits = file.limits.as_ref().unwrap_or(&nothing);
    let failures = limits.failed_authentications_per_minute.unwrap_or(FAILURES_PER_MINUTE);
    let own = file.tenants.iter();
    let own = own.map(|(name, tenant)| (TenantId::from(name.as_str()), of_tenant(tenant, limits))).collect();
    LimitSettings {
        tenants: PerTenant { otherwise: of_tenant(&file::Tenant::default(), limits), own },
        failures: Pace::new(failures, MINUTE, failures),
    }
}

/// The bounds for all.
const WAITING: &str = "waiting_max of [store]";
const FOLLOWERS: &str = "followers_max of [server]";

/// A bound of one tenant that is none, since that of all is met before.
fn warn_of_no_bounds(file: &file::File, findings: &mut Findings<'_>) {
    let waiting_max = file.store.as_ref().and_then(|store| store.waiting_max).map(u64::from);
    let waiting_max = (WAITING, waiting_max.unwrap_or(fanfold_store::Limits::default().waiting_max));
    let nothing = file::Server::default();
    let followers_max = (FOLLOWERS, server::followers_bound(file.server.as_ref().unwrap_or(&nothing)) as u64);
    let mut bounds = Vec::new();
    if let Some(limits) = &file.limits {
        let place = Place::of(["limits"]);
        bounds.push((place.key("tenant_waiting_max"), limits.tenant_waiting_max, waiting_max));
        bounds.push((place.key("tenant_followers_max"), limits.tenant_followers_max, followers_max));
    }
    for (name, tenant) in &file.tenants {
        let place = Place::of(["tenants", name]);
        bounds.push((place.key("waiting_max"), tenant.waiting_max, waiting_max));
        bounds.push((place.key("followers_max"), tenant.followers_max, followers_max));
    }
    for (place, bound, (of_all, most)) in bounds {
        if let Some(bound) = bound.filter(|bound| u64::from(*bound) > most) {
            let wrong = Wrong::new(format!("a bound of {bound} bounds nothing: {of_all} is {most} for all together"));
            findings.warning(&place, wrong.hint(format!("make it smaller, or {of_all} larger")));
        }
    }
}

/// What a tenant may take that says this.
fn of_tenant(tenant: &file::Tenant, limits: &file::Limits) -> TenantLimits {
    TenantLimits {
        weight: tenant.weight.map_or_else(Weight::default, Weight::new),
        waiting_max: tenant.waiting_max.or(limits.tenant_waiting_max).map(u64::from),
        followers_max: tenant.followers_max.or(limits.tenant_followers_max).map(count),
        requests: request_pace(tenant, limits),
    }
}

/// Where a tenant has a rate of its own, its burst goes by that.
fn request_pace(tenant: &file::Tenant, limits: &file::Limits) -> Pace {
    let (number, burst) = match tenant.requests_per_second {
        Some(number) => (number, None),
        None => (limits.requests_per_second.unwrap_or(REQUESTS_PER_SECOND), limits.requests_burst),
    };
    Pace::new(number, SECOND, tenant.requests_burst.or(burst).unwrap_or(number))
}
