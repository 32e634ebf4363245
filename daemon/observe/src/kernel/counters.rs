//! Adds up the probes' counters of all CPUs, and the runs that the kernel itself skipped.

use aya::{Ebpf, maps::Array};
use hostmedic_abi::{Counter, HOOKS, ROWS_WORDS, Rows, rows_in};
use hostmedic_model::loss::HookCounters;

use super::{
    cpus,
    error::ProbeError,
    fdinfo::FdInfo,
    hook::{ALL, Info},
};

/// Runs that the kernel skipped and events recovered, for each hook, as of daemons before this one.
pub(crate) type Kept = [[u64; 2]; HOOKS];

/// Counters of every hook, loaded or not.
pub(crate) fn read(
    ebpf: &Ebpf,
    recovered: &[u64; HOOKS],
    kept: &Kept,
) -> Result<Vec<HookCounters>, ProbeError> {
    let elements = cpus::read::<ROWS_WORDS>(ebpf, "COUNTS")?;
    let of_cpus: Vec<&Rows> = elements.iter().filter_map(rows_in).collect();
    ALL.iter()
        .map(|info| {
            let sum = |counter: Counter| -> u64 {
                let rows = of_cpus.iter().map(|rows| &rows[info.hook as usize]);
                rows.map(|row| row.outcomes[counter as usize]).sum()
            };
            let [missed_before, recovered_before] = kept[info.hook as usize];
            let missed = missed(ebpf, info)?.saturating_add(missed_before);
            let recovered = recovered[info.hook as usize];
            Ok(HookCounters {
                hook: info.name.to_owned(),
                seen: sum(Counter::Seen).saturating_add(missed),
                delivered: sum(Counter::Delivered),
                aggregated: sum(Counter::Aggregated),
                sampled_out: sum(Counter::SampledOut),
                rate_limited: sum(Counter::RateLimited),
                ring_full: sum(Counter::RingFull),
                map_full: sum(Counter::MapFull),
                filtered: sum(Counter::Filtered),
                missed,
                recovered: recovered.saturating_add(recovered_before),
            })
        })
        .collect()
}

/// Keeps what lives in programs and in our memory for the daemon's next start.
pub(crate) fn keep(ebpf: &mut Ebpf, counters: &[HookCounters]) -> Result<(), ProbeError> {
    const MAP: &str = "KEPT";
    let failed = |why: String| ProbeError::Map { map: MAP, why };
    let map = ebpf
        .map_mut(MAP)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?;
    let mut rows: Array<_, [u64; 2]> = map
        .try_into()
        .map_err(|e: aya::maps::MapError| failed(e.to_string()))?;
    for of in counters {
        if let Some(info) = Info::named(&of.hook) {
            rows.set(info.hook as u32, [of.missed, of.recovered], 0)
                .map_err(|e| failed(e.to_string()))?;
        }
    }
    Ok(())
}

/// What daemons before this one kept. To be read once, since [`keep`] adds our own to it.
pub(crate) fn kept(ebpf: &Ebpf) -> Result<Kept, ProbeError> {
    const MAP: &str = "KEPT";
    let failed = |why: String| ProbeError::Map { map: MAP, why };
    let map = ebpf
        .map(MAP)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?;
    let rows: Array<_, [u64; 2]> = map
        .try_into()
        .map_err(|e: aya::maps::MapError| failed(e.to_string()))?;
    let mut kept = [[0; 2]; HOOKS];
    for info in &ALL {
        kept[info.hook as usize] = rows
            .get(&(info.hook as u32), 0)
            .map_err(|e| failed(e.to_string()))?;
    }
    Ok(kept)
}

/// Whether every run has ended as something.
pub(crate) fn is_at_rest(counters: &[HookCounters]) -> bool {
    counters.iter().all(|of| of.seen == of.explained())
}

/// Runs skipped because the program was running on that CPU already. aya does not tell; the
/// kernel prints them since 5.12 (`bpf_prog_show_fdinfo` in kernel/bpf/syscall.c).
fn missed(ebpf: &Ebpf, info: &Info) -> Result<u64, ProbeError> {
    match FdInfo::of_program(ebpf, info.name)? {
        Some(info) => Ok(info.number("recursion_misses").unwrap_or(0)),
        None => Ok(0),
    }
}
