//! Passwords of accounts: hashed and checked with Argon2id on threads that may block, a few at a time, for each takes 19 MiB and
//! some milliseconds of a core. The parameters are OWASP's for Argon2id (Password Storage Cheat Sheet: 19 MiB, two passes, one
//! lane).

use std::{sync::Arc, thread::available_parallelism};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{self, phc::PasswordHash},
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// The longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// Passwords that wait for their turn or have it; more are refused.
const WAITING_MAX: usize = 256;

const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// The hash of nothing, with the parameters above: what is checked where there is no account, for as long as a check takes.
const OF_NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password was neither hashed nor checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many others wait.
    #[error("too many passwords are being checked")]
    Busy,
    /// The system gives no random numbers, no memory or no thread, or the hash on record is none.
    #[error("a password cannot be hashed: {0}")]
    Failed(String),
}

/// Hashes and checks passwords, for all of a node.
#[derive(Debug)]
pub struct Passwords {
    /// Who may wait.
    places: Arc<Semaphore>,
    /// Who computes.
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwords {
    /// As many at a time as there are cores but one, for accepting goes on meanwhile.
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::of(WAITING_MAX, cores.saturating_sub(1).max(1))
    }

    fn of(places: usize, turns: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), turns: Arc::new(Semaphore::new(turns)) }
    }

    /// The hash of a new password, in the PHC string format, with a salt of its own.
    ///
    /// # Errors
    /// When too many wait, or the system gives out.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let mut salt = [0; SALT_BYTES];
        fill(&mut salt)?;
        let password = password.to_owned();
        let hashed = self.in_turn(move || argon2()?.hash_password_with_salt(password.as_bytes(), &salt)).await?;
        Ok(hashed.map_err(failed)?.to_string())
    }

    /// Whether `password` is the one of `hash`. Without a hash it is not, which takes as long to say.
    ///
    /// # Errors
    /// When too many wait, the system gives out, or the hash on record is damaged.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
        let is_known = hash.is_some();
        let (password, hash) = (password.to_owned(), hash.unwrap_or(OF_NOBODY).to_owned());
        let checked = self.in_turn(move || argon2()?.verify_password(password.as_bytes(), &PasswordHash::new(&hash)?));
        match checked.await? {
            Ok(()) => Ok(is_known),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(failed)?;
        // A caller who hangs up does not end the work: it keeps its turn until it is done.
        let work = move || {
            let done = work();
            drop((place, turn));
            done
        };
        spawn_blocking(work).await.map_err(failed)
    }
}

/// A password for somebody who was given none: twenty letters and digits of which none looks like another, 100 random bits.
///
/// # Errors
/// When the system gives no random numbers.
pub fn generate_password() -> Result<String, PasswordError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 20];
    fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect())
}

fn fill(bytes: &mut [u8]) -> Result<(), PasswordError> {
    SystemRandom::new().fill(bytes).map_err(|_| PasswordError::Failed("the system gives no random numbers".to_owned()))
}

fn failed(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

fn argon2() -> password_hash::Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself() {
        let passwords = Passwords::new();
        let hash = passwords.hash("密码 123").await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash("密码 123").await.expect("hashed"), hash, "a salt of its own");
        for (password, is_it) in [("密码 123", true), ("密码 124", false), ("", false)] {
            assert_eq!(passwords.verify(password, Some(&hash)).await, Ok(is_it), "{password}");
        }
        assert_eq!(passwords.verify("", None).await, Ok(false), "nobody's");
        let damaged = passwords.verify("密码 123", Some("123")).await;
        assert!(matches!(damaged, Err(PasswordError::Failed(_))), "{damaged:?}");
    }

    #[tokio::test]
    async fn what_would_wait_too_long_is_refused() {
        let passwords = Passwords::of(0, 1);
        assert_eq!(passwords.verify("p", None).await, Err(PasswordError::Busy));
    }

    #[tokio::test]
    async fn who_hangs_up_keeps_the_turn_until_the_work_is_done() {
        let passwords = Passwords::of(1, 1);
        let (go, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let mut working = Box::pin(passwords.in_turn(move || wait.recv()));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut working).await.is_err(), "it waits to be told");
        drop(working);
        assert_eq!(passwords.verify("p", None).await, Err(PasswordError::Busy));
        go.send(()).expect("it still works");
        drop(passwords.turns.acquire().await.expect("open"));
        assert_eq!(passwords.places.available_permits(), 1);
    }

    #[test]
    fn generated_passwords_differ() {
        let one = generate_password().expect("random");
        assert_eq!(one.len(), 20);
        assert_ne!(generate_password().expect("random"), one);
    }
}
