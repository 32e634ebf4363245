//! Events that found the ring of rare events full: each CPU keeps its newest, and here they are
//! read. Together with what the ring holds, the first and the last of a burst survive.
//!
//! Up to where a CPU's spill was read is kept beside it, so that after a crash of the daemon the
//! next one reads what this one did not, and nothing twice.

use aya::{
    Ebpf,
    maps::{MapData, MapError, PerCpuArray, PerCpuValues},
};
use hostmedic_abi::{HOOKS, Header, SPILL_SLOTS, SpillSlot};
use zerocopy::FromBytes;

use super::error::ProbeError;

type Slots = PerCpuArray<MapData, [u8; size_of::<SpillSlot>()]>;
type Numbers = PerCpuArray<MapData, u64>;

/// The spill's maps.
pub(crate) struct Spill {
    slots: Slots,
    written: Numbers,
    read: Numbers,
}

/// One event out of the spill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spilled {
    /// Row of its hook.
    pub(crate) hook: usize,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

impl Spill {
    /// Takes the maps out of `ebpf`.
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            slots: take(ebpf, "SPILL")?,
            written: take(ebpf, "SPILLED")?,
            read: take(ebpf, "SPILL_READ")?,
        })
    }

    /// What was spilled since the last call and is still there, oldest first. One lookup when there
    /// is nothing.
    pub(crate) fn news(&mut self) -> Result<Vec<Spilled>, MapError> {
        let written = self.written.get(&0, 0)?;
        let read = self.read.get(&0, 0)?;
        if written.iter().eq(read.iter()) {
            return Ok(Vec::new());
        }
        let rows: Vec<_> = (0..SPILL_SLOTS)
            .map(|slot| self.slots.get(&slot, 0))
            .collect::<Result<_, _>>()?;
        let mut news = Vec::new();
        let mut upto = Vec::new();
        for (cpu, &read) in read.iter().enumerate() {
            let of_cpu = rows.iter().filter_map(|row| row.get(cpu));
            let (found, newest) = unread(of_cpu.map(|bytes| &bytes[..]), read);
            news.extend(found);
            upto.push(newest);
        }
        news.sort_by_key(happened_boot_ns);
        let upto = PerCpuValues::try_from(upto)?;
        self.read.set(0, upto, 0)?;
        Ok(news)
    }
}

/// When it happened: the first word after the header of every event.
fn happened_boot_ns(spilled: &Spilled) -> u64 {
    let rest = spilled.bytes.get(size_of::<Header>()..);
    rest.and_then(|rest| rest.first_chunk())
        .map_or(0, |word| u64::from_ne_bytes(*word))
}

/// Whole events of one CPU after number `read`, oldest first, and the newest number of them.
fn unread<'a>(slots: impl Iterator<Item = &'a [u8]>, read: u64) -> (Vec<Spilled>, u64) {
    let mut found: Vec<_> = slots
        .filter_map(|bytes| SpillSlot::read_from_bytes(bytes).ok())
        .filter(|slot| slot.begun == slot.ended && slot.begun > read)
        .filter_map(|slot| {
            let (header, _) = Header::read_from_prefix(&slot.event).ok()?;
            let hook = usize::try_from(slot.hook)
                .ok()
                .filter(|hook| *hook < HOOKS)?;
            let bytes = slot.event.get(..header.size.into())?.to_vec();
            Some((slot.begun, Spilled { hook, bytes }))
        })
        .collect();
    found.sort_unstable_by_key(|(number, _)| *number);
    let newest = found.last().map_or(read, |(number, _)| *number);
    (
        found.into_iter().map(|(_, spilled)| spilled).collect(),
        newest,
    )
}

fn take<V: aya::Pod>(
    ebpf: &mut Ebpf,
    map: &'static str,
) -> Result<PerCpuArray<MapData, V>, ProbeError> {
    let taken = ebpf.take_map(map).ok_or(ProbeError::Started)?;
    PerCpuArray::try_from(taken).map_err(|error| ProbeError::Map {
        map,
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use hostmedic_abi::{HungTask, KIND_HUNG_TASK, SPILL_LEN, TaskId};
    use zerocopy::IntoBytes;

    use super::*;

    fn slot(number: u64, ended: u64) -> Vec<u8> {
        let event = HungTask {
            header: Header::of::<HungTask>(KIND_HUNG_TASK),
            at_boot_ns: number,
            task: TaskId::default(),
        };
        let mut bytes = [0; SPILL_LEN];
        bytes[..size_of::<HungTask>()].copy_from_slice(event.as_bytes());
        let slot = SpillSlot {
            begun: number,
            ended,
            hook: 6,
            event: bytes,
        };
        slot.as_bytes().to_vec()
    }

    #[test]
    fn only_whole_new_events_come_and_in_order() {
        let slots = [slot(9, 9), slot(10, 2), slot(3, 3), slot(8, 8), slot(0, 0)];
        let (found, newest) = unread(slots.iter().map(|slot| &slot[..]), 3);
        let times: Vec<_> = found
            .iter()
            .map(|spilled| {
                HungTask::read_from_bytes(&spilled.bytes)
                    .unwrap()
                    .at_boot_ns
            })
            .collect();
        assert_eq!((times, newest), (vec![8, 9], 9));
        let told: Vec<_> = found.iter().map(happened_boot_ns).collect();
        assert_eq!(told, [8, 9]);
    }
}
