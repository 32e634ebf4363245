//! One cause, one page: full disks, dependencies, storms, returns, and the same again at a replay.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod certificates;
mod host;
mod lines;
mod links;
mod replay;

use host::*;
use hostmedic_model::{
    anomaly::Severity,
    decision::Verdict,
    incident::IncidentStatus,
    notice::Noticed,
    record::Body,
    sample::Measure,
    signal::{Fact, NetCounter, NetCounterKind},
    subject::Subject,
    time::Span,
    unit::{ActiveState, UnitState},
};

#[test]
fn ten_units_under_a_broken_mount_are_one_page_and_still_decided_on() {
    let mut host = Host::new();
    for n in 0..10 {
        host.starts(&format!("app{n}.service"));
    }
    host.pass(60);
    // Two fail before anybody knows why.
    host.fails("app0.service");
    host.fails("app1.service");
    host.pass(5);
    host.var_turns_read_only();
    for n in 2..10 {
        host.pass(3);
        host.fails(&format!("app{n}.service"));
    }
    host.pass(20);
    let pages = host.pages();
    assert_eq!(pages.len(), 1, "{pages:#?}");
    assert_eq!(pages[0].subject, Subject::Mount("/var".into()));
    assert_eq!(host.all().len(), 11);
    for n in 0..10 {
        let own = host.of(&about(&format!("app{n}.service")));
        assert_eq!(own[0].parent.as_ref(), Some(&pages[0].id), "{n}");
        let decided = host
            .bodies()
            .into_iter()
            .any(|body| matches!(body, Body::Decision(decision) if decision.incident == own[0].id));
        assert!(decided, "nobody decided on app{n}");
    }
    assert_eq!(
        parents(&host.recalled().incidents(true)),
        parents(&host.all())
    );
}

#[test]
fn a_full_disk_is_a_cause_and_a_half_full_one_is_not() {
    for (used, pages) in [(0.99, 1), (0.93, 2)] {
        let mut host = Host::new();
        host.starts("app.service");
        let var = Subject::Mount("/var".into());
        host.measures(var.clone(), Measure::JournalShareRatio, 0.9);
        host.measures(var, Measure::DiskUsedRatio, used);
        host.fails("app.service");
        assert_eq!(host.pages().len(), pages, "{used}");
    }
}

#[test]
fn a_kill_for_memory_is_not_the_disks_fault() {
    let mut host = Host::new();
    host.var_turns_read_only();
    host.oom("app.service");
    assert_eq!(host.pages().len(), 2);
}

#[test]
fn trouble_long_after_the_cause_is_its_own() {
    let mut host = Host::new();
    host.starts("app.service");
    host.var_turns_read_only();
    host.pass(200);
    host.fails("app.service");
    assert_eq!(host.of(&about("app.service"))[0].parent, None);
}

#[test]
fn a_dependent_goes_below_the_unit_it_rests_on() {
    let mut host = Host::new();
    host.starts("db.service");
    host.starts("front.service");
    host.pass(10);
    // The fresh look at the first failure shows what goes down with it.
    host.fails("db.service");
    host.pass(1);
    host.fails("front.service");
    let db = &host.of(&about("db.service"))[0];
    assert_eq!(db.parent, None);
    assert_eq!(
        host.of(&about("front.service"))[0].parent.as_ref(),
        Some(&db.id)
    );
}

#[test]
fn a_hundred_failing_units_are_a_storm_in_which_no_machine_acts() {
    let mut host = Host::new();
    let name = |n: u32| format!("app{n}.service");
    for n in 0..100 {
        host.starts(&name(n));
    }
    host.pass(60);
    let mut acts_before = 0;
    for n in 0..100 {
        host.fails(&name(n));
        if n == 10 {
            acts_before = host.acts;
        }
    }
    let pages = host.pages();
    assert_eq!(pages.len(), 1, "{}", pages.len());
    assert!(has_notice(&pages[0], Noticed::Storm));
    assert_eq!(host.all().len(), 101);
    assert!(pages[0].evidence.len() <= 64);
    host.pass(240);
    assert_eq!(host.acts, acts_before);
    let waits = host.bodies().into_iter().any(
        |body| matches!(body, Body::Decision(held) if held.verdict == Verdict::Hold && held.reason.starts_with("storm")),
    );
    assert!(waits);
    assert_eq!(
        parents(&host.recalled().incidents(true)),
        parents(&host.all())
    );
    host.pass(120);
    let storm = host.state.incident(&pages[0].id).unwrap();
    assert_eq!(storm.status, IncidentStatus::Closed);
}

#[test]
fn ten_at_once_are_no_storm() {
    let mut host = Host::new();
    for n in 0..10 {
        host.oom(&format!("app{n}.service"));
    }
    assert_eq!(host.pages().len(), 10);
    host.pass(121);
    host.oom("app10.service");
    assert_eq!(host.pages().len(), 11);
}

#[test]
fn the_same_kill_within_two_minutes_is_the_same_incident() {
    let mut host = Host::new();
    host.oom("app.service");
    host.pass(60);
    host.oom("app.service");
    assert_eq!(host.all().len(), 1);
    assert!(!has_notice(&host.all()[0], Noticed::OomAgain));
}

#[test]
fn what_comes_back_soon_is_opened_again_and_closes_later() {
    let mut host = Host::new();
    host.starts("app.service");
    host.oom("app.service");
    host.pass(150);
    assert_eq!(host.all()[0].status, IncidentStatus::Closed);
    host.oom("app.service");
    let all = host.all();
    assert_eq!(all.len(), 1);
    assert!(!all[0].status.is_over() && all[0].closed_at.is_none());
    assert!(has_notice(&all[0], Noticed::OomAgain));
    host.pass(150);
    assert!(!host.all()[0].status.is_over());
    host.pass(120);
    assert_eq!(host.all()[0].status, IncidentStatus::Closed);
}

#[test]
fn recurrence_and_the_same_elsewhere_are_counted() {
    let mut host = Host::new();
    host.starts("a.service");
    host.starts("b.service");
    host.oom("a.service");
    host.pass(600);
    host.oom("a.service");
    host.oom("b.service");
    let again = &host.of(&about("a.service"))[0];
    assert_eq!(again.recurrences_30d, 1);
    assert_eq!(again.similar, None);
    let elsewhere = host.of(&about("b.service"))[0].similar.clone().unwrap();
    assert_eq!((elsewhere.count, &elsewhere.last), (2, &again.id));
}

#[test]
fn a_crash_loop_raises_how_much_it_matters() {
    let mut host = Host::new();
    for n in 0..4 {
        host.pass(10);
        let crashed = UnitState {
            sub: "auto-restart".into(),
            ..state_of(ActiveState::Activating, "exit-code", n)
        };
        host.unit("app.service", crashed);
        host.unit(
            "app.service",
            state_of(ActiveState::Active, "success", n + 1),
        );
    }
    let all = host.all();
    assert_eq!(all.len(), 1);
    assert!(has_notice(&all[0], Noticed::CrashLoop), "{:#?}", all[0]);
    assert_eq!(all[0].severity, Severity::Critical);
}

#[test]
fn a_host_that_always_drops_is_quiet_and_lets_other_incidents_close() {
    let mut host = Host::new();
    let drops = |host: &mut Host| {
        let fact = Fact::NetCounter(NetCounter {
            counter: NetCounterKind::ListenDrop,
            count: 30,
        });
        host.tell(Subject::Host, fact);
    };
    for second in 0..7200 {
        host.pass(1);
        if second % 10 == 0 {
            drops(&mut host);
        }
        if second == 4000 {
            host.now.wall_ms += 3_600_000;
        }
    }
    let all = host.all();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert!(has_notice(&all[0], Noticed::ClockStep));
    assert_eq!(all[0].status, IncidentStatus::Closed);
}

#[test]
fn numbers_that_stop_open_an_incident_unless_the_host_slept() {
    for (sleeps, expected) in [(true, 0), (false, 1)] {
        let mut host = Host::new();
        for _ in 0..60 {
            host.pass(10);
            host.measures(Subject::Host, Measure::LoadPerCpu, 0.5);
        }
        if sleeps {
            host.now = host.now.plus(Span::minutes(60).0);
            host.pass(60);
        } else {
            host.pass(3600);
        }
        let all = host.all();
        assert_eq!(all.len(), expected, "{all:#?}");
    }
}

/// Goal: an incident lasts as long as its trouble: a load that goes on is not over because it is no news.
#[test]
fn a_number_that_stays_off_keeps_its_incident_open() {
    let mut host = Host::new();
    let measure = |host: &mut Host, samples: u32, value: f64| {
        for _ in 0..samples {
            host.pass(30);
            host.measures(Subject::Host, Measure::CpuBusyRatio, value);
        }
    };
    measure(&mut host, 40, 0.05);
    assert!(host.all().is_empty());
    measure(&mut host, 40, 0.95);
    let open = host.of(&Subject::Host);
    assert_eq!(open.len(), 1, "{open:#?}");
    assert!(!open[0].status.is_over());
    measure(&mut host, 20, 0.05);
    assert!(host.of(&Subject::Host)[0].status.is_over());
}
