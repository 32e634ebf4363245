//! Who connected to whom: over TCP, and over Unix sockets.

use std::{collections::BTreeMap, net::IpAddr};

use hostmedic_model::{
    subject::Subject,
    time::At,
    view::{Flow, FlowEnd},
};

use super::{KEPT_MAX, SHOWN_MAX};

/// How many connections, and when the newest was seen.
type Seen = (u64, At);

/// Both ends of a TCP connection on this host are counted, so an outgoing end whose port has a
/// listener here is an edge between two units. Of a Unix socket's both ends are known at once.
#[derive(Default)]
pub(super) struct Flows {
    outgoing: BTreeMap<(Subject, IpAddr, u16), Seen>,
    incoming: BTreeMap<(Subject, IpAddr, u16), Seen>,
    unix: BTreeMap<(Subject, Subject), Seen>,
    own: Vec<IpAddr>,
}

impl Flows {
    /// Takes in one end of TCP connections.
    pub(super) fn add(
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
        add_bounded(flows, (subject, remote, port), count, at);
    }

    /// Takes in connections over a Unix socket.
    pub(super) fn add_unix(&mut self, from: Subject, to: Subject, count: u64, at: At) {
        add_bounded(&mut self.unix, (from, to), count, at);
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
    pub(super) fn list(&self) -> Vec<Flow> {
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
                    port: Some(*port),
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
                port: Some(*port),
                connections: *count,
                last_at: *at,
            });
        let unix = self.unix.iter().map(|((from, to), (count, at))| Flow {
            from: FlowEnd::Local(from.clone()),
            to: FlowEnd::Local(to.clone()),
            port: None,
            connections: *count,
            last_at: *at,
        });
        let mut flows: Vec<_> = outgoing.chain(incoming).chain(unix).collect();
        flows.sort_by_key(|flow| std::cmp::Reverse(flow.last_at));
        flows.truncate(SHOWN_MAX);
        flows
    }
}

/// Adds to the flow `key`; the one that was seen least recently makes room.
fn add_bounded<K: Ord + Clone>(flows: &mut BTreeMap<K, Seen>, key: K, count: u64, at: At) {
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
    fn a_unix_socket_is_an_edge_without_a_port() {
        let mut flows = Flows::default();
        for count in [2, 3] {
            let (from, to) = (unit("web.service"), unit("db.service"));
            flows.add_unix(from, to, count, At::default());
        }
        let edge = Flow {
            from: FlowEnd::Local(unit("web.service")),
            to: FlowEnd::Local(unit("db.service")),
            port: None,
            connections: 5,
            last_at: At::default(),
        };
        assert_eq!(flows.list(), [edge]);
    }

    #[test]
    fn flows_are_bounded_and_the_oldest_goes() {
        let mut flows = Flows::default();
        for n in 0..=u64::try_from(KEPT_MAX).unwrap() {
            let at = At {
                boot_ns: n,
                wall_ms: 0,
            };
            let from = unit(&format!("of-{n}.service"));
            flows.add_unix(from, unit("db.service"), 1, at);
        }
        assert_eq!(flows.unix.len(), KEPT_MAX);
        let gone = (unit("of-0.service"), unit("db.service"));
        assert!(!flows.unix.contains_key(&gone));
    }
}
