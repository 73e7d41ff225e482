//! Reaching the server: the address, TLS, and the settings of each session.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_ok;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Error;
use crate::failure::DatabaseError as _;

/// How long the kernel keeps a connection whose other side does not say that it has got what was sent.
const UNHEARD_MAX: Duration = Duration::from_secs(10);

/// A session that does nothing in the middle of a transaction for so long is ended by the server: its process was stopped, and
/// everybody else waits for what it holds.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(2);

/// How much of a statement's time it may wait for what others hold: what gives up for that reason is told apart by it.
const LOCK_SHARE: f64 = 0.75;

/// How long setting up the tables may take: building an index over many records takes its time.
const SET_UP_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The address of a PostgreSQL database, as libpq takes it: `postgres://user:password@host:port,host:port/database?...`.
///
/// `sslmode` is `disable`, `require` or `verify-full`; both of the latter check the certificate, against the platform's
/// authorities and those of `sslrootcert`. Without it TLS is required but for loopback addresses and sockets.
/// `target_session_attrs` is `read-write` in any case.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    config: tokio_postgres::Config,
    authorities: Option<PathBuf>,
    shown: String,
}

/// An address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(String);

/// Without the password.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.shown).finish()
    }
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut authorities, mut others) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value.to_owned()),
                Some(("sslrootcert", value)) => authorities = Some(PathBuf::from(value)),
                _ => others.push(pair),
            }
        }
        let rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        // The library's words do not hold the address.
        let mut config: tokio_postgres::Config = rest.parse().map_err(|error: tokio_postgres::Error| {
            BadUrl(format!("{}; an address is like postgres://user@host/database", words(&error)))
        })?;
        if config.get_hosts().is_empty() {
            return Err(BadUrl("it names no host".to_owned()));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(BadUrl("it names no database: postgres://user@host/database".to_owned()));
        }
        let ssl = match mode.as_deref() {
            None if config.get_hosts().iter().all(is_this_machine) && authorities.is_none() => SslMode::Disable,
            None | Some("require" | "verify-full") => SslMode::Require,
            Some("disable") => SslMode::Disable,
            Some(other) => {
                return Err(BadUrl(format!("sslmode={other} is not one of disable, require and verify-full")));
            }
        };
        config.ssl_mode(ssl).target_session_attrs(TargetSessionAttrs::ReadWrite);
        let shown = shown(&config);
        Ok(Self { config, authorities, shown })
    }
}

fn words(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Hosts and database, for messages.
fn shown(config: &tokio_postgres::Config) -> String {
    let ports = config.get_ports();
    let host = |(position, host): (usize, &Host)| {
        let name = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        match ports.get(position).or(ports.first()) {
            Some(port) => format!("{name}:{port}"),
            None => name,
        }
    };
    let hosts: Vec<_> = config.get_hosts().iter().enumerate().map(host).collect();
    format!("postgres://{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

impl Url {
    /// Sets the password, in place of the one that the address may hold.
    pub fn set_password(&mut self, password: &str) {
        self.config.password(password);
    }

    /// Hosts and database, without user and password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What makes connections to it, within these times.
    pub(super) fn connector(&self, connect: Duration, patience: Duration) -> Result<Connector, Error> {
        let mut hosts = self.hosts();
        for host in &mut hosts {
            // A name may have several addresses, of which the first one drops what comes.
            host.connect_timeout(connect / 2)
                .tcp_user_timeout(UNHEARD_MAX)
                .keepalives_idle(UNHEARD_MAX)
                .keepalives_interval(UNHEARD_MAX / 5)
                .keepalives_retries(3);
            if host.get_application_name().is_none() {
                host.application_name("fanfold");
            }
        }
        let tls = match self.config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(MakeRustlsConnect::new(self.tls()?)),
        };
        Ok(Connector { hosts, tls, patience, connect, shown: self.shown.clone(), require_sync_standby: false })
    }

    /// Each host alone, with everything else that the address says.
    fn hosts(&self) -> Vec<tokio_postgres::Config> {
        let (ports, addresses) = (self.config.get_ports(), self.config.get_hostaddrs());
        let alone = |(place, host): (usize, &Host)| {
            let mut alone = tokio_postgres::Config::new();
            match host {
                Host::Tcp(name) => alone.host(name),
                Host::Unix(path) => alone.host_path(path),
            };
            if let Some(port) = ports.get(place).or(ports.first()) {
                alone.port(*port);
            }
            if let Some(address) = addresses.get(place) {
                alone.hostaddr(*address);
            }
            self.copy_what_is_of_no_host(&mut alone);
            alone
        };
        self.config.get_hosts().iter().enumerate().map(alone).collect()
    }

    fn copy_what_is_of_no_host(&self, to: &mut tokio_postgres::Config) {
        let from = &self.config;
        if let Some(user) = from.get_user() {
            to.user(user);
        }
        if let Some(password) = from.get_password() {
            to.password(password);
        }
        if let Some(name) = from.get_dbname() {
            to.dbname(name);
        }
        if let Some(options) = from.get_options() {
            to.options(options);
        }
        if let Some(name) = from.get_application_name() {
            to.application_name(name);
        }
        to.ssl_mode(from.get_ssl_mode())
            .ssl_negotiation(from.get_ssl_negotiation())
            .channel_binding(from.get_channel_binding())
            .keepalives(from.get_keepalives())
            .target_session_attrs(from.get_target_session_attrs());
    }

    fn tls(&self) -> Result<ClientConfig, Error> {
        let refused = |detail: String| Error::Unusable { path: self.shown.clone().into(), detail };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| refused(format!("TLS cannot be set up: {error}")))?;
        let Some(path) = &self.authorities else {
            let verifier =
                Verifier::new(provider).map_err(|error| refused(format!("TLS cannot be set up: {error}")))?;
            // Not dangerous in fact: this is how the platform's own verifier is put in.
            return Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth());
        };
        let unreadable = |detail: String| refused(format!("sslrootcert={}: {detail}", path.display()));
        let pem = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// Makes connections to the server that takes writes.
#[derive(Clone)]
pub(super) struct Connector {
    /// One for each host.
    hosts: Vec<tokio_postgres::Config>,
    pub(super) tls: Option<MakeRustlsConnect>,
    pub(super) patience: Duration,
    connect: Duration,
    /// The database, for messages.
    pub(super) shown: String,
    pub(super) require_sync_standby: bool,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// What has to be polled for a connection to do anything; ends with it.
pub(super) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Connector {
    /// How long connecting may take.
    pub(super) fn reaching(&self) -> Duration {
        self.connect
    }

    /// The hosts, for connections with one statement after the other, which the server itself bounds.
    pub(super) fn session(&self) -> Vec<tokio_postgres::Config> {
        self.with_patience(self.patience, self.patience.mul_f64(LOCK_SHARE))
    }

    fn with_patience(&self, patience: Duration, for_locks: Duration) -> Vec<tokio_postgres::Config> {
        let mut hosts = self.hosts.clone();
        let settings = format!(
            "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={}",
            patience.as_millis(),
            for_locks.as_millis(),
            IDLE_IN_TRANSACTION.as_millis()
        );
        for host in &mut hosts {
            let options = match host.get_options() {
                Some(given) => format!("{given} {settings}"),
                None => settings.clone(),
            };
            host.options(options);
        }
        hosts
    }

    /// A connection that writes or reads.
    pub(super) async fn connect(&self) -> Result<(Client, Running<()>), Error> {
        self.connect_with(&self.session()).await
    }

    /// A connection that sets up the tables, for as long as that takes.
    pub(super) async fn connect_to_set_up(&self) -> Result<(Client, Running<()>), Error> {
        self.connect_with(&self.with_patience(SET_UP_PATIENCE, SET_UP_PATIENCE)).await
    }

    async fn connect_with(&self, hosts: &[tokio_postgres::Config]) -> Result<(Client, Running<()>), Error> {
        self.bounded(self.race(hosts)).await
    }

    async fn race(&self, hosts: &[tokio_postgres::Config]) -> Result<(Client, Running<()>), tokio_postgres::Error> {
        Ok(match &self.tls {
            None => {
                let (client, connection) = first_to_answer(hosts, NoTls).await?;
                (client, ended(connection))
            }
            Some(tls) => {
                let (client, connection) = first_to_answer(hosts, tls.clone()).await?;
                (client, ended(connection))
            }
        })
    }

    /// Connects in time. The library itself bounds no more than the connection of the socket.
    pub(super) async fn bounded<T>(
        &self,
        connecting: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.reaching(), connecting).await {
            Ok(connected) => connected.map_err(|error| error.translate(false)),
            Err(_) => Err(Error::unavailable("the database cannot be reached in time")),
        }
    }
}

/// Connects to the server that takes writes. All hosts are asked at the same time: one that does not answer, or hangs after it
/// was connected to, must not keep the others from being found.
pub(super) async fn first_to_answer<T>(
    hosts: &[tokio_postgres::Config],
    tls: T,
) -> Result<(Client, Connection<Socket, T::Stream>), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket> + Clone,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    // There is one at least, which the address was checked for.
    let tries = hosts.iter().map(|host| Box::pin(host.connect(tls.clone())));
    select_ok(tries).await.map(|(connected, _)| connected)
}

/// For the pool of those that read.
impl deadpool_postgres::Connect for Connector {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>> {
        Box::pin(async {
            let (client, running) = self.race(&self.session()).await?;
            #[expect(clippy::disallowed_methods, reason = "the pool owns the task, and ends it with the client")]
            let running = tokio::spawn(running);
            Ok((client, running))
        })
    }
}

/// Runs a connection to its end. Why it ended is told to whoever asks something on it.
fn ended(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) -> Running<()> {
    Box::pin(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the database ended");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_libpq_and_never_show_a_password() {
        let url: Url = "postgres://fanfold:s3cret@db1:5433,db2:5434/ops?application_name=x".parse().unwrap();
        assert_eq!(url.shown(), "postgres://db1:5433,db2:5434/ops");
        assert_eq!(format!("{url:?}"), "Url(\"postgres://db1:5433,db2:5434/ops\")");
        assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(url.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn tls_is_left_out_only_where_nobody_listens_or_where_it_is_said() {
        let mode = |text: &str| text.parse::<Url>().unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@localhost/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1/d?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://u@127.0.0.1,db/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db/d?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for bad in [
            "postgres://u:s3cret@db/d?sslmode=prefer",
            "postgres://u:s3cret@db",
            "postgres://u:s3cret@db/d?what=1",
            "postgres://u:s3cret@db:x/d",
            "postgres:///d",
        ] {
            let error = bad.parse::<Url>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
