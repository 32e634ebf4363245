//! A cgroup that really runs out of memory is told of, and the limit that was hit is named.
//!
//! Needs root: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path};

use hostmedic_model::{
    signal::{Fact, MemoryEvent, OomScope},
    subject::Subject,
};
use hostmedic_observe::{
    host::{HostSignals, clock},
    subject::{Subjects, v2_root},
};
use hostmedic_tests::{host::MEMORY_V1, kernel::Cage};

const NAME: &str = "events";

/// Goal: victim's cgroup and limit's owner are told apart, and each count is its own cgroup's.
/// Method: a child in the inner of two cgroups, whose outer one has the limit, touches too much.
#[test]
fn a_kill_is_counted_where_it_was_and_the_limit_where_it_is() {
    let cage = Cage::new(NAME, 16 << 20);
    let is_v1 = Path::new(MEMORY_V1).exists();
    let owner = format!("/hostmedic-test-{}-{NAME}", std::process::id());
    if !is_v1 {
        // So that the inner cgroups are accounted for by themselves.
        let control = v2_root()
            .unwrap()
            .join(&owner[1..])
            .join("cgroup.subtree_control");
        fs::write(control, "+memory").unwrap();
    }
    let mut host = HostSignals::new(Subjects::new());
    let (first, problems) = host.poll(clock::now());
    let kills = first
        .iter()
        .filter(|signal| matches!(signal.fact, Fact::MemoryEvents(_)));
    assert_eq!(kills.count(), 0, "the first round is a baseline");

    let degraded = problems
        .iter()
        .any(|problem| problem.reason.contains("v1 tree"));
    assert_eq!(degraded, is_v1, "{problems:?}");
    // v1 has one cgroup, which has the limit and the victim.
    let victim = if is_v1 {
        owner.clone()
    } else {
        format!("{owner}/first")
    };
    assert_eq!(host.memory().scope_of(&victim), OomScope::Unknown);

    let status = cage.child(&cage.first, &["eat", "64"]).status().unwrap();
    assert_eq!(
        status.signal(),
        Some(9),
        "the kernel let it live: {status:?}"
    );

    let OomScope::Cgroup { cgroup_id, path } = host.memory().scope_of(&victim) else {
        panic!("nobody's limit");
    };
    assert_eq!(path, owner);
    assert_ne!(cgroup_id, 0);

    let (signals, _) = host.poll(clock::now());
    let count = |subject: &Subject, event: MemoryEvent| {
        let mut of = signals.iter().filter(|signal| signal.subject == *subject);
        of.find_map(|signal| match &signal.fact {
            Fact::MemoryEvents(rise) if rise.event == event => Some(rise.count),
            _ => None,
        })
    };
    let (victim, owner) = (Subject::Cgroup(victim), Subject::Cgroup(owner));
    assert_eq!(count(&victim, MemoryEvent::OomKill), Some(1), "{signals:?}");
    assert!(count(&owner, MemoryEvent::Max) >= Some(1), "{signals:?}");
    assert!(
        count(&Subject::Host, MemoryEvent::OomKill) >= Some(1),
        "{signals:?}"
    );
    if !is_v1 {
        assert!(count(&owner, MemoryEvent::Oom) >= Some(1), "{signals:?}");
        assert_eq!(count(&owner, MemoryEvent::OomKill), None, "{signals:?}");
        assert_eq!(count(&victim, MemoryEvent::Oom), None, "{signals:?}");
    }
}
