//! The tables of `/proc/net`. Pure.

use std::collections::BTreeMap;

/// One protocol's counters of `/proc/net/netstat` or `/proc/net/snmp`, which have for each a line
/// of names and a line of numbers, both under the protocol's name. Some numbers of `snmp` are
/// negative (`MaxConn`); they are no counters and left out.
pub fn named_counters<'a>(text: &'a str, protocol: &str) -> BTreeMap<&'a str, u64> {
    let of_protocol = |line: &'a str| line.strip_prefix(protocol)?.strip_prefix(':');
    let mut lines = text.lines().filter_map(of_protocol);
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else {
        return BTreeMap::new();
    };
    let numbers = numbers.split_ascii_whitespace().map(str::parse);
    let pairs = names.split_ascii_whitespace().zip(numbers);
    pairs
        .filter_map(|(name, number)| Some((name, number.ok()?)))
        .collect()
}

/// The column called `name` of `/proc/net/stat/*`: a line of names, then a line of hexadecimal
/// numbers for each possible CPU. Lines too short or unreadable count 0, so that those after keep
/// their place.
pub(super) fn columns(text: &str, name: &str) -> Vec<u64> {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default();
    let Some(place) = names.split_ascii_whitespace().position(|own| own == name) else {
        return Vec::new();
    };
    let of_line = |line: &str| hex(line.split_ascii_whitespace().nth(place)?);
    lines.map(|line| of_line(line).unwrap_or(0)).collect()
}

/// Packets dropped because a CPU's backlog was full: the second hexadecimal number of each line
/// of `/proc/net/softnet_stat`, by CPU. Only CPUs that are online have a line; its 13th number
/// says which, and on a kernel without it the place must do.
/// Source: `softnet_seq_show()`, net/core/net-procfs.c.
pub(super) fn softnet_drops(text: &str) -> BTreeMap<u64, u64> {
    let of_line = |(place, line): (usize, &str)| {
        let mut fields = line.split_ascii_whitespace();
        let dropped = hex(fields.nth(1)?)?;
        let cpu = fields.nth(10).and_then(hex);
        Some((cpu.or_else(|| u64::try_from(place).ok())?, dropped))
    };
    text.lines().enumerate().filter_map(of_line).collect()
}

fn hex(field: &str) -> Option<u64> {
    u64::from_str_radix(field, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SNMP: &str = "\
Tcp: RtoAlgorithm MaxConn ActiveOpens
Tcp: 1 -1 76
Udp: InDatagrams NoPorts RcvbufErrors
Udp: 9 8 7
UdpLite: InDatagrams RcvbufErrors
UdpLite: 1 2
";

    #[test]
    fn a_protocols_counters_are_its_own() {
        assert_eq!(named_counters(SNMP, "Udp").get("RcvbufErrors"), Some(&7));
        assert_eq!(
            named_counters(SNMP, "UdpLite").get("RcvbufErrors"),
            Some(&2)
        );
        let tcp = named_counters(SNMP, "Tcp");
        assert_eq!(
            (tcp.get("MaxConn"), tcp.get("ActiveOpens")),
            (None, Some(&76))
        );
        assert!(named_counters(SNMP, "Icmp").is_empty());
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "entries  clashres found new drop early_drop\n\
                    0000000a  0 0 0 000000ff 1\n0000000a  0 0 0 00000001\n\n";
        assert_eq!(columns(text, "drop"), [255, 1, 0]);
        assert_eq!(columns(text, "early_drop"), [1, 0, 0]);
        assert!(columns(text, "insert_failed").is_empty());
    }

    #[test]
    fn a_cpu_that_is_offline_moves_no_other() {
        let line = |dropped: &str, cpu: &str| {
            format!("00000001 {dropped} 0 0 0 0 0 0 0 0 0 0 {cpu} 0 0\n")
        };
        let text = line("0000000f", "00000000") + &line("00000002", "00000003");
        assert_eq!(softnet_drops(&text), BTreeMap::from([(0, 15), (3, 2)]));
        let old = "00000001 00000005 0\n00000001 00000006 0\n";
        assert_eq!(softnet_drops(old), BTreeMap::from([(0, 5), (1, 6)]));
    }

    proptest! {
        #[test]
        fn any_text_ends_in_an_answer(text in "([A-Za-z_:]{0,8}[ 0-9a-f-]{0,40}\n?){0,6}") {
            named_counters(&text, "Udp");
            columns(&text, "drop");
            softnet_drops(&text);
        }
    }
}
