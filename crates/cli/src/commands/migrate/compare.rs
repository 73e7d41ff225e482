//! Whether two stores hold the same: line by line as they are exported.

use std::collections::BTreeSet;

use fanfold_core::TenantId;
use fanfold_store::export::Export;
use fanfold_store::moving::Inventory;
use fanfold_store::postgres::Destination;
use fanfold_store::sqlite::Source;
use fanfold_store::{Filter, ReadAll};

use super::TOLD_EVERY;
use crate::failure::Failure;
use crate::output::say;

/// Requires that both are exported alike, and gives how many octets that are.
pub(super) async fn exports(source: &Source, destination: &Destination, inventory: &Inventory) -> Result<u64, Failure> {
    let (from, to) = (source.read_all().map_err(Failure::Migrate)?, destination.read_all());
    let tenants: BTreeSet<&str> = inventory.counts.iter().map(|(tenant, _, _)| tenant.as_str()).collect();
    let mut compared = Compared::default();
    for tenant in tenants {
        compared.tenant(&TenantId::from(tenant.to_owned()), from.as_ref(), to.as_ref()).await?;
    }
    Ok(compared.octets)
}

#[derive(Default)]
struct Compared {
    lines: u64,
    octets: u64,
}

impl Compared {
    async fn tenant(&mut self, tenant: &TenantId, from: &dyn ReadAll, to: &dyn ReadAll) -> Result<(), Failure> {
        let filter = Filter { tenant: tenant.clone(), ..Filter::default() };
        let (mut from, mut to) = (Export::new(from, filter.clone()), Export::new(to, filter));
        loop {
            let (expected, found) = tokio::join!(from.next(), to.next());
            let (expected, found) = (expected.map_err(Failure::Migrate)?, found.map_err(Failure::Migrate)?);
            if expected != found {
                let number = self.lines + 1;
                return Err(Failure::MigratedOtherwise(format!("line {number} of an export is another one")));
            }
            let Some(line) = expected else { return Ok(()) };
            self.lines += 1;
            self.octets += line.len() as u64;
            if self.lines.is_multiple_of(TOLD_EVERY) {
                say(&format!("{} operations compared", self.lines));
            }
        }
    }
}
