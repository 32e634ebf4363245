//! The CPUs, and maps that have one element for each.

use std::{fs, io};

use aya::{
    Ebpf, Pod,
    maps::{Array, MapData, MapError},
};

use super::error::ProbeError;

/// How many numbers of CPUs there are: one more than the highest that this machine can ever have
/// (`nr_cpu_ids` of the kernel; Documentation/ABI/testing/sysfs-devices-system-cpu).
pub(super) fn numbers() -> Result<u32, ProbeError> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let failed = |source| ProbeError::Account {
        path: PATH.to_owned(),
        source,
    };
    let ranges = fs::read_to_string(PATH).map_err(failed)?;
    numbers_in(&ranges).ok_or_else(|| failed(io::Error::new(io::ErrorKind::InvalidData, ranges)))
}

/// Ranges are in ascending order (`bitmap_list_string` of lib/vsprintf.c).
fn numbers_in(ranges: &str) -> Option<u32> {
    let highest = ranges.trim().rsplit([',', '-']).next()?;
    highest.parse::<u32>().ok()?.checked_add(1)
}

/// The element of each CPU, in their order.
pub(super) fn read<const WORDS: usize>(
    ebpf: &Ebpf,
    map: &'static str,
) -> Result<Vec<[u64; WORDS]>, ProbeError>
where
    [u64; WORDS]: Pod,
{
    let elements = ebpf.map(map).ok_or_else(|| missing(map))?;
    let elements: Array<&MapData, [u64; WORDS]> =
        elements.try_into().map_err(|e| failed(map, &e))?;
    (0..elements.len())
        .map(|cpu| elements.get(&cpu, 0).map_err(|e| failed(map, &e)))
        .collect()
}

/// Changes the element of each CPU. No program that writes there may be attached yet: what it counts
/// meanwhile is lost.
pub(super) fn change<const WORDS: usize>(
    ebpf: &mut Ebpf,
    map: &'static str,
    change: impl Fn([u64; WORDS]) -> [u64; WORDS],
) -> Result<(), ProbeError>
where
    [u64; WORDS]: Pod,
{
    let elements = ebpf.map_mut(map).ok_or_else(|| missing(map))?;
    let mut elements: Array<&mut MapData, [u64; WORDS]> =
        elements.try_into().map_err(|e| failed(map, &e))?;
    for cpu in 0..elements.len() {
        let old = elements.get(&cpu, 0).map_err(|e| failed(map, &e))?;
        elements
            .set(cpu, change(old), 0)
            .map_err(|e| failed(map, &e))?;
    }
    Ok(())
}

fn missing(map: &'static str) -> ProbeError {
    ProbeError::Map {
        map,
        why: "it is not in the object".to_owned(),
    }
}

fn failed(map: &'static str, error: &MapError) -> ProbeError {
    ProbeError::Map {
        map,
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_counts_not_how_many_there_are() {
        assert_eq!(numbers_in("0\n"), Some(1));
        assert_eq!(numbers_in("0-127\n"), Some(128));
        assert_eq!(numbers_in("0-3,8-11"), Some(12));
        assert_eq!(numbers_in("0,2"), Some(3));
        assert_eq!(numbers_in(""), None);
    }
}
