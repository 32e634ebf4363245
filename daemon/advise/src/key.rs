//! Reads the key to the server: from a file, never from the configuration or the environment.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hyper::header::HeaderValue;

/// No key is nearly as long.
const KEY_BYTES_MAX: u64 = 4096;
/// Others may do nothing with the file, and the group may not write it.
const FORBIDDEN: u32 = 0o027;

/// Why there is no key. Its text never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key in {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file lies open.
    #[error(
        "the key in {path} has mode {mode:04o}, so that others can read or change it; \
         `chmod 0640 {path}`, and let it belong to the daemon or to its group"
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{path} must hold the key on one line and nothing else")]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
}

/// The `Authorization` header with the key of the file; it shows nowhere in logs.
pub(crate) fn read(path: &Path) -> Result<HeaderValue, KeyError> {
    let unreadable = |source| KeyError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let no_key = || KeyError::NoKey {
        path: path.to_owned(),
    };
    let file = File::open(path).map_err(unreadable)?;
    // Asked of the open file: a path may be another one by now.
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() || about.len() > KEY_BYTES_MAX {
        return Err(no_key());
    }
    let mode = about.mode() & 0o7777;
    if mode & FORBIDDEN != 0 {
        return Err(KeyError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(KEY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(no_key());
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| no_key())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn with(text: &str, mode: u32) -> Result<HeaderValue, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_read_and_shows_nowhere() {
        for mode in [0o400, 0o600, 0o640] {
            let header = with("sk-hunter2\n", mode).unwrap();
            assert_eq!(header, "Bearer sk-hunter2");
            assert!(!format!("{header:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_file_that_lies_open_is_refused() {
        for mode in [0o644, 0o604, 0o660, 0o602] {
            let error = with("sk-hunter2\n", mode).unwrap_err();
            assert!(error.contains(&format!("{mode:04o}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_telling_it() {
        let long = "x".repeat(5000);
        for text in ["", "\n", "two words", "a\nb", "ключ", "a\u{7f}b", &long] {
            let error = with(text, 0o600).unwrap_err();
            assert!(error.ends_with("one line and nothing else"), "{error}");
        }
        let missing = read(Path::new("/nonexistent/key")).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/key"), "{missing}");
        assert!(read(Path::new("/")).is_err());
    }
}
