//! Secrets at rest: app secrets and provider credentials are sealed with a key that lives in a file beside the store and
//! never in it (design 9, 10). Each ciphertext names its key and is bound to the record and field it belongs to, so that it
//! opens nowhere else.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use hongyan_core::{
    ports::{SealError, Sealer},
    setup::Secret,
    store::Store,
};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
};

const KEY_LEN: usize = 32;
/// What a sealed text begins with.
const SEALED: &str = "sealed:1:";

/// The keys of a deployment, the newest first. New texts are sealed with the newest.
pub struct Vault {
    keys: Vec<Key>,
}

struct Key {
    /// The first 8 hex digits of the key's SHA-256.
    id: String,
    bytes: [u8; KEY_LEN],
}

impl Key {
    fn new(bytes: [u8; KEY_LEN]) -> Self {
        Self { id: hex(&digest::digest(&digest::SHA256, &bytes).as_ref()[..4]), bytes }
    }

    fn aead(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.bytes).ok().map(LessSafeKey::new)
    }

    /// Says that this key was used, without saying what it is.
    fn check(&self) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.bytes), b"hongyan master key check");
        format!("{}:{}", self.id, hex(tag.as_ref()))
    }
}

impl Vault {
    /// Under which note the store keeps the check value of the key it was set up with.
    pub const CHECK_NOTE: &str = "master_key_check";

    /// Opens the key file of a deployment, or makes one where neither the file nor a store that was set up exists. The file
    /// is written and synced before its check value goes into the store; of several first nodes one wins, the others delete
    /// their files again.
    ///
    /// # Errors
    /// When the file cannot be read or written, is no key file, or does not match the store.
    pub async fn open(path: &Path, store: &dyn Store) -> anyhow::Result<Self> {
        let kept = store.note_read(Self::CHECK_NOTE).await?;
        let (vault, made) = match fs::read_to_string(path) {
            Ok(text) => (Self::parse(&text).with_context(|| format!("in the key file {}", path.display()))?, false),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                ensure!(
                    kept.is_none(),
                    "the key file {} is missing, and the store was set up with one: put the file back (secret_file names it)",
                    path.display()
                );
                Self::make(path).with_context(|| format!("while making the key file {}", path.display()))?
            }
            Err(error) => return Err(error).with_context(|| format!("while reading the key file {}", path.display())),
        };
        let newest = vault.keys.first().context("the key file holds no key")?;
        let kept = store.note_once(Self::CHECK_NOTE, &newest.check()).await?;
        if vault.keys.iter().all(|key| key.check() != kept) {
            if made {
                fs::remove_file(path).with_context(|| format!("while removing {}", path.display()))?;
                bail!(
                    "another node set the store up at the same moment, with a key of its own: copy that node's key file to {} \
                     and start again",
                    path.display()
                );
            }
            bail!(
                "the key file {} is not the one that this store was set up with: copy the key file of a node that works to \
                 its place (secret_file names it)",
                path.display()
            );
        }
        Ok(vault)
    }

    /// A vault with a key that nobody keeps, for looking at a plan without a store.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn passing() -> anyhow::Result<Self> {
        let mut bytes = [0; KEY_LEN];
        SystemRandom::new().fill(&mut bytes).ok().context("the system gives no random numbers")?;
        Ok(Self { keys: vec![Key::new(bytes)] })
    }

    /// The keys of the key file; `None` where there is none yet.
    ///
    /// # Errors
    /// When it cannot be read or holds no keys.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some).with_context(|| format!("in the key file {}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("while reading the key file {}", path.display())),
        }
    }

    /// Whether the key file is the one of a store with the check value `kept`; a store without one has never been set up.
    ///
    /// # Errors
    /// When it is missing, cannot be read or is another one.
    pub fn confirm(path: &Path, kept: Option<&str>) -> anyhow::Result<()> {
        let Some(kept) = kept else { return Ok(()) };
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("the key file {} is missing: put it there first (secret_file names it)", path.display())
            }
            read => read.with_context(|| format!("while reading the key file {}", path.display()))?,
        };
        let vault = Self::parse(&text).with_context(|| format!("in the key file {}", path.display()))?;
        ensure!(
            vault.keys.iter().any(|key| key.check() == kept),
            "the key file {} is not the one that this store was set up with",
            path.display()
        );
        Ok(())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let key = |(n, line): (usize, &str)| -> anyhow::Result<Key> {
            let bytes = BASE64.decode(line.trim()).ok().and_then(|bytes| <[u8; KEY_LEN]>::try_from(bytes).ok());
            bytes.map(Key::new).with_context(|| format!("line {} is not a key (32 bytes in base64)", n + 1))
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let keys = lines.map(key).collect::<Result<Vec<_>, _>>()?;
        ensure!(!keys.is_empty(), "there is no key in it");
        Ok(Self { keys })
    }

    /// Makes the key file, or opens the one that another process made there meanwhile. Answers whether it was made here.
    fn make(path: &Path) -> anyhow::Result<(Self, bool)> {
        let mut bytes = [0; KEY_LEN];
        SystemRandom::new().fill(&mut bytes).ok().context("the system gives no random numbers")?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // Under a name of this process alone until it is whole, so that a crash leaves either no key file or a good one.
        let fresh = path.with_extension(format!("new.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        writeln!(
            file,
            "# Hongyan's keys, the newest first. Keep a copy: without it, stored credentials cannot be read."
        )?;
        writeln!(file, "{}", BASE64.encode(bytes))?;
        file.sync_all()?;
        // A link, for unlike a renaming it never replaces a key file that somebody else made meanwhile.
        let linked = fs::hard_link(&fresh, path);
        fs::remove_file(&fresh)?;
        match linked {
            Ok(()) => {
                File::open(folder)?.sync_all()?;
                Ok((Self { keys: vec![Key::new(bytes)] }, true))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Ok((Self::parse(&fs::read_to_string(path)?)?, false))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Seals `text` for one field of one record, such as `provider/smtp-main/password`.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(&self, place: &str, text: &str) -> anyhow::Result<String> {
        let key = self.keys.first().context("there is no key")?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok().context("the system gives no random numbers")?;
        let mut sealed = text.as_bytes().to_vec();
        key.aead()
            .context("the key does not fit the cipher")?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut sealed)
            .ok()
            .context("the text is too long to be sealed")?;
        Ok(format!("{SEALED}{}:{}", key.id, BASE64.encode([&nonce[..], &sealed].concat())))
    }

    /// Opens what [`Vault::seal`] sealed for the same place.
    ///
    /// # Errors
    /// When it was sealed for another place or with a key that is not in the file, or is damaged.
    pub fn unseal(&self, place: &str, sealed: &str) -> anyhow::Result<String> {
        let (id, text) =
            sealed.strip_prefix(SEALED).and_then(|rest| rest.split_once(':')).context("it is not sealed")?;
        let key =
            self.keys.iter().find(|key| key.id == id).with_context(|| format!("key {id} is not in the key file"))?;
        let bytes = BASE64.decode(text).context("it is damaged")?;
        let (nonce, mut sealed) =
            bytes.split_at_checked(NONCE_LEN).map(|(n, s)| (n, s.to_vec())).context("it is damaged")?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().context("it is damaged")?;
        let opened = key.aead().context("the key does not fit the cipher")?;
        let text = opened.open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed).ok();
        String::from_utf8(text.context("it was sealed for another place, or is damaged")?.to_vec())
            .context("it is damaged")
    }
}

impl Sealer for Vault {
    fn seal(&self, place: &str, secret: &Secret) -> Result<String, SealError> {
        Vault::seal(self, place, secret.expose()).map_err(|error| SealError(format!("{error:#}")))
    }

    fn open(&self, place: &str, sealed: &str) -> Result<Secret, SealError> {
        self.unseal(place, sealed).map(Secret::new).map_err(|error| SealError(format!("{error:#}")))
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// A random token of 256 bits, base64url.
///
/// # Errors
/// When the system gives no random numbers.
pub fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok().context("the system gives no random numbers")?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(fill: u8) -> Vault {
        Vault { keys: vec![Key::new([fill; KEY_LEN])] }
    }

    #[test]
    fn opens_only_in_its_own_place_with_its_own_key() {
        let sealed = vault(1).seal("app/a/secret", "鸿雁").expect("sealed");
        assert!(!sealed.contains("鸿雁"));
        assert_eq!(vault(1).unseal("app/a/secret", &sealed).expect("opens"), "鸿雁");
        assert!(vault(1).unseal("app/b/secret", &sealed).is_err());
        assert!(vault(2).unseal("app/a/secret", &sealed).is_err());
        assert!(vault(1).unseal("app/a/secret", "plain").is_err());
        assert_ne!(sealed, vault(1).seal("app/a/secret", "鸿雁").expect("sealed"), "never twice the same nonce");
    }

    #[test]
    fn of_two_who_make_the_same_file_one_does() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("keys/master.key");
        let (first, made) = Vault::make(&path).expect("made");
        assert!(made);
        let (second, made) = Vault::make(&path).expect("opened");
        assert!(!made);
        assert_eq!(first.keys[0].check(), second.keys[0].check());
        assert_eq!(fs::read_dir(folder.path().join("keys")).expect("listed").count(), 1, "nothing else is left there");
    }

    #[test]
    fn old_keys_still_open_and_the_newest_seals() {
        let line = |fill: u8| BASE64.encode([fill; KEY_LEN]);
        let old = vault(1).seal("p", "x").expect("sealed");
        let both = Vault::parse(&format!("# comment\n{}\n{}\n", line(2), line(1))).expect("two keys");
        assert_eq!(both.unseal("p", &old).expect("opens"), "x");
        assert_eq!(vault(2).unseal("p", &both.seal("p", "y").expect("sealed")).expect("opens"), "y");
        assert!(Vault::parse("short").is_err());
        assert!(Vault::parse("# nothing\n").is_err());
    }
}
