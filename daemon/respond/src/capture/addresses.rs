//! Links, addresses, routes and leases, from files: the daemon may open no netlink socket.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use super::{
    found::{self, Found, ago, is_denied},
    net::ip,
    scene::Scene,
};

/// Bytes read of one table.
const TABLE_BYTES_MAX: usize = 256 * 1024;
/// Links, addresses, routes and leases told of each kind.
const TOLD_MAX: usize = 48;
/// Where systemd-networkd keeps its leases, by the number of their link.
const LEASES: &str = "/run/systemd/netif/leases";
/// What of a lease is told.
const LEASE_KEYS: [&str; 9] = [
    "ADDRESS",
    "NETMASK",
    "ROUTER",
    "SERVER_ADDRESS",
    "DNS",
    "NTP",
    "T1",
    "T2",
    "LIFETIME",
];
/// Flag of a route that leads through a gateway, and of one to a single host; linux/route.h.
const GATEWAY: u32 = 2;
/// An IPv6 route that is an address of the host itself; `linux/ipv6_route.h`.
const LOCAL: u32 = 0x8000_0000;

/// Everything about where the host is in the network.
pub(super) fn all(scene: &Scene) -> Found {
    let dir = scene.net();
    let mut found = Found::default();
    // `/sys` shows the network that it was mounted in: the host's.
    links(Path::new("/sys/class/net"), &mut found);
    let mut table = |name: &str, told: fn(&str) -> Vec<String>| {
        match found::text(&dir.join(name), TABLE_BYTES_MAX) {
            Ok(text) => found.lines.extend(told(&text)),
            // A kernel without IPv6 has none of its tables.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name.contains('6') => {}
            Err(error) => found.lacks(format!("{}: {error}", dir.join(name).display())),
        }
    };
    table("fib_trie", |text| {
        let own = own_addresses(text).into_iter();
        own.map(|ip| format!("address {ip}")).collect()
    });
    table("if_inet6", addresses_6);
    table("route", routes_4);
    table("ipv6_route", routes_6);
    leases(&scene.below_root(LEASES), &mut found);
    found
}

fn links(class: &Path, found: &mut Found) {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let mut links: Vec<_> = entries.map(|entry| entry.path()).take(TOLD_MAX).collect();
    links.sort();
    for link in links {
        let name = link.file_name().unwrap_or_default().to_string_lossy();
        let said: Vec<_> = [
            ("operstate", ""),
            ("address", "mac "),
            ("mtu", "mtu "),
            ("speed", "Mbit/s "),
            ("duplex", ""),
            ("carrier_changes", "carrier changes "),
            ("ifindex", "number "),
        ]
        .iter()
        .filter_map(|(file, said)| {
            // A link that is down has the speed -1.
            let word = found::word(&link.join(file)).filter(|word| word != "-1")?;
            Some(format!("{said}{word}"))
        })
        .collect();
        if !said.is_empty() {
            found.line(format!("link {name}: {}", said.join(", ")));
        }
    }
}

/// The host's own IPv4 addresses: leaves of 32 bits that are local; `net/ipv4/fib_trie.c`.
fn own_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut own = Vec::new();
    let mut leaf = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = leaf
            && !own.contains(&address)
            && own.len() < TOLD_MAX
        {
            own.push(address);
        }
    }
    own
}

/// `ADDRESS NUMBER PREFIX SCOPE FLAGS NAME`, all hexadecimal but the name; net/ipv6/addrconf.c.
fn addresses_6(text: &str) -> Vec<String> {
    let told = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [digits, _, prefix, _, _, name] = fields.as_slice() else {
            return None;
        };
        let prefix = u8::from_str_radix(prefix, 16).ok()?;
        Some(format!("address {}/{prefix} on {name}", ip_6(digits)?))
    };
    text.lines().filter_map(told).take(TOLD_MAX).collect()
}

/// 32 digits in the order that they are written in.
fn ip_6(digits: &str) -> Option<Ipv6Addr> {
    let number = u128::from_str_radix(digits, 16).ok();
    number.filter(|_| digits.len() == 32).map(Ipv6Addr::from)
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`; `net/ipv4/fib_trie.c`.
fn routes_4(text: &str) -> Vec<String> {
    let ip_4 = |digits: &str| match ip(digits) {
        Some(IpAddr::V4(address)) => Some(address),
        _ => None,
    };
    let told = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().take(8).collect();
        let [name, to, gateway, flags, _, _, metric, mask] = fields.as_slice() else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let prefix = u32::from(ip_4(mask)?).count_ones();
        let mut told = format!("route {}/{prefix}", ip_4(to)?);
        if flags & GATEWAY != 0 {
            told += &format!(" via {}", ip_4(gateway)?);
        }
        Some(format!("{told} on {name}, metric {metric}"))
    };
    text.lines().filter_map(told).take(TOLD_MAX).collect()
}

/// `DEST PREFIX SOURCE PREFIX GATEWAY METRIC REF USE FLAGS NAME`; net/ipv6/route.c.
fn routes_6(text: &str) -> Vec<String> {
    let told = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [to, prefix, _, _, gateway, metric, _, _, flags, name] = fields.as_slice() else {
            return None;
        };
        let (prefix, flags) = (
            u8::from_str_radix(prefix, 16).ok()?,
            u32::from_str_radix(flags, 16).ok()?,
        );
        let metric = u32::from_str_radix(metric, 16).ok()?;
        let gateway = ip_6(gateway)?;
        let via = match gateway.is_unspecified() {
            true => String::new(),
            false => format!(" via {gateway}"),
        };
        let told = format!(
            "route {}/{prefix}{via} on {name}, metric {metric}",
            ip_6(to)?
        );
        // Addresses and multicast are no way out.
        (flags & LOCAL == 0 && *name != "lo" && !ip_6(to)?.is_multicast()).then_some(told)
    };
    text.lines().filter_map(told).take(TOLD_MAX).collect()
}

fn leases(dir: &Path, found: &mut Found) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_denied(&error) => return found.lacks(format!("leases: {error}")),
        // Another program has the leases, or nobody.
        Err(_) => return,
    };
    for entry in entries.flatten().take(TOLD_MAX) {
        let number = entry.file_name().to_string_lossy().into_owned();
        match found::text(&entry.path(), 16 * 1024) {
            Ok(text) => {
                let age = ago(entry.metadata().and_then(|meta| meta.modified()));
                found.line(format!("lease of link {number}, {age}: {}", lease(&text)));
            }
            Err(error) => found.lacks(format!("lease of link {number}: {error}")),
        }
    }
}

fn lease(text: &str) -> String {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let told: Vec<_> = pairs
        .filter(|(key, _)| LEASE_KEYS.contains(key))
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    told.join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::process::tests::over;

    #[test]
    fn own_addresses_are_leaves_that_are_local() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    Local:\n     |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n\
                    \x20       /32 link BROADCAST\n     |-- 10.0.0.5\n        /32 host LOCAL\n";
        assert_eq!(own_addresses(trie), [Ipv4Addr::new(10, 0, 0, 5)]);
    }

    #[test]
    fn routes_and_addresses_are_read() {
        let six = "fe800000000000000000000000000001 02 40 20 80     eth0\nx\n";
        assert_eq!(addresses_6(six), ["address fe80::1/64 on eth0"]);
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                      eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        if cfg!(target_endian = "little") {
            assert_eq!(
                routes_4(routes),
                ["route 0.0.0.0/0 via 10.0.0.1 on eth0, metric 100"]
            );
        }
        let zero = "0".repeat(32);
        let gateway = format!("fe80{}1", "0".repeat(27));
        let default = format!("{zero} 00 {zero} 00 {gateway} 00000400 1 0 00000003 eth0\n");
        let own = format!("{zero} 80 {zero} 00 {zero} 00000000 1 0 80200001 lo\n");
        assert_eq!(
            routes_6(&(default + &own)),
            ["route ::/0 via fe80::1 on eth0, metric 1024"]
        );
        assert_eq!(
            lease("# x\nADDRESS=10.0.0.5\nCLIENTID=ff\nT1=1800\n"),
            "ADDRESS 10.0.0.5, T1 1800"
        );
    }

    #[test]
    fn this_hosts_addresses_are_read() {
        let found = all(&over(Path::new("/proc")));
        let has = |start: &str| found.lines.iter().any(|line| line.starts_with(start));
        assert!(has("link lo: "), "{found:?}");
        assert!(has("address 127.0.0.1"), "{found:?}");
    }

    proptest! {
        #[test]
        fn any_table_is_read(text in any::<String>(), many in 0_usize..200) {
            let six = "fe800000000000000000000000000001 02 40 20 80 eth0\n".repeat(many) + &text;
            prop_assert!(addresses_6(&six).len() <= TOLD_MAX);
            drop((own_addresses(&text), routes_4(&text), routes_6(&text), lease(&text)));
        }
    }
}
