//! The envelope of encrypted calls (`contracts/providers.md` 1.5): AES-256-CBC over 16 random bytes, the length of the message
//! (32 bits, big-endian), the message and the account's id, filled up to blocks of 32 as PKCS#7 does. CBC proves nothing: the
//! signature over the ciphertext is checked before anything is opened.

use aes::Aes256;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, general_purpose::PAD},
};
use cbc::{
    Decryptor, Encryptor,
    cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit},
};
use subtle::ConstantTimeEq;

/// The 43 characters of a key hold two bits more than 32 bytes have, and in keys that are given out those are not always zero.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD);
const KEY_CHARS: usize = 43;
/// To which multiple messages are filled up.
pub(super) const FILLED: usize = 32;
/// The random bytes before the length.
const RANDOM: usize = 16;

/// Whether `text` is an EncodingAESKey.
pub fn is_key(text: &str) -> bool {
    key(text).is_some()
}

fn key(text: &str) -> Option<[u8; 32]> {
    let bytes = (text.len() == KEY_CHARS).then(|| KEY_BASE64.decode(format!("{text}=")).ok())??;
    bytes.try_into().ok()
}

/// What seals and opens the messages of one account.
pub(super) struct Envelope {
    key: [u8; 32],
    app_id: String,
}

impl Envelope {
    /// Of the account `app_id`; absent where `text` is no key.
    pub(super) fn new(text: &str, app_id: &str) -> Option<Self> {
        Some(Self { key: key(text)?, app_id: app_id.to_owned() })
    }

    /// The message in `sealed`, where it was sealed with this key for this account.
    pub(super) fn open(&self, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = BASE64.decode(sealed).ok().filter(|bytes| bytes.len().is_multiple_of(FILLED))?;
        let (blocks, _) = Block::<Aes256>::slice_as_chunks_mut(&mut bytes);
        Decryptor::<Aes256>::new(&self.key.into(), &self.iv().into()).decrypt_blocks(blocks);
        let filling = usize::from(*bytes.last()?);
        let (text, filled) = bytes.split_at_checked(bytes.len().checked_sub(filling)?)?;
        let is_filling = (1..=FILLED).contains(&filling) && filled.iter().all(|byte| usize::from(*byte) == filling);
        let (_, rest) = text.split_at_checked(RANDOM).filter(|_| is_filling)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (message, app_id) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        bool::from(app_id.ct_eq(self.app_id.as_bytes())).then(|| message.to_vec())
    }

    /// `message` for this account.
    pub(super) fn seal(&self, message: &str, random: [u8; RANDOM]) -> String {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = [&random[..], &length, message.as_bytes(), self.app_id.as_bytes()].concat();
        let filling = FILLED - bytes.len() % FILLED;
        bytes.resize(bytes.len() + filling, u8::try_from(filling).unwrap_or(0));
        self.encrypted(bytes)
    }

    /// Whole blocks, as they are.
    pub(super) fn encrypted(&self, mut bytes: Vec<u8>) -> String {
        let (blocks, _) = Block::<Aes256>::slice_as_chunks_mut(&mut bytes);
        Encryptor::<Aes256>::new(&self.key.into(), &self.iv().into()).encrypt_blocks(blocks);
        BASE64.encode(bytes)
    }

    /// The first half of the key, as the platform has it.
    fn iv(&self) -> [u8; 16] {
        std::array::from_fn(|n| self.key[n])
    }
}
