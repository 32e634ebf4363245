//! Reads what the probes count by key: differences since the last reading, in words.
//!
//! Keys that no longer change are taken out when a map is more than half full, so that new ones
//! find room. A count that comes between reading and taking out is missing from its key, never
//! from the hook's own ledger.

use std::{collections::HashMap, net::IpAddr};

use aya::{
    Ebpf,
    maps::{MapError, PerCpuHashMap},
};
use hostmedic_abi::{FlowKey, Hook, Key, PORT_EPHEMERAL, PORT_REGISTERED, PORT_UNKNOWN};
use hostmedic_model::signal::{PortClass, TcpTroubleKind};
use zerocopy::FromBytes;

use super::{error::ProbeError, reasons::DropReasons, sizes::Keys, symbols::Symbols};

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
}

/// What was read last of one key.
#[derive(Clone, Copy, Default)]
struct Last {
    count: u64,
    amount: u64,
    still: u32,
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
        for (map, last, size) in [
            ("PROCESSES", &mut self.processes, sizes.processes),
            ("NETWORK", &mut self.network, sizes.network),
            ("DISKS", &mut self.disks, sizes.disks),
        ] {
            found.extend(differences(ebpf, map, last, size)?);
        }
        let flows = differences(ebpf, "FLOWS", &mut self.flows, sizes.flows)?;
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

/// Keys of `map` that changed, with how much.
fn differences<const N: usize>(
    ebpf: &mut Ebpf,
    map: &'static str,
    last: &mut Read<[u8; N]>,
    size: u32,
) -> Result<Vec<([u8; N], u64, u64)>, ProbeError>
where
    [u8; N]: aya::Pod,
{
    let failed = |why: String| ProbeError::Map { map, why };
    let found = ebpf
        .map_mut(map)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?;
    let mut tallies: PerCpuHashMap<_, [u8; N], [u64; 2]> = found
        .try_into()
        .map_err(|e: MapError| failed(e.to_string()))?;
    // A key may go while it is read; the walk then begins anew and may come by one twice.
    let now: HashMap<[u8; N], [u64; 2]> = tallies
        .iter()
        .filter_map(Result::ok)
        .map(|(key, of_cpus)| {
            let sum = |at: usize| of_cpus.iter().map(|tally| tally[at]).sum();
            (key, [sum(0), sum(1)])
        })
        .collect();
    let is_crowded = now.len() * 2 > usize::try_from(size).unwrap_or(usize::MAX);
    last.retain(|key, _| now.contains_key(key));
    let mut changed = Vec::new();
    let mut idle = Vec::new();
    for (key, [count, amount]) in now {
        let known = last.entry(key).or_default();
        let (more, much) = (
            count.wrapping_sub(known.count),
            amount.wrapping_sub(known.amount),
        );
        if more == 0 {
            known.still += 1;
            if is_crowded && known.still > STILL_MAX {
                idle.push(key);
            }
            continue;
        }
        *known = Last {
            count,
            amount,
            still: 0,
        };
        changed.push((key, more, much));
    }
    for key in idle {
        last.remove(&key);
        if let Err(error) = tallies.remove(&key) {
            tracing::debug!(map, %error, "Could not take a key out.");
        }
    }
    Ok(changed)
}
