//! Permits of targets, shared out.

use std::collections::{BTreeMap, BTreeSet};

use fanfold_core::TargetName;
use tokio_postgres::{Client, Row};

use super::columns::{at_most, get, limit, unsigned};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use crate::sharing::{Claim, share_out};
use crate::{Epoch, Error, PermitShare, PermitWish, Pool};

pub(super) struct Share {
    pub(super) wishes: Vec<PermitWish>,
}

/// Each by what it is of.
type Claims = BTreeMap<(TargetName, Pool), Vec<Claim>>;

impl Alone for Share {
    type Answer = Vec<PermitShare>;

    fn run<'a>(&'a self, sql: &'a Client, epoch: Epoch) -> BoxFuture<'a, Result<Vec<PermitShare>, Failure>> {
        Box::pin(async move {
            if epoch.0 == 0 {
                return Err(Error::Fenced.into());
            }
            let mut recorded = self.recorded(sql).await?;
            let mut changed = BTreeMap::new();
            let mut shares = Vec::with_capacity(self.wishes.len());
            for wish in &self.wishes {
                let claims = recorded.entry((wish.target.clone(), wish.pool)).or_default();
                let (claim, share) = share_out(wish, epoch, claims);
                let before = claims.iter().position(|claim| claim.epoch == epoch);
                let before = before.map(|position| claims.swap_remove(position));
                claims.push(claim);
                if before != Some(claim) {
                    changed.insert((wish.target.as_str(), wish.pool), claim);
                }
                shares.push(share);
            }
            if !changed.is_empty() {
                self.record(sql, epoch, &changed).await?;
            }
            Ok(shares)
        })
    }
}

impl Share {
    /// What the members have.
    async fn recorded(&self, sql: &Client) -> Result<Claims, Failure> {
        let select = "SELECT target, pool, epoch, granted, wants, turn FROM permits
                      WHERE target = ANY($1) AND epoch IN (SELECT epoch FROM nodes WHERE standing = 'member')";
        let targets: Vec<&str> =
            self.wishes.iter().map(|wish| wish.target.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
        let mut claims = Claims::new();
        for row in &sql.query(select, &[&targets]).await? {
            let (of, claim) = read(row)?;
            claims.entry(of).or_default().push(claim);
        }
        Ok(claims)
    }

    async fn record(&self, sql: &Client, epoch: Epoch, changed: &BTreeMap<(&str, Pool), Claim>) -> Result<(), Failure> {
        let upsert = "INSERT INTO permits (target, pool, epoch, granted, wants, turn)
                      SELECT target, pool, $3, granted, wants, turn
                      FROM unnest($1::text[], $2::text[], $4::bigint[], $5::bigint[], $6::bigint[])
                          AS changed (target, pool, granted, wants, turn)
                      ON CONFLICT (target, pool, epoch) DO UPDATE
                      SET granted = excluded.granted, wants = excluded.wants, turn = excluded.turn";
        let targets: Vec<&str> = changed.keys().map(|(target, _)| *target).collect();
        let pools: Vec<&str> = changed.keys().map(|(_, pool)| pool.as_str()).collect();
        let column = |of: fn(&Claim) -> i64| changed.values().map(of).collect::<Vec<i64>>();
        let granted = column(|claim| limit(claim.granted, usize::MAX));
        let wants = column(|claim| limit(claim.wants, usize::MAX));
        let turns = column(|claim| at_most(claim.turn));
        sql.execute(upsert, &[&targets, &pools, &at_most(epoch.0), &granted, &wants, &turns]).await?;
        Ok(())
    }
}

fn read(row: &Row) -> Result<((TargetName, Pool), Claim), Error> {
    let word: &str = get(row, 1)?;
    let pool = Pool::ALL.into_iter().find(|pool| pool.as_str() == word);
    let pool = pool.ok_or_else(|| Error::corrupt(format!("{word:?} is no pool of permits")))?;
    let count = |column| unsigned(row, column).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let claim =
        Claim { epoch: Epoch(unsigned(row, 2)?), granted: count(3)?, wants: count(4)?, turn: unsigned(row, 5)? };
    Ok(((get::<String>(row, 0)?.into(), pool), claim))
}
