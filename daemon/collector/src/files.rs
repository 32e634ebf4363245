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

/// Makes a directory that only its owner may enter, if it is not there, and gives it the owner of
/// the one it lies in: what root makes in a service's state belongs to the service.
///
/// # Errors
/// Names the directory.
pub fn make_dir(path: &Path) -> Result<()> {
    make_dirs(path).with_context(|| format!("cannot make the directory {}", path.display()))
}

fn make_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = dir_of(path);
    make_dirs(above)?;
    DirBuilder::new().mode(0o700).create(path)?;
    inherit_owner(path, above)
}

/// The directory that something lies in.
fn dir_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

fn inherit_owner(path: &Path, above: &Path) -> io::Result<()> {
    let (owner, ours) = (fs::metadata(above)?, fs::metadata(path)?);
    if (owner.uid(), owner.gid()) == (ours.uid(), ours.gid()) {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
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
    let dir = dir_of(path);
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
    inherit_owner(&aside, dir)?;
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
