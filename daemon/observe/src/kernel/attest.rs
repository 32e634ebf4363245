//! Proves, before any hook is trusted, that the offsets fit the running kernel.
//!
//! A wrong offset yields plausible numbers, and a wrong cgroup id restarts the wrong service. So
//! a thread of ours ends under a name nobody else has; the attesting programs recognise it by
//! that name and note what they read by offsets beside what the kernel's helpers say; here both
//! are compared with /proc. Ids are compared with /proc only where they mean the same: in a PID
//! namespace they do not, and the helpers' ids then stand alone.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    thread,
    time::{Duration, Instant},
};

use aya::{Ebpf, maps::Array};
use hostmedic_abi::{Attestation, COMM_LEN, FILLED_CGROUP, FILLED_EXIT, FILLED_SCORE, FILLED_TASK};
use zerocopy::FromBytes;

use super::{
    attach::Loader,
    error::ProbeError,
    fields::Group,
    own::{Own, OwnThread, boot_ns},
    support::KernelSupport,
};

/// How long the kernel may take to show us the end of our own thread.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// `SIGNAL_GROUP_EXIT`, include/linux/sched/signal.h.
const SIGNAL_GROUP_EXIT: u32 = 4;
/// All `SIGNAL_` bits lie below.
const SIGNAL_BITS_MAX: u32 = 0x1000;
/// Threads that may come or go while we count them.
const THREADS_SLACK: u32 = 64;
/// Id of the root of the unified tree (`cgroup_root` is inode 1 of its file system).
const ROOT_CGROUP: u64 = 1;
/// More cgroups than any host makes between two boots.
const MAX_SERIAL: u64 = 1 << 40;

/// A name that no other thread has: as long as the kernel keeps, and random.
pub(crate) struct Nonce {
    name: String,
    bytes: [u8; COMM_LEN],
}

impl Nonce {
    /// Draws one.
    pub(crate) fn new() -> Self {
        // The standard library seeds each `RandomState` from the kernel's random numbers.
        let random = RandomState::new().build_hasher().finish();
        let name = format!("hm-{:012x}", random & 0xffff_ffff_ffff);
        let mut bytes = [0; COMM_LEN];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self { name, bytes }
    }

    /// The name as the two words that the probes compare.
    pub(crate) fn words(&self) -> [u64; 2] {
        let word = |at| {
            self.bytes[at..]
                .first_chunk()
                .map_or(0, |half| u64::from_ne_bytes(*half))
        };
        [word(0), word(8)]
    }
}

/// Groups that can be proved on a thread of ours.
const PROVED: [Group; 4] = [Group::Task, Group::Cgroup, Group::Exit, Group::Score];

/// Yes, or no with its reason, for each group that was put to the proof.
pub(crate) type Verdicts = BTreeMap<Group, Result<(), String>>;

/// Which groups of offsets can be trusted.
pub(crate) fn attest(
    loader: &mut Loader<'_>,
    kernel: &KernelSupport,
    nonce: &Nonce,
) -> Result<Verdicts, ProbeError> {
    let mut ebpf = loader.load_small()?;
    let mut verdicts = Verdicts::new();
    for group in PROVED {
        let attached = kernel.group(group).and_then(|()| {
            loader
                .attach_typed(&mut ebpf, program(group), "sched_process_exit")
                .map_err(|why| format!("its offsets could not be attested: {why}"))
        });
        verdicts.insert(group, attached);
    }
    if verdicts.values().all(Result::is_err) {
        return Ok(verdicts);
    }
    let bits = verdicts
        .iter()
        .filter(|(_, verdict)| verdict.is_ok())
        .map(|(group, _)| bit(*group));
    let (record, own) = observe_own_thread(&ebpf, nonce, bits.sum())?;
    for (group, verdict) in &mut verdicts {
        if verdict.is_ok() {
            *verdict =
                judge(*group, &record, &own).map_err(|why| format!("attestation failed: {why}"));
        }
    }
    Ok(verdicts)
}

fn program(group: Group) -> &'static str {
    match group {
        Group::Cgroup => "attest_cgroup",
        Group::Exit => "attest_exit",
        Group::Score => "attest_score",
        _ => "attest_task",
    }
}

/// The bit that a group's program sets when it has noted everything.
fn bit(group: Group) -> u32 {
    match group {
        Group::Cgroup => FILLED_CGROUP,
        Group::Exit => FILLED_EXIT,
        Group::Score => FILLED_SCORE,
        _ => FILLED_TASK,
    }
}

/// Lets a thread end and returns what the programs noted; those that set `bits` are waited for.
/// An empty record if they noted nothing.
fn observe_own_thread(
    ebpf: &Ebpf,
    nonce: &Nonce,
    bits: u32,
) -> Result<(Attestation, Own), ProbeError> {
    let failed = |source| ProbeError::Reader {
        lane: "attesting thread of the",
        source,
    };
    let began_boot_ns = boot_ns();
    let thread = thread::Builder::new()
        .name(nonce.name.clone())
        .spawn(OwnThread::read)
        .map_err(failed)?
        .join()
        .unwrap_or_default();
    // On kernels before 6.16 a thread is joined before its end is traced; it may also lose its
    // processor between two of the programs.
    let deadline = Instant::now() + SEEN_WITHIN;
    let mut record = noted(ebpf)?;
    while record.filled & bits != bits && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
        record = noted(ebpf)?;
    }
    let elapsed_ns = boot_ns().saturating_sub(began_boot_ns);
    // Each program sets its bit last, but only this second look comes surely after it.
    let record = noted(ebpf)?;
    Ok((record, Own::read(nonce.bytes, elapsed_ns, thread)))
}

fn noted(ebpf: &Ebpf) -> Result<Attestation, ProbeError> {
    const MAP: &str = "ATTESTED";
    let failed = |why: String| ProbeError::Map { map: MAP, why };
    let map = ebpf
        .map(MAP)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?;
    let rows: Array<_, [u8; size_of::<Attestation>()]> = map
        .try_into()
        .map_err(|e: aya::maps::MapError| failed(e.to_string()))?;
    let bytes = rows.get(&0, 0).map_err(|e| failed(e.to_string()))?;
    Attestation::read_from_bytes(&bytes).map_err(|e| failed(e.to_string()))
}

/// Compares one group. Pure.
fn judge(group: Group, record: &Attestation, own: &Own) -> Result<(), String> {
    if record.filled & bit(group) == 0 {
        return Err("the end of our own thread was not seen".to_owned());
    }
    match group {
        Group::Cgroup => judge_cgroup(record, own),
        Group::Exit => judge_exit(record, own),
        Group::Score => same("signal->oom_score_adj", record.oom_score_adj, own.score),
        _ => judge_task(record, own),
    }
}

fn judge_task(record: &Attestation, own: &Own) -> Result<(), String> {
    let [tgid, tid] = [
        record.helper_pid_tgid >> 32,
        record.helper_pid_tgid & 0xffff_ffff,
    ];
    same("task->tgid", u64::from(record.tgid), tgid)?;
    same("task->pid", u64::from(record.pid), tid)?;
    same(
        "task->group_leader->pid",
        u64::from(record.leader_pid),
        tgid,
    )?;
    if let Some(own_pid) = own.pid {
        same("task->tgid", record.tgid, own_pid)?;
    }
    same("task->comm", name_in(record.comm), name_in(own.thread_name))?;
    if let Some(name) = own.name {
        let read = name_in(record.leader_comm);
        same("task->group_leader->comm", read, name_in(name))?;
    }
    let earliest = record.helper_boot_ns.saturating_sub(own.elapsed_ns);
    if !(earliest..=record.helper_boot_ns).contains(&record.started_boot_ns) {
        return Err(format!(
            "task->start_boottime is {}, but our thread started between {earliest} and {}",
            record.started_boot_ns, record.helper_boot_ns,
        ));
    }
    judge_leader_start(record, own)
}

/// A name without what follows its end: before 5.17 the kernel leaves parts of an earlier, longer
/// one there.
fn name_in(mut comm: [u8; COMM_LEN]) -> [u8; COMM_LEN] {
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(COMM_LEN);
    comm[end..].fill(0);
    comm
}

/// The difference of two starts, because /proc shows both shifted by a time namespace.
fn judge_leader_start(record: &Attestation, own: &Own) -> Result<(), String> {
    let Some((own_leader, own_thread, per_s)) = own.start_ticks else {
        return Ok(());
    };
    let tick_ns = 1_000_000_000 / per_s.max(1);
    let read = record
        .started_boot_ns
        .saturating_sub(record.leader_started_boot_ns)
        / tick_ns;
    let expected = own_thread.saturating_sub(own_leader);
    if read.abs_diff(expected) <= 1 {
        return Ok(());
    }
    Err(format!(
        "task->group_leader->start_boottime is {read} ticks before our thread's, /proc says {expected}"
    ))
}

fn judge_cgroup(record: &Attestation, own: &Own) -> Result<(), String> {
    const WALK: &str = "task->cgroups->dfl_cgrp->kn->id";
    same(WALK, record.cgroup_id, record.helper_cgroup_id)?;
    if let Some(inode) = own.cgroup_inode {
        same(WALK, record.cgroup_id, inode)?;
    }
    // The kernel tells nobody, but it counts from 1 and gives the root none (`cgroup_create` in
    // kernel/cgroup/cgroup.c); an address, or two numbers beside each other, are far beyond.
    let serial = record.cgroup_serial;
    if serial > MAX_SERIAL || (serial == 0 && record.cgroup_id != ROOT_CGROUP) {
        return Err(format!(
            "task->cgroups->dfl_cgrp->self.serial_nr is {serial}, which no cgroup has"
        ));
    }
    Ok(())
}

fn judge_exit(record: &Attestation, own: &Own) -> Result<(), String> {
    let most = own.threads.saturating_add(THREADS_SLACK);
    let counts = [
        ("signal->live", record.live),
        ("signal->nr_threads", record.threads),
    ];
    for (field, count) in counts {
        if count == 0 || count > most {
            return Err(format!(
                "{field} is {count}, but we have {} threads",
                own.threads
            ));
        }
    }
    if record.live > record.threads {
        let Attestation { live, threads, .. } = record;
        return Err(format!(
            "signal->live is {live}, more than signal->nr_threads, {threads}"
        ));
    }
    let flags = record.signal_flags;
    if flags & SIGNAL_GROUP_EXIT != 0 || flags >= SIGNAL_BITS_MAX {
        return Err(format!(
            "signal->flags is {flags:#x}, but we are not about to end"
        ));
    }
    same("signal->group_exit_code", record.group_exit_code, 0)?;
    same("task->exit_code", record.exit_code, 0)
}

fn same<T: PartialEq + std::fmt::Debug + Copy>(
    field: &str,
    read: T,
    expected: T,
) -> Result<(), String> {
    if read == expected {
        return Ok(());
    }
    Err(format!("{field} is read as {read:?}, but is {expected:?}"))
}

#[cfg(test)]
#[path = "attest_tests.rs"]
mod tests;
