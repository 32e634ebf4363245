//! The live picture: what the probes counted by key, by unit and in rates, for `medic top`; and
//! the same as facts, for the store of events.

mod flows;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hostmedic_model::{
    signal::{DropPlace, Fact, PacketDrops, PortClass, Signal, TcpTrouble, TcpTroubleKind},
    subject::Subject,
    time::At,
    view::{Top, TopDevice, TopDrop, TopUnit},
};
use hostmedic_observe::kernel::{Counted, What};

use self::flows::Flows;
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
            What::UnixFlow { listener } => {
                let listener = attribution.of_cgroup(listener, at);
                self.flows.add_unix(subject, listener, count, at);
            }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn quantiles_are_the_upper_ends_of_their_buckets() {
        let buckets = BTreeMap::from([(3, 90), (10, 9), (20, 1)]);
        assert_eq!(quantile_us(&buckets, 0.5), 8);
        assert_eq!(quantile_us(&buckets, 0.99), 1024);
        assert_eq!(quantile_us(&buckets, 1.0), 1 << 20);
        assert_eq!(quantile_us(&BTreeMap::new(), 0.5), 0);
    }
}
