//! Adds up the probes' per-CPU counters, and the runs that the kernel itself skipped.

use aya::{Ebpf, maps::PerCpuArray};
use hostmedic_abi::{COUNTERS, Counter};
use hostmedic_model::loss::HookCounters;

use super::{error::ProbeError, fdinfo::FdInfo, hook::Hook};

/// Counters of every hook, loaded or not.
pub(crate) fn read(ebpf: &Ebpf) -> Result<Vec<HookCounters>, ProbeError> {
    const MAP: &str = "COUNTS";
    let failed = |why: String| ProbeError::Map { map: MAP, why };
    let map = ebpf
        .map(MAP)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?;
    let rows: PerCpuArray<_, [u64; COUNTERS]> = map
        .try_into()
        .map_err(|e: aya::maps::MapError| failed(e.to_string()))?;
    Hook::ALL
        .into_iter()
        .map(|hook| {
            let of_cpus = rows
                .get(&hook.row(), 0)
                .map_err(|e| failed(e.to_string()))?;
            let sum = |counter: Counter| of_cpus.iter().map(|row| row[counter as usize]).sum();
            Ok(HookCounters {
                hook: hook.name().to_owned(),
                seen: sum(Counter::Seen),
                delivered: sum(Counter::Delivered),
                ring_full: sum(Counter::RingFull),
                filtered: sum(Counter::Filtered),
                missed: missed(ebpf, hook)?,
                ..HookCounters::default()
            })
        })
        .collect()
}

/// Whether every run has ended as something.
pub(crate) fn is_at_rest(counters: &[HookCounters]) -> bool {
    counters
        .iter()
        .all(|of| of.seen == of.delivered + of.ring_full + of.filtered)
}

/// Runs skipped because the program was running on that CPU already. aya does not tell; the
/// kernel prints them since 5.12 (`bpf_prog_show_fdinfo` in kernel/bpf/syscall.c).
fn missed(ebpf: &Ebpf, hook: Hook) -> Result<u64, ProbeError> {
    match FdInfo::of_program(ebpf, hook)? {
        Some(info) => Ok(info.number("recursion_misses").unwrap_or(0)),
        None => Ok(0),
    }
}
