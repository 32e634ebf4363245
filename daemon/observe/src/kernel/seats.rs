//! What the hooks of processes have counted and not yet brought to their keys (`hostmedic_abi::Seat`).

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{MapError, PerCpuArray, PerCpuValues},
};
use hostmedic_abi::{Hook, Key, ROW_WORDS, Row, Seat};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::error::ProbeError;

const MAP: &str = "COUNTS";
const HOOKS: [Hook; 3] = [Hook::ProcessExec, Hook::ProcessExit, Hook::ProcessFork];

/// Counts by the bytes of their [`Key`], of all CPUs together.
pub(super) fn read(ebpf: &mut Ebpf) -> Result<HashMap<[u8; 24], u64>, ProbeError> {
    let mut counts = HashMap::new();
    let rows = rows(ebpf)?;
    for hook in HOOKS {
        let of_cpus = rows.get(&(hook as u32), 0).map_err(failed)?;
        for words in of_cpus.iter() {
            let Ok(row) = Row::read_from_bytes(words.as_bytes()) else {
                continue;
            };
            let Ok(key) = Key::of(hook, row.seat.cgroup_id).as_bytes().try_into() else {
                continue;
            };
            if row.seat.count > 0 {
                *counts.entry(key).or_default() += row.seat.count;
            }
        }
    }
    Ok(counts)
}

/// Clears what a daemon before this one left in pinned rows. No program may be attached yet.
pub(super) fn clear(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let mut rows = rows(ebpf)?;
    for hook in HOOKS {
        let of_cpus = rows.get(&(hook as u32), 0).map_err(failed)?;
        let cleared = of_cpus.iter().map(|words| {
            let mut row = Row::read_from_bytes(words.as_bytes()).unwrap_or_default();
            row.seat = Seat::default();
            <[u64; ROW_WORDS]>::read_from_bytes(row.as_bytes()).unwrap_or(*words)
        });
        let cleared = PerCpuValues::try_from(cleared.collect::<Vec<_>>())
            .map_err(|error| failed(MapError::IoError(error)))?;
        rows.set(hook as u32, cleared, 0).map_err(failed)?;
    }
    Ok(())
}

type Rows<'e> = PerCpuArray<&'e mut aya::maps::MapData, [u64; ROW_WORDS]>;

fn rows(ebpf: &mut Ebpf) -> Result<Rows<'_>, ProbeError> {
    let found = ebpf.map_mut(MAP).ok_or_else(|| ProbeError::Map {
        map: MAP,
        why: "it is not in the object".to_owned(),
    })?;
    found.try_into().map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: MapError) -> ProbeError {
    ProbeError::Map {
        map: MAP,
        why: error.to_string(),
    }
}
