//! One cause, one page: full disks, dependencies, storms, returns, and the same again at a replay.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    anomaly::Severity,
    calendar::{Calendar, CalendarReading},
    decision::Verdict,
    incident::{Evidence, Incident, IncidentId, IncidentStatus},
    notice::Noticed,
    playbook::Phase,
    record::{Body, Record},
    sample::{Measure, Sample, Series},
    signal::{Fact, MountReadOnly, NetCounter, NetCounterKind, OomKill, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, UnitSnapshot, UnitState},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::{pipeline::State, playbook, policy::Policy};
use proptest::prelude::*;

const START: At = At {
    boot_ns: 1_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

/// A host whose every question is answered at once; acts are only counted.
struct Host {
    state: State,
    now: At,
    newest: std::collections::BTreeMap<UnitName, UnitState>,
    effects: Vec<Effect>,
    acts: usize,
}

fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

fn about(name: &str) -> Subject {
    Subject::Unit(unit(name))
}

fn state_of(active: ActiveState, result: &str, n_restarts: u32) -> UnitState {
    UnitState {
        active,
        sub: String::new(),
        result: result.into(),
        invocation_id: Some("1".into()),
        n_restarts,
    }
}

impl Host {
    fn new() -> Self {
        let text = include_str!("../../../playbooks/unit-failed-no-restart.yaml");
        let disk = include_str!("../../../playbooks/disk-filling-journal.yaml");
        let playbooks = vec![
            playbook::parse("unit-failed-no-restart.yaml", text).unwrap(),
            playbook::parse("disk-filling-journal.yaml", disk).unwrap(),
        ];
        let policy = Policy {
            phase: Phase::Autonomous,
            ..Policy::default()
        };
        let boot = BootId("boot".into());
        let mut state = State::new("host".into(), boot, policy, playbooks);
        state.recall(std::iter::empty::<Record>(), START);
        let mut host = Self {
            state,
            now: START,
            newest: std::collections::BTreeMap::new(),
            effects: Vec::new(),
            acts: 0,
        };
        host.pass(20);
        host
    }

    fn tell(&mut self, subject: Subject, fact: Fact) {
        let at = self.now;
        self.apply(Wake::Signal(Signal { at, subject, fact }));
    }

    fn unit(&mut self, name: &str, state: UnitState) {
        self.newest.insert(unit(name), state.clone());
        self.tell(about(name), Fact::UnitState(state));
    }

    fn starts(&mut self, name: &str) {
        self.unit(name, state_of(ActiveState::Active, "success", 0));
    }

    fn fails(&mut self, name: &str) {
        self.unit(name, state_of(ActiveState::Failed, "exit-code", 0));
    }

    fn measures(&mut self, subject: Subject, measure: Measure, value: f64) {
        let sample = Sample {
            at: self.now,
            series: Series { subject, measure },
            value,
        };
        self.apply(Wake::Samples(vec![sample]));
    }

    fn var_turns_read_only(&mut self) {
        let fact = Fact::MountReadOnly(MountReadOnly {
            device: hostmedic_model::signal::Device::default(),
            filesystem: "ext4".into(),
            whole: true,
        });
        self.tell(Subject::Mount("/var".into()), fact);
    }

    fn oom(&mut self, name: &str) {
        self.tell(about(name), Fact::OomKill(OomKill::default()));
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.plus(Span::secs(1).0);
            self.apply(Wake::Tick);
        }
    }

    fn apply(&mut self, wake: Wake) {
        for effect in self.state.apply(self.now, wake) {
            self.effects.push(effect.clone());
            match effect {
                Effect::Inspect { incident, unit, .. } => {
                    let inspection = self.inspection(unit);
                    self.apply(Wake::Inspected {
                        incident,
                        inspection,
                    });
                }
                Effect::Capture { .. } | Effect::Act(_) => self.acts += 1,
                _ => {}
            }
        }
    }

    fn inspection(&self, unit: UnitName) -> Inspection {
        let state = self.newest.get(&unit).cloned();
        Inspection {
            unit: Ok(UnitSnapshot {
                at: self.now,
                state: state.unwrap_or_else(|| state_of(ActiveState::Inactive, "success", 0)),
                unit,
                load_state: "loaded".into(),
                slice: UnitName::new("system.slice").ok(),
                restart_policy: "no".into(),
                start_limit_burst: 5,
                start_limit_interval: Span::secs(10),
                pending_job: None,
                refuse_manual_start: false,
                refuse_manual_stop: false,
                stop_closure: vec![UnitName::new("front.service").unwrap()],
                control_group: String::new(),
                memory_current_bytes: None,
                main_pid: 0,
                exec_main_code: 0,
                exec_main_status: 0,
            }),
            calendar: CalendarReading::Readable(Calendar {
                at: self.now,
                ..Calendar::default()
            }),
            also_down: Vec::new(),
        }
    }

    fn all(&self) -> Vec<Incident> {
        self.state.incidents(true)
    }

    fn of(&self, subject: &Subject) -> Vec<Incident> {
        let mut all = self.all();
        all.retain(|incident| incident.subject == *subject);
        all
    }

    fn pages(&self) -> Vec<Incident> {
        let mut all = self.all();
        all.retain(|incident| incident.parent.is_none());
        all
    }

    fn bodies(&self) -> Vec<Body> {
        let bodies = self.effects.iter().filter_map(|effect| match effect {
            Effect::Record(body) => Some(body.clone()),
            _ => None,
        });
        bodies.collect()
    }

    /// What another daemon would know after reading this one's chain.
    fn recalled(&self) -> State {
        let boot = BootId("boot".into());
        let mut state = State::new("host".into(), boot.clone(), Policy::default(), Vec::new());
        let records = (1..).zip(self.bodies()).map(|(seq, body)| Record {
            version: 1,
            seq,
            prev: String::new(),
            at: self.now,
            boot: boot.clone(),
            host: "host".into(),
            body,
        });
        state.recall(records.collect::<Vec<_>>(), self.now);
        state
    }
}

fn parents(incidents: &[Incident]) -> Vec<(IncidentId, Option<IncidentId>, Severity)> {
    incidents
        .iter()
        .map(|incident| {
            (
                incident.id.clone(),
                incident.parent.clone(),
                incident.severity,
            )
        })
        .collect()
}

fn has_notice(incident: &Incident, what: Noticed) -> bool {
    incident
        .evidence
        .iter()
        .any(|piece| matches!(piece, Evidence::Notice(notice) if notice.noticed == what))
}

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

/// What can happen, to any of a few units and mounts.
#[derive(Clone, Debug)]
enum Event {
    Starts(u8),
    Fails(u8),
    Oom(u8),
    ReadOnly,
    Drops(u16),
    Load(u8),
    Pass(u16),
    ClockSet(i32),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0_u8..30).prop_map(Event::Starts),
        (0_u8..30).prop_map(Event::Fails),
        (0_u8..30).prop_map(Event::Oom),
        Just(Event::ReadOnly),
        (0_u16..5000).prop_map(Event::Drops),
        (0_u8..100).prop_map(Event::Load),
        (1_u16..200).prop_map(Event::Pass),
        (-100_000_i32..100_000).prop_map(Event::ClockSet),
    ];
    prop::collection::vec(event, 1..120)
}

fn play(events: &[Event]) -> Host {
    let mut host = Host::new();
    for event in events {
        let name = |n: &u8| format!("app{n}.service");
        match event {
            Event::Starts(n) => host.starts(&name(n)),
            Event::Fails(n) => host.fails(&name(n)),
            Event::Oom(n) => host.oom(&name(n)),
            Event::ReadOnly => host.var_turns_read_only(),
            Event::Drops(count) => {
                let fact = Fact::NetCounter(NetCounter {
                    counter: NetCounterKind::ListenDrop,
                    count: u64::from(*count),
                });
                host.tell(Subject::Host, fact);
            }
            Event::Load(load) => {
                host.measures(Subject::Host, Measure::LoadPerCpu, f64::from(*load));
            }
            Event::Pass(seconds) => host.pass(u64::from(*seconds)),
            Event::ClockSet(ms) => host.now.wall_ms += i64::from(*ms),
        }
    }
    host
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Goal: the same wakes give the same effects, so the same incidents under the same names.
    #[test]
    fn a_replay_gives_the_same_effects(events in events()) {
        let (first, second) = (play(&events), play(&events));
        prop_assert_eq!(first.effects, second.effects);
    }

    /// Goal: parents make a tree, a subject has one open incident (and the host a storm's beside
    /// it), and a restart of the daemon forgets none of it.
    #[test]
    fn incidents_stay_a_tree_that_outlives_a_restart(events in events()) {
        let host = play(&events);
        let all = host.all();
        for incident in &all {
            prop_assert!(incident.evidence.len() <= 64);
            let mut above = incident.parent.as_ref();
            let mut steps = 0;
            while let Some(parent) = above {
                steps += 1;
                prop_assert!(steps <= 4, "{} is too deep", incident.id);
                above = host.state.incident(parent).and_then(|parent| parent.parent.as_ref());
            }
            let open = |other: &&Incident| {
                other.subject == incident.subject && !other.status.is_over()
            };
            prop_assert!(all.iter().filter(open).count() <= 2);
        }
        prop_assert_eq!(parents(&host.recalled().incidents(true)), parents(&all));
    }
}
