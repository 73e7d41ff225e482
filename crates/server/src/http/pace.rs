//! How fast somebody may ask: so many requests a second with one token, and so many failed authentications in a minute from one
//! address. Of what goes beyond that nothing is read, and nothing is looked up for it.
//!
//! Who comes at the pace or slower needs no memory: only those who are ahead of it are kept, and of these at most
//! [`KEPT_MAX`]. Whoever is the least ahead is forgotten first.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_core::dialect::Refusal;
use fanfold_core::{PerTenant, TenantId};
use tokio::time::Instant;

use super::auth::{Caller, Credential};
use super::metrics::{Metrics, Rejected};

/// Tokens that are kept in memory because they are ahead of their pace, and addresses as well.
const KEPT_MAX: usize = 65_536;

/// Refused attempts to sign in that go into the audit trail in a minute, from all addresses together: nobody pays to make them.
const REFUSED_SIGN_INS_A_MINUTE: u32 = 60;

/// The part of an IPv6 address that one client is given, who chooses the rest of it at will.
const CLIENT_BITS: u32 = 64;

/// How often something may be done: in the long run, and at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    number: u32,
    period: Duration,
    burst: u32,
}

impl Pace {
    /// `number` times in each `period` in the long run, of which up to `burst` may come at once. Less than one counts as one.
    pub fn new(number: u32, period: Duration, burst: u32) -> Self {
        Self { number: number.max(1), period, burst: burst.max(1) }
    }

    fn interval(&self) -> Duration {
        self.period / self.number
    }

    /// How far ahead of the pace one may be.
    fn slack(&self) -> Duration {
        self.interval().saturating_mul(self.burst - 1)
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, period, .. } = self;
        let plural = if *number == 1 { "" } else { "s" };
        match period.as_secs() {
            1 => write!(f, "{number} request{plural} a second"),
            60 => write!(f, "{number} request{plural} a minute"),
            seconds => write!(f, "{number} request{plural} in {seconds} s"),
        }
    }
}

/// Not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TooEarly {
    retry_after: Duration,
}

/// Who is ahead of their pace, and until when: the instant from which on they may do as much at once as anybody.
#[derive(Debug)]
struct Ahead<K> {
    until: HashMap<K, Instant>,
    in_order: BTreeSet<(Instant, K)>,
    max: usize,
}

impl<K: Clone + Eq + Hash + Ord> Ahead<K> {
    fn new(max: usize) -> Self {
        Self { until: HashMap::new(), in_order: BTreeSet::new(), max }
    }

    /// Whether one more may be done now.
    fn look(&self, key: &K, pace: &Pace, now: Instant) -> Result<(), TooEarly> {
        let Some(until) = self.until.get(key) else { return Ok(()) };
        let ahead = until.saturating_duration_since(now);
        match ahead.checked_sub(pace.slack()).filter(|wait| !wait.is_zero()) {
            Some(retry_after) => Err(TooEarly { retry_after }),
            None => Ok(()),
        }
    }

    /// Does one more, if that may be.
    fn take(&mut self, key: &K, pace: &Pace, now: Instant) -> Result<(), TooEarly> {
        self.forget(now);
        self.look(key, pace, now)?;
        let before = self.until.get(key).copied();
        if let Some(before) = before {
            self.in_order.remove(&(before, key.clone()));
        } else if self.until.len() >= self.max
            && let Some((_, least)) = self.in_order.pop_first()
        {
            self.until.remove(&least);
        }
        let until = before.unwrap_or(now).max(now) + pace.interval();
        self.until.insert(key.clone(), until);
        self.in_order.insert((until, key.clone()));
        Ok(())
    }

    /// Forgets who is ahead no more.
    fn forget(&mut self, now: Instant) {
        while self.in_order.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.in_order.pop_first() {
                self.until.remove(&key);
            }
        }
    }
}

/// The paces that callers keep to.
#[derive(Debug)]
pub(super) struct Paces {
    requests: PerTenant<Pace>,
    failures: Pace,
    tokens: Mutex<Ahead<(TenantId, String)>>,
    addresses: Mutex<Ahead<IpAddr>>,
    refused_sign_ins: Mutex<Ahead<()>>,
    metrics: Metrics,
}

impl Paces {
    /// `requests`: of each token of a tenant. `failures`: failed authentications of each address.
    pub(super) fn new(requests: PerTenant<Pace>, failures: Pace, metrics: Metrics) -> Self {
        let (tokens, addresses) = (Mutex::new(Ahead::new(KEPT_MAX)), Mutex::new(Ahead::new(KEPT_MAX)));
        Self { requests, failures, tokens, addresses, refused_sign_ins: Mutex::new(Ahead::new(1)), metrics }
    }

    /// Tells an address that its credentials were bad, unless too many that came from it were: then it is to wait. Good ones are
    /// good all the same, since whoever shows them may share the address with somebody who has bad ones, behind a proxy; nobody
    /// finds 256 random bits by trying.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`].
    pub(super) fn may_fail(&self, peer: IpAddr, now: Instant) -> Result<(), Refusal> {
        let looked = lock(&self.addresses).look(&client(peer), &self.failures, now);
        looked.map_err(|TooEarly { retry_after }| {
            self.metrics.rejected(Rejected::TooManyFailures);
            let detail = format!("more than {} came from this address without good credentials", self.failures);
            Refusal::TooManyRequests { detail, retry_after }
        })
    }

    /// Notes that credentials from an address were bad.
    pub(super) fn failed(&self, peer: IpAddr, now: Instant) {
        // Where several are looked at in the same moment, a few more than may be are found to be bad. The next one is refused.
        let _ = lock(&self.addresses).take(&client(peer), &self.failures, now);
    }

    /// Whether one more refused attempt to sign in is to go into the audit trail.
    pub(super) fn may_record_refused_sign_in(&self, now: Instant) -> bool {
        let pace = Pace::new(REFUSED_SIGN_INS_A_MINUTE, Duration::from_secs(60), REFUSED_SIGN_INS_A_MINUTE);
        lock(&self.refused_sign_ins).take(&(), &pace, now).is_ok()
    }

    /// Lets a caller make one more request. Those who have shown nothing are told apart by their addresses, so that none of them
    /// uses up what the others may ask.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`].
    pub(super) fn request(&self, caller: &Caller, now: Instant) -> Result<(), Refusal> {
        let pace = self.requests.of(&caller.access.tenant);
        let name = match (&caller.credential, caller.from) {
            (Credential::Nothing, Some(from)) => client(from.ip()).to_string(),
            _ => caller.name.clone(),
        };
        let key = (caller.access.tenant.clone(), name);
        let taken = lock(&self.tokens).take(&key, pace, now);
        taken.map_err(|TooEarly { retry_after }| {
            self.metrics.rejected(Rejected::TooManyRequests);
            let detail = format!("{} makes more than {}", caller.name, pace);
            Refusal::TooManyRequests { detail, retry_after }
        })
    }
}

fn lock<K>(ahead: &Mutex<Ahead<K>>) -> MutexGuard<'_, Ahead<K>> {
    // At worst somebody is forgotten whom a panic met half-way.
    ahead.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands for a client of this address.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::MAX << CLIENT_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerConfig;
    use fanfold_core::Access;

    use super::*;

    fn second(number: u32, burst: u32) -> Pace {
        Pace::new(number, Duration::from_secs(1), burst)
    }

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn so_many_come_at_once_and_then_one_at_a_time() {
        let (mut ahead, began, pace) = (Ahead::new(9), Instant::now(), second(10, 3));
        for _ in 0..3 {
            assert_eq!(ahead.take(&"a", &pace, began), Ok(()));
        }
        assert_eq!(ahead.take(&"a", &pace, began), Err(TooEarly { retry_after: millis(100) }));
        assert_eq!(ahead.take(&"a", &pace, began + millis(40)), Err(TooEarly { retry_after: millis(60) }));
        assert_eq!(ahead.take(&"a", &pace, began + millis(100)), Ok(()));
        assert!(ahead.take(&"a", &pace, began + millis(199)).is_err());
        assert_eq!(ahead.take(&"b", &pace, began + millis(199)), Ok(()), "another one has a pace of its own");
        // What was refused counts for nothing: after a pause all of it may come at once again.
        for _ in 0..3 {
            assert_eq!(ahead.take(&"a", &pace, began + millis(2_000)), Ok(()));
        }
        assert!(ahead.take(&"a", &pace, began + millis(2_000)).is_err());
    }

    #[test]
    fn in_the_long_run_no_more_come_than_the_pace_says() {
        let (mut ahead, began) = (Ahead::new(9), Instant::now());
        for (number, burst) in [(1, 1), (7, 1), (100, 250), (10_000, 10_000)] {
            let pace = second(number, burst);
            let instants = (0..20_000_u64).map(|step| began + Duration::from_micros(step * 500));
            let let_in = instants.filter(|now| ahead.take(&(number, burst), &pace, *now).is_ok()).count();
            let allowed = usize::try_from(u64::from(number) * 10 + u64::from(burst)).unwrap();
            assert!((allowed - 1..=allowed).contains(&let_in) || let_in == 20_000, "{let_in} of {number}, {burst}");
        }
    }

    #[test]
    fn who_is_not_ahead_is_forgotten_and_who_is_least_ahead_goes_first() {
        let (mut ahead, began, pace) = (Ahead::new(3), Instant::now(), second(1, 2));
        for key in [1, 1, 2, 3, 3] {
            ahead.take(&key, &pace, began).unwrap();
        }
        assert_eq!((ahead.until.len(), ahead.in_order.len()), (3, 3));
        ahead.take(&4, &pace, began).unwrap();
        assert_eq!((ahead.until.len(), ahead.in_order.len()), (3, 3));
        assert!(!ahead.until.contains_key(&2), "it was the least ahead");
        assert!(ahead.take(&1, &pace, began).is_err(), "the one that is the most ahead is remembered");
        ahead.forget(began + millis(1_000));
        assert_eq!(ahead.until.len(), 2);
        ahead.forget(began + millis(2_000));
        assert_eq!((ahead.until.len(), ahead.in_order.len()), (0, 0));
    }

    #[test]
    fn a_client_is_an_address_or_the_network_that_is_its_own() {
        for (one, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            let [one, other] = [one, other].map(|address| client(address.parse().unwrap()));
            assert_eq!(one == other, same, "{one} {other}");
        }
    }

    #[test]
    fn tokens_of_different_tenants_are_different_and_have_the_pace_of_theirs() {
        let own = [(TenantId::from("acme"), second(5, 1))].into();
        let requests = PerTenant { otherwise: second(100, 2), own };
        let paces = Paces::new(requests, second(1, 1), Metrics::new(&ServerConfig::default()));
        let caller = |tenant: &str| Caller {
            access: Access { tenant: tenant.into(), ..Access::full() },
            ..Caller::the_program()
        };
        let now = Instant::now();
        let mut take = |tenant: &str| paces.request(&caller(tenant), now).map_err(|refusal| refusal.to_string());
        let took = ["acme", "acme", "default", "default", "default"].map(&mut take);
        assert_eq!(took[0], Ok(()));
        assert_eq!(took[1].as_ref().unwrap_err(), "local makes more than 5 requests a second");
        assert_eq!([&took[2], &took[3]], [&Ok(()); 2]);
        assert!(took[4].is_err());
    }

    #[test]
    fn who_has_shown_nothing_is_known_by_the_address() {
        let metrics = Metrics::new(&ServerConfig::default());
        let paces = Paces::new(PerTenant::same(second(1, 1)), second(1, 1), metrics);
        let now = Instant::now();
        let take = |address: &str| paces.request(&Caller::anybody(address.parse().unwrap()), now).is_ok();
        let took = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.1:2", "[2001:db8::1]:1", "[2001:db8::2]:1"].map(take);
        assert_eq!(took, [true, true, false, true, false]);
    }

    #[test]
    fn nobody_fills_the_trail_by_trying_to_sign_in_from_many_addresses() {
        let paces = Paces::new(PerTenant::same(second(1, 1)), second(1, 1), Metrics::new(&ServerConfig::default()));
        let (now, minute) = (Instant::now(), Duration::from_secs(60));
        let recorded = |now| (0..1_000).filter(|_| paces.may_record_refused_sign_in(now)).count();
        assert_eq!([now, now, now + minute / 60, now + 2 * minute].map(recorded), [60, 0, 1, 60]);
    }

    #[test]
    fn an_address_that_fails_too_often_is_looked_at_no_more_for_a_while() {
        let failures = Pace::new(60, Duration::from_secs(60), 2);
        let paces = Paces::new(PerTenant::same(second(1, 1)), failures, Metrics::new(&ServerConfig::default()));
        let (bad, good): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Instant::now();
        for _ in 0..2 {
            paces.may_fail(bad, now).unwrap();
            paces.failed(bad, now);
        }
        let Err(Refusal::TooManyRequests { detail, retry_after }) = paces.may_fail(bad, now) else {
            panic!("it is refused")
        };
        assert!(detail.starts_with("more than 60 requests a minute came"), "{detail}");
        assert_eq!(retry_after, Duration::from_secs(1));
        paces.may_fail(good, now).unwrap();
        paces.may_fail(bad, now + retry_after).unwrap();
    }
}
