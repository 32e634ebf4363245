//! Whether there is a journal to be read: where there is none, journalctl waits and says nothing.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Where the host's own lies. Source: systemd-journald.service(8), "Files".
const OWN: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Directories that are looked into: one for each machine that writes here.
const DIRECTORIES_MAX: usize = 256;

/// Looks for one file of a journal that may be read.
///
/// # Errors
/// Says why there is none, and what to do.
pub(super) fn look(directory: Option<&Path>) -> Result<(), String> {
    let roots: Vec<PathBuf> = match directory {
        Some(directory) => vec![directory.to_owned()],
        None => OWN.map(PathBuf::from).to_vec(),
    };
    let names: Vec<_> = roots
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    let mut denied = None;
    for root in roots {
        match look_in(&root) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => {
                denied.get_or_insert(format!(
                    "{}: {error}; may this user read the journal (group systemd-journal)?",
                    root.display()
                ));
            }
        }
    }
    Err(denied.unwrap_or_else(|| {
        format!(
            "no files of a journal in {}; does systemd-journald run?",
            names.join(" and ")
        )
    }))
}

/// Whether a file in `root`, or in a directory in it, may be read.
fn look_in(root: &Path) -> io::Result<bool> {
    let mut denied = None;
    let inner: Vec<PathBuf> = match fs::read_dir(root) {
        Ok(entries) => entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .take(DIRECTORIES_MAX)
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for directory in std::iter::once(root.to_owned()).chain(inner) {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                denied = Some(error);
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|kind| kind != "journal") {
                continue;
            }
            match File::open(&path) {
                Ok(_) => return Ok(true),
                Err(error) => denied = Some(error),
            }
        }
    }
    denied.map_or(Ok(false), Err)
}
