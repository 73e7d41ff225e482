//! Sealing: AES-256-GCM with a random nonce for each message, bound to the operation, slot and tenant, so that a box moved
//! elsewhere does not open. One key seals; while keys are changed there are others, which open. Each row names its key.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use bytes::Bytes;
use fanfold_core::{OperationId, Slot, TenantId};
use sha2::{Digest, Sha256};

use crate::record::hex;
use crate::{Error, KeyCount, Resealed};

/// Octets of a sealing key.
pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Sealing keys that are in use at the same time at the most.
pub const SEALING_KEYS_MAX: usize = 8;

/// What the key of fingerprints was derived for, once and for all: it does not change when the sealing key does.
const FINGERPRINTS: &str = "fanfold idempotency fingerprints";

/// A key that originals are sealed with. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey(pub [u8; KEY_BYTES]);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id())
    }
}

impl SealingKey {
    /// Names the key where it must not be shown, and in each row: the first octets of its SHA-256.
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.0)[..8])
    }
}

/// The key that requests which are repeated are recognised by. What it made stands in records for as long as they do, so it
/// stays when the sealing key goes; it stands in the store itself, sealed like everything else.
pub(crate) struct FingerprintKey(pub(crate) [u8; KEY_BYTES]);

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(..)")
    }
}

impl FingerprintKey {
    /// That of a store which was begun with this sealing key. All the input is secret and of full length, so one hash over it
    /// is enough; nobody learns the sealing key from it.
    pub(crate) fn begun_with(key: &SealingKey) -> Self {
        Self(Sha256::new().chain_update(key.0).chain_update(FINGERPRINTS).finalize().into())
    }
}

/// Seals with one key, and opens with several.
pub(crate) struct Sealer {
    /// The one that seals.
    current: Opener,
    others: Vec<Opener>,
}

/// One key.
struct Opener {
    cipher: Aes256Gcm,
    /// Names the key in each row.
    id: String,
}

impl Opener {
    fn new(key: &SealingKey) -> Self {
        Self { cipher: Aes256Gcm::new(&key.0.into()), id: key.id() }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.key_ids().collect::<Vec<_>>()).finish()
    }
}

/// A message that nobody can read without the key.
#[derive(Debug)]
pub(crate) struct SealedMessage {
    pub(crate) slot: Slot,
    /// Nonce, then ciphertext.
    pub(crate) octets: Vec<u8>,
}

/// A message that another key has sealed than the one that seals now.
pub(crate) struct Old {
    pub(crate) id: OperationId,
    pub(crate) slot: Slot,
    pub(crate) tenant: TenantId,
    pub(crate) key: String,
    pub(crate) octets: Vec<u8>,
}

/// What was found by looking for such messages.
pub(crate) struct Looked<Place> {
    pub(crate) old: Vec<Old>,
    /// The last message that was looked at, if there may be more behind it.
    pub(crate) next: Option<Place>,
}

impl<Place> Looked<Place> {
    /// What is told when so many of them were sealed anew.
    pub(crate) fn told(&self, resealed: usize) -> Resealed {
        if self.next.is_none() { Resealed::Whole { resealed } } else { Resealed::Some { resealed } }
    }
}

impl Sealer {
    /// Seals with `current`, and opens what is sealed with any of `others` too.
    pub(crate) fn new(current: &SealingKey, others: &[SealingKey]) -> Self {
        let others = others.iter().filter(|other| *other != current).map(Opener::new).collect();
        Self { current: Opener::new(current), others }
    }

    /// The id of the key that seals.
    pub(crate) fn key_id(&self) -> &str {
        &self.current.id
    }

    /// The ids of all keys, that of the one which seals first.
    pub(crate) fn key_ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current).chain(&self.others).map(|key| key.id.as_str())
    }

    pub(crate) fn has_key(&self, id: &str) -> bool {
        self.opener(id).is_some()
    }

    /// Whether there is a key that does not seal.
    pub(crate) fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// Each key with what it has sealed, by what was counted.
    pub(crate) fn told(&self, counts: &[(String, u64)]) -> Vec<KeyCount> {
        let of = |id: &str| counts.iter().find(|(other, _)| other == id).map_or(0, |(_, number)| *number);
        self.key_ids().map(|id| KeyCount { id: id.to_owned(), messages: of(id) }).collect()
    }

    fn opener(&self, id: &str) -> Option<&Opener> {
        std::iter::once(&self.current).chain(&self.others).find(|key| key.id == id)
    }

    /// Encrypts one message.
    pub(crate) fn seal(
        &self,
        (tenant, id, slot): (&TenantId, OperationId, Slot),
        message: &[u8],
    ) -> Result<SealedMessage, Error> {
        Ok(SealedMessage { slot, octets: self.encrypt(&place(tenant, id, slot), message)? })
    }

    /// Decrypts one message.
    pub(crate) fn open_box(
        &self,
        (tenant, id, slot): (&TenantId, OperationId, Slot),
        (key_id, octets): (&str, &[u8]),
    ) -> Result<Bytes, Error> {
        let key = self.opener(key_id).ok_or_else(|| {
            Error::corrupt(format!("the sealed message {slot} of operation {id} needs another key, {key_id}"))
        })?;
        key.decrypt(&place(tenant, id, slot), octets)
            .ok_or_else(|| Error::corrupt(format!("the sealed message {slot} of operation {id} does not open")))
    }

    /// Encrypts messages with the key that seals now, which others sealed at the same place: each with its new box. One that
    /// does not open is told of, and left out.
    pub(crate) fn seal_all_anew(&self, old: Vec<Old>) -> Vec<(Old, Vec<u8>)> {
        let anew = |old: Old| {
            let at = (&old.tenant, old.id, old.slot);
            let sealed = self.open_box(at, (&old.key, &old.octets)).and_then(|message| self.seal(at, &message));
            match sealed {
                Ok(sealed) => Some((old, sealed.octets)),
                Err(error) => {
                    tracing::error!(%error, "an original cannot be sealed anew");
                    None
                }
            }
        };
        old.into_iter().filter_map(anew).collect()
    }

    /// As it stands among single values: the id of the key that it is sealed with, then the box.
    pub(crate) fn seal_fingerprint_key(&self, key: &FingerprintKey) -> Result<String, Error> {
        Ok(format!("{} {}", self.key_id(), hex(&self.encrypt(FINGERPRINTS.as_bytes(), &key.0)?)))
    }

    /// The key, and whether it is sealed with the key that seals now. `None`: with one that is not here.
    pub(crate) fn open_fingerprint_key(&self, value: &str) -> Result<Option<(FingerprintKey, bool)>, Error> {
        let broken = || Error::corrupt("the key that repeated requests are recognised by does not open");
        let (id, sealed) = value.split_once(' ').ok_or_else(broken)?;
        let Some(key) = self.opener(id) else { return Ok(None) };
        let octets = unhex(sealed).and_then(|octets| key.decrypt(FINGERPRINTS.as_bytes(), &octets));
        let octets = octets.and_then(|octets| <[u8; KEY_BYTES]>::try_from(octets.as_ref()).ok());
        Ok(Some((FingerprintKey(octets.ok_or_else(broken)?), id == self.key_id())))
    }

    /// Nonce, then ciphertext.
    fn encrypt(&self, place: &[u8], message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|error| Error::unavailable(format!("the system gives no random numbers: {error}")))?;
        let ciphertext = self
            .current
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: message, aad: place })
            .map_err(|_| Error::invalid("a message is too large to be sealed"))?;
        Ok([&nonce[..], &ciphertext].concat())
    }
}

impl Opener {
    fn decrypt(&self, place: &[u8], octets: &[u8]) -> Option<Bytes> {
        let (nonce, ciphertext) = octets.split_first_chunk::<NONCE_BYTES>()?;
        let opened = self.cipher.decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: place });
        opened.ok().map(Bytes::from)
    }
}

/// What a box is bound to. The id has a fixed length and a slot holds no NUL, so no two places look the same.
fn place(tenant: &TenantId, id: OperationId, slot: Slot) -> Vec<u8> {
    [id.as_bytes().as_slice(), slot.to_string().as_bytes(), &[0], tenant.as_str().as_bytes()].concat()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let octet = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    rest.is_empty().then(|| pairs.iter().map(octet).collect())?
}

/// The keys that are in use, as the store notes them: their ids, that of the one which seals first.
pub(crate) struct Noted(pub(crate) Vec<String>);

impl Noted {
    /// Reads the single value `sealing_key`. A store of one key has its id there, and nothing else.
    pub(crate) fn of(value: Option<&str>) -> Self {
        Self(value.unwrap_or_default().split_whitespace().map(str::to_owned).collect())
    }

    /// Those that this process has not.
    pub(crate) fn missing(&self, sealer: &Sealer) -> Vec<String> {
        self.0.iter().filter(|id| !sealer.has_key(id)).cloned().collect()
    }

    /// With this process's own first, and those that it has not left out: nothing is sealed with them any more.
    pub(crate) fn led_by(&self, sealer: &Sealer) -> String {
        let others = self.0.iter().map(String::as_str).filter(|id| *id != sealer.key_id() && sealer.has_key(id));
        std::iter::once(sealer.key_id()).chain(others).collect::<Vec<_>>().join(" ")
    }
}

/// What to say where a key that is needed is missing.
pub(crate) const NOT_HERE: &str = "which is not here";

/// Why a key must be there: so many messages need it. `because`: why it is missed.
pub(crate) fn needed(counts: &[(String, u64)], because: &str, remedy: &str) -> String {
    let told: Vec<_> =
        counts.iter().map(|(id, number)| format!("{number} messages are sealed with the key {id}")).collect();
    format!("{}, {because}; {remedy}", told.join(", "))
}
