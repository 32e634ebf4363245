//! How hostmedic runs RocksDB: small, strict about what it reads, and never behind our back.
//!
//! Shared by the host's ledger and the collector's store.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    ErrorKind, InfoLogger, LogLevel, Options, WriteOptions,
};

const MIB: usize = 1 << 20;

/// What RocksDB may use.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Memory for writes that are not in a table yet, over all column families.
    pub write_buffer_bytes: usize,
    /// Memory for blocks read.
    pub block_cache_bytes: usize,
    /// Open table files.
    pub open_files_max: i32,
}

impl Budget {
    /// For the daemon, which shares a host with the work that counts.
    pub const HOST: Self = Self {
        write_buffer_bytes: 4 * MIB,
        block_cache_bytes: 2 * MIB,
        open_files_max: 64,
    };

    /// For the host's events: appended to in order, and seldom read.
    pub const EVENTS: Self = Self {
        write_buffer_bytes: 2 * MIB,
        block_cache_bytes: MIB / 2,
        open_files_max: 32,
    };

    /// For the collector, which has a host of its own.
    pub const COLLECTOR: Self = Self {
        write_buffer_bytes: 64 * MIB,
        block_cache_bytes: 64 * MIB,
        open_files_max: 512,
    };
}

/// Opens a database for writing; makes it if there is none.
///
/// # Errors
/// RocksDB's.
pub fn open(dir: &Path, families: &[&str], budget: Budget) -> Result<DB, rocksdb::Error> {
    let mut options = options(budget);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    DB::open_cf_descriptors(&options, dir, descriptors(families, &options))
}

/// Opens a snapshot of a database for reading, whether or not somebody else has it open.
///
/// # Errors
/// RocksDB's.
pub fn open_read_only(dir: &Path, families: &[&str], budget: Budget) -> Result<DB, rocksdb::Error> {
    let mut options = options(budget);
    // All table files are opened now: the writer may delete some of them at any time.
    options.set_max_open_files(-1);
    // Up to the first damage in the log: what is missing after it is the verifier's to name.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    DB::open_cf_descriptors_read_only(&options, dir, descriptors(families, &options), false)
}

/// Opens a database for writing whose damaged parts are passed over, and makes it if there is
/// none: for what is kept as long as it lasts, not for what must be proven.
///
/// # Errors
/// RocksDB's, when it cannot be opened even so.
pub fn open_lenient(dir: &Path, budget: Budget) -> Result<DB, rocksdb::Error> {
    let open = || DB::open(&lenient(budget), dir);
    open().or_else(|error| match error.kind() {
        ErrorKind::Corruption => {
            repair(dir, budget)?;
            open()
        }
        _ => Err(error),
    })
}

/// Makes a database whole again from what can be read of it. Nobody may have it open.
///
/// # Errors
/// RocksDB's.
pub fn repair(dir: &Path, budget: Budget) -> Result<(), rocksdb::Error> {
    tracing::warn!(dir = %dir.display(), "Repairs a damaged database.");
    DB::repair(&lenient(budget), dir)
}

fn lenient(budget: Budget) -> Options {
    let mut options = options(budget);
    options.create_if_missing(true);
    options.set_paranoid_checks(false);
    options.set_wal_recovery_mode(DBRecoveryMode::SkipAnyCorruptedRecord);
    options
}

/// What is damaged in the log of a database that [`open_read_only`] opens, if anything is: that
/// shows what lies before the damage and is silent about what lies after it.
///
/// A last write that is torn is no damage; a writer may be writing it now.
pub fn log_damage(dir: &Path, families: &[&str], budget: Budget) -> Option<String> {
    // These options tolerate nothing but a torn end.
    let options = options(budget);
    let open =
        || DB::open_cf_descriptors_read_only(&options, dir, descriptors(families, &options), false);
    // A writer may delete a file between listing and opening it: look again.
    open()
        .or_else(|_| open())
        .err()
        .map(rocksdb::Error::into_string)
}

/// Write options under which a successful write is on the disk.
pub fn durable() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn descriptors(families: &[&str], options: &Options) -> Vec<ColumnFamilyDescriptor> {
    families
        .iter()
        .map(|name| ColumnFamilyDescriptor::new(*name, options.clone()))
        .collect()
}

fn options(budget: Budget) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(budget.block_cache_bytes));
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_paranoid_checks(true);
    // A power cut may tear the last write, which nobody was told of: that is no damage, and a
    // daemon that would not start again after it would be worse. Damage anywhere else is refused.
    // That nothing acknowledged is gone is not left to RocksDB: see the signed head file.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_write_buffer_size(budget.write_buffer_bytes / 2);
    options.set_db_write_buffer_size(budget.write_buffer_bytes);
    options.set_max_total_wal_size(2 * budget.write_buffer_bytes as u64);
    options.set_max_open_files(budget.open_files_max);
    options.set_max_background_jobs(2);
    options.set_max_manifest_file_size(MIB);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // Instead of LOG files beside the data, which a reader would rotate under the writer.
    options.set_info_logger(InfoLogger::new_callback_logger(
        LogLevel::Warn,
        |level, text| match level {
            // It lists every option at each opening, whatever level was asked for.
            LogLevel::Debug | LogLevel::Info | LogLevel::Header => {
                tracing::trace!(text, "RocksDB spoke.");
            }
            LogLevel::Warn => tracing::warn!(text, "RocksDB warned."),
            LogLevel::Error | LogLevel::Fatal => tracing::error!(text, "RocksDB failed."),
        },
    ));
    options
}
