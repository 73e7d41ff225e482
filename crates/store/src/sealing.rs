//! Sealing: AES-256-GCM with a random nonce for each message, bound to the operation, slot and tenant, so that a box moved
//! elsewhere does not open.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use bytes::Bytes;
use fanfold_core::{OperationId, Slot, TenantId};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::record::hex;

/// Octets of a sealing key.
pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Seals and opens messages.
pub(crate) struct Sealer {
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
pub(crate) struct SealedMessage {
    pub(crate) slot: Slot,
    /// Nonce, then ciphertext.
    pub(crate) octets: Vec<u8>,
}

impl Sealer {
    /// With this key.
    pub(crate) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { cipher: Aes256Gcm::new(&key.into()), root: key, key_id: key_id(&key) }
    }

    /// A key for another purpose, from which nobody learns the sealing key or those of other purposes. All the input is secret
    /// and of full length, so one hash over it is enough.
    pub(crate) fn derive_key(&self, purpose: &str) -> [u8; KEY_BYTES] {
        Sha256::new().chain_update(self.root).chain_update(purpose).finalize().into()
    }

    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Encrypts one message.
    pub(crate) fn seal(
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
    pub(crate) fn open_box(
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

pub(crate) fn key_id(key: &[u8]) -> String {
    hex(&Sha256::digest(key)[..8])
}
