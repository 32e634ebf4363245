//! What is counted by key instead of being told one by one, and the spill of rare events.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Key of the maps `PROCESSES`, `NETWORK` and `DISKS`. What `a`, `b`, `c` and `d` mean depends on
/// the hook, as its probe's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Key {
    /// cgroup v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// [`crate::Hook`].
    pub hook: u32,
    /// First detail.
    pub a: u32,
    /// Second detail.
    pub b: u32,
    /// Third detail.
    pub c: u16,
    /// Fourth detail.
    pub d: u16,
}

impl Key {
    /// A key without details.
    #[inline(always)]
    pub const fn of(hook: crate::Hook, cgroup_id: u64) -> Self {
        Self {
            cgroup_id,
            hook: hook as u32,
            a: 0,
            b: 0,
            c: 0,
            d: 0,
        }
    }

    /// All of it as words, which are compared at once.
    #[inline(always)]
    pub const fn words(self) -> [u64; 3] {
        zerocopy::transmute!(self)
    }

    /// The key of these words.
    #[inline(always)]
    pub const fn of_words(words: [u64; 3]) -> Self {
        zerocopy::transmute!(words)
    }
}

/// Value of those maps, one for each CPU; rises only.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their bytes or nanoseconds together.
    pub amount: u64,
}

/// One CPU's rows, one a hook.
pub type Rows = [Row; crate::HOOKS];

/// One CPU's element of the array `COUNTS`: its rows, which begin with a cache line. Where lines begin in
/// it depends on the kernel, so there is one more than rows need, and the first word says how many
/// bytes come before them, itself included. The daemon writes it.
pub type RowsElement = [u64; ROWS_WORDS];

/// The rows in an element; `None` in one that no daemon has prepared.
pub fn rows_in(element: &RowsElement) -> Option<&Rows> {
    let words = element.get(words_before_rows(element)?..)?;
    Some(Rows::ref_from_prefix(words.as_bytes()).ok()?.0)
}

/// The same, to be changed.
pub fn rows_in_mut(element: &mut RowsElement) -> Option<&mut Rows> {
    let before = words_before_rows(element)?;
    let words = element.get_mut(before..)?;
    Some(Rows::mut_from_prefix(words.as_mut_bytes()).ok()?.0)
}

fn words_before_rows(element: &RowsElement) -> Option<usize> {
    let bytes = usize::try_from(element[0]).ok()?;
    (bytes > 0).then_some(bytes / size_of::<u64>())
}

/// Bytes before the rows where an element lies `at` bytes after the beginning of a line.
pub const fn bytes_before_rows(at: usize) -> usize {
    LINE_BYTES - at % LINE_BYTES
}

/// A hook's outcomes on one CPU, and what it counts of one cgroup. Each cache line that is touched costs
/// as much as all the rest, so what every run needs stands first and fills one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Row {
    /// The hook's mode, as of the last run that read `MODES`.
    pub mode: u64,
    /// Whom `process_exec`, `process_exit` and `process_fork` saw last; zero with other hooks.
    pub seat: Seat,
    /// By [`crate::Counter`]; rise only, but for [`crate::Counter::Aggregated`].
    pub outcomes: [u64; crate::COUNTERS],
    /// Zero; makes it two cache lines of 64 bytes.
    pub reserved: [u64; 2],
}

/// The cgroup that a hook saw last on one CPU. When another one comes, the count goes to the
/// cgroup's key in `PROCESSES`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Seat {
    /// Serial number of the cgroup, by which the hook knows it again: no other has had it since the
    /// boot, and it is read more cheaply than the id. All its bits are inverted, so that zero, in a seat
    /// that nobody has taken yet, is no cgroup's.
    pub inverted_serial: u64,
    /// cgroup v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// How many that are not in `PROCESSES` yet.
    pub count: u64,
    /// How many of those were also told, each by an event.
    pub told: u64,
    /// Before which no event is within the cgroup's share, on the clock by which the scheduler charges
    /// this CPU's tasks (`rq_clock_task` of kernel/sched/sched.h).
    pub refused_until_charged_ns: u64,
}

/// One CPU's element of the array `DISK_SEATS`.
pub type DiskSeats = [DiskSeat; DISK_SEATS];

/// Keys of disk requests that one CPU counts beside the map `DISKS`; a power of two.
pub const DISK_SEATS: usize = 16;

/// What a CPU saw of one kind of disk requests since another kind had this place. When one comes that
/// belongs here, the count goes to its key in `DISKS`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DiskSeat {
    /// [`DiskSeat::kind_of`] a request, in one word, so that nobody reads half of it.
    pub kind: u64,
    /// How many that are not in `DISKS` yet.
    pub count: u64,
    /// Their nanoseconds together.
    pub amount: u64,
    /// Zero; keeps a seat within a cache line.
    pub reserved: u64,
}

impl DiskSeat {
    /// The kind of a request: numbers of its device (12 and 20 bits, as in `include/linux/kdev_t.h`),
    /// size of its time and operation.
    #[inline(always)]
    pub const fn kind_of(major: u32, minor: u32, bits: u16, operation: u8) -> u64 {
        let device = (major as u64) << 20 | minor as u64 & 0xf_ffff;
        device << 16 | (bits as u64 & 0xff) << 8 | operation as u64
    }

    /// The key in `DISKS` of such requests.
    #[inline(always)]
    pub const fn key_of(kind: u64) -> Key {
        Key {
            cgroup_id: 0,
            hook: crate::Hook::BlockLatency as u32,
            a: (kind >> 36) as u32,
            b: (kind >> 16) as u32 & 0xf_ffff,
            c: (kind >> 8) as u16 & 0xff,
            d: kind as u16 & 0xff,
        }
    }

    /// Where such requests sit. Neighbours in time, which come together, sit apart.
    #[inline(always)]
    pub const fn place_of(kind: u64) -> usize {
        let device = (kind >> 16) ^ (kind >> 20);
        ((kind >> 8) ^ (kind << 3) ^ (device << 2)) as usize % DISK_SEATS
    }
}

/// One CPU's element of the array `DROP_SEATS`.
pub type DropSeats = [DropSeat; DROP_SEATS];

/// Keys of drops that one CPU counts beside the map `NETWORK`; a power of two.
pub const DROP_SEATS: usize = 16;

/// What a CPU saw of one key since another one had this place. When one comes that belongs here, the
/// count goes to its key in `NETWORK`. Readers copy it from the first word to the last.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DropSeat {
    /// How many keys have sat here; written after the newest one's words.
    pub ended: u64,
    /// [`Key::words`].
    pub key: [u64; 3],
    /// How many that are not in `NETWORK` yet.
    pub count: u64,
    /// Their bytes together.
    pub amount: u64,
    /// The same number as `ended`, written before the words: if they differ, the seat changed hands
    /// while it was copied.
    pub begun: u64,
    /// Zero; makes it a cache line.
    pub reserved: u64,
}

impl DropSeat {
    /// Whether the key with these words sits here. Written out, because the target compares arrays
    /// byte by byte in a function of its own.
    #[inline(always)]
    pub const fn is_of(&self, key: [u64; 3]) -> bool {
        let ([a, b, c], [x, y, z]) = (self.key, key);
        a ^ x | b ^ y | c ^ z == 0
    }

    /// Where drops of this key sit: its words in one, mixed by Fibonacci hashing (Knuth, The Art of
    /// Computer Programming, volume 3, section 6.4).
    #[inline(always)]
    pub const fn place_of(key: [u64; 3]) -> usize {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let [owner, reason, details] = key;
        let mixed =
            (owner ^ reason.rotate_right(32) ^ details.rotate_left(16)).wrapping_mul(GOLDEN);
        (mixed >> 32) as usize % DROP_SEATS
    }
}

/// Words of [`DropSeats`].
pub const DROP_SEATS_WORDS: usize = size_of::<DropSeats>() / 8;

/// Words of [`DiskSeats`].
pub const DISK_SEATS_WORDS: usize = size_of::<DiskSeats>() / 8;

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Words of [`RowsElement`].
pub const ROWS_WORDS: usize = (size_of::<Rows>() + LINE_BYTES) / 8;

/// Key of the map `FLOWS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FlowKey {
    /// cgroup v2 id of our end.
    pub cgroup_id: u64,
    /// Address of the other end, as in the packet; IPv4 in the first four bytes. For a Unix socket
    /// its cgroup v2 id ([`FlowKey::unix`]).
    pub remote: [u8; 16],
    /// The port connected to: theirs if we connected, ours if they did. 0 for a Unix socket.
    pub port: u16,
    /// 1 if we connected.
    pub is_outgoing: u8,
    /// 4 or 6; 1 (`AF_UNIX`) for a Unix socket.
    pub family: u8,
    /// Zero.
    pub reserved: u32,
}

/// [`FlowKey::family`] of a connection over a Unix socket.
const FLOW_UNIX: u8 = 1;

impl FlowKey {
    /// Who of cgroup `from` connected over a Unix socket to who of cgroup `to` listens.
    pub fn unix(from: u64, to: u64) -> Self {
        let mut remote = [0; 16];
        remote[..8].copy_from_slice(&to.to_ne_bytes());
        Self {
            cgroup_id: from,
            remote,
            port: 0,
            is_outgoing: 1,
            family: FLOW_UNIX,
            reserved: 0,
        }
    }

    /// cgroup v2 id of the other end of a Unix socket.
    pub fn unix_listener(&self) -> Option<u64> {
        let (id, _) = self.remote.split_first_chunk()?;
        (self.family == FLOW_UNIX).then_some(u64::from_ne_bytes(*id))
    }
}

/// Bytes of the largest event that can be spilled.
pub const SPILL_LEN: usize = 128;
/// Newest events kept for each CPU.
pub const SPILL_SLOTS: u32 = 8;

/// One row of the per-CPU array `SPILL`: an event that found its ring full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SpillSlot {
    /// Number of the event on this CPU, from 1; written before the event.
    pub begun: u64,
    /// The same number, written after it: if they differ, the event is half written.
    pub ended: u64,
    /// [`crate::Hook`] whose event it is.
    pub hook: u64,
    /// The event; its header says its length.
    pub event: [u8; SPILL_LEN],
}

const _: () = assert!(size_of::<Key>() == 24 && size_of::<Tally>() == 16);
const _: () = assert!(size_of::<Row>() == 128 && size_of::<DropSeat>() == 64);
const _: () = assert!(size_of::<FlowKey>() == 32 && size_of::<SpillSlot>() == 152);

/// [`Key::c`] of a drop: no port is known.
pub const PORT_UNKNOWN: u16 = 0;
/// [`Key::c`] of a drop: a port from 1024 to below the ephemeral range. Ports below 1024 stand
/// for themselves.
pub const PORT_REGISTERED: u16 = 1024;
/// [`Key::c`] of a drop: a port in the ephemeral range.
pub const PORT_EPHEMERAL: u16 = 1025;
