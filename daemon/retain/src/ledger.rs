//! The ledger: records in order, durable when `append` returns, sealed by a signed head each time.
//!
//! One write batch holds the records, their head and the incident index, and is synced before
//! anybody hears of it. The newest head is then kept a second time beside the database, so that
//! records lost from its end are missed at the next start.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use hostmedic_model::{
    record::{Body, RECORD_VERSION, Record},
    time::{At, BootId},
};
use rocksdb::WriteBatch;

use crate::{
    canonical::{self, EncodeError},
    chain::{BATCH_RECORDS_MAX, BadRecord, Hash, Head, Link, Verifier},
    head_file::{self, HeadFile, Newest},
    keys::{HostKey, PublicKey},
    rocks::{self, Budget},
    store::{self, FAMILIES, HEAD_FILE_GONE, HEADS, INCIDENTS, META, RECORDS, Store, StoreError},
};

/// Largest batch in bytes: what the collector takes in one message.
pub const BATCH_BYTES_MAX: usize = 2 << 20;

/// Newest batches that are verified at each start.
const TAIL_BATCHES: usize = 64;

/// Why the ledger could not be opened or appended to.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It could not be opened.
    #[error("cannot open the audit ledger {dir}: {why}", dir = dir.display())]
    Open {
        /// Its directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Its newest records do not verify.
    #[error("the audit ledger {dir} does not verify: {bad}; keep the directory as evidence, compare it with the collector's copy, then move it away to begin a new chain", dir = dir.display())]
    Tampered {
        /// Its directory.
        dir: PathBuf,
        /// The first bad record.
        bad: BadRecord,
    },
    /// Records that were acknowledged are gone.
    #[error("the audit ledger {dir} ends with record {found}, but record {acknowledged} was acknowledged; records are missing: restore them, or move the directory away to begin a new chain", dir = dir.display())]
    Truncated {
        /// Its directory.
        dir: PathBuf,
        /// Where it ends.
        found: u64,
        /// What was acknowledged.
        acknowledged: u64,
    },
    /// It belongs to another key.
    #[error("the audit ledger {dir} belongs to host {found}, but the audit key is host {ours}'s; use the key it was begun with, or move the directory away to begin a new chain", dir = dir.display())]
    OtherHost {
        /// Its directory.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose the key is.
        ours: String,
    },
    /// A record cannot be kept as it is.
    #[error("cannot write record {seq}: {why}")]
    Encode {
        /// Its number.
        seq: u64,
        /// What is wrong.
        why: EncodeError,
    },
    /// Too much at once.
    #[error(
        "cannot write {records} records of {bytes} bytes at once; at most {BATCH_RECORDS_MAX} and {BATCH_BYTES_MAX}"
    )]
    TooMuch {
        /// Records in the batch.
        records: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The disk did not take it. Nothing was acknowledged; the next append tries again. Should
    /// the disk have kept it all the same, it is part of the chain then.
    #[error("cannot write records {from_seq} and on to the audit ledger {dir}: {why}", dir = dir.display())]
    Write {
        /// Its directory.
        dir: PathBuf,
        /// The first record that was not written.
        from_seq: u64,
        /// What the system said.
        why: String,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] StoreError),
}

/// The host's ledger, open for appending. Share it as `Arc`; reading goes through [`Ledger::store`].
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    key: HostKey,
    boot: BootId,
    store: Store,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    tip: Link,
    head_file: HeadFile,
    /// A write failed: what RocksDB holds is unknown until it is opened again.
    broken: bool,
}

/// A batch that is ready to be written.
struct Linked {
    records: Vec<Record>,
    /// The records' canonical bytes.
    bytes: Vec<Vec<u8>>,
    /// The last record.
    tip: Link,
}

impl Ledger {
    /// Opens the ledger in `dir`, or begins one, and verifies its newest records.
    ///
    /// # Errors
    /// See [`LedgerError`]. A ledger that does not verify is not opened.
    pub fn open(dir: &Path, key: HostKey, boot: BootId) -> Result<Self, LedgerError> {
        let failed = |why: String| LedgerError::Open {
            dir: dir.to_owned(),
            why,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(dir)
            .map_err(|error| failed(error.to_string()))?;
        let public = key.public();
        let slots = head_file::read(dir).map_err(|error| failed(error.to_string()))?;
        let db = rocks::open(&store::database(dir), &FAMILIES, Budget::HOST)
            .map_err(|error| failed(error.into_string()))?;
        match store::read_key(&db).map_err(failed)? {
            Some(found) if found != public => {
                return Err(LedgerError::OtherHost {
                    dir: dir.to_owned(),
                    found: found.host_id(),
                    ours: public.host_id(),
                });
            }
            Some(_) => {}
            None => {
                let meta = db
                    .cf_handle(META)
                    .ok_or_else(|| failed("it has no meta part".into()))?;
                db.put_cf_opt(meta, "public_key", public.to_bytes(), &rocks::durable())
                    .map_err(|error| failed(error.into_string()))?;
            }
        }
        let tip = store::read_tip(&db, &public).map_err(failed)?;
        match slots.newest(&public) {
            Newest::Head(head) if head.seq > tip.seq => {
                return Err(LedgerError::Truncated {
                    dir: dir.to_owned(),
                    found: tip.seq,
                    acknowledged: head.seq,
                });
            }
            // An empty chain has nothing to lose: a death at the very beginning leaves head files
            // that were made but not yet written.
            Newest::Missing | Newest::Unreadable if tip == Link::START => {}
            Newest::Missing | Newest::Unreadable => return Err(failed(HEAD_FILE_GONE.to_owned())),
            Newest::Head(_) => {}
        }
        let store = Store::of_ledger(dir, public, db, tip);
        let newest = verify_tail(&store, public).map_err(|error| match error {
            TailError::Bad(bad) => LedgerError::Tampered {
                dir: dir.to_owned(),
                bad,
            },
            TailError::Read(error) => error.into(),
        })?;
        let newest = newest.unwrap_or_else(|| Head::sign(&key, 0, Link::START, 0));
        let head_file = HeadFile::open(dir, &newest)
            .map_err(|error| failed(format!("its head file: {error}")))?;
        let writer = Mutex::new(Writer {
            tip,
            head_file,
            broken: false,
        });
        Ok(Self {
            dir: dir.to_owned(),
            key,
            boot,
            store,
            writer,
        })
    }

    /// The read side.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// The host's public key.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Appends one record for each body, in order, as one batch under one signed head. When this
    /// returns `Ok` they are on the disk: all of them.
    ///
    /// # Errors
    /// Nothing is acknowledged then, and the next append starts from what the disk has.
    pub fn append(&self, bodies: Vec<Body>, at: At) -> Result<Vec<Record>, LedgerError> {
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.broken {
            self.mend(&mut writer)?;
        }
        let Linked {
            records,
            bytes,
            tip,
        } = self.link(bodies, at, writer.tip)?;
        let head = Head::sign(&self.key, writer.tip.seq + 1, tip, at.wall_ms);
        let written = canonical::encode_value(&head)
            .map_err(|why| LedgerError::Encode { seq: tip.seq, why })
            .and_then(|head| {
                self.store
                    .write(|db| write_batch(db, &records, &bytes, &head, tip.seq))
                    .map_err(|why| self.write_error(writer.tip.seq + 1, why))
            });
        if let Err(error) = written {
            writer.broken = true;
            return Err(error);
        }
        writer.tip = tip;
        if let Err(error) = writer.head_file.write(&head) {
            // The records are on the disk, which is what was asked for; only the second copy of
            // the head is older, and the next append renews it.
            tracing::warn!(%error, seq = tip.seq, "Head file was not written.");
        }
        self.store.advance(tip);
        Ok(records)
    }

    /// Records for `bodies` after `tip`, their bytes, and the new tip.
    fn link(&self, bodies: Vec<Body>, at: At, mut tip: Link) -> Result<Linked, LedgerError> {
        let count = bodies.len();
        let (mut records, mut encoded) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let host = self.key.public().host_id();
        for body in bodies {
            let record = Record {
                version: RECORD_VERSION,
                seq: tip.seq + 1,
                host: host.clone(),
                boot: self.boot.clone(),
                at,
                prev: tip.hash.to_string(),
                body,
            };
            let bytes = canonical::encode(&record).map_err(|why| LedgerError::Encode {
                seq: record.seq,
                why,
            })?;
            tip = Link {
                seq: record.seq,
                hash: Hash::of(&bytes),
            };
            records.push(record);
            encoded.push(bytes);
        }
        let bytes = encoded.iter().map(Vec::len).sum();
        if count > BATCH_RECORDS_MAX || bytes > BATCH_BYTES_MAX {
            return Err(LedgerError::TooMuch {
                records: count,
                bytes,
            });
        }
        Ok(Linked {
            records,
            bytes: encoded,
            tip,
        })
    }

    /// Opens the database again after a failed write and goes on from what it holds.
    fn mend(&self, writer: &mut Writer) -> Result<(), LedgerError> {
        let from_seq = writer.tip.seq + 1;
        let tip = self
            .store
            .reopen()
            .and_then(|()| self.store.tip_on_disk())
            .map_err(|why| self.write_error(from_seq, why))?;
        if tip.seq < writer.tip.seq {
            return Err(LedgerError::Truncated {
                dir: self.dir.clone(),
                found: tip.seq,
                acknowledged: writer.tip.seq,
            });
        }
        writer.tip = tip;
        writer.broken = false;
        self.store.advance(tip);
        tracing::info!(seq = tip.seq, "Audit ledger writes again.");
        Ok(())
    }

    fn write_error(&self, from_seq: u64, why: String) -> LedgerError {
        LedgerError::Write {
            dir: self.dir.clone(),
            from_seq,
            why,
        }
    }
}

/// Writes records, head and index at once and waits for the disk.
fn write_batch(
    db: &rocksdb::DB,
    records: &[Record],
    bytes: &[Vec<u8>],
    head: &[u8],
    last_seq: u64,
) -> Result<(), String> {
    let family = |name: &str| {
        db.cf_handle(name)
            .ok_or_else(|| format!("it has no part {name}"))
    };
    let (records_family, heads, incidents) = (family(RECORDS)?, family(HEADS)?, family(INCIDENTS)?);
    let mut batch = WriteBatch::default();
    for (record, bytes) in records.iter().zip(bytes) {
        let seq = record.seq.to_be_bytes();
        batch.put_cf(records_family, seq, bytes);
        if let Some(incident) = record.body.incident() {
            batch.put_cf(incidents, [incident.0.as_bytes(), &[0], &seq].concat(), []);
        }
    }
    batch.put_cf(heads, last_seq.to_be_bytes(), head);
    db.write_opt(batch, &rocks::durable())
        .map_err(rocksdb::Error::into_string)
}

enum TailError {
    Bad(BadRecord),
    Read(StoreError),
}

impl From<StoreError> for TailError {
    fn from(error: StoreError) -> Self {
        Self::Read(error)
    }
}

impl From<BadRecord> for TailError {
    fn from(bad: BadRecord) -> Self {
        Self::Bad(bad)
    }
}

/// Verifies the newest batches against their heads; gives the newest head.
fn verify_tail(store: &Store, key: PublicKey) -> Result<Option<Head>, TailError> {
    let batches = store.newest_batches(TAIL_BATCHES)?;
    let Some(first) = batches.first() else {
        return Ok(None);
    };
    let before = match first.head.from_seq {
        0 | 1 => Link::START,
        from => {
            let bytes = store.read_raw(from - 1)?.unwrap_or_default();
            Link {
                seq: from - 1,
                hash: Hash::of(&bytes),
            }
        }
    };
    let mut verifier = Verifier::new(key, before);
    for batch in &batches {
        for bytes in &batch.records {
            verifier.record(bytes)?;
        }
        verifier.head(&batch.head)?;
    }
    verifier.finish(Some(store.tip()))?;
    Ok(batches.into_iter().last().map(|batch| batch.head))
}
