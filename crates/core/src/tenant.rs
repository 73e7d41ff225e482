//! What differs from tenant to tenant.

use std::collections::BTreeMap;

use crate::TenantId;

/// A value for each tenant: its own where it has one, and else that of all others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PerTenant<T> {
    /// Of tenants that have none of their own.
    pub otherwise: T,
    /// Of those that do.
    pub own: BTreeMap<TenantId, T>,
}

impl<T> PerTenant<T> {
    /// The same for all.
    pub fn same(value: T) -> Self {
        Self { otherwise: value, own: BTreeMap::new() }
    }

    /// That of a tenant.
    pub fn of(&self, tenant: &TenantId) -> &T {
        self.own.get(tenant).unwrap_or(&self.otherwise)
    }

    /// What is made of each.
    pub fn map<U>(&self, make: impl Fn(&T) -> U) -> PerTenant<U> {
        let own = self.own.iter().map(|(tenant, value)| (tenant.clone(), make(value))).collect();
        PerTenant { otherwise: make(&self.otherwise), own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_own_or_that_of_all_others() {
        let values = PerTenant { otherwise: 1, own: [(TenantId::from("acme"), 2)].into() };
        let values = values.map(|value| value * 10);
        assert_eq!((*values.of(&"acme".into()), *values.of(&TenantId::default())), (20, 10));
        assert_eq!(*PerTenant::same(3).of(&"acme".into()), 3);
    }
}
