//! What hosts' names stand for, and how many names are looked up at once.
//!
//! The operating system is asked on threads that the readers of the store share, and nobody can take a question back: where
//! its answers take long, an unbounded number of them would keep everything else from being read.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

/// Look-ups at once for requests that are to be accepted. With the two below less than half of the 512 threads that Tokio has
/// for what blocks.
pub(crate) const FOR_ACCEPTANCE_MAX: usize = 32;

/// Look-ups at once for notices that are sent.
pub(crate) const FOR_NOTICES_MAX: usize = 64;

/// Look-ups at once for all targets.
pub(crate) const FOR_TARGETS_MAX: usize = 128;

/// How many of them for the same target.
pub(crate) const FOR_ONE_TARGET_MAX: usize = 8;

/// The longest name of a host, in octets, and the longest part of it between two dots (RFC 1035, section 2.3.4).
pub(crate) const NAME_BYTES_MAX: usize = 253;
pub(crate) const LABEL_BYTES_MAX: usize = 63;

/// What is found for a name.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of hosts.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of the host of this name, with the port. [`io::ErrorKind::NotFound`] says that there is no such host; any
    /// other error, that it may be found another time.
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a> {
        Box::pin(async move {
            if !can_be_name(name) {
                return Err(io::Error::new(io::ErrorKind::NotFound, "it is too long, or has nothing between two dots"));
            }
            Ok(tokio::net::lookup_host((name, port)).await.map_err(told_apart)?.collect())
        })
    }
}

/// Whether there can be a host of this name. Asked about others, some systems say that they cannot tell now.
fn can_be_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= NAME_BYTES_MAX && name.split('.').all(|label| (1..=LABEL_BYTES_MAX).contains(&label.len()))
}

/// Gives an error that says that there is no such host the kind that says so: the standard library keeps the code to itself, so
/// its words have to do. They are those of glibc, musl and Apple for `EAI_NONAME` and `EAI_NODATA`, which are not translated.
fn told_apart(error: io::Error) -> io::Error {
    const NO_SUCH_HOST: [&str; 6] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided, or not known",
        "No address associated with nodename",
    ];
    let text = error.to_string();
    if NO_SUCH_HOST.iter().any(|words| text.ends_with(words)) {
        return io::Error::new(io::ErrorKind::NotFound, error);
    }
    error
}

/// Looks names up, no more at once than it has places for.
#[derive(Debug, Clone)]
pub(crate) struct Lookups {
    resolver: Arc<dyn Resolve>,
    /// The places, those that are shared with fewer others first: who waits for the others holds up only its own kind.
    places: Vec<Arc<Semaphore>>,
    under_way: Arc<Mutex<JoinSet<()>>>,
}

/// A place for one look-up.
pub(crate) struct Place<'a> {
    lookups: &'a Lookups,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Lookups {
    /// By `resolver`, at the most `most` at once.
    pub(crate) fn new(resolver: Arc<dyn Resolve>, most: usize) -> Self {
        Self { resolver, places: vec![Arc::new(Semaphore::new(most))], under_way: Arc::default() }
    }

    /// A share of these: at the most `most` of them at once.
    pub(crate) fn share(&self, most: usize) -> Self {
        let own = Arc::new(Semaphore::new(most));
        Self { places: [own].into_iter().chain(self.places.iter().cloned()).collect(), ..self.clone() }
    }

    /// Waits for a place, in turn.
    pub(crate) async fn place(&self) -> Place<'_> {
        let mut permits = Vec::with_capacity(self.places.len());
        for places in &self.places {
            let permit = Arc::clone(places).acquire_owned().await;
            permits.push(permit.expect("nobody closes the semaphore of look-ups"));
        }
        Place { lookups: self, permits }
    }

    /// Waits for a place, and looks the name up.
    ///
    /// # Errors
    /// As [`Resolve::resolve`].
    pub(crate) async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.place().await.look_up(name, port).await
    }
}

impl Place<'_> {
    /// Looks the name up. The place is taken until the look-up has ended, also if nobody waits for it any more.
    ///
    /// # Errors
    /// As [`Resolve::resolve`].
    pub(crate) async fn look_up(self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let Self { lookups, permits } = self;
        let (resolver, name) = (Arc::clone(&lookups.resolver), name.to_owned());
        let (tell, told) = oneshot::channel();
        lookups.begin(async move {
            let found = resolver.resolve(&name, port).await;
            // Before it is told, so that whoever is told finds the place free.
            drop(permits);
            // Who asked may have gone away.
            drop(tell.send(found));
        });
        told.await
            .unwrap_or_else(|_| Err(io::Error::other("a mistake in the program ended the look-up; the log tells more")))
    }
}

impl Lookups {
    /// Begins one in a task of its own, and forgets those that have ended.
    fn begin(&self, look_up: impl Future<Output = ()> + Send + 'static) {
        // A set of tasks has no half-way state.
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waited for one that met a mistake in the program was told.
        while under_way.try_join_next().is_some() {}
        under_way.spawn(look_up);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Ends a look-up for each permit that is added.
    #[derive(Debug)]
    struct Stuck(Semaphore);

    impl Resolve for Stuck {
        fn resolve<'a>(&'a self, _name: &'a str, port: u16) -> Resolved<'a> {
            Box::pin(async move {
                self.0.acquire().await.unwrap().forget();
                Ok(vec![([127, 0, 0, 1], port).into()])
            })
        }
    }

    fn stuck() -> Arc<Stuck> {
        Arc::new(Stuck(Semaphore::new(0)))
    }

    #[tokio::test]
    async fn a_place_is_taken_until_the_look_up_itself_ends() {
        let resolver = stuck();
        let lookups = Lookups::new(Arc::clone(&resolver) as _, 1);
        {
            let mut given_up = std::pin::pin!(lookups.look_up("a.example", 80));
            assert!(given_up.as_mut().now_or_never().is_none());
        }
        let mut place = std::pin::pin!(lookups.place());
        assert!(place.as_mut().now_or_never().is_none(), "the look-up goes on");
        resolver.0.add_permits(1);
        let place = place.await;
        resolver.0.add_permits(1);
        assert_eq!(place.look_up("b.example", 80).await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        drop(lookups.place().await);
    }

    #[tokio::test]
    async fn a_share_that_is_full_leaves_places_to_the_others() {
        let all = Lookups::new(stuck(), 3);
        let (one, other) = (all.share(2), all.share(2));
        let (_first, _second) = (one.place().await, one.place().await);
        let mut third = std::pin::pin!(one.place());
        assert!(third.as_mut().now_or_never().is_none());
        let place = other.place().await;
        let mut further = std::pin::pin!(other.place());
        assert!(further.as_mut().now_or_never().is_none(), "all are taken");
        drop(place);
        assert!(further.as_mut().now_or_never().is_some());
    }

    #[derive(Debug)]
    struct Broken;

    impl Resolve for Broken {
        fn resolve<'a>(&'a self, _name: &'a str, _port: u16) -> Resolved<'a> {
            panic!("told to fail")
        }
    }

    #[tokio::test]
    async fn a_mistake_in_the_program_fails_its_own_look_up_and_gives_its_place_back() {
        let lookups = Lookups::new(Arc::new(Broken), 1);
        for _ in 0..3 {
            let error = lookups.look_up("a.example", 80).await.unwrap_err();
            assert!(error.to_string().contains("mistake in the program"), "{error}");
        }
    }

    #[tokio::test]
    async fn names_that_no_host_can_have_are_not_asked_for() {
        let long = format!("{}example", "x.".repeat(130));
        for name in ["", ".", "a..example", "a.example..", &format!("{}.example", "x".repeat(64)), &long] {
            let error = SystemResolver.resolve(name, 80).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}");
        }
        assert!(can_be_name("a_b.example.") && can_be_name(&"x".repeat(63)));
    }

    #[test]
    fn a_host_that_is_not_there_is_told_from_one_that_cannot_be_found_now() {
        let kind = |text: &str| {
            let error = io::Error::other(format!("failed to lookup address information: {text}"));
            told_apart(error).kind()
        };
        assert_eq!(kind("Name or service not known"), io::ErrorKind::NotFound);
        assert_eq!(kind("No address associated with hostname"), io::ErrorKind::NotFound);
        assert_eq!(kind("Temporary failure in name resolution"), io::ErrorKind::Other);
        assert_eq!(kind("Non-recoverable failure in name resolution"), io::ErrorKind::Other);
    }

    /// The scope of the address is none of this machine, which glibc finds out without asking anybody.
    #[cfg(target_env = "gnu")]
    #[tokio::test]
    async fn the_operating_system_says_it_in_these_words() {
        let error = SystemResolver.resolve("fe80::1%nowhere", 80).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    }
}
