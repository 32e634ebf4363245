//! Reads what the probes count by key: differences since the last reading, in words.
//!
//! Keys that no longer change are taken out when a map is more than half full, so that new ones
//! find room. A count that comes between reading and taking out is missing from its key, never
//! from the hook's own ledger.

use std::{collections::HashMap, mem, net::IpAddr};

use aya::{
    Ebpf,
    maps::{MapData, MapError, PerCpuHashMap},
};
use hostmedic_abi::{FlowKey, Hook, Key, PORT_EPHEMERAL, PORT_REGISTERED, PORT_UNKNOWN};
use hostmedic_model::signal::{PortClass, TcpTroubleKind};
use zerocopy::FromBytes;

use super::{
    error::ProbeError,
    reasons::DropReasons,
    seats::{self, Seated},
    sizes::Keys,
    symbols::Symbols,
};

/// Readings without a change after which a key may be taken out.
const STILL_MAX: u32 = 12;

/// Something that happened so often, since the last reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// cgroup v2 id of whose it is; 0 when unknown.
    pub cgroup_id: u64,
    /// What.
    pub what: What,
    /// How often.
    pub count: u64,
    /// Bytes (drops) or nanoseconds (disk requests) together; 0 for others.
    pub amount: u64,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Programs begun.
    Exec,
    /// Processes ended.
    Exit,
    /// Processes made.
    Fork,
    /// Deadly signals received.
    Signal {
        /// Which.
        signal: u8,
    },
    /// Packets dropped by the kernel.
    Drop {
        /// The kernel's name of the reason.
        reason: String,
        /// Interface's index; 0 when there is none.
        interface: u32,
        /// Kind of local port.
        port: PortClass,
    },
    /// TCP trouble.
    Tcp {
        /// Which.
        trouble: TcpTroubleKind,
        /// The service's port; 0 when unknown.
        port: u16,
    },
    /// Disk requests that took less than 2^`bits` microseconds, and at least half of that.
    DiskRequest {
        /// Major number of the device.
        major: u32,
        /// Minor number of the device.
        minor: u32,
        /// Size of the time, in bits.
        bits: u16,
    },
    /// Connections made.
    Flow {
        /// The other end.
        remote: IpAddr,
        /// The port connected to.
        port: u16,
        /// Whether we connected.
        is_outgoing: bool,
    },
    /// Connections made over Unix sockets.
    UnixFlow {
        /// cgroup of the socket that was connected to; ours is the one that connected.
        listener: u64,
    },
}

/// What was read last of one key.
#[derive(Clone, Copy, Default)]
struct Last {
    count: u64,
    amount: u64,
    still: u32,
    /// The last reading did not find it.
    is_gone: bool,
}

type Read<K> = HashMap<K, Last>;

/// The memory of the last reading.
pub(crate) struct Tallies {
    names: DropReasons,
    symbols: Option<Symbols>,
    sizes: Keys,
    processes: Read<[u8; 24]>,
    network: Read<[u8; 24]>,
    disks: Read<[u8; 24]>,
    flows: Read<[u8; 32]>,
}

impl Tallies {
    /// With nothing read yet. `symbols` are for kernels that give no reasons.
    pub(crate) fn new(names: DropReasons, symbols: Option<Symbols>, sizes: Keys) -> Self {
        Self {
            names,
            symbols,
            sizes,
            processes: Read::new(),
            network: Read::new(),
            disks: Read::new(),
            flows: Read::new(),
        }
    }

    /// What has been counted since the last call.
    pub(crate) fn read(&mut self, ebpf: &mut Ebpf) -> Result<Vec<Counted>, ProbeError> {
        let sizes = self.sizes;
        let mut found = Vec::new();
        type Seats = fn(&Ebpf) -> Result<Seated, ProbeError>;
        for (map, last, size, seats) in [
            (
                "PROCESSES",
                &mut self.processes,
                sizes.processes,
                seats::processes as Seats,
            ),
            ("NETWORK", &mut self.network, sizes.network, seats::drops),
            ("DISKS", &mut self.disks, sizes.disks, seats::disks),
        ] {
            let now = sums(ebpf, map)?;
            // After the map: what moves to it meanwhile is missing now and there the next time.
            let seats = seats(ebpf)?;
            let changes = changes(now, &seats, last, size);
            take_out(ebpf, map, &changes.idle)?;
            found.extend(changes.more);
        }
        let changes = changes(
            sums(ebpf, "FLOWS")?,
            &HashMap::new(),
            &mut self.flows,
            sizes.flows,
        );
        take_out(ebpf, "FLOWS", &changes.idle)?;
        let flows = changes.more;
        let counted = found.into_iter().filter_map(|(bytes, count, amount)| {
            let key = Key::read_from_bytes(&bytes).ok()?;
            Some(Counted {
                cgroup_id: key.cgroup_id,
                what: self.what(&key)?,
                count,
                amount,
            })
        });
        let flows = flows.into_iter().filter_map(|(bytes, count, amount)| {
            let key = FlowKey::read_from_bytes(&bytes).ok()?;
            Some(Counted {
                cgroup_id: key.cgroup_id,
                what: flow(&key),
                count,
                amount,
            })
        });
        Ok(counted.chain(flows).collect())
    }

    fn what(&self, key: &Key) -> Option<What> {
        let is = |hook: Hook| key.hook == hook as u32;
        let tcp = |trouble| What::Tcp {
            trouble,
            port: key.c,
        };
        Some(if is(Hook::ProcessExec) {
            What::Exec
        } else if is(Hook::ProcessExit) {
            What::Exit
        } else if is(Hook::ProcessFork) {
            What::Fork
        } else if is(Hook::SignalFatal) {
            What::Signal {
                signal: u8::try_from(key.a).ok()?,
            }
        } else if is(Hook::PacketDrop) {
            What::Drop {
                reason: match &self.symbols {
                    Some(symbols) => symbols.at(key.a),
                    None => self.names.name(key.a),
                },
                interface: key.b,
                port: port_class(key.c),
            }
        } else if is(Hook::TcpRetransmit) {
            tcp(TcpTroubleKind::Retransmit)
        } else if is(Hook::TcpResetSent) {
            tcp(TcpTroubleKind::ResetSent)
        } else if is(Hook::TcpResetReceived) {
            tcp(TcpTroubleKind::ResetReceived)
        } else if is(Hook::BlockLatency) {
            What::DiskRequest {
                major: key.a,
                minor: key.b,
                bits: key.c,
            }
        } else {
            return None;
        })
    }
}

fn port_class(code: u16) -> PortClass {
    match code {
        PORT_UNKNOWN => PortClass::Unknown,
        PORT_REGISTERED => PortClass::Registered,
        PORT_EPHEMERAL => PortClass::Ephemeral,
        port => PortClass::WellKnown(port),
    }
}

fn flow(key: &FlowKey) -> What {
    if let Some(listener) = key.unix_listener() {
        return What::UnixFlow { listener };
    }
    let [a, b, c, d, ..] = key.remote;
    What::Flow {
        remote: match key.family {
            4 => IpAddr::from([a, b, c, d]),
            _ => IpAddr::from(key.remote).to_canonical(),
        },
        port: key.port,
        is_outgoing: key.is_outgoing != 0,
    }
}

/// What is in a map that counts, of all CPUs together.
fn sums<const N: usize>(
    ebpf: &mut Ebpf,
    map: &'static str,
) -> Result<HashMap<[u8; N], [u64; 2]>, ProbeError>
where
    [u8; N]: aya::Pod,
{
    // A key may go while it is read; the walk then begins anew and may come by one twice.
    let sums = opened(ebpf, map)?
        .iter()
        .filter_map(Result::ok)
        .map(|(key, of_cpus)| {
            let sum = |at: usize| of_cpus.iter().map(|tally| tally[at]).sum();
            (key, [sum(0), sum(1)])
        })
        .collect();
    Ok(sums)
}

/// What [`changes`] found.
struct Changes<const N: usize> {
    /// Keys that changed, with how much.
    more: Vec<([u8; N], u64, u64)>,
    /// Keys to be taken out.
    idle: Vec<[u8; N]>,
}

/// Compares `now`, and what `seats` hold beside it, with `last`, which it brings up to date.
fn changes<const N: usize>(
    mut now: HashMap<[u8; N], [u64; 2]>,
    seats: &HashMap<[u8; N], [u64; 2]>,
    last: &mut Read<[u8; N]>,
    size: u32,
) -> Changes<N> {
    let is_crowded = now.len() * 2 > usize::try_from(size).unwrap_or(usize::MAX);
    for (key, [count, amount]) in seats {
        let [counts, amounts] = now.entry(*key).or_default();
        *counts += count;
        *amounts += amount;
    }
    // What left its seat between the two looks is nowhere now and in the map the next time.
    last.retain(|key, known| now.contains_key(key) || !mem::replace(&mut known.is_gone, true));
    let mut changes = Changes {
        more: Vec::new(),
        idle: Vec::new(),
    };
    for (key, [count, amount]) in now {
        let known = last.entry(key).or_default();
        known.is_gone = false;
        if count <= known.count {
            known.still += 1;
            if is_crowded && known.still > STILL_MAX && !seats.contains_key(&key) {
                last.remove(&key);
                changes.idle.push(key);
            }
            continue;
        }
        let more = count - known.count;
        let much = amount.saturating_sub(known.amount);
        *known = Last {
            count,
            amount,
            ..Last::default()
        };
        changes.more.push((key, more, much));
    }
    changes
}

/// Makes room for new keys.
fn take_out<const N: usize>(
    ebpf: &mut Ebpf,
    map: &'static str,
    keys: &[[u8; N]],
) -> Result<(), ProbeError>
where
    [u8; N]: aya::Pod,
{
    let mut tallies = opened(ebpf, map)?;
    for key in keys {
        if let Err(error) = tallies.remove(key) {
            tracing::debug!(map, %error, "Could not take a key out.");
        }
    }
    Ok(())
}

fn opened<'e, const N: usize>(
    ebpf: &'e mut Ebpf,
    map: &'static str,
) -> Result<PerCpuHashMap<&'e mut MapData, [u8; N], [u64; 2]>, ProbeError>
where
    [u8; N]: aya::Pod,
{
    let failed = |why: String| ProbeError::Map { map, why };
    ebpf.map_mut(map)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?
        .try_into()
        .map_err(|e: MapError| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 24] = [7; 24];

    fn more(changes: &Changes<24>) -> Vec<u64> {
        changes.more.iter().map(|(_, more, _)| *more).collect()
    }

    #[test]
    fn what_moves_from_a_seat_to_its_key_is_told_once() {
        let mut last = Read::new();
        let now = |count| HashMap::from([(KEY, [count, 0])]);
        let seat = |count| HashMap::from([(KEY, [count, 0])]);
        assert_eq!(more(&changes(HashMap::new(), &seat(5), &mut last, 8)), [5]);
        // Once it is in neither: on its way.
        assert!(more(&changes(HashMap::new(), &HashMap::new(), &mut last, 8)).is_empty());
        // The map was read before the seat's count came to it, the seat after it had left.
        assert!(more(&changes(HashMap::new(), &seat(1), &mut last, 8)).is_empty());
        assert_eq!(more(&changes(now(5), &seat(2), &mut last, 8)), [2]);
        assert_eq!(
            more(&changes(now(7), &HashMap::new(), &mut last, 8)),
            [0; 0]
        );
    }

    #[test]
    fn a_still_key_is_taken_out_of_a_crowded_map_unless_it_has_a_seat() {
        let mut last = Read::new();
        let crowd = || HashMap::from([(KEY, [5, 0]), ([8; 24], [5, 0])]);
        let seat = HashMap::from([(KEY, [1, 0])]);
        let idle: Vec<_> = (0..STILL_MAX + 3)
            .flat_map(|_| changes(crowd(), &seat, &mut last, 3).idle)
            .collect();
        assert!(
            !idle.is_empty() && idle.iter().all(|key| *key == [8; 24]),
            "{idle:?}"
        );
    }
}
