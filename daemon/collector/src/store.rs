//! The copies: every host's records and heads as received, and what is known about the hosts.
//!
//! Keys begin with the host's id, so a host's chain lies together and in order.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result, anyhow};
use hostmedic_model::incident::IncidentId;
use hostmedic_retain::{
    chain::{Head, Link},
    keys::PublicKey,
    proto::IncidentRow,
    rocks::{self, Budget},
    verify::{Paged, Pages, Part, SourceError},
};
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::incidents::Incident;

/// host, seq -> bytes of the record.
pub(crate) const RECORDS: &str = "records";
/// host, seq -> bytes of the head.
pub(crate) const HEADS: &str = "heads";
/// host -> [`Host`].
const HOSTS: &str = "hosts";
/// name -> id of the host that this name's certificate speaks for.
const NAMES: &str = "names";
/// host, 0, incident -> [`Incident`].
const INCIDENTS: &str = "incidents";
/// host, 0, kind -> [`Dispute`].
const DISPUTES: &str = "disputes";
const FAMILIES: [&str; 6] = [RECORDS, HEADS, HOSTS, NAMES, INCIDENTS, DISPUTES];

/// Rows that one read takes at most.
const CHUNK: usize = 256;
/// Hosts that can be written at one time.
const TURNS: usize = 64;
/// Longest incident list.
const INCIDENTS_MAX: usize = 10_000;

/// What is known about a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Name in its certificate.
    pub name: String,
    /// What it calls itself.
    pub hostname: String,
    /// Its public key, hex.
    pub public_key: String,
    /// The newest record that is verified and stored.
    pub accepted: Link,
    /// When that was; `None` before the first record.
    pub accepted_wall_ms: Option<i64>,
}

/// A chain that was refused. One a host and kind: what keeps coming is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// The newest reason.
    pub reason: String,
    /// First time, Unix milliseconds.
    pub first_wall_ms: i64,
    /// Last time, Unix milliseconds.
    pub last_wall_ms: i64,
    /// How often.
    pub times: u64,
    /// The head the host showed first, which it signed: proof of a fork.
    pub head: Option<Head>,
}

/// What an append adds, to be written at once.
pub(crate) struct Addition {
    batch: WriteBatch,
}

/// The collector's store.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    db: DB,
    /// One is held while a host's row is read and written back; which one, its id decides.
    turns: [Mutex<()>; TURNS],
}

impl Store {
    /// Opens the store for writing; makes it if there is none.
    ///
    /// # Errors
    /// Names the directory.
    pub fn open(dir: &Path) -> Result<Self> {
        let db = rocks::open(dir, &FAMILIES, Budget::COLLECTOR).with_context(|| opening(dir))?;
        Ok(Self::new(dir, db))
    }

    /// Opens a snapshot of the store for reading, whether or not the collector runs.
    ///
    /// # Errors
    /// Names the directory.
    pub fn open_read_only(dir: &Path) -> Result<Self> {
        let open = || rocks::open_read_only(dir, &FAMILIES, Budget::COLLECTOR);
        let db = open().or_else(|_| open()).with_context(|| opening(dir))?;
        Ok(Self::new(dir, db))
    }

    /// Why this store may lack records that it once had, if its log is damaged.
    ///
    /// A snapshot ends before the damage, and looks like a store that never had more.
    pub fn log_damage(&self) -> Option<String> {
        rocks::log_damage(&self.dir, &FAMILIES, Budget::COLLECTOR)
    }

    fn new(dir: &Path, db: DB) -> Self {
        Self {
            dir: dir.to_owned(),
            db,
            turns: [const { Mutex::new(()) }; TURNS],
        }
    }

    /// Waits until nobody else changes this host. Two links of one host may overlap for a moment:
    /// without taking turns, both could continue its chain, each in its own way.
    pub(crate) fn turn(&self, host: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        host.hash(&mut hasher);
        let turn = (hasher.finish() % TURNS as u64) as usize;
        self.turns[turn]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A host by its id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn host(&self, host: &str) -> Result<Option<Host>> {
        self.get(HOSTS, host.as_bytes())
    }

    /// Every host with its id.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn hosts(&self) -> Result<Vec<(String, Host)>> {
        self.scan(HOSTS, b"")
    }

    /// The id of a host, given its id or the name in its certificate.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find(&self, id_or_name: &str) -> Result<Option<String>> {
        if self.host(id_or_name)?.is_some() {
            return Ok(Some(id_or_name.to_owned()));
        }
        self.bound(id_or_name)
    }

    /// The id of the host that a name's certificate speaks for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bound(&self, name: &str) -> Result<Option<String>> {
        self.get(NAMES, name.as_bytes())
    }

    /// Notes a host, and that this name's certificate speaks for it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn note_host(&self, id: &str, host: &Host) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(
            self.family(NAMES)?,
            host.name.as_bytes(),
            serde_json::to_vec(id)?,
        );
        batch.put_cf(
            self.family(HOSTS)?,
            id.as_bytes(),
            serde_json::to_vec(host)?,
        );
        self.write(batch)
    }

    /// Begins an addition.
    pub(crate) fn add(&self) -> Addition {
        Addition {
            batch: WriteBatch::default(),
        }
    }

    /// Puts a record or a head into an addition.
    pub(crate) fn put(
        &self,
        addition: &mut Addition,
        family: &str,
        host: &str,
        seq: u64,
        bytes: &[u8],
    ) -> Result<()> {
        addition
            .batch
            .put_cf(self.family(family)?, key(host, seq), bytes);
        Ok(())
    }

    /// Puts an incident into an addition.
    pub(crate) fn put_incident(
        &self,
        addition: &mut Addition,
        host: &str,
        id: &IncidentId,
        incident: &Incident,
    ) -> Result<()> {
        let key = [host.as_bytes(), &[0], id.0.as_bytes()].concat();
        addition
            .batch
            .put_cf(self.family(INCIDENTS)?, key, serde_json::to_vec(incident)?);
        Ok(())
    }

    /// Writes an addition and the host's new state durably, all or nothing.
    pub(crate) fn commit(&self, mut addition: Addition, id: &str, host: &Host) -> Result<()> {
        addition.batch.put_cf(
            self.family(HOSTS)?,
            id.as_bytes(),
            serde_json::to_vec(host)?,
        );
        self.write(addition.batch)
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn record(&self, host: &str, seq: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.db.get_cf(self.family(RECORDS)?, key(host, seq))?)
    }

    pub(crate) fn incident(&self, host: &str, id: &IncidentId) -> Result<Option<Incident>> {
        self.get(
            INCIDENTS,
            &[host.as_bytes(), &[0], id.0.as_bytes()].concat(),
        )
    }

    /// Incidents of one host or of all, newest first, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn incidents(
        &self,
        host: Option<&str>,
        open_only: bool,
        limit: usize,
    ) -> Result<Vec<IncidentRow>> {
        let limit = limit.min(INCIDENTS_MAX);
        let mut rows: Vec<IncidentRow> = Vec::new();
        let newest_first = |rows: &mut Vec<IncidentRow>| {
            rows.sort_by(|a, b| {
                (b.opened_wall_ms, &b.incident).cmp(&(a.opened_wall_ms, &a.incident))
            });
            rows.truncate(limit);
        };
        for (id, known) in self.hosts()? {
            if host.is_some_and(|host| host != id) {
                continue;
            }
            for (key, incident) in
                self.scan::<Incident>(INCIDENTS, &[id.as_bytes(), &[0]].concat())?
            {
                if open_only && incident.closed_wall_ms.is_some() {
                    continue;
                }
                let name = key.rsplit('\0').next().unwrap_or_default().to_owned();
                rows.push(incident.into_row(id.clone(), known.name.clone(), name));
                // Keeps memory bounded however large the fleet is.
                if rows.len() >= 2 * INCIDENTS_MAX {
                    newest_first(&mut rows);
                }
            }
        }
        newest_first(&mut rows);
        Ok(rows)
    }

    /// Notes that a chain was refused.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn dispute(
        &self,
        host: &str,
        kind: &str,
        reason: &str,
        head: Option<Head>,
        wall_ms: i64,
    ) -> Result<()> {
        let key = [host.as_bytes(), &[0], kind.as_bytes()].concat();
        let earlier: Option<Dispute> = self.get(DISPUTES, &key)?;
        let dispute = Dispute {
            reason: reason.to_owned(),
            first_wall_ms: earlier
                .as_ref()
                .map_or(wall_ms, |earlier| earlier.first_wall_ms),
            last_wall_ms: wall_ms,
            times: earlier
                .as_ref()
                .map_or(0, |earlier| earlier.times)
                .saturating_add(1),
            head: earlier.and_then(|earlier| earlier.head).or(head),
        };
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(DISPUTES)?, key, serde_json::to_vec(&dispute)?);
        self.write(batch)
    }

    /// Disputes about a host, by kind.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn disputes(&self, host: &str) -> Result<Vec<(String, Dispute)>> {
        let rows = self.scan(DISPUTES, &[host.as_bytes(), &[0]].concat())?;
        let kind = |key: String| key.rsplit('\0').next().unwrap_or_default().to_owned();
        Ok(rows
            .into_iter()
            .map(|(key, dispute)| (kind(key), dispute))
            .collect())
    }

    /// A host's whole copy, for verification. `growing` says that the collector runs on it.
    ///
    /// # Errors
    /// When there is no such host, or what is known about it is unreadable.
    pub fn copy<'a>(&'a self, id: &'a str, growing: bool) -> Result<Paged<Copy<'a>>> {
        let host = self
            .host(id)?
            .with_context(|| format!("there is no host {id}"))?;
        let key: PublicKey = host
            .public_key
            .parse()
            .map_err(|why: String| anyhow!(why))?;
        Ok(Paged::new(
            Copy {
                store: self,
                host: id,
            },
            key,
            host.accepted,
            growing,
        ))
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        self.db
            .write_opt(batch, &rocks::durable())
            .with_context(|| format!("cannot write to the store {}", self.dir.display()))
    }

    fn get<T: DeserializeOwned>(&self, family: &str, key: &[u8]) -> Result<Option<T>> {
        match self.db.get_cf(self.family(family)?, key)? {
            Some(bytes) => Ok(Some(parse(family, key, &bytes)?)),
            None => Ok(None),
        }
    }

    /// All rows whose key begins with `prefix`.
    fn scan<T: DeserializeOwned>(&self, family: &str, prefix: &[u8]) -> Result<Vec<(String, T)>> {
        let mut rows = Vec::new();
        let from = IteratorMode::From(prefix, Direction::Forward);
        for row in self.db.iterator_cf(self.family(family)?, from) {
            let (key, value) = row?;
            if !key.starts_with(prefix) {
                break;
            }
            rows.push((
                String::from_utf8_lossy(&key).into_owned(),
                parse(family, &key, &value)?,
            ));
        }
        Ok(rows)
    }

    fn family(&self, name: &str) -> Result<&ColumnFamily> {
        self.db
            .cf_handle(name)
            .with_context(|| format!("the store {} has no part {name}", self.dir.display()))
    }

    fn page(&self, family: &str, host: &str, from: u64) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut rows = Vec::new();
        let (first, prefix) = (key(host, from), host.as_bytes());
        let from = IteratorMode::From(&first, Direction::Forward);
        for row in self.db.iterator_cf(self.family(family)?, from).take(CHUNK) {
            match row {
                Ok((key, value)) => match key.strip_prefix(prefix) {
                    Some(seq) => {
                        let seq = seq.try_into().map_or(0, u64::from_be_bytes);
                        rows.push((seq, value.into_vec()));
                    }
                    None => break,
                },
                Err(error) if rows.is_empty() => return Err(error.into()),
                Err(_) => break,
            }
        }
        Ok(rows)
    }
}

/// One host's part of the store.
#[derive(Debug)]
pub struct Copy<'a> {
    store: &'a Store,
    host: &'a str,
}

impl Pages for Copy<'_> {
    fn page(&self, part: Part, from: u64) -> Result<Vec<(u64, Vec<u8>)>, SourceError> {
        let family = match part {
            Part::Records => RECORDS,
            Part::Heads => HEADS,
        };
        self.store
            .page(family, self.host, from)
            .map_err(|error| SourceError {
                place: self.store.dir.display().to_string(),
                why: format!("{error:#}"),
            })
    }
}

/// A host id has 32 characters, so keys of one host never mix with another's.
fn key(host: &str, seq: u64) -> Vec<u8> {
    [host.as_bytes(), &seq.to_be_bytes()].concat()
}

fn parse<T: DeserializeOwned>(family: &str, key: &[u8], bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).with_context(|| {
        format!(
            "{family} entry {} is malformed",
            String::from_utf8_lossy(key)
        )
    })
}

fn opening(dir: &Path) -> String {
    format!("cannot open the store {}", dir.display())
}
