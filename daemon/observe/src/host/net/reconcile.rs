//! Dropped packets of an interface, each counted once. Pure.
//!
//! A packet that the stack drops may be counted three times: by the probe on `kfree_skb`, in the
//! interface's `rx_dropped` or `tx_dropped`, and in `softnet_stat`. Documentation/networking/
//! statistics.rst and the comments of `struct rtnl_link_stats64` say what is what:
//!
//! - `rx_missed_errors` "corresponds to hardware events", is not part of `rx_dropped`, and the
//!   stack never saw the packet; the same holds for the errors of frames (`rx_crc_errors`,
//!   `rx_length_errors`, `rx_frame_errors`) and of sending (`tx_carrier_errors`,
//!   `tx_aborted_errors`). These are the hardware's.
//! - `rx_fifo_errors` and `rx_over_errors` "were used interchangeably", and many drivers add their
//!   missed packets there too. Of these three only the largest counts.
//! - `rx_dropped`, `rx_nohandler` and `tx_dropped` are the sum of what the driver dropped and what
//!   the core counted for the interface (`dev_get_stats()`: no protocol takes it, the backlog is
//!   full, the interface is down, tun's and tap's rings). The core's are seen by `kfree_skb` with
//!   a reason, the driver's not always. What is left after taking those away was dropped without
//!   a word: unexplained.
//!
//! `rx_errors` and `tx_errors` are sums of the above, and `/proc/net/dev` folds some together, so
//! neither is used. `rx_otherhost_dropped` is in no file of sysfs; those packets are in no other
//! counter, and the probe sees them (`OTHERHOST`).

use std::collections::BTreeMap;

use hostmedic_model::signal::{DropPlace, PacketDrops};

/// Reasons of `kfree_skb` after which the core has raised `rx_dropped`, `rx_nohandler` or
/// `tx_dropped` of the interface: `enqueue_to_backlog()`, `__netif_receive_skb_core()` and
/// `validate_xmit_skb()` of net/core/dev.c, and drivers/net/tun.c. Before 5.17 no reason had a
/// name.
const COUNTED_BY_INTERFACE: [&str; 12] = [
    "NOT_SPECIFIED",
    "CPU_BACKLOG",
    "UNHANDLED_PROTO",
    "PFMEMALLOC",
    "DEV_READY",
    "DEV_HDR",
    "FULL_RING",
    "NOMEM",
    "SKB_TRIM",
    "TAP_FILTER",
    "TAP_TXFILTER",
    "SKB_UCOPY_FAULT",
];

/// Dropped packets of one interface, by who can say why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceDrops {
    /// Dropped in the stack, with the kernel's reason.
    pub kernel: u64,
    /// Dropped by the hardware before the stack, or not sent by it.
    pub hardware: u64,
    /// Counted by the interface and seen by no probe: at least so many were dropped without a
    /// reason.
    pub unexplained: u64,
}

impl InterfaceDrops {
    /// All, each packet once.
    pub fn total(self) -> u64 {
        self.kernel
            .saturating_add(self.hardware)
            .saturating_add(self.unexplained)
    }
}

/// Joins what the probe saw with what the interfaces counted over the same interval, by
/// interface. Facts of neither, and those without an interface, are passed over.
///
/// `kernel` and `counters` may come from different moments of reading; a packet dropped in
/// between is then unexplained in one interval and missing in the next, so judge over several.
pub fn reconcile<'a>(
    kernel: impl IntoIterator<Item = &'a PacketDrops>,
    counters: impl IntoIterator<Item = &'a PacketDrops>,
) -> BTreeMap<String, InterfaceDrops> {
    let mut parts: BTreeMap<&str, Parts> = BTreeMap::new();
    for drops in kernel {
        if let (DropPlace::Kernel, Some(interface)) = (drops.place, &drops.interface) {
            parts.entry(interface).or_default().seen(drops);
        }
    }
    for drops in counters {
        if let (DropPlace::Receive | DropPlace::Transmit, Some(interface)) =
            (drops.place, &drops.interface)
        {
            parts.entry(interface).or_default().counted(drops);
        }
    }
    let joined = parts
        .into_iter()
        .map(|(name, parts)| (name.to_owned(), parts.joined()));
    joined.collect()
}

#[derive(Default)]
struct Parts {
    kernel: u64,
    /// Of `kernel`, what the interface's own counters hold as well.
    kernel_counted: u64,
    /// `rx_dropped`, `rx_nohandler`, `tx_dropped`.
    software: u64,
    /// Missed packets under each of their three names.
    missed: [u64; 3],
    /// Errors of frames and of sending.
    errors: u64,
}

impl Parts {
    fn seen(&mut self, drops: &PacketDrops) {
        self.kernel = self.kernel.saturating_add(drops.packets);
        let reason = drops.reason.as_str();
        if COUNTED_BY_INTERFACE.contains(&reason) || reason.starts_with("unnamed:") {
            self.kernel_counted = self.kernel_counted.saturating_add(drops.packets);
        }
    }

    fn counted(&mut self, drops: &PacketDrops) {
        let sum = match drops.reason.as_str() {
            "rx_dropped" | "rx_nohandler" | "tx_dropped" => &mut self.software,
            "rx_missed_errors" => &mut self.missed[0],
            "rx_fifo_errors" => &mut self.missed[1],
            "rx_over_errors" => &mut self.missed[2],
            _ => &mut self.errors,
        };
        *sum = sum.saturating_add(drops.packets);
    }

    fn joined(&self) -> InterfaceDrops {
        let missed = self.missed.into_iter().max().unwrap_or(0);
        InterfaceDrops {
            kernel: self.kernel,
            hardware: missed.saturating_add(self.errors),
            unexplained: self.software.saturating_sub(self.kernel_counted),
        }
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_model::signal::PortClass;
    use proptest::prelude::*;

    use super::*;

    fn drops(place: DropPlace, reason: &str, packets: u64) -> PacketDrops {
        PacketDrops {
            place,
            reason: reason.to_owned(),
            interface: Some("eth0".to_owned()),
            port: PortClass::Unknown,
            packets,
            bytes: 0,
        }
    }

    #[track_caller]
    fn expect(kernel: &[(&str, u64)], counters: &[(&str, u64)], expected: (u64, u64, u64)) {
        let of = |place, all: &[(&str, u64)]| {
            let drops = all
                .iter()
                .map(|(reason, packets)| drops(place, reason, *packets));
            drops.collect::<Vec<_>>()
        };
        let (kernel, counters) = (
            of(DropPlace::Kernel, kernel),
            of(DropPlace::Receive, counters),
        );
        let of_eth0 = reconcile(&kernel, &counters)
            .remove("eth0")
            .unwrap_or_default();
        assert_eq!(
            (of_eth0.kernel, of_eth0.hardware, of_eth0.unexplained),
            expected
        );
    }

    #[test]
    fn a_full_backlog_is_counted_once() {
        expect(&[("CPU_BACKLOG", 40)], &[("rx_dropped", 40)], (40, 0, 0));
    }
    #[test]
    fn a_firewalls_drops_do_not_hide_a_drivers() {
        expect(
            &[("NETFILTER_DROP", 900)],
            &[("rx_dropped", 7)],
            (900, 0, 7),
        );
    }
    #[test]
    fn a_driver_that_says_nothing_is_unexplained() {
        expect(&[], &[("rx_dropped", 5), ("tx_dropped", 2)], (0, 0, 7));
    }
    #[test]
    fn what_the_hardware_missed_is_counted_under_one_name() {
        let counters = [
            ("rx_missed_errors", 9),
            ("rx_fifo_errors", 9),
            ("rx_crc_errors", 2),
        ];
        expect(&[("NO_SOCKET", 1)], &counters, (1, 11, 0));
    }
    #[test]
    fn nothing_at_all_is_nothing() {
        assert_eq!(reconcile(&[], &[]), BTreeMap::new());
        let mut nowhere = drops(DropPlace::Backlog, "softnet_dropped", 3);
        nowhere.interface = None;
        assert_eq!(reconcile(&[], &[nowhere]), BTreeMap::new());
    }

    proptest! {
        /// No packet is lost and none is invented: the total lies between the larger of the two
        /// views and their sum.
        #[test]
        fn the_total_lies_between_the_larger_view_and_the_sum(
            backlog in 0..1_u64 << 40,
            filtered in 0..1_u64 << 40,
            dropped in 0..1_u64 << 40,
            missed in 0..1_u64 << 40,
        ) {
            let kernel = [
                drops(DropPlace::Kernel, "CPU_BACKLOG", backlog),
                drops(DropPlace::Kernel, "NETFILTER_DROP", filtered),
            ];
            let counters = [
                drops(DropPlace::Receive, "rx_dropped", dropped),
                drops(DropPlace::Receive, "rx_missed_errors", missed),
            ];
            let total = reconcile(&kernel, &counters)["eth0"].total();
            prop_assert!(total >= (backlog + filtered).max(dropped + missed));
            prop_assert!(total <= backlog + filtered + dropped + missed);
        }
    }
}
