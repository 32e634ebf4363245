//! A host whose every question is answered at once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    anomaly::Severity,
    calendar::{Calendar, CalendarReading},
    incident::{Evidence, Incident, IncidentId},
    notice::Noticed,
    playbook::Phase,
    record::{Body, Record},
    sample::{Measure, Sample, Series},
    signal::{Fact, MountReadOnly, OomKill, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::{pipeline::State, playbook, policy::Policy};

pub(crate) const START: At = At {
    boot_ns: 1_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

/// A host whose every question is answered at once; acts are only counted.
pub(crate) struct Host {
    pub(crate) state: State,
    pub(crate) now: At,
    pub(crate) newest: std::collections::BTreeMap<UnitName, UnitState>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) acts: usize,
}

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

pub(crate) fn about(name: &str) -> Subject {
    Subject::Unit(unit(name))
}

pub(crate) fn state_of(active: ActiveState, result: &str, n_restarts: u32) -> UnitState {
    UnitState {
        active,
        sub: String::new(),
        result: result.into(),
        invocation_id: Some("1".into()),
        n_restarts,
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        let text = include_str!("../../../../playbooks/unit-failed-restart.yaml");
        let disk = include_str!("../../../../playbooks/disk-full-journal.yaml");
        let playbooks = vec![
            playbook::parse("unit-failed-restart.yaml", text).unwrap(),
            playbook::parse("disk-full-journal.yaml", disk).unwrap(),
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

    pub(crate) fn tell(&mut self, subject: Subject, fact: Fact) {
        let at = self.now;
        self.apply(Wake::Signal(Signal { at, subject, fact }));
    }

    pub(crate) fn unit(&mut self, name: &str, state: UnitState) {
        self.newest.insert(unit(name), state.clone());
        self.tell(about(name), Fact::UnitState(state));
    }

    pub(crate) fn starts(&mut self, name: &str) {
        self.unit(name, state_of(ActiveState::Active, "success", 0));
    }

    pub(crate) fn fails(&mut self, name: &str) {
        self.unit(name, state_of(ActiveState::Failed, "exit-code", 0));
    }

    pub(crate) fn measures(&mut self, subject: Subject, measure: Measure, value: f64) {
        let sample = Sample {
            at: self.now,
            series: Series { subject, measure },
            value,
        };
        self.apply(Wake::Samples(vec![sample]));
    }

    pub(crate) fn var_turns_read_only(&mut self) {
        let fact = Fact::MountReadOnly(MountReadOnly {
            device: hostmedic_model::signal::Device::default(),
            filesystem: "ext4".into(),
            whole: true,
        });
        self.tell(Subject::Mount("/var".into()), fact);
    }

    pub(crate) fn oom(&mut self, name: &str) {
        self.tell(about(name), Fact::OomKill(OomKill::default()));
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.plus(Span::secs(1).0);
            self.apply(Wake::Tick);
        }
    }

    pub(crate) fn apply(&mut self, wake: Wake) {
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

    pub(crate) fn inspection(&self, unit: UnitName) -> Inspection {
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
                resources: Resources::default(),
                vitals: Vitals::default(),
            }),
            calendar: CalendarReading::Readable(Calendar {
                at: self.now,
                ..Calendar::default()
            }),
            also_down: Vec::new(),
        }
    }

    pub(crate) fn all(&self) -> Vec<Incident> {
        self.state.incidents(true)
    }

    pub(crate) fn of(&self, subject: &Subject) -> Vec<Incident> {
        let mut all = self.all();
        all.retain(|incident| incident.subject == *subject);
        all
    }

    pub(crate) fn pages(&self) -> Vec<Incident> {
        let mut all = self.all();
        all.retain(|incident| incident.parent.is_none());
        all
    }

    pub(crate) fn bodies(&self) -> Vec<Body> {
        let bodies = self.effects.iter().filter_map(|effect| match effect {
            Effect::Record(body) => Some(body.clone()),
            _ => None,
        });
        bodies.collect()
    }

    /// What another daemon would know after reading this one's chain.
    pub(crate) fn recalled(&self) -> State {
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

pub(crate) fn parents(incidents: &[Incident]) -> Vec<(IncidentId, Option<IncidentId>, Severity)> {
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

pub(crate) fn has_notice(incident: &Incident, what: Noticed) -> bool {
    incident
        .evidence
        .iter()
        .any(|piece| matches!(piece, Evidence::Notice(notice) if notice.noticed == what))
}
