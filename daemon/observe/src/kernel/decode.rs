//! From the bytes of a ring record to a decoded event. Pure; any bytes end in an answer.

use hostmedic_abi::{
    Header, KIND_OOM_VICTIM, KIND_PROCESS_EXEC, KIND_PROCESS_EXIT, KNOWN_SCORE, VERSION,
};
use hostmedic_model::signal::{OomKill, ProcessExec, ProcessExit};
use thiserror::Error;
use zerocopy::FromBytes;

use super::event::KernelEvent;

/// A record that this version cannot read: it is counted and left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Undecodable {
    /// Fewer bytes than a header.
    #[error("record of {len} bytes has no room for a header")]
    Short {
        /// Its length.
        len: usize,
    },
    /// Written by a probe of another version.
    #[error("record has layout version {version}, this daemon reads {VERSION}")]
    Version {
        /// Its version.
        version: u16,
    },
    /// A kind that does not exist.
    #[error("record is of unknown kind {kind}")]
    Kind {
        /// Its kind.
        kind: u32,
    },
    /// Not as long as its kind.
    #[error("record of kind {kind} has {len} bytes, its header says {said}")]
    Size {
        /// Its kind.
        kind: u32,
        /// Bytes there are.
        len: usize,
        /// Bytes its header tells.
        said: u16,
    },
}

/// Decodes one record.
pub(crate) fn decode(bytes: &[u8]) -> Result<KernelEvent, Undecodable> {
    let len = bytes.len();
    let (header, _) = Header::read_from_prefix(bytes).map_err(|_| Undecodable::Short { len })?;
    let Header {
        kind,
        version,
        size: said,
    } = header;
    if version != VERSION {
        return Err(Undecodable::Version { version });
    }
    if usize::from(said) != len {
        return Err(Undecodable::Size { kind, len, said });
    }
    let wrong_size = || Undecodable::Size { kind, len, said };
    match kind {
        KIND_OOM_VICTIM => whole(bytes).map(oom_victim).ok_or_else(wrong_size),
        KIND_PROCESS_EXEC => whole(bytes).map(process_exec).ok_or_else(wrong_size),
        KIND_PROCESS_EXIT => whole(bytes).map(process_exit).ok_or_else(wrong_size),
        _ => Err(Undecodable::Kind { kind }),
    }
}

fn whole<T: FromBytes>(bytes: &[u8]) -> Option<T> {
    T::read_from_bytes(bytes).ok()
}

fn oom_victim(event: hostmedic_abi::OomVictim) -> KernelEvent {
    let is_known = event.known & KNOWN_SCORE != 0;
    KernelEvent::OomVictim {
        at_boot_ns: event.at_boot_ns,
        kill: OomKill {
            pid: event.pid,
            comm: comm(&event.comm),
            started_boot_ns: event.started_boot_ns,
            cgroup_id: event.cgroup_id,
            oom_score_adj: is_known
                .then(|| i16::try_from(event.oom_score_adj).ok())
                .flatten(),
            ..OomKill::default()
        },
    }
}

fn process_exec(event: hostmedic_abi::ProcessExec) -> KernelEvent {
    KernelEvent::ProcessExec {
        at_boot_ns: event.at_boot_ns,
        exec: ProcessExec {
            pid: event.pid,
            started_boot_ns: event.started_boot_ns,
            comm: comm(&event.comm),
            cgroup_id: event.cgroup_id,
        },
    }
}

/// Splits the status by wait(2): `WTERMSIG` is bits 0 to 6, `WEXITSTATUS` bits 8 to 15.
fn process_exit(event: hostmedic_abi::ProcessExit) -> KernelEvent {
    let [low, high, ..] = event.wait_status.to_le_bytes();
    KernelEvent::ProcessExit {
        at_boot_ns: event.at_boot_ns,
        exit: ProcessExit {
            pid: event.pid,
            started_boot_ns: event.started_boot_ns,
            comm: comm(&event.comm),
            cgroup_id: event.cgroup_id,
            status: high,
            signal: low & 0x7f,
            peak_rss_bytes: 0,
        },
    }
}

/// The name up to its zero. Any process may name itself as it likes, so what is not printable
/// text becomes `?` before it reaches a terminal or a log.
fn comm(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let printable = |c: char| {
        if c.is_control() || c == '\u{fffd}' {
            '?'
        } else {
            c
        }
    };
    String::from_utf8_lossy(name)
        .chars()
        .map(printable)
        .collect()
}

#[cfg(test)]
mod tests {
    use hostmedic_abi as abi;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    fn exit(wait_status: u32) -> abi::ProcessExit {
        abi::ProcessExit {
            header: Header::of::<abi::ProcessExit>(KIND_PROCESS_EXIT),
            at_boot_ns: 7,
            started_boot_ns: 5,
            cgroup_id: 3,
            pid: 42,
            wait_status,
            comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
        }
    }

    #[test]
    fn exit_status_and_signal_are_told_apart() {
        for (wait_status, status, signal) in [(0x0300, 3, 0), (9, 0, 9), (0x8b, 0, 11), (0, 0, 0)] {
            let decoded = decode(exit(wait_status).as_bytes()).unwrap();
            let KernelEvent::ProcessExit {
                at_boot_ns: 7,
                exit,
            } = decoded
            else {
                panic!()
            };
            assert_eq!(
                (exit.status, exit.signal),
                (status, signal),
                "{wait_status:#x}"
            );
            assert_eq!((exit.pid, exit.comm.as_str()), (42, "worker"));
        }
    }

    #[test]
    fn score_is_told_only_where_it_was_read() {
        let mut event = abi::OomVictim {
            header: Header::of::<abi::OomVictim>(KIND_OOM_VICTIM),
            at_boot_ns: 1,
            started_boot_ns: 1,
            cgroup_id: 1,
            pid: 1,
            tid: 1,
            known: abi::KNOWN_IDENTITY,
            oom_score_adj: -500,
            comm: [0; 16],
        };
        for (known, score) in [(abi::KNOWN_IDENTITY, None), (KNOWN_SCORE, Some(-500))] {
            event.known = known;
            let KernelEvent::OomVictim { kill, .. } = decode(event.as_bytes()).unwrap() else {
                panic!()
            };
            assert_eq!(kill.oom_score_adj, score);
        }
    }

    #[test]
    fn foreign_records_are_refused_by_what_is_foreign() {
        let good = exit(0);
        assert_eq!(decode(&[0; 7]), Err(Undecodable::Short { len: 7 }));
        let mut other = good;
        other.header.version = VERSION + 1;
        assert_eq!(
            decode(other.as_bytes()),
            Err(Undecodable::Version {
                version: VERSION + 1
            })
        );
        let mut other = good;
        other.header.kind = 99;
        assert_eq!(
            decode(other.as_bytes()),
            Err(Undecodable::Kind { kind: 99 })
        );
        let mut other = good;
        other.header.kind = KIND_OOM_VICTIM;
        assert!(matches!(
            decode(other.as_bytes()),
            Err(Undecodable::Size { said: 56, .. })
        ));
        assert!(matches!(
            decode(&good.as_bytes()[..48]),
            Err(Undecodable::Size { len: 48, .. })
        ));
    }

    #[test]
    fn names_cannot_carry_terminal_codes() {
        assert_eq!(comm(b"a\x1b[2J\xffb\0rest"), "a?[2J?b");
        assert_eq!(comm(b"sixteen bytes ok"), "sixteen bytes ok");
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_right_header_and_any_body_end_in_an_answer(
            kind in 0_u32..5,
            body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let size = u16::try_from(8 + body.len()).unwrap();
            let header = Header { kind, version: VERSION, size };
            let answer = decode(&[header.as_bytes(), &body].concat());
            let expected = matches!((kind, size), (1, 64) | (2 | 3, 56));
            prop_assert_eq!(answer.is_ok(), expected);
        }
    }
}
