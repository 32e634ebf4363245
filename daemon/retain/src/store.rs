//! The ledger's read side: records, heads and incidents as they lie on disk.
//!
//! A [`Store`] is cheap to clone and can be read while the ledger appends; opened by itself it is
//! a read-only snapshot, with or without a running daemon beside it.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use hostmedic_model::{incident::IncidentId, record::Record};
use rocksdb::{DB, Direction, IteratorMode};
use tokio::sync::watch;

use crate::{
    canonical,
    chain::{BATCH_RECORDS_MAX, Head, Link},
    head_file::{self, Newest},
    keys::PublicKey,
    rocks::{self, Budget},
    verify::{Paged, Pages, Part, SourceError},
};

/// Column families of the host's database.
pub(crate) const FAMILIES: [&str; 4] = [RECORDS, HEADS, INCIDENTS, META];
/// seq -> canonical bytes of the record.
pub(crate) const RECORDS: &str = "records";
/// seq of its last record -> canonical bytes of the head.
pub(crate) const HEADS: &str = "heads";
/// incident, 0, seq -> nothing.
pub(crate) const INCIDENTS: &str = "incidents";
/// `public_key` -> 32 bytes.
pub(crate) const META: &str = "meta";

/// Records that one read takes at most.
const CHUNK: usize = 256;

/// Records older than wanted, in a row, after which [`Store::since`] looks no further back. More
/// than one, because a wall clock that was wrong for a while must not hide what came before.
const OLDER_IN_A_ROW: usize = 1024;

/// Why the store could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be opened.
    #[error("cannot open the audit store {dir}: {why}", dir = dir.display())]
    Open {
        /// Its directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A record, head or index entry could not be read.
    #[error("cannot read {what} from the audit store: {why}")]
    Read {
        /// What was read.
        what: String,
        /// What is wrong.
        why: String,
    },
}

/// The ledger's read side.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

pub(crate) struct Inner {
    dir: PathBuf,
    key: PublicKey,
    /// `None` only when it broke and could not even be opened for reading again.
    db: RwLock<Option<DB>>,
    /// Newest record that is durable.
    tip: watch::Sender<Link>,
    /// Newest record that the head file knew when this was opened.
    acknowledged: Link,
    /// Whether a ledger writes through it.
    live: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.0.dir.display())
    }
}

/// Whole append batches: their records' bytes and the head that seals each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Canonical bytes of the records, in order.
    pub records: Vec<Vec<u8>>,
    /// The head.
    pub head: Head,
}

impl Store {
    /// Opens the store in `dir` as it is now. Writes nothing there and does not disturb a daemon.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        let failed = |why: String| StoreError::Open {
            dir: dir.to_owned(),
            why,
        };
        let open = || rocks::open_read_only(&database(dir), &FAMILIES, Budget::HOST);
        // Before the database, which is then never older than the head file while a daemon appends.
        let slots = head_file::read(dir).map_err(|error| failed(error.to_string()))?;
        // A running daemon may delete a file between our listing and opening it: look again.
        let db = open()
            .or_else(|_| open())
            .map_err(|error| failed(error.into_string()))?;
        let key = read_key(&db)
            .map_err(failed)?
            .ok_or_else(|| failed("it holds no public key; is it an audit store?".to_owned()))?;
        let acknowledged = match slots.newest(&key) {
            Newest::Head(link) => link,
            Newest::Missing | Newest::Unreadable => return Err(failed(HEAD_FILE_GONE.to_owned())),
        };
        // A damaged head is the verifier's to name, and no reason to show nothing.
        let tip = read_tip(&db, &key).unwrap_or(acknowledged);
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            key,
            db: RwLock::new(Some(db)),
            tip: watch::Sender::new(tip),
            acknowledged,
            live: false,
        })))
    }

    /// The read side of a ledger.
    pub(crate) fn of_ledger(dir: &Path, key: PublicKey, db: DB, tip: Link) -> Self {
        Self(Arc::new(Inner {
            dir: dir.to_owned(),
            key,
            db: RwLock::new(Some(db)),
            tip: watch::Sender::new(tip),
            acknowledged: tip,
            live: true,
        }))
    }

    /// The host's public key, as the store names it.
    pub fn public_key(&self) -> PublicKey {
        self.0.key
    }

    /// The host's id.
    pub fn host(&self) -> String {
        self.0.key.host_id()
    }

    /// The newest record.
    pub fn tip(&self) -> Link {
        *self.0.tip.borrow()
    }

    /// Tells of every newer record.
    pub fn subscribe(&self) -> watch::Receiver<Link> {
        self.0.tip.subscribe()
    }

    /// The newest head; `None` before the first record.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn head(&self) -> Result<Option<Head>, StoreError> {
        let seq = self.tip().seq;
        let Some(bytes) = self.get(HEADS, &seq.to_be_bytes())? else {
            return Ok(None);
        };
        parse_head(seq, &bytes).map(Some)
    }

    /// Up to `limit` records from `from_seq` on.
    ///
    /// # Errors
    /// [`StoreError::Read`], naming the record.
    pub fn records(&self, from_seq: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.rows(RECORDS, from_seq, limit)?
            .into_iter()
            .map(|(seq, bytes)| parse(seq, &bytes))
            .collect()
    }

    /// The bytes of one record.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn read_raw(&self, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(RECORDS, &seq.to_be_bytes())
    }

    /// Records of an incident, in chain order.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn incident(&self, id: &IncidentId) -> Result<Vec<Record>, StoreError> {
        let prefix = [id.0.as_bytes(), &[0]].concat();
        let seqs: Vec<[u8; 8]> = self.with(INCIDENTS, |db, family| {
            let from = IteratorMode::From(&prefix, Direction::Forward);
            db.iterator_cf(family, from)
                .map_while(|row| match row {
                    Ok((key, _)) => key.strip_prefix(prefix.as_slice())?.try_into().ok().map(Ok),
                    Err(error) => Some(Err(error)),
                })
                .collect()
        })?;
        seqs.into_iter()
            .map(|seq| {
                let number = u64::from_be_bytes(seq);
                let bytes = self.get(RECORDS, &seq)?.ok_or_else(|| missing(number))?;
                parse(number, &bytes)
            })
            .collect()
    }

    /// Records from the first one written at or after `wall_ms` on, in chain order.
    ///
    /// # Errors
    /// [`StoreError::Read`]; the iterator's items likewise.
    pub fn since(
        &self,
        wall_ms: i64,
    ) -> Result<impl Iterator<Item = Result<Record, StoreError>> + use<>, StoreError> {
        let tip = self.tip().seq;
        let mut from = tip + 1;
        let mut older = 0;
        let mut end = tip;
        while end > 0 && older < OLDER_IN_A_ROW {
            let start = end.saturating_sub(CHUNK as u64) + 1;
            for record in self
                .records(start, (end + 1 - start) as usize)?
                .iter()
                .rev()
            {
                if record.at.wall_ms >= wall_ms {
                    (from, older) = (record.seq, 0);
                } else {
                    older += 1;
                }
            }
            end = start - 1;
        }
        let store = self.clone();
        let mut chunk = VecDeque::new();
        Ok(std::iter::from_fn(move || {
            if chunk.is_empty() {
                match store.records(from, CHUNK) {
                    Ok(records) => chunk.extend(records),
                    Err(error) => {
                        from = u64::MAX;
                        return Some(Err(error));
                    }
                }
            }
            let record = chunk.pop_front()?;
            from = record.seq + 1;
            Some(Ok(record))
        }))
    }

    /// Whole batches that reach beyond record `after_seq`: as many as fit in `bytes_max`, but at
    /// least one. Empty at the end of the chain.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batches(&self, after_seq: u64, bytes_max: usize) -> Result<Vec<Batch>, StoreError> {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        for (seq, row) in self.rows(HEADS, after_seq + 1, CHUNK)? {
            let batch = self.batch(seq, &row)?;
            bytes += batch.records.iter().map(Vec::len).sum::<usize>();
            if bytes > bytes_max && !batches.is_empty() {
                break;
            }
            batches.push(batch);
        }
        Ok(batches)
    }

    /// The batch under a head.
    fn batch(&self, seq: u64, head: &[u8]) -> Result<Batch, StoreError> {
        let head = parse_head(seq, head)?;
        let covered = (head.seq + 1).saturating_sub(head.from_seq);
        if head.seq != seq || !(1..=BATCH_RECORDS_MAX as u64).contains(&covered) {
            return Err(StoreError::Read {
                what: format!("the head at record {seq}"),
                why: format!("it covers {} to {}", head.from_seq, head.seq),
            });
        }
        let records = self.rows(RECORDS, head.from_seq, covered as usize)?;
        Ok(Batch {
            records: records.into_iter().map(|(_, bytes)| bytes).collect(),
            head,
        })
    }

    /// The newest `limit` batches, oldest first.
    pub(crate) fn newest_batches(&self, limit: usize) -> Result<Vec<Batch>, StoreError> {
        let mut rows = self.with(HEADS, |db, family| {
            db.iterator_cf(family, IteratorMode::End)
                .take(limit)
                .collect::<Result<Vec<_>, _>>()
        })?;
        rows.reverse();
        rows.iter()
            .map(|(key, bytes)| self.batch(seq_of(key), bytes))
            .collect()
    }

    /// The whole chain, for verification or export, up to where it must end.
    pub fn source(&self) -> StoreSource {
        let (tip, acknowledged) = (self.tip(), self.0.acknowledged);
        let end = if tip.seq > acknowledged.seq {
            tip
        } else {
            acknowledged
        };
        Paged::new(self.clone(), self.0.key, end, self.0.live)
    }

    /// Up to `limit` rows of a family keyed by seq, from `from` on; fewer where reading fails
    /// after the first.
    fn rows(
        &self,
        family: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.with(family, |db, handle| {
            let from = from.to_be_bytes();
            let mut rows = Vec::new();
            for row in db
                .iterator_cf(handle, IteratorMode::From(&from, Direction::Forward))
                .take(limit)
            {
                match row {
                    Ok((key, value)) => rows.push((seq_of(&key), value.into_vec())),
                    Err(error) if rows.is_empty() => return Err(error),
                    Err(_) => break,
                }
            }
            Ok(rows)
        })
    }

    fn get(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(family, |db, handle| db.get_cf(handle, key))
    }

    /// Runs `read` on the open database.
    fn with<T>(
        &self,
        family: &str,
        read: impl FnOnce(&DB, &rocksdb::ColumnFamily) -> Result<T, rocksdb::Error>,
    ) -> Result<T, StoreError> {
        let failed = |why: &str| StoreError::Read {
            what: family.to_owned(),
            why: why.to_owned(),
        };
        let db = self.0.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db
            .as_ref()
            .ok_or_else(|| failed("it is closed after a failed write"))?;
        let handle = db
            .cf_handle(family)
            .ok_or_else(|| failed("it has no such part"))?;
        read(db, handle).map_err(|error| failed(&error.into_string()))
    }

    /// Writes through the open database; the ledger's business.
    pub(crate) fn write(
        &self,
        write: impl FnOnce(&DB) -> Result<(), String>,
    ) -> Result<(), String> {
        let db = self.0.db.read().unwrap_or_else(PoisonError::into_inner);
        write(db.as_ref().ok_or("it is closed after a failed write")?)
    }

    /// Closes the database and opens it again for writing; for reading, if that fails.
    pub(crate) fn reopen(&self) -> Result<(), String> {
        let mut slot = self.0.db.write().unwrap_or_else(PoisonError::into_inner);
        drop(slot.take());
        let dir = database(&self.0.dir);
        let opened = rocks::open(&dir, &FAMILIES, Budget::HOST);
        match opened {
            Ok(db) => {
                *slot = Some(db);
                Ok(())
            }
            Err(error) => {
                *slot = rocks::open_read_only(&dir, &FAMILIES, Budget::HOST).ok();
                Err(error.into_string())
            }
        }
    }

    /// Re-reads the newest head from the database.
    pub(crate) fn tip_on_disk(&self) -> Result<Link, String> {
        let db = self.0.db.read().unwrap_or_else(PoisonError::into_inner);
        read_tip(
            db.as_ref().ok_or("it is closed after a failed write")?,
            &self.0.key,
        )
    }

    /// Tells everybody of a newer record.
    pub(crate) fn advance(&self, tip: Link) {
        self.0.tip.send_replace(tip);
    }
}

/// What to say when the head file is gone or damaged but records are there.
pub(crate) const HEAD_FILE_GONE: &str = "its files head.0 and head.1 are missing or hold no head signed with this host's key, so nobody can say whether its newest records are gone; compare it with the collector's copy, then move the directory away to begin a new chain";

/// Where RocksDB lies below the store's directory.
pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join("db")
}

pub(crate) fn read_key(db: &DB) -> Result<Option<PublicKey>, String> {
    let handle = db.cf_handle(META).ok_or("it has no such part")?;
    match db.get_cf(handle, "public_key") {
        Ok(Some(bytes)) => PublicKey::from_bytes(&bytes).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(error.into_string()),
    }
}

/// The newest head in the database, its signature checked.
pub(crate) fn read_tip(db: &DB, key: &PublicKey) -> Result<Link, String> {
    let handle = db.cf_handle(HEADS).ok_or("it has no such part")?;
    match db.iterator_cf(handle, IteratorMode::End).next() {
        None => Ok(Link::START),
        Some(Err(error)) => Err(error.into_string()),
        Some(Ok((_, bytes))) => {
            let head: Head = canonical::from_canonical(&bytes)
                .map_err(|error| format!("its newest head is unreadable: {error}"))?;
            head.verify(key)
                .map_err(|fault| format!("its newest head is not its own: {fault}"))?;
            Ok(head.link())
        }
    }
}

/// The number in a key. A key of another length was not written by us; as the number 0 it cannot
/// pass for a record.
fn seq_of(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}

fn parse(seq: u64, bytes: &[u8]) -> Result<Record, StoreError> {
    canonical::decode(bytes).map_err(|error| StoreError::Read {
        what: format!("record {seq}"),
        why: error.to_string(),
    })
}

fn parse_head(seq: u64, bytes: &[u8]) -> Result<Head, StoreError> {
    canonical::from_canonical(bytes).map_err(|error| StoreError::Read {
        what: format!("the head at record {seq}"),
        why: error.to_string(),
    })
}

fn missing(seq: u64) -> StoreError {
    StoreError::Read {
        what: format!("record {seq}"),
        why: "it is missing".to_owned(),
    }
}

/// A whole chain being read from the store.
pub type StoreSource = Paged<Store>;

impl Pages for Store {
    fn page(&self, part: Part, from: u64) -> Result<Vec<(u64, Vec<u8>)>, SourceError> {
        let family = match part {
            Part::Records => RECORDS,
            Part::Heads => HEADS,
        };
        self.rows(family, from, CHUNK).map_err(|error| SourceError {
            place: self.0.dir.display().to_string(),
            why: error.to_string(),
        })
    }
}
