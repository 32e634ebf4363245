//! The live picture: what the probes counted by key, by unit and in rates, for `medic top`; and
//! the same as facts, for the store of events.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hostmedic_model::{
    signal::{DropPlace, Fact, PacketDrops, PortClass, Signal, TcpTrouble, TcpTroubleKind},
    subject::Subject,
    time::At,
    view::{Flow, FlowEnd, Top, TopDevice, TopDrop, TopUnit},
};
use hostmedic_observe::kernel::{Counted, What};

use crate::attribute::Attribution;

/// Rows of each list that are shown.
const SHOWN_MAX: usize = 64;
/// Kinds of drops whose total is kept, and flows.
const KEPT_MAX: usize = 2048;
/// Facts made from one reading.
const FACTS_MAX: usize = 128;
/// Disk errors that are shown.
const DISK_ERRORS_MAX: usize = 32;

/// What drops have in common.
type DropKey = (Subject, String, Option<String>, PortClass);

/// The newest picture.
#[derive(Default)]
pub(crate) struct Activity(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    at: At,
    over_s: f64,
    units: BTreeMap<Subject, UnitCounts>,
    drops: BTreeMap<DropKey, DropCounts>,
    /// Requests by device and size of their time in bits.
    disks: BTreeMap<(u32, u32), BTreeMap<u16, u64>>,
    disk_errors: VecDeque<Signal>,
    flows: Flows,
}

#[derive(Clone, Copy, Default)]
struct UnitCounts {
    execs: u64,
    forks: u64,
    exits: u64,
    signals: u64,
    retransmits: u64,
    resets: u64,
    drops: u64,
}

#[derive(Clone, Copy, Default)]
struct DropCounts {
    /// In the newest window.
    now: u64,
    /// Since the start.
    all: u64,
}

/// Who connected to whom. Both ends of a connection on this host are counted, so an outgoing end
/// whose port has a listener here is an edge between two units.
#[derive(Default)]
struct Flows {
    outgoing: BTreeMap<(Subject, IpAddr, u16), (u64, At)>,
    incoming: BTreeMap<(Subject, IpAddr, u16), (u64, At)>,
    own: Vec<IpAddr>,
}

impl Activity {
    /// Takes one reading in; gives what is worth keeping as facts.
    pub(crate) fn take(
        &self,
        counted: Vec<Counted>,
        over: Duration,
        at: At,
        attribution: &Attribution,
    ) -> Vec<Signal> {
        let mut inner = self.inner();
        inner.at = at;
        inner.over_s = over.as_secs_f64().max(0.001);
        inner.units.clear();
        inner.disks.clear();
        for drop in inner.drops.values_mut() {
            drop.now = 0;
        }
        let mut facts: Vec<(u64, Signal)> = Vec::new();
        for Counted {
            cgroup_id,
            what,
            count,
            amount,
        } in counted
        {
            let subject = attribution.of_cgroup(cgroup_id, at);
            let fact = inner.add(subject.clone(), what, count, amount, at, attribution);
            facts.extend(fact.map(|fact| (count, Signal { at, subject, fact })));
        }
        facts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        facts
            .into_iter()
            .take(FACTS_MAX)
            .map(|(_, signal)| signal)
            .collect()
    }

    /// Remembers a disk's or file system's error.
    pub(crate) fn note(&self, signal: &Signal) {
        let is_disk = matches!(
            signal.fact,
            Fact::BlockError(_)
                | Fact::ScsiError(_)
                | Fact::WritebackError(_)
                | Fact::FilesystemError(_)
                | Fact::MountReadOnly(_)
        );
        if is_disk {
            let mut inner = self.inner();
            inner.disk_errors.truncate(DISK_ERRORS_MAX - 1);
            inner.disk_errors.push_front(signal.clone());
        }
    }

    /// The picture now.
    pub(crate) fn top(&self, devices_absent: Option<String>, attribution: &Attribution) -> Top {
        let inner = self.inner();
        Top {
            at: inner.at,
            over_s: inner.over_s,
            units: inner.units(),
            drops: inner.drops(),
            disk_errors: inner.disk_errors.iter().cloned().collect(),
            devices: inner.devices(attribution),
            devices_absent,
            flows: inner.flows.list(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A picture that was half taken is replaced by the next.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(
        &mut self,
        subject: Subject,
        what: What,
        count: u64,
        amount: u64,
        at: At,
        attribution: &Attribution,
    ) -> Option<Fact> {
        let unit = self.units.entry(subject.clone()).or_default();
        match what {
            What::Exec => unit.execs += count,
            What::Exit => unit.exits += count,
            What::Fork => unit.forks += count,
            What::Signal { .. } => unit.signals += count,
            What::Drop {
                reason,
                interface,
                port,
            } => {
                unit.drops += count;
                let interface = attribution.interface_name(interface, at);
                let key = (subject, reason.clone(), interface.clone(), port);
                if self.drops.len() < KEPT_MAX || self.drops.contains_key(&key) {
                    let drops = self.drops.entry(key).or_default();
                    drops.now += count;
                    drops.all += count;
                }
                return Some(Fact::PacketDrops(PacketDrops {
                    place: DropPlace::Kernel,
                    reason,
                    interface,
                    port,
                    packets: count,
                    bytes: amount,
                }));
            }
            What::Tcp { trouble, port } => {
                match trouble {
                    TcpTroubleKind::Retransmit => unit.retransmits += count,
                    TcpTroubleKind::ResetSent | TcpTroubleKind::ResetReceived => {
                        unit.resets += count;
                    }
                }
                return Some(Fact::TcpTrouble(TcpTrouble {
                    trouble,
                    port,
                    count,
                }));
            }
            What::DiskRequest { major, minor, bits } => {
                *self
                    .disks
                    .entry((major, minor))
                    .or_default()
                    .entry(bits)
                    .or_default() += count;
            }
            What::Flow {
                remote,
                port,
                is_outgoing,
            } => self
                .flows
                .add(subject, remote, port, is_outgoing, count, at),
        }
        None
    }

    fn per_s(&self, count: u64) -> f64 {
        count as f64 / self.over_s
    }

    fn units(&self) -> Vec<TopUnit> {
        let row = |(subject, counts): (&Subject, &UnitCounts)| TopUnit {
            subject: subject.clone(),
            execs_per_s: self.per_s(counts.execs),
            forks_per_s: self.per_s(counts.forks),
            exits_per_s: self.per_s(counts.exits),
            signals_per_s: self.per_s(counts.signals),
            retransmits_per_s: self.per_s(counts.retransmits),
            resets_per_s: self.per_s(counts.resets),
            drops_per_s: self.per_s(counts.drops),
        };
        let busy = |row: &TopUnit| {
            row.execs_per_s
                + row.forks_per_s
                + row.exits_per_s
                + row.signals_per_s
                + row.retransmits_per_s
                + row.resets_per_s
                + row.drops_per_s
        };
        let mut rows: Vec<_> = self
            .units
            .iter()
            .map(row)
            .filter(|row| busy(row) > 0.0)
            .collect();
        rows.sort_by(|a, b| busy(b).total_cmp(&busy(a)));
        rows.truncate(SHOWN_MAX);
        rows
    }

    fn drops(&self) -> Vec<TopDrop> {
        let row = |((subject, reason, interface, port), counts): (&DropKey, &DropCounts)| TopDrop {
            place: DropPlace::Kernel,
            reason: reason.clone(),
            interface: interface.clone(),
            subject: subject.clone(),
            port: *port,
            per_s: self.per_s(counts.now),
            packets: counts.all,
        };
        let mut rows: Vec<_> = self.drops.iter().map(row).collect();
        rows.sort_by(|a, b| (b.per_s.total_cmp(&a.per_s)).then(b.packets.cmp(&a.packets)));
        rows.truncate(SHOWN_MAX);
        rows
    }

    fn devices(&self, attribution: &Attribution) -> Vec<TopDevice> {
        let mut rows: Vec<_> = self
            .disks
            .iter()
            .map(|((major, minor), buckets)| TopDevice {
                device: attribution.device(*major, *minor, self.at),
                requests_per_s: self.per_s(buckets.values().sum()),
                p50_us: quantile_us(buckets, 0.5),
                p99_us: quantile_us(buckets, 0.99),
                max_us: quantile_us(buckets, 1.0),
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.p99_us));
        rows.truncate(SHOWN_MAX);
        rows
    }
}

/// Upper end of the bucket in which the quantile lies: bucket `n` holds times below 2^n.
fn quantile_us(buckets: &BTreeMap<u16, u64>, quantile: f64) -> u64 {
    let all: u64 = buckets.values().sum();
    let wanted = (all as f64 * quantile).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bits, count) in buckets {
        seen += count;
        if seen >= wanted {
            return 1_u64.checked_shl(u32::from(*bits)).unwrap_or(u64::MAX);
        }
    }
    0
}

impl Flows {
    fn add(
        &mut self,
        subject: Subject,
        remote: IpAddr,
        port: u16,
        is_outgoing: bool,
        count: u64,
        at: At,
    ) {
        let flows = if is_outgoing {
            &mut self.outgoing
        } else {
            // Who connects to us from one of our own addresses is told by its own end.
            if !self.own.contains(&remote) && remote.is_loopback() {
                self.own.push(remote);
            }
            &mut self.incoming
        };
        let key = (subject, remote, port);
        if flows.len() >= KEPT_MAX && !flows.contains_key(&key) {
            let oldest = flows.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                flows.remove(&oldest);
            }
        }
        let flow = flows.entry(key).or_default();
        flow.0 += count;
        flow.1 = at;
    }

    /// Whoever accepts connections on `port`, if that is one subject.
    fn listener(&self, port: u16) -> Option<&Subject> {
        let mut listeners = self
            .incoming
            .keys()
            .filter(|(_, _, of)| *of == port)
            .map(|(subject, ..)| subject);
        let first = listeners.next()?;
        listeners.all(|other| other == first).then_some(first)
    }

    /// Newest first.
    fn list(&self) -> Vec<Flow> {
        let is_ours = |address: &IpAddr| address.is_loopback() || self.own.contains(address);
        let outgoing = self
            .outgoing
            .iter()
            .map(|((subject, remote, port), (count, at))| {
                let listener = is_ours(remote).then(|| self.listener(*port)).flatten();
                Flow {
                    from: FlowEnd::Local(subject.clone()),
                    to: match listener {
                        Some(listener) => FlowEnd::Local(listener.clone()),
                        None => FlowEnd::Remote(remote.to_string()),
                    },
                    port: *port,
                    connections: *count,
                    last_at: *at,
                }
            });
        let incoming = self
            .incoming
            .iter()
            .filter(|((_, remote, _), _)| !is_ours(remote))
            .map(|((subject, remote, port), (count, at))| Flow {
                from: FlowEnd::Remote(remote.to_string()),
                to: FlowEnd::Local(subject.clone()),
                port: *port,
                connections: *count,
                last_at: *at,
            });
        let mut flows: Vec<_> = outgoing.chain(incoming).collect();
        flows.sort_by_key(|flow| std::cmp::Reverse(flow.last_at));
        flows.truncate(SHOWN_MAX);
        flows
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::subject::UnitName;

    use super::*;

    fn unit(name: &str) -> Subject {
        Subject::Unit(UnitName::new(name).unwrap())
    }

    #[test]
    fn both_ends_of_a_loopback_connection_are_one_edge_between_units() {
        let mut flows = Flows::default();
        let loopback: IpAddr = [127, 0, 0, 1].into();
        let at = At::default();
        flows.add(unit("web.service"), loopback, 5432, true, 3, at);
        flows.add(unit("db.service"), loopback, 5432, false, 3, at);
        flows.add(unit("db.service"), [10, 0, 0, 9].into(), 5432, false, 1, at);
        let list = flows.list();
        assert_eq!(list.len(), 2, "{list:?}");
        assert!(list.iter().any(|flow| {
            flow.from == FlowEnd::Local(unit("web.service"))
                && flow.to == FlowEnd::Local(unit("db.service"))
                && flow.connections == 3
        }));
    }

    #[test]
    fn quantiles_are_the_upper_ends_of_their_buckets() {
        let buckets = BTreeMap::from([(3, 90), (10, 9), (20, 1)]);
        assert_eq!(quantile_us(&buckets, 0.5), 8);
        assert_eq!(quantile_us(&buckets, 0.99), 1024);
        assert_eq!(quantile_us(&buckets, 1.0), 1 << 20);
        assert_eq!(quantile_us(&BTreeMap::new(), 0.5), 0);
    }
}
