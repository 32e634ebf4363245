//! The only door to kernel memory: typed fields at offsets the daemon resolved from BTF.
//!
//! rustc emits no CO-RE relocations, so the daemon writes the offsets into the instructions
//! (`frozen.rs`). To the verifier they are constants: `task + OFF_TASK_TGID` stays a typed pointer,
//! is read without a helper, and a bad address yields zero instead of a fault. Where the kernel hands
//! out an untyped address (a raw tracepoint's argument, a pointer kept as a number), `peek` reads
//! through a helper, at six times the price. The submodules give names and types to both; they hold
//! no `unsafe`.

mod cgroup;
mod hardware;
mod net;
mod storage;
mod task;

use core::{mem::transmute_copy, ptr::read_volatile};

use aya_ebpf::{
    btf_maps::Array,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_probe_read_kernel,
        bpf_probe_read_kernel_str_bytes,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns, bpf_ktime_get_ns},
    },
    macros::btf_map,
    programs::{BtfTracePointContext, FEntryContext, RawTracePointContext},
};
use hostmedic_abi::{COMM_LEN, LATES, TaskId};

use crate::frozen::{Frozen, frozen};

pub use self::{
    cgroup::{Cgroup, OomControl},
    hardware::MachineCheck,
    net::{
        AF_INET, AF_INET6, Device, Packet, Socket, drop_reason, port_class, receiver,
        retransmit_failed,
    },
    storage::{Mapping, Request, ScsiCommand, SuperBlock, Xfs, block_status},
    task::{
        Task, group_dead, has_score, has_signals, has_victim_task, is_sent_by_kernel,
        says_group_dead,
    },
};

/// Offsets in modules' structures, by the `LATE_` constants.
#[btf_map]
static LATE: Array<u32, { LATES as usize }> = Array::new();

frozen! {
    /// Exec has to remember processes, because `mark_victim` names only a thread id.
    KEEP_RECENT: bool;
}

frozen! {
    /// Name of the thread that attests, first and second half.
    NONCE_LOW: u64;
    NONCE_HIGH: u64;
}

/// Whether exec has to remember processes here.
#[inline(always)]
pub fn keep_recent() -> bool {
    KEEP_RECENT.load()
}

/// Whether the running thread bears the name of the one that attests.
#[inline(always)]
pub fn is_attesting() -> bool {
    let Ok(name) = bpf_get_current_comm() else {
        return false;
    };
    let (low, high) = name.split_at(8);
    let word = |half: &[u8]| half.try_into().map_or(0, u64::from_ne_bytes);
    word(low) == NONCE_LOW.load() && word(high) == NONCE_HIGH.load()
}

/// `CLOCK_BOOTTIME`.
#[inline(always)]
pub fn now_boot_ns() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// `CLOCK_MONOTONIC`, which the block layer stamps its requests with.
#[inline(always)]
pub fn now_monotonic_ns() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Thread group and thread of the running task, as the kernel's helper tells them.
#[inline(always)]
pub fn current_pid_tgid() -> u64 {
    bpf_get_current_pid_tgid()
}

/// cgroup of the running task, as the kernel's helper tells it.
#[inline(always)]
pub fn current_cgroup_id() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_cgroup_id() }
}

/// The running task. Only for hooks in which it is the subject: a sender, a killer.
#[inline(always)]
pub fn current() -> TaskId {
    let pid_tgid = current_pid_tgid();
    TaskId {
        started_boot_ns: 0,
        cgroup_id: current_cgroup_id(),
        pid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        comm: bpf_get_current_comm().unwrap_or([0; COMM_LEN]),
    }
}

/// A context whose arguments are typed kernel objects or numbers.
pub trait Arguments {
    /// Argument `n` as a number.
    fn number(&self, n: usize) -> u64;

    /// Argument `n` as an address that is not null.
    fn object(&self, n: usize) -> Option<Object>;
}

/// A typed kernel object, as far as the verifier goes.
pub type Object = *const u8;

impl Arguments for BtfTracePointContext {
    #[inline(always)]
    fn number(&self, n: usize) -> u64 {
        self.arg(n)
    }

    #[inline(always)]
    fn object(&self, n: usize) -> Option<Object> {
        not_null(self.arg(n))
    }
}

impl Arguments for FEntryContext {
    #[inline(always)]
    fn number(&self, n: usize) -> u64 {
        self.arg(n)
    }

    #[inline(always)]
    fn object(&self, n: usize) -> Option<Object> {
        not_null(self.arg(n))
    }
}

impl Arguments for RawTracePointContext {
    #[inline(always)]
    fn number(&self, n: usize) -> u64 {
        self.arg(n)
    }

    #[inline(always)]
    fn object(&self, n: usize) -> Option<Object> {
        not_null(self.arg(n))
    }
}

#[inline(always)]
fn not_null(object: Object) -> Option<Object> {
    (!object.is_null()).then_some(object)
}

/// The pointer at `offset`, unless it is null.
#[inline(always)]
fn hop<const WORD: u64>(base: Object, offset: &Frozen<u32, WORD>) -> Option<Object> {
    not_null(load(base, offset))
}

/// The field at `offset` of the kernel object at `base`.
#[inline(always)]
fn load<T: Copy, const WORD: u64>(base: Object, offset: &Frozen<u32, WORD>) -> T {
    if const { size_of::<T>() == size_of::<u64>() } {
        // SAFETY: as in `load_at`, and `T` is as long as what is read.
        unsafe { transmute_copy(&offset.field_of(base)) }
    } else {
        load_at(base, offset.word() as usize)
    }
}

/// The field `at` bytes into the kernel object at `base`; `at` must come from frozen numbers.
#[inline(always)]
fn load_at<T: Copy>(base: Object, at: usize) -> T {
    // SAFETY: `base` comes from a tracepoint argument through null-checked hops, which the
    // verifier proves to be a typed pointer; it rejects the program if the access is not within
    // the type, and the load it emits yields zero where memory is gone. Each `T` used here is
    // an integer or a pointer, so any bytes are a valid one.
    unsafe { read_volatile(base.add(at).cast::<T>()) }
}

/// The field `bytes` after an untyped address; zero if nothing is there.
#[inline(always)]
fn peek<T: Copy + Default>(address: u64, bytes: u64) -> T {
    // SAFETY: the helper checks the address itself, and each `T` used here is an integer.
    unsafe { bpf_probe_read_kernel((address + bytes) as *const T) }.unwrap_or_default()
}

/// An offset in a module's structure. The module may come after the daemon, when globals are
/// frozen, so these are kept in a map.
#[inline(always)]
fn late(which: u32) -> u64 {
    LATE.get(which).map_or(0, |offset| u64::from(*offset))
}

/// Copies the text at an untyped address into `to`, which is zero before; returns its bytes with
/// the final zero, or 0.
#[inline(always)]
pub fn peek_text(address: u64, to: &mut [u8]) -> u32 {
    // SAFETY: the helper checks the address itself and writes at most the slice's length.
    let read = unsafe { bpf_probe_read_kernel_str_bytes(address as *const u8, to) };
    read.map_or(0, |text| text.len() as u32 + 1)
}

/// The licence the kernel checks before it lends its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
