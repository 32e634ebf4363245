//! The host's Ed25519 key: made at the first start, kept in one file, named by its hash.
//!
//! Whoever holds this file can sign a false history from now on; so it is readable by its owner
//! only, and refused if anybody else may read it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use ed25519_dalek::{
    Signature, Signer as _, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use sha2::{Digest as _, Sha256};

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file could not be read or written.
    #[error("cannot {verb} the audit key {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the audit key {path} may be read by others (mode {mode:o}); chmod 600 it, and think about who has read it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key.
    #[error("the audit key {path} is no Ed25519 key in PKCS #8 PEM: {why}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The kernel gave no random bytes.
    #[error("cannot make an audit key: no random bytes: {0}")]
    NoRandomness(String),
}

/// The host's signing key.
#[derive(Clone)]
pub struct HostKey(SigningKey);

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostKey({})", self.public().host_id())
    }
}

impl HostKey {
    /// A new key that is not stored anywhere.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::NoRandomness(error.to_string()))?;
        Ok(Self::from_seed(seed))
    }

    /// The key of a seed; tests and simulations need the same key every time.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The key in `path`; made and stored there with mode 0600 if there is no such file.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                key.store(path)?;
                // What counts is what the file says, should two daemons have raced.
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// The key in `path`.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            verb: "read",
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let pem = fs::read_to_string(path).map_err(failed)?;
        SigningKey::from_pkcs8_pem(&pem)
            .map(Self)
            .map_err(|error| KeyError::Malformed {
                path: path.to_owned(),
                why: error.to_string(),
            })
    }

    /// Stores the key durably; leaves an existing file alone.
    fn store(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |source| KeyError::Io {
            verb: "write",
            path: path.to_owned(),
            source,
        };
        let pem = self
            .0
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| KeyError::Malformed {
                path: path.to_owned(),
                why: error.to_string(),
            })?;
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir).map_err(failed)?;
        // Written aside and linked into place: no crash leaves half a key under the name.
        let aside = path.with_extension("new");
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .map_err(failed)?;
        file.write_all(pem.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        match fs::hard_link(&aside, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        fs::remove_file(&aside)
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(failed)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `text`, which must say what the signature is for.
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.0.sign(text).to_bytes()
    }
}

/// The host's public key; what a verifier needs and may pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key with these 32 bytes.
    ///
    /// # Errors
    /// When they are no point of the curve, or a weak one that verifies anything.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let bytes: &[u8; 32] = bytes
            .try_into()
            .map_err(|_| format!("a public key has 32 bytes, not {}", bytes.len()))?;
        match VerifyingKey::from_bytes(bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(key)),
            Ok(_) => Err("the public key is a weak one that would accept any signature".to_owned()),
            Err(error) => Err(format!(
                "these are no bytes of an Ed25519 public key: {error}"
            )),
        }
    }

    /// Its 32 bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The host's id: the first 16 bytes of the key's SHA-256, as hex.
    pub fn host_id(&self) -> String {
        hex::encode(&Sha256::digest(self.0.as_bytes())[..16])
    }

    /// Whether `signature` is this key's under `text`. Strict: one signature, one form.
    pub fn verifies(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.0
            .verify_strict(text, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = hex::decode(text.trim())
            .map_err(|error| format!("`{text}` is no public key in hex: {error}"))?;
        Self::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/audit.key");
        let made = HostKey::load_or_create(&path).unwrap();
        let again = HostKey::load_or_create(&path).unwrap();
        assert_eq!(made.public(), again.public());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            HostKey::load_or_create(&path),
            Err(KeyError::Exposed { mode: 0o640, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(
            HostKey::load_or_create(&path),
            Err(KeyError::Malformed { .. })
        ));
    }

    #[test]
    fn a_public_key_reads_back_and_nonsense_does_not() {
        let key = HostKey::from_seed([7; 32]).public();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.host_id().len(), 32);
        for bad in ["", "00", &"0".repeat(64), "zz"] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_right_key_and_text_verify() {
        let (ours, other) = (HostKey::from_seed([1; 32]), HostKey::from_seed([2; 32]));
        let signature = ours.sign(b"text");
        assert!(ours.public().verifies(b"text", &signature));
        assert!(!ours.public().verifies(b"test", &signature));
        assert!(!other.public().verifies(b"text", &signature));
    }
}
