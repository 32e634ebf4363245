//! How much of its file system the journal takes.
//!
//! A full disk whose top consumer is the journal has a safe remedy; without this number it
//! would look like any full disk.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hostmedic_model::{sample::Measure, subject::Subject};

use super::{Taken, disk::Mounts, ratio};

/// Journal files counted at most.
const FILES_MAX: usize = 65_536;

/// Samples the first of `dirs` that exists. A host without a journal has no number.
pub(super) fn sample(dirs: &[PathBuf], mounts: &Mounts, taken: &mut Taken) {
    let Some(dir) = dirs.iter().find(|dir| dir.is_dir()) else {
        return;
    };
    // Without a number for the disk itself its problem is already named.
    let Some((point, used)) = mounts.holding(dir).filter(|(_, used)| *used > 0) else {
        return;
    };
    match journal_bytes(dir) {
        Ok(bytes) => {
            let subject = Subject::Mount(point.display().to_string());
            taken.sample(
                subject,
                Measure::JournalShareRatio,
                ratio(bytes, used).min(1.0),
            );
        }
        Err(error) => taken.problem(
            dir.display().to_string(),
            format!("{error}; is the daemon in the group systemd-journal?"),
        ),
    }
}

/// Bytes on disk of all files of the journal: `DIR/MACHINE-ID/*`.
fn journal_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut left = FILES_MAX;
    for machine in fs::read_dir(dir)?.flatten() {
        if !machine.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        for file in fs::read_dir(machine.path())?.flatten() {
            if left == 0 {
                return Err(io::Error::other(format!(
                    "it holds more than {FILES_MAX} files"
                )));
            }
            left -= 1;
            // A file may be rotated away between the listing and here.
            if let Ok(meta) = file.metadata()
                && meta.is_file()
            {
                bytes += meta.blocks() * 512;
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn counts_what_lies_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("0123");
        fs::create_dir(&machine).unwrap();
        fs::write(machine.join("system.journal"), vec![1; 64 * 1024]).unwrap();
        fs::File::create(machine.join("sparse.journal"))
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        fs::write(dir.path().join("not-a-journal"), vec![1; 64 * 1024]).unwrap();
        let bytes = journal_bytes(dir.path()).unwrap();
        assert!((64 * 1024..128 * 1024).contains(&bytes), "{bytes}");
        assert!(journal_bytes(Path::new("/nonexistent")).is_err());
    }
}
