//! Files of the collector: written whole or not at all, with the right owner and mode.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown},
    path::Path,
};

use anyhow::{Context as _, Result};

/// For everybody.
pub const PUBLIC: u32 = 0o644;
/// For the owner only.
pub const SECRET: u32 = 0o600;
/// For the owner and the directory's group: what root gives to a service.
pub const GROUP: u32 = 0o640;

/// Makes a directory that only its owner may enter, if it is not there.
///
/// # Errors
/// Names the directory.
pub fn make_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Writes a file durably, giving it the owner of its directory, so that a service can read what
/// root wrote into its state.
///
/// # Errors
/// Names the file.
pub fn write(path: &Path, contents: &str, mode: u32) -> Result<()> {
    write_aside(path, contents, mode).with_context(|| format!("cannot write {}", path.display()))
}

fn write_aside(path: &Path, contents: &str, mode: u32) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let aside = path.with_extension("new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&aside)?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()?;
    let (owner, ours) = (fs::metadata(dir)?, file.metadata()?);
    if (owner.uid(), owner.gid()) != (ours.uid(), ours.gid()) {
        chown(&aside, Some(owner.uid()), Some(owner.gid()))?;
    }
    fs::rename(&aside, path)?;
    File::open(dir)?.sync_all()
}

/// Reads a file.
///
/// # Errors
/// Names the file.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
