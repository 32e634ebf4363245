//! A host with one unit that can be capped: it answers truly and at once, others may change it, and
//! the daemon on it can die between any two effects.

use std::collections::BTreeMap;

use hostmedic_model::{
    calendar::{Activity, Calendar, CalendarReading, Purpose},
    command::{Command, Operator},
    incident::IncidentStatus,
    intent::Intent,
    outcome::{Outcome, StepEnd, StepResult},
    playbook::Phase,
    property::{Property, Setting},
    record::{Body, Captured, Record},
    sample::{Measure, Sample, Series},
    signal::{Fact, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::{pipeline::State, playbook, policy::Policy};

const START: At = At {
    boot_ns: 1_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

/// How systemd answers one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It does what was asked.
    Done,
    /// It says no.
    Refused,
    /// It does it, and nobody hears.
    DoneUnheard,
    /// It does not, and nobody hears.
    LostUnheard,
}

pub(crate) struct Host {
    pub(crate) state: State,
    pub(crate) disk: Vec<Record>,
    pub(crate) acts: Vec<Intent>,
    pub(crate) set: BTreeMap<Property, Setting>,
    pub(crate) phase: Phase,
    pub(crate) backup: bool,
    /// Share of the host's memory in use: what the verification looks at.
    pub(crate) memory_used: f64,
    /// How systemd answers, call by call; then [`Answer::Done`].
    pub(crate) answers: Vec<Answer>,
    /// Whether an operator says stop while the first call is under way.
    pub(crate) pauses_after_call: bool,
    /// Effects until the daemon dies.
    pub(crate) dies_after: Option<usize>,
    /// Effects until the disk refuses records, and how many it refuses.
    pub(crate) disk_refuses: Option<(usize, u32)>,
    /// Effects carried out so far.
    pub(crate) carried_out: usize,
    /// Whether anything was done while an operator had said stop.
    pub(crate) disobeyed: bool,
    pub(crate) library: &'static str,
    /// How often the daemon was started.
    lives: u32,
    now: At,
    unit: UnitState,
}

pub(crate) const CAP: &str = include_str!("cap.yaml");

pub(crate) fn web() -> UnitName {
    UnitName::new("web.service").unwrap()
}

fn unit_state(active: ActiveState, sub: &str, result: &str) -> UnitState {
    UnitState {
        active,
        sub: sub.into(),
        result: result.into(),
        invocation_id: Some("1".into()),
        n_restarts: 0,
    }
}

impl Host {
    /// A host in the autonomous phase whose memory is nearly all in use.
    pub(crate) fn new(library: &'static str) -> Self {
        let mut host = Self {
            state: State::new(
                "host".into(),
                BootId("b".into()),
                Policy::default(),
                Vec::new(),
            ),
            disk: Vec::new(),
            acts: Vec::new(),
            set: BTreeMap::from([
                (Property::CpuWeight, Setting::NONE),
                (Property::TasksMax, Setting(4915)),
            ]),
            phase: Phase::Autonomous,
            backup: false,
            memory_used: 0.9,
            answers: Vec::new(),
            pauses_after_call: false,
            dies_after: None,
            disk_refuses: None,
            carried_out: 0,
            disobeyed: false,
            library,
            lives: 0,
            now: START,
            unit: unit_state(ActiveState::Active, "running", "success"),
        };
        host.start();
        host.tell();
        host.pass(10);
        host
    }

    /// Starts the daemon, with what the disk says.
    pub(crate) fn start(&mut self) {
        self.lives += 1;
        let mut playbooks = Vec::new();
        if !self.library.is_empty() {
            playbooks.push(playbook::parse("cap.yaml", self.library).unwrap());
        }
        let policy = Policy {
            phase: self.phase,
            ..Policy::default()
        };
        self.state = State::new("host".into(), BootId("b".into()), policy, playbooks);
        self.state.recall(&self.disk, self.now);
        let effects = self.state.begin();
        self.carry_out(effects);
    }

    /// The unit crashes, and systemd starts it again.
    pub(crate) fn crash_unit(&mut self) {
        self.unit = unit_state(ActiveState::Activating, "auto-restart", "signal");
        self.tell();
        self.unit = unit_state(ActiveState::Active, "running", "success");
        self.tell();
    }

    fn tell(&mut self) {
        self.apply(Wake::Signal(Signal {
            at: self.now,
            subject: Subject::Unit(web()),
            fact: Fact::UnitState(self.unit.clone()),
        }));
    }

    /// Lets so many seconds pass, second by second.
    pub(crate) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.plus(Span::secs(1).0);
            let series = Series {
                subject: Subject::Host,
                measure: Measure::MemoryUsedRatio,
            };
            self.apply(Wake::Samples(vec![Sample {
                at: self.now,
                series,
                value: self.memory_used,
            }]));
            self.apply(Wake::Tick);
        }
    }

    pub(crate) fn ask(&mut self, command: Command) {
        self.apply(Wake::Command {
            request: 1,
            by: Operator {
                uid: 1000,
                name: "ann".into(),
            },
            command,
        });
    }

    pub(crate) fn pause(&mut self) {
        self.ask(Command::Pause {
            reason: "hands off".into(),
        });
    }

    fn apply(&mut self, wake: Wake) {
        let effects = self.state.apply(self.now, wake);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let life = self.lives;
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            if self.lives != life {
                // It died while an answer was taken in.
                return;
            }
            if self.dies_after == Some(self.carried_out) {
                // What was not carried out is gone, and so is all memory.
                self.dies_after = None;
                self.start();
                self.tell();
                return;
            }
            self.carried_out += 1;
            match effect {
                Effect::Record(body) => {
                    if self.disk_says_no() {
                        let rest = effects.filter_map(|effect| match effect {
                            Effect::Record(body) => Some(body),
                            _ => None,
                        });
                        let bodies = std::iter::once(body).chain(rest).collect();
                        let reason = "no space".to_owned();
                        self.apply(Wake::RecordFailed { bodies, reason });
                        return;
                    }
                    self.append(body);
                }
                Effect::Inspect { incident, .. } => {
                    let inspection = self.inspection();
                    self.apply(Wake::Inspected {
                        incident,
                        inspection,
                    });
                }
                Effect::Capture {
                    incident, intent, ..
                } => self.apply(Wake::Captured(Captured {
                    incident,
                    intent,
                    at: self.now,
                    journal: Vec::new(),
                    cgroup: BTreeMap::new(),
                    parts: Vec::new(),
                    missing: Vec::new(),
                })),
                Effect::Act(intent) => self.act(intent),
                Effect::SetHookMode { .. }
                | Effect::Embed { .. }
                | Effect::Advise { .. }
                | Effect::Reply { .. } => {}
            }
        }
    }

    fn disk_says_no(&mut self) -> bool {
        match &mut self.disk_refuses {
            Some((after, left)) if self.carried_out > *after => {
                *left -= 1;
                if *left == 0 {
                    self.disk_refuses = None;
                }
                true
            }
            _ => false,
        }
    }

    fn append(&mut self, body: Body) {
        self.disk.push(Record {
            version: 1,
            seq: self.disk.len() as u64 + 1,
            host: "host".into(),
            boot: BootId("b".into()),
            at: self.now,
            prev: String::new(),
            body,
        });
        self.apply(Wake::RecordsWritten);
    }

    fn act(&mut self, intent: Intent) {
        self.disobeyed |= self.state.paused().is_some();
        let answer = if self.answers.is_empty() {
            Answer::Done
        } else {
            self.answers.remove(0)
        };
        if let (Some(change), Answer::Done | Answer::DoneUnheard) = (intent.change, answer) {
            let found = self.set.insert(change.property, change.to);
            assert_eq!(
                found,
                Some(change.from),
                "{} would overwrite what somebody else set",
                intent.says()
            );
        }
        let id = intent.id.clone();
        self.acts.push(intent);
        if std::mem::take(&mut self.pauses_after_call) {
            self.pause();
        }
        let result = match answer {
            Answer::Done => StepResult::Job {
                result: "done".into(),
                path: String::new(),
            },
            Answer::Refused => StepResult::Refused {
                reason: "polkit says no".into(),
            },
            Answer::DoneUnheard | Answer::LostUnheard => StepResult::Unknown {
                reason: "the bus was lost".into(),
            },
        };
        // A look after the call is later than the call.
        self.now = self.now.plus(std::time::Duration::from_millis(1));
        let after = self.inspection().unit.ok();
        self.apply(Wake::StepEnded(StepEnd {
            at: self.now,
            intent: id,
            result,
            after,
        }));
    }

    fn inspection(&mut self) -> Inspection {
        self.now = self.now.plus(std::time::Duration::from_millis(1));
        let running = self.backup.then(|| Activity {
            name: "db-backup.service".into(),
            began_by: "db-backup.timer".into(),
            purpose: Purpose::Backup,
            pid: None,
            related: Vec::new(),
        });
        Inspection {
            unit: Ok(UnitSnapshot {
                at: self.now,
                unit: web(),
                load_state: "loaded".into(),
                state: self.unit.clone(),
                slice: Some(UnitName::new("system.slice").unwrap()),
                restart_policy: "on-failure".into(),
                start_limit_burst: 5,
                start_limit_interval: Span::secs(10),
                pending_job: None,
                refuse_manual_start: false,
                refuse_manual_stop: false,
                stop_closure: Vec::new(),
                control_group: String::new(),
                memory_current_bytes: None,
                main_pid: 7,
                exec_main_code: 0,
                exec_main_status: 0,
                vitals: Vitals::default(),
                resources: Resources {
                    set: self.set.clone(),
                    tasks_current: Some(100),
                    swap_current_bytes: None,
                },
            }),
            calendar: CalendarReading::Readable(Calendar {
                at: self.now,
                running: running.into_iter().collect(),
                ..Calendar::default()
            }),
            also_down: Vec::new(),
        }
    }

    /// Where the only incident stands.
    pub(crate) fn status(&self) -> IncidentStatus {
        let incidents = self.state.incidents(true);
        assert_eq!(incidents.len(), 1, "{incidents:#?}");
        incidents[0].status
    }

    /// Whether an incident was handed to people.
    pub(crate) fn is_handed_over(&self) -> bool {
        let escalated = IncidentStatus::Escalated;
        self.disk.iter().any(|record| {
            matches!(&record.body, Body::IncidentClosed { status, .. } if *status == escalated)
        })
    }

    /// What people were told when it was handed to them, or when it was over without them.
    pub(crate) fn told(&self) -> String {
        let mut told = self.disk.iter().filter_map(|record| match &record.body {
            Body::IncidentClosed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        told.next().unwrap_or_default()
    }

    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let outcomes = self.disk.iter().filter_map(|record| match &record.body {
            Body::Outcome(outcome) => Some(outcome.clone()),
            _ => None,
        });
        outcomes.collect()
    }

    /// Names of the calls, in their order, without the incident's.
    pub(crate) fn calls(&self) -> Vec<String> {
        let short = |intent: &Intent| intent.id.0.split_once('/').unwrap().1.to_owned();
        self.acts.iter().map(short).collect()
    }
}
