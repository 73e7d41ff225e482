//! The key that sealed messages are encrypted with, and the encryption: AES-256-GCM with a random nonce for each message,
//! bound to the operation, slot and tenant, so that a box moved elsewhere does not open.
//!
//! The key stands in a file beside the database, made at the first start. It protects copies of the database that are taken
//! without it; whoever can read both files can read the messages.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use bytes::Bytes;
use fanfold_core::{OperationId, Slot, TenantId};
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::failure::translate;
use super::files::create_private;
use crate::Error;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Seals and opens messages.
pub(super) struct Sealer {
    cipher: Aes256Gcm,
    /// What keys of other purposes are derived from.
    root: [u8; KEY_BYTES],
    /// Names the key in each row, so that several can be in use while keys are changed.
    key_id: String,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A message that nobody can read without the key.
#[derive(Debug)]
pub(super) struct SealedMessage {
    pub(super) slot: Slot,
    /// Nonce, then ciphertext.
    pub(super) octets: Vec<u8>,
}

impl Sealer {
    /// Reads the key, or makes one for a database that has nothing sealed yet.
    pub(super) fn open(sql: &Connection, path: &Path) -> Result<Self, Error> {
        let refuse = |detail: &str| Error::Key { path: path.to_owned(), detail: detail.to_owned() };
        let failed = |error: rusqlite::Error| translate(&error, false);
        let recorded = recorded_key(sql).map_err(failed)?;
        let has_sealed = has_sealed(sql).map_err(failed)?;
        let key = match fs::read(path) {
            Ok(key) => key,
            Err(error) if error.kind() == ErrorKind::NotFound && has_sealed => {
                return Err(refuse("it is missing, and the database holds messages sealed with it"));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => make_key(path)?,
            Err(error) => return Err(refuse(&error.to_string())),
        };
        let root = <[u8; KEY_BYTES]>::try_from(key.as_slice())
            .map_err(|_| refuse(&format!("it has {} octets instead of {KEY_BYTES}", key.len())))?;
        warn_if_exposed(path);
        let key_id = key_id(&key);
        if has_sealed && recorded.as_ref() != Some(&key_id) {
            return Err(refuse("it is not the one that the database's messages are sealed with"));
        }
        if recorded.as_ref() != Some(&key_id) {
            record_key(sql, &key_id).map_err(failed)?;
        }
        let cipher = Aes256Gcm::new_from_slice(&key).map_err(|_| refuse("its length is wrong"))?;
        Ok(Self { cipher, root, key_id })
    }

    /// A key for another purpose, from which nobody learns the sealing key or those of other purposes. All the input is secret
    /// and of full length, so one hash over it is enough.
    pub(super) fn derive_key(&self, purpose: &str) -> [u8; KEY_BYTES] {
        Sha256::new().chain_update(self.root).chain_update(purpose).finalize().into()
    }

    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Encrypts one message.
    pub(super) fn seal(
        &self,
        (tenant, id, slot): (&TenantId, OperationId, Slot),
        message: &[u8],
    ) -> Result<SealedMessage, Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|error| Error::unavailable(format!("the system gives no random numbers: {error}")))?;
        let aad = place(tenant, id, slot);
        let payload = Payload { msg: message, aad: &aad };
        let ciphertext = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Error::invalid("a message is too large to be sealed"))?;
        Ok(SealedMessage { slot, octets: [&nonce[..], &ciphertext].concat() })
    }

    /// Decrypts one message.
    pub(super) fn open_box(
        &self,
        (tenant, id, slot): (&TenantId, OperationId, Slot),
        (key_id, octets): (&str, &[u8]),
    ) -> Result<Bytes, Error> {
        let broken = || Error::corrupt(format!("the sealed message {slot} of operation {id} does not open"));
        if key_id != self.key_id {
            return Err(Error::corrupt(format!("the sealed message {slot} of operation {id} needs another key")));
        }
        let (nonce, ciphertext) = octets.split_first_chunk::<NONCE_BYTES>().ok_or_else(broken)?;
        let aad = place(tenant, id, slot);
        let payload = Payload { msg: ciphertext, aad: &aad };
        self.cipher.decrypt(&Nonce::from(*nonce), payload).map(Bytes::from).map_err(|_| broken())
    }
}

/// What a box is bound to. The id has a fixed length and a slot holds no NUL, so no two places look the same.
fn place(tenant: &TenantId, id: OperationId, slot: Slot) -> Vec<u8> {
    [id.as_bytes().as_slice(), slot.to_string().as_bytes(), &[0], tenant.as_str().as_bytes()].concat()
}

fn key_id(key: &[u8]) -> String {
    Sha256::digest(key).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn make_key(path: &Path) -> Result<Vec<u8>, Error> {
    let refuse = |detail: String| Error::Key { path: path.to_owned(), detail };
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| refuse(format!("the system gives no random numbers: {error}")))?;
    create_private(path, &key).map_err(|error| refuse(error.to_string()))?;
    Ok(key)
}

fn warn_if_exposed(path: &Path) {
    let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "the sealing key can be read by other accounts; its mode should be 0600");
    }
}

fn has_sealed(sql: &Connection) -> rusqlite::Result<bool> {
    sql.query_row("SELECT EXISTS (SELECT 1 FROM sealed)", [], |row| row.get(0))
}

fn recorded_key(sql: &Connection) -> rusqlite::Result<Option<String>> {
    sql.query_row("SELECT value FROM meta WHERE name = 'sealing_key'", [], |row| row.get(0)).optional()
}

fn record_key(sql: &Connection, key_id: &str) -> rusqlite::Result<()> {
    let record =
        "INSERT INTO meta (name, value) VALUES ('sealing_key', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
    sql.execute(record, [key_id]).map(drop)
}
