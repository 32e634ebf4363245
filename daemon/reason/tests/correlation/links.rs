//! A link that flaps is one incident that lasts as long as it flaps; a link that went is none.

use hostmedic_model::{
    anomaly::Severity,
    incident::Evidence,
    notice::Noticed,
    signal::{Fact, LinkChanges},
    subject::Subject,
};

use crate::host::*;

fn eth0() -> Subject {
    Subject::Interface("eth0".into())
}

fn changes(host: &mut Host, down: u64, up: u64) {
    host.tell(eth0(), Fact::LinkChanges(LinkChanges { down, up }));
}

#[test]
fn a_pulled_cable_and_a_switch_that_restarts_are_no_incident() {
    let mut host = Host::new();
    changes(&mut host, 1, 0);
    host.pass(120);
    changes(&mut host, 0, 1);
    host.pass(3600);
    for _ in 0..3 {
        changes(&mut host, 1, 1);
        host.pass(60);
    }
    assert_eq!(host.all(), []);
}

#[test]
fn a_flapping_link_is_told_once_for_each_bout_and_closes_when_it_is_calm() {
    let mut host = Host::new();
    for bout in 0..2 {
        for _ in 0..60 {
            changes(&mut host, 1, 1);
            host.pass(30);
        }
        let all = host.of(&eth0());
        assert_eq!(all.len(), bout + 1, "{all:#?}");
        let open: Vec<_> = all.iter().filter(|one| !one.status.is_over()).collect();
        assert_eq!(open.len(), 1, "{all:#?}");
        assert_eq!(open[0].severity, Severity::Warning);
        assert_eq!(open[0].title, Noticed::LinkFlap.title());
        let notices = open[0]
            .evidence
            .iter()
            .filter_map(|evidence| match evidence {
                Evidence::Notice(notice) => Some((notice.noticed, notice.observed)),
                _ => None,
            });
        assert_eq!(notices.collect::<Vec<_>>(), [(Noticed::LinkFlap, 4.0)]);
        host.pass(3600);
        assert!(host.of(&eth0()).iter().all(|one| one.status.is_over()));
    }
}

#[test]
fn a_sleeping_host_flaps_no_link() {
    let mut host = Host::new();
    for _ in 0..6 {
        changes(&mut host, 1, 1);
        host.pass(100);
        host.now = host.now.plus(std::time::Duration::from_secs(36_000));
    }
    assert_eq!(host.of(&eth0()), []);
}
