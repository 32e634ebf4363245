//! Replaces a file of the state directory as a whole; nobody else may read it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Writes `bytes` to `path`. Whoever reads it sees the old bytes or the new ones, never half of
/// them, also after a power cut.
///
/// # Errors
/// What the disk says; then the old file is untouched.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let half = path.with_extension("half");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&half)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&half, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // Where the half cannot be made, the old one stays.
        fs::create_dir(path.with_extension("half")).unwrap();
        replace(&path, b"three").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
