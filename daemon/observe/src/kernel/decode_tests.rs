//! Tests of the decoder: each field where it belongs, and foreign bytes refused by what is foreign.

use hostmedic_abi as abi;
use hostmedic_abi::{KIND_OOM_VICTIM, KIND_PROCESS_EXIT};
use hostmedic_model::signal::{Fact, OomScope, OomVerdict};
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
        peak_rss_pages: 2,
    }
}

#[test]
fn exit_status_and_signal_are_told_apart() {
    for (wait_status, status, signal) in [(0x0300, 3, 0), (9, 0, 9), (0x8b, 0, 11), (0, 0, 0)] {
        let event = decode(exit(wait_status).as_bytes()).unwrap();
        assert_eq!((event.at_boot_ns, event.process()), (7, Some((42, 5))));
        let Fact::ProcessExit(exit) = event.fact else {
            panic!()
        };
        assert_eq!(
            (exit.status, exit.signal),
            (status, signal),
            "{wait_status:#x}"
        );
        assert_eq!((exit.pid, exit.comm.as_str()), (42, "worker"));
        assert!(exit.peak_rss_bytes >= 2 * 4096);
    }
}

fn victim(known: u32) -> abi::OomVictim {
    abi::OomVictim {
        header: Header::of::<abi::OomVictim>(KIND_OOM_VICTIM),
        at_boot_ns: 1,
        started_boot_ns: 1,
        cgroup_id: 1,
        pid: 1,
        tid: 1,
        known,
        oom_score_adj: -500,
        comm: [0; 16],
        rss_pages: 3,
        killer: abi::TaskId::default(),
        scope_cgroup_id: 0,
        member: 0,
    }
}

fn kill(event: abi::OomVictim) -> hostmedic_model::signal::OomKill {
    match decode(event.as_bytes()).unwrap().fact {
        Fact::OomKill(kill) => kill,
        other => panic!("{other:?}"),
    }
}

#[test]
fn score_and_memory_are_told_only_where_they_were_read() {
    let bare = kill(victim(abi::KNOWN_IDENTITY));
    assert_eq!((bare.oom_score_adj, bare.rss_bytes), (None, None));
    assert_eq!(bare.scope, OomScope::Unknown);
    let full = kill(victim(abi::KNOWN_SCORE | abi::KNOWN_RSS));
    assert_eq!(full.oom_score_adj, Some(-500));
    assert!(full.rss_bytes.is_some_and(|bytes| bytes >= 3 * 4096));
}

#[test]
fn verdict_rests_on_the_second_witness() {
    use abi::{KNOWN_SCOPE, KNOWN_SIGKILL, SENT_SIGKILL};
    for (known, member, verdict) in [
        (0, 0, OomVerdict::Unconfirmed),
        (KNOWN_SIGKILL, 0, OomVerdict::AlreadyExiting),
        (KNOWN_SIGKILL | SENT_SIGKILL, 0, OomVerdict::Killed),
        (KNOWN_SIGKILL | SENT_SIGKILL, 1, OomVerdict::Killed),
        (
            KNOWN_SIGKILL | SENT_SIGKILL | KNOWN_SCOPE,
            1,
            OomVerdict::GroupMember,
        ),
    ] {
        let told = kill(abi::OomVictim {
            member,
            ..victim(known)
        });
        assert_eq!(told.verdict, verdict, "{known:#x} {member}");
    }
}

#[test]
fn scope_is_the_hosts_or_a_cgroups() {
    let told = kill(victim(abi::KNOWN_SCOPE));
    assert_eq!(told.scope, OomScope::Global);
    let told = kill(abi::OomVictim {
        scope_cgroup_id: 77,
        ..victim(abi::KNOWN_SCOPE)
    });
    assert!(matches!(told.scope, OomScope::Cgroup { cgroup_id: 77, .. }));
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
        Err(Undecodable::Size { said: 64, .. })
    ));
    assert!(matches!(
        decode(&good.as_bytes()[..48]),
        Err(Undecodable::Size { len: 48, .. })
    ));
}

#[test]
fn names_cannot_carry_terminal_codes() {
    assert_eq!(text(b"a\x1b[2J\xffb\0rest"), "a?[2J?b");
    assert_eq!(text(b"sixteen bytes ok"), "sixteen bytes ok");
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..320)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_right_header_and_any_body_end_in_an_answer(
        kind in 0_u32..15,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let size = u16::try_from(8 + body.len()).unwrap();
        let header = Header { kind, version: VERSION, size };
        let answer = decode(&[header.as_bytes(), &body].concat());
        let sizes = [0, 128, 56, 64, 104, 56, 80, 56, 40, 32, 80, 24, 80, 272, 0];
        prop_assert_eq!(answer.is_ok(), sizes[kind as usize] == size);
    }
}
