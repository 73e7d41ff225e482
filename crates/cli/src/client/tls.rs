//! How a server that speaks TLS is known, and what is shown to it.

use std::path::{Path, PathBuf};

use fanfold_engine::target::Tls;

use super::ServerUrl;
use crate::failure::Failure;

/// Files in PEM form, for servers that speak TLS.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TlsOption {
    /// A file with authorities that the server is trusted by, beside those of the system
    #[arg(long, env = "FANFOLD_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// A file with the certificate that is shown to the server, those that vouch for it behind it
    #[arg(long, env = "FANFOLD_CERT_FILE", hide_env_values = true, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,

    /// A file with the private key of that certificate
    #[arg(long, env = "FANFOLD_KEY_FILE", hide_env_values = true, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

impl TlsOption {
    /// The same, read for this server.
    ///
    /// # Errors
    /// [`Failure::File`]; [`Failure::Tls`] if something else stands in the files, or the system has no authorities.
    pub(crate) fn of(&self, server: &ServerUrl) -> Result<Tls, Failure> {
        if !server.is_secure() {
            return Ok(Tls::unused()?);
        }
        let authorities = self.ca_file.as_deref().map(read).transpose()?.unwrap_or_default();
        let identity = match (&self.cert_file, &self.key_file) {
            (Some(chain), Some(key)) => Some((read(chain)?, read(key)?)),
            _ => None,
        };
        Ok(Tls::new(&authorities, identity.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice())))?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::File { path: path.to_owned(), error })
}
