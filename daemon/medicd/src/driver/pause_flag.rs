//! The pause that works where no daemon answers: a file that `medic pause` leaves in the state
//! directory, found at the start and at every tick.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Name of the file; its text is the reason.
const NAME: &str = "paused";

pub(super) struct PauseFlag(PathBuf);

impl PauseFlag {
    pub(super) fn in_dir(state_dir: &Path) -> Self {
        Self(state_dir.join(NAME))
    }

    /// Why the flag says pause; `None` where there is no flag. One that cannot be read counts:
    /// somebody put it there.
    pub(super) fn reason(&self) -> Option<String> {
        match fs::read_to_string(&self.0) {
            Ok(reason) => Some(format!("{} (flag file)", reason.trim())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("flag file {}: {error}", self.0.display())),
        }
    }

    /// Takes the flag away, or the next tick would pause again.
    pub(super) fn remove(&self) -> Result<(), String> {
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!(
                "cannot remove {}: {error}; remove it by hand, then resume",
                self.0.display()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_flag_pauses_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let flag = PauseFlag::in_dir(dir.path());
        assert_eq!(flag.reason(), None);
        fs::write(dir.path().join(NAME), "release\n").unwrap();
        assert_eq!(flag.reason().unwrap(), "release (flag file)");
        flag.remove().unwrap();
        flag.remove().unwrap();
        assert_eq!(flag.reason(), None);
    }

    #[test]
    fn a_flag_that_cannot_be_read_pauses_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(NAME)).unwrap();
        let flag = PauseFlag::in_dir(dir.path());
        assert!(flag.reason().unwrap().contains("paused"));
        flag.remove().unwrap_err();
    }
}
