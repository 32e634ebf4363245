//! Sockets, packets and interfaces. Fields are named as in include/net/sock.h,
//! include/linux/skbuff.h, netdevice.h and cgroup-defs.h.

use hostmedic_abi::{PORT_EPHEMERAL, PORT_REGISTERED, PORT_UNKNOWN};

use super::{Arguments, Cgroup, Object, cgroup, hop, load, peek};
use crate::frozen::frozen;

frozen! {
    OFF_SK_FAMILY: u32;
    OFF_SK_STATE: u32;
    OFF_SK_NUM: u32;
    OFF_SK_DPORT: u32;
    OFF_SK_DADDR: u32;
    OFF_SK_V6_DADDR: u32;
    OFF_SK_PROTOCOL: u32;
    OFF_SK_CGROUP: u32;
    OFF_INET_SPORT: u32;
    OFF_SKB_SK: u32;
    OFF_SKB_DEV: u32;
    OFF_SKB_IIF: u32;
    OFF_SKB_LEN: u32;
    OFF_SKB_HEAD: u32;
    OFF_SKB_PROTOCOL: u32;
    OFF_SKB_NETWORK: u32;
    OFF_SKB_TRANSPORT: u32;
    OFF_DEV_IFINDEX: u32;
    /// A socket's cgroup is a pointer, not a number that may be one.
    HAS_SOCK_CGROUP: bool;
    /// `kfree_skb` passes a reason; from this one on it is a drop.
    HAS_DROP_REASON: bool;
    /// ... and the socket that was to receive.
    HAS_RX_SOCK: bool;
    DROP_REASON_MIN: u32;
    /// `tcp_retransmit_skb` says whether it succeeded.
    HAS_RETRANSMIT_ERR: bool;
    /// `net.ipv4.ip_local_port_range`.
    EPHEMERAL_LOW: u32;
    EPHEMERAL_HIGH: u32;
}

/// Address families of include/linux/socket.h.
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
/// `TCP_TIME_WAIT` and `TCP_NEW_SYN_RECV` of include/net/tcp_states.h: sockets of these states are
/// smaller structures without an owner.
const STATE_TIME_WAIT: u8 = 6;
const STATE_NEW_SYN_RECV: u8 = 12;
/// `(typeof(skb->transport_header))~0U`: the header was not found.
const NO_HEADER: u16 = 0xffff;
/// `ETH_P_IP` and `ETH_P_IPV6`, in network byte order.
const ETH_IP: u16 = 0x0800_u16.to_be();
const ETH_IPV6: u16 = 0x86dd_u16.to_be();
/// Protocol numbers of TCP and UDP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A `struct sock` of TCP or UDP.
#[derive(Clone, Copy)]
pub struct Socket(Object);

impl Socket {
    /// The socket that is argument `n`.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments, n: usize) -> Option<Self> {
        ctx.object(n).map(Self)
    }

    /// `AF_INET` or `AF_INET6`.
    #[inline(always)]
    pub fn family(self) -> u16 {
        load(self.0, &OFF_SK_FAMILY)
    }

    /// Whether it is TCP's.
    #[inline(always)]
    pub fn is_tcp(self) -> bool {
        load::<u16, _>(self.0, &OFF_SK_PROTOCOL) == u16::from(TCP)
    }

    /// Whether it is a whole socket, with an owner.
    #[inline(always)]
    fn is_whole(self) -> bool {
        let state: u8 = load(self.0, &OFF_SK_STATE);
        state != STATE_TIME_WAIT && state != STATE_NEW_SYN_RECV
    }

    /// Local port. A socket that is being closed has given its number back, but still has the port
    /// in network byte order (`__inet_put_port`), past the end of `struct sock`.
    #[inline(always)]
    pub fn local_port(self) -> u16 {
        let number = load(self.0, &OFF_SK_NUM);
        if number != 0 || !self.is_whole() || !matches!(self.family(), AF_INET | AF_INET6) {
            return number;
        }
        u16::from_be(peek(self.0 as u64, u64::from(OFF_INET_SPORT.load())))
    }

    /// Remote port.
    #[inline(always)]
    pub fn remote_port(self) -> u16 {
        u16::from_be(load(self.0, &OFF_SK_DPORT))
    }

    /// The service's port: the lower of the two, as clients take high ones.
    #[inline(always)]
    pub fn service_port(self) -> u16 {
        let (local, remote) = (self.local_port(), self.remote_port());
        if remote != 0 && remote < local {
            remote
        } else {
            local
        }
    }

    /// Remote address; IPv4 in the first four bytes.
    #[inline(always)]
    pub fn remote_address(self, is_v6: bool) -> [u8; 16] {
        let words: [u64; 2] = if is_v6 {
            // Its words are smaller, and the verifier lets a typed load not cross them.
            let at = u64::from(OFF_SK_V6_DADDR.load());
            let socket = self.0 as u64;
            [peek(socket, at), peek(socket, at + 8)]
        } else {
            [u64::from(load::<u32, _>(self.0, &OFF_SK_DADDR)), 0]
        };
        let [low, high] = words.map(u64::to_ne_bytes);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&low);
        bytes[8..].copy_from_slice(&high);
        bytes
    }

    /// cgroup v2 id of who made it; 0 when unknown. Before 5.15 the field may hold a number for
    /// v1 controllers instead, marked by its lowest bit (`sock_cgroup_data`).
    #[inline(always)]
    pub fn cgroup_id(self) -> u64 {
        if !self.is_whole() {
            return 0;
        }
        if HAS_SOCK_CGROUP.load() {
            return hop(self.0, &OFF_SK_CGROUP).map_or(0, |found| Cgroup::of(found).id());
        }
        let value: u64 = load(self.0, &OFF_SK_CGROUP);
        if value == 0 || value & 1 != 0 {
            0
        } else {
            cgroup::id_at(value)
        }
    }
}

/// A `struct sk_buff`.
#[derive(Clone, Copy)]
pub struct Packet(Object);

impl Packet {
    /// The packet that is argument `n`.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments, n: usize) -> Option<Self> {
        ctx.object(n).map(Self)
    }

    /// The socket it belongs to.
    #[inline(always)]
    pub fn socket(self) -> Option<Socket> {
        hop(self.0, &OFF_SKB_SK).map(Socket)
    }

    /// Bytes.
    #[inline(always)]
    pub fn bytes(self) -> u32 {
        load(self.0, &OFF_SKB_LEN)
    }

    /// EtherType, in host byte order.
    #[inline(always)]
    pub fn protocol(self) -> u16 {
        u16::from_be(load(self.0, &OFF_SKB_PROTOCOL))
    }

    /// Index of the interface it came in by or is to leave by; 0 when it has none.
    #[inline(always)]
    pub fn interface(self) -> u32 {
        let came_in_by: u32 = load(self.0, &OFF_SKB_IIF);
        if came_in_by != 0 {
            return came_in_by;
        }
        // A member of a union, so the verifier does not take it for a device.
        match load::<u64, _>(self.0, &OFF_SKB_DEV) {
            0 => 0,
            device => peek(device, u64::from(OFF_DEV_IFINDEX.load())),
        }
    }

    /// Class of its local port: the destination's if it came in, else the source's.
    #[inline(always)]
    pub fn port_class(self) -> u16 {
        let transport: u16 = load(self.0, &OFF_SKB_TRANSPORT);
        let network: u16 = load(self.0, &OFF_SKB_NETWORK);
        let head: u64 = load(self.0, &OFF_SKB_HEAD);
        if transport == NO_HEADER || transport <= network || head == 0 {
            return PORT_UNKNOWN;
        }
        // All at once: a call of the helper costs as much as all the rest. What it reads beyond a
        // short packet is the shared information that lies behind the data of each.
        let header: [u64; 6] = peek(head, u64::from(network));
        let (protocol, ports) = match (load(self.0, &OFF_SKB_PROTOCOL), transport - network) {
            (ETH_IP, 20) => (header[1] >> 8, (header[2] >> 32) as u32),
            (ETH_IP, _) => (header[1] >> 8, peek(head, u64::from(transport))),
            (ETH_IPV6, 40) => (header[0] >> 48, header[5] as u32),
            (ETH_IPV6, _) => (header[0] >> 48, peek(head, u64::from(transport))),
            _ => return PORT_UNKNOWN,
        };
        if !matches!(protocol as u8, TCP | UDP) {
            return PORT_UNKNOWN;
        }
        let came_in = load::<u32, _>(self.0, &OFF_SKB_IIF) != 0;
        let port = if came_in { ports >> 16 } else { ports };
        port_class(u16::from_be(port as u16))
    }

    /// Port of the service it is for or from, by its header; 0 when unknown.
    #[inline(always)]
    pub fn destination_port(self) -> u16 {
        let transport: u16 = load(self.0, &OFF_SKB_TRANSPORT);
        let head: u64 = load(self.0, &OFF_SKB_HEAD);
        if transport == NO_HEADER || head == 0 {
            return 0;
        }
        u16::from_be(peek(head, u64::from(transport) + 2))
    }
}

/// A port below 1024 for itself, else what it is used for.
#[inline(always)]
pub fn port_class(port: u16) -> u16 {
    match u32::from(port) {
        0 => PORT_UNKNOWN,
        1..1024 => port,
        high if (EPHEMERAL_LOW.load()..=EPHEMERAL_HIGH.load()).contains(&high) => PORT_EPHEMERAL,
        _ => PORT_REGISTERED,
    }
}

/// The reason that is argument 2 of `kfree_skb`; `None` if it is no drop.
#[inline(always)]
pub fn drop_reason(ctx: &impl Arguments) -> Option<u32> {
    if !HAS_DROP_REASON.load() {
        // The place in the code tells instead: the lower half of a kernel address.
        return Some(ctx.number(1) as u32);
    }
    let reason = ctx.number(2) as u32;
    (reason >= DROP_REASON_MIN.load()).then_some(reason)
}

/// The socket that was to receive the packet, which is argument 3 of `kfree_skb`. The packet does
/// not know it: it belongs to nobody until it is in a socket's queue.
#[inline(always)]
pub fn receiver(ctx: &impl Arguments) -> Option<Socket> {
    if !HAS_RX_SOCK.load() {
        return None;
    }
    Socket::argument(ctx, 3)
}

/// Whether `tcp_retransmit_skb` tells of a segment that was not sent.
#[inline(always)]
pub fn retransmit_failed(ctx: &impl Arguments) -> bool {
    HAS_RETRANSMIT_ERR.load() && ctx.number(2) as i32 != 0
}

/// A `struct net_device`.
#[derive(Clone, Copy)]
pub struct Device(Object);

impl Device {
    /// The device that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Option<Self> {
        ctx.object(0).map(Self)
    }

    /// Its index.
    #[inline(always)]
    pub fn index(self) -> u32 {
        load(self.0, &OFF_DEV_IFINDEX)
    }
}
