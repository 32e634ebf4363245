//! Sockets, those with the fullest queues first, and where most connections lead.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufRead, BufReader, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{
    files::sockets,
    found::{Found, PTRACE},
    scene::Scene,
};

/// Tables and their protocol.
const TABLES: [(&str, &str); 4] = [
    ("tcp", "tcp"),
    ("tcp6", "tcp"),
    ("udp", "udp"),
    ("udp6", "udp"),
];
/// Bytes read of one table: some ten thousand sockets.
const TABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Sockets kept before the fullest are chosen.
const KEPT_MAX: usize = 4096;
/// Peers kept apart, and told.
const PEERS_MAX: usize = 8192;
const PEERS_TOLD_MAX: usize = 5;
/// States of TCP; `include/net/tcp_states.h`. UDP uses the first and the seventh.
const STATES: [&str; 13] = [
    "?",
    "established",
    "syn-sent",
    "syn-received",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "closed",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
    "new-syn-received",
];

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Socket {
    protocol: &'static str,
    local: SocketAddr,
    peer: SocketAddr,
    state: &'static str,
    sending: u64,
    receiving: u64,
    uid: u32,
    inode: u64,
}

impl Socket {
    /// Fullest first; of those with empty queues who listens.
    fn rank(&self) -> (u64, bool) {
        let waiting = self.sending.saturating_add(self.receiving);
        (u64::MAX - waiting, self.state != "listen")
    }
}

/// What all tables hold.
#[derive(Debug, Default)]
struct Seen {
    states: BTreeMap<(&'static str, &'static str), u64>,
    peers: HashMap<SocketAddr, u64>,
    fullest: Vec<Socket>,
}

impl Seen {
    fn add(&mut self, socket: Socket, is_ours: bool) {
        let state = match socket.protocol {
            "udp" => "sockets",
            _ => socket.state,
        };
        *self.states.entry((socket.protocol, state)).or_default() += 1;
        if socket.peer.port() != 0
            && (self.peers.len() < PEERS_MAX || self.peers.contains_key(&socket.peer))
        {
            *self.peers.entry(socket.peer).or_default() += 1;
        }
        if is_ours {
            self.fullest.push(socket);
            if 2 * KEPT_MAX < self.fullest.len() {
                self.choose();
            }
        }
    }

    fn choose(&mut self) {
        self.fullest.sort_by_key(Socket::rank);
        self.fullest.truncate(KEPT_MAX);
    }
}

/// The `count` sockets with the fullest queues: the unit's, or all.
pub(super) fn top(scene: &Scene, count: u32) -> Found {
    let mut found = Found::default();
    let pids = match scene.pids() {
        Ok(pids) => pids,
        Err(reason) => return Found::nothing(reason),
    };
    let (owners, denied) = sockets(scene, pids);
    // Where nobody may be asked whose they are, all are told and that is said.
    let of_all = !scene.of_unit || (owners.is_empty() && denied > 0);
    let dir = scene.net();
    let mut seen = Seen::default();
    for (table, protocol) in TABLES {
        match File::open(dir.join(table)) {
            Ok(file) => {
                let lines = BufReader::new(file.take(TABLE_BYTES_MAX));
                let whole = read(
                    lines,
                    protocol,
                    || scene.is_late(),
                    |socket| {
                        let is_ours = of_all || owners.contains_key(&socket.inode);
                        seen.add(socket, is_ours);
                    },
                );
                if !whole {
                    found.lacks(format!("the rest of {table}: too many, or not in time"));
                }
            }
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => found.lacks(format!("{}: {error}", dir.join(table).display())),
        }
    }
    tell(&mut seen, &owners, count, &mut found);
    found.lacks_right(denied, "whose sockets, by the open files", PTRACE);
    found
}

fn tell(seen: &mut Seen, owners: &BTreeMap<u64, u32>, count: u32, found: &mut Found) {
    seen.choose();
    for socket in seen.fullest.iter().take(count as usize) {
        let owner = owners.get(&socket.inode);
        let owner = owner.map_or_else(String::new, |pid| format!(", pid {pid}"));
        let peer = match socket.peer.port() {
            0 => String::new(),
            _ => format!(" to {}", socket.peer),
        };
        found.line(format!(
            "{} {} {}{peer}, {} to read, {} to send, uid {}{owner}",
            socket.protocol,
            socket.state,
            socket.local,
            socket.receiving,
            socket.sending,
            socket.uid
        ));
    }
    let states: Vec<_> = seen
        .states
        .iter()
        .map(|((protocol, state), count)| format!("{protocol} {state} {count}"))
        .collect();
    if !states.is_empty() {
        found.line(format!("all of this network: {}", states.join(", ")));
    }
    let mut peers: Vec<_> = seen.peers.iter().filter(|(_, count)| **count > 1).collect();
    peers.sort_by_key(|(peer, count)| (std::cmp::Reverse(**count), **peer));
    for (peer, count) in peers.into_iter().take(PEERS_TOLD_MAX) {
        found.line(format!("{count} connections with {peer}"));
    }
}

/// Gives each socket of a table; false if the table did not come to its end.
fn read(
    mut lines: impl BufRead,
    protocol: &'static str,
    is_late: impl Fn() -> bool,
    mut with: impl FnMut(Socket),
) -> bool {
    let mut line = Vec::new();
    let mut bytes = 0;
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) => return bytes < TABLE_BYTES_MAX,
            Ok(count) => bytes += count as u64,
            Err(_) => return false,
        }
        if is_late() {
            return false;
        }
        if let Some(socket) = std::str::from_utf8(&line)
            .ok()
            .and_then(|line| parse(line, protocol))
        {
            with(socket);
        }
    }
}

/// `Documentation/networking/proc_net_tcp.rst`.
fn parse(line: &str, protocol: &'static str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let (local, peer) = (address(fields.nth(1)?)?, address(fields.next()?)?);
    let state = usize::from_str_radix(fields.next()?, 16).ok()?;
    let (sending, receiving) = fields.next()?.split_once(':')?;
    let uid = fields.nth(2)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Socket {
        protocol,
        local,
        peer,
        state: STATES.get(state).copied().unwrap_or("?"),
        sending: u64::from_str_radix(sending, 16).ok()?,
        receiving: u64::from_str_radix(receiving, 16).ok()?,
        uid,
        inode,
    })
}

/// `0100007F:1F90`: words in the byte order of the host, and the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    ip(address).map(|ip| SocketAddr::new(ip, port))
}

/// An address of eight or of 32 hexadecimal digits, word by word in the byte order of the host.
pub(super) fn ip(digits: &str) -> Option<IpAddr> {
    if !digits.is_ascii() {
        return None;
    }
    let word = |at: usize| u32::from_str_radix(digits.get(at..at + 8)?, 16).ok();
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let mut bytes = [0; 16];
            for (place, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * place)?.to_ne_bytes());
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{net::TcpListener, path::Path};

    use proptest::prelude::*;

    use super::*;
    use crate::capture::process::tests::over;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    const LISTENS: &str = "   0: 00000000:0050 00000000:0000 0A 00000000:00000081 00:00000000 00000000    33        0 4711 1 0000000000000000 100 0 0 10 0\n";
    const SIX: &str = "   1: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:C350 01 00000005:00000000 00:00000000 00000000  1000        0 4712\n";

    fn of(text: &str) -> Vec<Socket> {
        let mut all = Vec::new();
        assert!(read(
            text.as_bytes(),
            "tcp",
            || false,
            |socket| all.push(socket)
        ));
        all
    }

    #[test]
    fn a_line_is_a_socket_and_the_head_is_none() {
        let all = of(&format!("{HEAD}{LISTENS}{SIX}\u{0}\nx\n"));
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].local, "0.0.0.0:80".parse().unwrap());
        assert_eq!(
            (all[0].state, all[0].receiving, all[0].uid, all[0].inode),
            ("listen", 129, 33, 4711)
        );
        if cfg!(target_endian = "little") {
            assert_eq!(all[1].peer, "[::1]:50000".parse().unwrap());
        }
        assert_eq!((all[1].state, all[1].sending), ("established", 5));
    }

    #[test]
    fn the_fullest_come_first_and_all_are_counted() {
        let mut seen = Seen::default();
        for socket in of(&format!("{HEAD}{SIX}{SIX}{LISTENS}")) {
            seen.add(socket, true);
        }
        let mut found = Found::default();
        tell(&mut seen, &BTreeMap::from([(4711, 42)]), 1, &mut found);
        assert_eq!(
            found.lines,
            [
                "tcp listen 0.0.0.0:80, 129 to read, 0 to send, uid 33, pid 42",
                "all of this network: tcp established 2, tcp listen 1",
                "2 connections with [::1]:50000",
            ]
        );
    }

    #[test]
    fn a_socket_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap().to_string();
        let found = top(&over(Path::new("/proc")), 50);
        let own = format!("pid {}", std::process::id());
        let line = found.lines.iter().find(|line| line.contains(&local));
        // On a busy host fuller sockets may come first; all are counted then.
        assert!(line.is_none_or(|line| line.contains(&own)), "{line:?}");
        assert!(
            found
                .lines
                .iter()
                .any(|line| line.starts_with("all of this network: "))
        );
        assert!(found.lines.len() <= 50 + 1 + PEERS_TOLD_MAX);
    }

    #[test]
    fn a_table_that_does_not_end_is_cut() {
        assert!(!read(HEAD.as_bytes(), "tcp", || true, |_| {}));
        let endless = BufReader::new(std::io::repeat(b'a').take(TABLE_BYTES_MAX));
        assert!(!read(endless, "tcp", || false, |_| {}));
    }

    proptest! {
        #[test]
        fn any_line_is_a_socket_or_none(line in any::<String>(), digits in "[0-9A-F]{0,40}") {
            _ = parse(&line, "tcp");
            _ = parse(&format!("0: {digits}:{line} {digits} 0A 0:0 0 0 0 0 0"), "tcp");
            _ = ip(&line);
            let known = ip(&digits).is_some();
            prop_assert_eq!(known, digits.len() == 8 || digits.len() == 32);
        }
    }
}
