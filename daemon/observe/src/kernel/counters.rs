//! Adds up the probes' per-CPU counters, and the runs that the kernel itself skipped.

use aya::{
    Ebpf,
    maps::{Array, PerCpuArray},
};
use hostmedic_abi::{Counter, HOOKS, ROW_WORDS, Row};
use hostmedic_model::loss::HookCounters;
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{
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
    const MAP: &str = "COUNTS";
    let failed = |why: String| ProbeError::Map { map: MAP, why };
    let map = ebpf
        .map(MAP)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?;
    let rows: PerCpuArray<_, [u64; ROW_WORDS]> = map
        .try_into()
        .map_err(|e: aya::maps::MapError| failed(e.to_string()))?;
    ALL.iter()
        .map(|info| {
            let row = info.hook as u32;
            let of_cpus = rows.get(&row, 0).map_err(|e| failed(e.to_string()))?;
            let of_cpus: Vec<Row> = of_cpus
                .iter()
                .filter_map(|words| Row::read_from_bytes(words.as_bytes()).ok())
                .collect();
            let sum = |counter: Counter| -> u64 {
                let of_cpus = of_cpus.iter();
                of_cpus.map(|row| row.outcomes[counter as usize]).sum()
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
