//! The pause that works without a daemon: a file in its state directory, read at its start.
//!
//! The directory belongs to the daemon's own user and root writes into it, so nothing that user
//! may have put there is followed: the file is made anew under another name and then renamed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::exit::{Exit, Failed};

/// Name of the file; its content is the reason.
const NAME: &str = "paused";

/// Writes the reason; returns the file.
pub(crate) fn write(state: &Path, reason: &str) -> Result<PathBuf, Failed> {
    let file = state.join(NAME);
    let staged = state.join(format!("{NAME}.{}", std::process::id()));
    let written = stage(&staged, reason).and_then(|()| fs::rename(&staged, &file));
    if let Err(error) = written {
        // The error that stopped us tells more than one about the leftover would.
        let _ = fs::remove_file(&staged);
        return Err(failed("write", &file, &error));
    }
    Ok(file)
}

fn stage(staged: &Path, reason: &str) -> io::Result<()> {
    // `create_new` does not follow a link (O_EXCL in open(2)).
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(staged)?;
    writeln!(file, "{}", reason.trim())?;
    file.sync_all()
}

/// Removes the file; tells whether there was one.
pub(crate) fn remove(state: &Path) -> Result<bool, Failed> {
    let file = state.join(NAME);
    match fs::remove_file(&file) {
        Ok(()) => Ok(true),
        // Only a missing file is no file to remove; a missing directory is a wrong --state.
        Err(error) if error.kind() == io::ErrorKind::NotFound && state.is_dir() => Ok(false),
        Err(error) => Err(failed("remove", &file, &error)),
    }
}

fn failed(tried: &str, file: &Path, error: &io::Error) -> Failed {
    let (exit, code, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => (Exit::NotPermitted, "forbidden", "do it as root"),
        io::ErrorKind::NotFound => (
            Exit::NotFound,
            "not_found",
            "name the daemon's state directory with --state",
        ),
        _ => (Exit::Internal, "internal", ""),
    };
    Failed::new(
        exit,
        code,
        format!("cannot {tried} {}: {error}", file.display()),
        hint,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn reason_is_written_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path(), "first").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "first\n");
        write(dir.path(), " second ").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "second\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(remove(dir.path()).unwrap());
        assert!(!remove(dir.path()).unwrap());
    }

    #[test]
    fn planted_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("shadow");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, dir.path().join("paused")).unwrap();
        let staged = dir.path().join(format!("paused.{}", std::process::id()));
        symlink(&victim, &staged).unwrap();
        write(dir.path(), "x").unwrap_err();
        // The planted name is gone now, so the next try gets through, past the other link.
        let file = write(dir.path(), "x").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        symlink(&victim, dir.path().join("other")).unwrap();
        assert!(remove(dir.path()).unwrap());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn wrong_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("nowhere");
        for failed in [
            write(&missing, "x").unwrap_err(),
            remove(&missing).unwrap_err(),
        ] {
            assert_eq!(failed.exit, Exit::NotFound);
            assert!(failed.message.contains("nowhere/paused"), "{failed}");
        }
    }
}
