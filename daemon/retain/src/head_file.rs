//! The newest head, kept a second time outside the database.
//!
//! Without it a database that lost its newest records (a bad restore, a truncated log) would look
//! whole. Two slots are written in turn and in place, so that a torn write spoils only the slot
//! whose batch nobody was told of, and a full disk does not stop it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{
    canonical,
    chain::{Head, Link},
    keys::PublicKey,
};

/// Size of a slot. A head has about 350 bytes; the rest is spaces.
const SLOT_BYTES: usize = 1024;

/// The two slots, open for writing.
#[derive(Debug)]
pub(crate) struct HeadFile {
    slots: [File; 2],
    next: usize,
}

/// What the slots say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newest {
    /// There are none: no record was ever acknowledged here.
    Missing,
    /// Neither holds a head that the key signed.
    Unreadable,
    /// The newest head.
    Head(Link),
}

fn paths(dir: &Path) -> [PathBuf; 2] {
    ["head.0", "head.1"].map(|name| dir.join(name))
}

/// Bytes of the slots that exist.
#[derive(Debug)]
pub(crate) struct Slots(Vec<Vec<u8>>);

/// Reads the slots.
pub(crate) fn read(dir: &Path) -> io::Result<Slots> {
    let mut slots = Vec::new();
    for path in paths(dir) {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => slots.push(read?),
        }
    }
    Ok(Slots(slots))
}

impl Slots {
    /// The newest head that `key` signed.
    pub(crate) fn newest(&self, key: &PublicKey) -> Newest {
        let heads = self.0.iter().filter_map(|bytes| {
            let head: Head = canonical::from_canonical(bytes.trim_ascii_end()).ok()?;
            head.verify(key).is_ok().then(|| head.link())
        });
        match heads.max_by_key(|link| link.seq) {
            Some(link) => Newest::Head(link),
            None if self.0.is_empty() => Newest::Missing,
            None => Newest::Unreadable,
        }
    }
}

impl HeadFile {
    /// Opens the slots; makes them, with `head` in both, if there are none.
    pub(crate) fn open(dir: &Path, head: &Head) -> io::Result<Self> {
        let open = |path: PathBuf| {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o640)
                .open(path)
        };
        let [first, second] = paths(dir);
        let mut file = Self {
            slots: [open(first)?, open(second)?],
            next: 0,
        };
        file.write(head)?;
        file.write(head)?;
        File::open(dir)?.sync_all()?;
        Ok(file)
    }

    /// Stores `head` durably.
    pub(crate) fn write(&mut self, head: &Head) -> io::Result<()> {
        let mut slot = canonical::encode_value(head).map_err(io::Error::other)?;
        slot.resize(slot.len().max(SLOT_BYTES), b' ');
        let file = &self.slots[self.next];
        file.write_all_at(&slot, 0)?;
        file.sync_data()?;
        self.next = 1 - self.next;
        Ok(())
    }
}
