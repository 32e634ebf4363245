//! New kinds of log lines: an incident of their own, and the last words in that of a failure.

use hostmedic_model::{
    incident::Evidence,
    notice::Noticed,
    record::Body,
    signal::{Fact, LogLines, LogPriority},
};

use crate::host::{Host, about, has_notice};

fn writes(host: &mut Host, name: &str, id: u64, count: u64, priority: LogPriority) {
    let fact = Fact::LogLines(LogLines {
        template: format!("kind {id} broke"),
        id,
        count,
        priority,
        left_out: 0,
    });
    host.tell(about(name), fact);
}

fn words(host: &Host, name: &str) -> Vec<String> {
    let evidence = host
        .of(&about(name))
        .into_iter()
        .flat_map(|incident| incident.evidence);
    evidence
        .filter_map(|evidence| match evidence {
            Evidence::Signal(signal) => match signal.fact {
                Fact::LogLines(lines) => Some(lines.template),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

#[test]
fn a_new_kind_of_line_is_one_incident_with_its_words() {
    let mut host = Host::new();
    host.starts("web.service");
    for _ in 0..200 {
        writes(&mut host, "web.service", 1, 30, LogPriority::Error);
        host.pass(10);
    }
    assert!(host.all().is_empty(), "what it always wrote is its habit");
    for _ in 0..10 {
        writes(&mut host, "web.service", 1, 30, LogPriority::Error);
        writes(&mut host, "web.service", 2, 4, LogPriority::Error);
        host.pass(5);
    }
    let of_web = host.of(&about("web.service"));
    assert_eq!(of_web.len(), 1);
    assert!(has_notice(&of_web[0], Noticed::NewLogLines));
    assert_eq!(words(&host, "web.service"), ["kind 2 broke"]);
    let notices = host.bodies().into_iter().filter(|body| {
        matches!(body, Body::IncidentOpened(incident) if has_notice(incident, Noticed::NewLogLines))
            || matches!(
                body,
                Body::IncidentExtended {
                    evidence: Evidence::Notice(_),
                    ..
                }
            )
    });
    assert_eq!(notices.count(), 1, "it is told once");
    // What goes on is a habit in the end, and does not keep the incident open for ever.
    for _ in 0..200 {
        writes(&mut host, "web.service", 2, 4, LogPriority::Error);
        host.pass(10);
    }
    assert!(host.of(&about("web.service"))[0].status.is_over());
}

#[test]
fn the_last_words_of_a_unit_join_its_failure() {
    let mut host = Host::new();
    host.starts("web.service");
    host.pass(60);
    writes(&mut host, "web.service", 1, 1, LogPriority::Error);
    host.fails("web.service");
    host.pass(4);
    writes(&mut host, "web.service", 2, 1, LogPriority::Warning);
    writes(&mut host, "web.service", 3, 1, LogPriority::Error);
    writes(&mut host, "web.service", 3, 2, LogPriority::Error);
    host.pass(60);
    writes(&mut host, "web.service", 4, 1, LogPriority::Error);
    // Neither warnings, nor what comes long after; and one kind once.
    assert_eq!(words(&host, "web.service"), ["kind 3 broke"]);
}
