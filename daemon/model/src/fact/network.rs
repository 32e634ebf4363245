//! Facts about the network.

use serde::{Deserialize, Serialize};

/// Packets that the kernel or the hardware dropped, counted over an interval by what they have
/// in common. Source: tracepoint `skb:kfree_skb`; the interface's own counters for hardware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketDrops {
    /// Who dropped them.
    pub place: DropPlace,
    /// The kernel's name of the reason (`enum skb_drop_reason`), such as `NETFILTER_DROP`; with
    /// its subsystem for others than the core (`MAC80211_...`, `OVS_DROP_...`); `unnamed:N` if
    /// this kernel does not name it.
    pub reason: String,
    /// Interface, where the packet had one.
    pub interface: Option<String>,
    /// What kind of local port it was for or from.
    pub port: PortClass,
    /// How many.
    #[serde(with = "crate::wide")]
    pub packets: u64,
    /// Their bytes; 0 where they are not counted.
    #[serde(with = "crate::wide")]
    pub bytes: u64,
}

/// Where a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropPlace {
    /// In the network stack.
    Kernel,
    /// By the interface on receiving (`rx_dropped`, `rx_missed_errors`, ...).
    Receive,
    /// By the interface on sending (`tx_dropped`).
    Transmit,
    /// Between interface and stack: the CPU's backlog was full (`/proc/net/softnet_stat`).
    Backlog,
}

/// What kind of local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "class", content = "port", rename_all = "snake_case")]
pub enum PortClass {
    /// Not known, or no such thing.
    Unknown,
    /// Below 1024, told apart: a service's.
    WellKnown(u16),
    /// From 1024 to below the ephemeral range.
    Registered,
    /// In `net.ipv4.ip_local_port_range`: a client's.
    Ephemeral,
}

/// TCP trouble, counted over an interval. Sources: tracepoints `tcp:tcp_retransmit_skb`,
/// `tcp:tcp_send_reset`, `tcp:tcp_receive_reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpTrouble {
    /// Which.
    pub trouble: TcpTroubleKind,
    /// The service's port: the local one of a listener, else the remote one; 0 when unknown.
    pub port: u16,
    /// How often.
    #[serde(with = "crate::wide")]
    pub count: u64,
}

/// What can go wrong with a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TcpTroubleKind {
    /// A segment was sent again.
    Retransmit,
    /// We reset a connection.
    ResetSent,
    /// The other side reset a connection.
    ResetReceived,
}

/// An interface's queue stood still. Source: tracepoint `net:net_dev_xmit_timeout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransmitTimeout {
    /// Which queue.
    pub queue: u32,
}

/// A counter that rises only when something is refused or thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetCounter {
    /// Which.
    pub counter: NetCounterKind,
    /// By how much it rose.
    #[serde(with = "crate::wide")]
    pub count: u64,
}

/// The carrier of a network interface went or came since the last reading.
///
/// Source: `carrier_down_count` and `carrier_up_count`, Documentation/ABI/testing/sysfs-class-net.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkChanges {
    /// How often the carrier went.
    #[serde(with = "crate::wide")]
    pub down: u64,
    /// How often it came.
    #[serde(with = "crate::wide")]
    pub up: u64,
}

/// Counters without a hook of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetCounterKind {
    /// `TcpExt: ListenOverflows`: a listener's queue of connections was full.
    ListenOverflow,
    /// `TcpExt: ListenDrops`: connection requests thrown away for any reason.
    ListenDrop,
    /// `nf_conntrack` had no room (`drop` of `/proc/net/stat/nf_conntrack`).
    ConntrackDrop,
    /// `nf_conntrack` threw a connection away to make room (`early_drop`).
    ConntrackEarlyDrop,
    /// `Udp: RcvbufErrors`: a UDP socket's buffer was full.
    UdpReceiveBuffer,
}
