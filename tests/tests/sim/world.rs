//! The simulated host: units that die, a disk, a bus and clocks that fail on purpose.
//!
//! Fault model. Disk: an append fails whole, nothing of it is kept. Bus: a unit or the calendar cannot
//! be read; a job fails, or its end is never told. Answers: lost, or late by several steps. Daemon: dies
//! between any two effects and starts again from the disk. Host: reboots. Clock: jumps by up to two days.

use crate::{
    cast::{UNITS, playbooks, running, subject},
    chance::{Faults, Random},
};
use hostmedic_model::{
    calendar::{Activity, Calendar, CalendarReading, Purpose},
    command::{Command, Operator},
    incident::IncidentStatus,
    intent::Intent,
    outcome::{StepEnd, StepResult},
    playbook::Phase,
    record::{Body, Captured, Record},
    signal::{Fact, OomKill, Signal},
    subject::UnitName,
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::{pipeline::State, policy::Policy};
use std::collections::{BTreeMap, VecDeque};

/// One call that reached the simulated systemd.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) intent: Intent,
    /// True time since the simulation began, in seconds: no clock fault touches it.
    pub(crate) true_s: u64,
    /// Records on disk when it was carried out.
    pub(crate) disk_len: usize,
    pub(crate) paused: bool,
}

struct Unit {
    state: UnitState,
    slice: &'static str,
}

pub(crate) struct SimWorld {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) disk: Vec<Record>,
    pub(crate) acts: Vec<Act>,
    pub(crate) phase: Phase,
    pub(crate) disk_faults: u64,
    pub(crate) crashes: u64,
    /// What operators were told is in force.
    pub(crate) paused: bool,
    state: State,
    units: BTreeMap<&'static str, Unit>,
    answers: VecDeque<(u32, Wake)>,
    step: u32,
    true_ns: u64,
    boot_began_ns: u64,
    wall_offset_ms: i64,
    boots: u32,
    backup: bool,
    invocations: u64,
    requests: u64,
    calm: bool,
}

impl SimWorld {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let phase = [
            Phase::Autonomous,
            Phase::Autonomous,
            Phase::Assist,
            Phase::Observe,
        ][usize::try_from(random.below(4)).unwrap()];
        let units = UNITS
            .iter()
            .map(|(name, slice)| {
                (
                    *name,
                    Unit {
                        state: running("0"),
                        slice,
                    },
                )
            })
            .collect();
        let mut world = Self {
            random,
            faults,
            disk: Vec::new(),
            acts: Vec::new(),
            phase,
            disk_faults: 0,
            crashes: 0,
            paused: false,
            state: State::new(
                String::new(),
                BootId::default(),
                Policy::default(),
                Vec::new(),
            ),
            units,
            answers: VecDeque::new(),
            step: 0,
            true_ns: 0,
            boot_began_ns: 0,
            wall_offset_ms: 1_790_000_000_000,
            boots: 1,
            backup: false,
            invocations: 1,
            requests: 0,
            calm: false,
        };
        world.start_daemon();
        world
    }

    pub(crate) fn true_s(&self) -> u64 {
        self.true_ns / 1_000_000_000
    }

    fn now(&self) -> At {
        let wall = i64::try_from(self.true_ns / 1_000_000).unwrap();
        At {
            boot_ns: self.true_ns - self.boot_began_ns,
            wall_ms: wall + self.wall_offset_ms,
        }
    }

    fn boot(&self) -> BootId {
        BootId(format!("boot-{}", self.boots))
    }

    /// A fault happens only while faults are allowed.
    fn fault(&mut self, probability: f64) -> bool {
        let hit = self.random.chance(probability);
        hit && !self.calm
    }

    fn start_daemon(&mut self) {
        self.answers.clear();
        let policy = Policy {
            phase: self.phase,
            ..Policy::default()
        };
        self.state = State::new("sim".into(), self.boot(), policy, playbooks());
        self.state.recall(&self.disk, self.now());
        self.paused = self.state.paused().is_some();
        let effects = self.state.begin();
        self.carry_out(effects);
        for name in self.units.keys().copied().collect::<Vec<_>>() {
            self.tell(name);
        }
    }

    /// One thing happens, then time passes.
    pub(crate) fn step(&mut self) {
        self.step += 1;
        let names: Vec<_> = self.units.keys().copied().collect();
        let name = names[usize::try_from(self.random.below(names.len() as u64)).unwrap()];
        match self.random.below(20) {
            0 if !self.calm => self.kill(name, true),
            1 if !self.calm => self.kill(name, false),
            2 => self.backup = !self.backup,
            3 if !self.calm => self.command(),
            4 => self.revive(name),
            5 => self.approve_something(),
            _ => {}
        }
        self.deliver();
        self.apply(Wake::Tick);
        if self.fault(self.faults.clock_jump) {
            let jump = i64::try_from(self.random.below(4 * 86_400_000)).unwrap() - 2 * 86_400_000;
            self.wall_offset_ms += jump;
        }
        if self.fault(self.faults.crash) {
            self.crash();
        }
        if self.fault(self.faults.reboot) {
            self.boots += 1;
            self.true_ns += self.random.below(600) * 1_000_000_000;
            self.boot_began_ns = self.true_ns;
            for unit in self.units.values_mut() {
                unit.state = running("b");
            }
            self.crash();
        }
        let pause_ms = match self.random.below(10) {
            0 => self.random.below(600_000),
            1..=3 => self.random.below(20_000),
            _ => 500,
        };
        self.true_ns += (pause_ms + 1) * 1_000_000;
    }

    /// No more faults; time for everything to come to its end.
    pub(crate) fn settle(&mut self) {
        self.calm = true;
        for _ in 0..1500 {
            self.deliver();
            self.apply(Wake::Tick);
            self.true_ns += 500_000_000;
            self.step += 1;
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.start_daemon();
    }

    fn kill(&mut self, name: &'static str, oom: bool) {
        let at = self.now();
        if oom {
            let kill = OomKill {
                pid: 7,
                comm: "main".into(),
                started_boot_ns: 1,
                cgroup_id: 1,
                ..OomKill::default()
            };
            self.apply(Wake::Signal(Signal {
                at,
                subject: subject(name),
                fact: Fact::OomKill(kill),
            }));
        }
        if let Some(unit) = self.units.get_mut(name) {
            unit.state.active = ActiveState::Failed;
            unit.state.sub = "failed".into();
            unit.state.result = "signal".into();
        }
        self.tell(name);
    }

    fn revive(&mut self, name: &'static str) {
        self.invocations += 1;
        let invocation = self.invocations.to_string();
        if let Some(unit) = self.units.get_mut(name) {
            unit.state = running(&invocation);
        }
        self.tell(name);
    }

    fn tell(&mut self, name: &'static str) {
        let (at, state) = (self.now(), self.units[name].state.clone());
        self.apply(Wake::Signal(Signal {
            at,
            subject: subject(name),
            fact: Fact::UnitState(state),
        }));
    }

    fn command(&mut self) {
        let command = match self.random.below(4) {
            0 => Command::Pause {
                reason: "drill".into(),
            },
            1 | 2 => Command::Resume,
            _ => Command::Inhibit {
                unit: Some(UnitName::new("db.service").unwrap()),
                span: Span::minutes(3),
                reason: "drill".into(),
            },
        };
        self.ask(command);
    }

    fn approve_something(&mut self) {
        if let Some(proposal) = self.state.proposals().first() {
            let (incident, binding) = (proposal.incident.clone(), Some(proposal.binding.clone()));
            self.ask(Command::Approve { incident, binding });
        }
    }

    fn ask(&mut self, command: Command) {
        self.requests += 1;
        let by = Operator {
            uid: 1000,
            name: "ann".into(),
        };
        self.apply(Wake::Command {
            request: self.requests,
            by,
            command,
        });
    }

    fn deliver(&mut self) {
        for _ in 0..self.answers.len() {
            let Some((due, wake)) = self.answers.pop_front() else {
                return;
            };
            if due <= self.step {
                self.apply(wake);
            } else {
                self.answers.push_back((due, wake));
            }
        }
    }

    fn apply(&mut self, wake: Wake) {
        let effects = self.state.apply(self.now(), wake);
        self.carry_out(effects);
        self.paused = self.state.paused().is_some();
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            if self.fault(self.faults.crash / 10.0) {
                // Dies here: what was not carried out is gone, and so is all memory.
                self.crash();
                return;
            }
            match effect {
                Effect::Record(body) => {
                    if self.fault(self.faults.disk) {
                        self.disk_faults += 1;
                        let mut bodies = vec![body];
                        bodies.extend(effects.filter_map(|effect| match effect {
                            Effect::Record(body) => Some(body),
                            _ => None,
                        }));
                        self.state.apply(
                            self.now(),
                            Wake::RecordFailed {
                                bodies,
                                reason: "no space".into(),
                            },
                        );
                        return;
                    }
                    self.append(body);
                    self.state.apply(self.now(), Wake::RecordsWritten);
                }
                Effect::Inspect {
                    incident,
                    unit,
                    also,
                } => {
                    let inspection = self.inspect(&unit, &also);
                    self.answer(Wake::Inspected {
                        incident,
                        inspection,
                    });
                }
                Effect::Capture {
                    incident, intent, ..
                } => {
                    self.answer(Wake::Captured(Captured {
                        incident,
                        intent,
                        at: self.now(),
                        journal: Vec::new(),
                        cgroup: BTreeMap::new(),
                        parts: Vec::new(),
                        missing: Vec::new(),
                    }));
                }
                Effect::Act(intent) => self.act(intent),
                // The simulated host has no catalogue, so nothing is asked about meaning.
                Effect::Embed { .. }
                | Effect::Advise { .. }
                | Effect::Reply { .. }
                | Effect::SetHookMode { .. } => {}
            }
        }
    }

    fn append(&mut self, body: Body) {
        self.disk.push(Record {
            version: 1,
            seq: self.disk.len() as u64 + 1,
            host: "sim".into(),
            boot: self.boot(),
            at: self.now(),
            prev: String::new(),
            body,
        });
    }

    fn answer(&mut self, wake: Wake) {
        if self.fault(self.faults.lost_answer) {
            return;
        }
        let late = if self.random.chance(0.2) {
            self.random.below(8)
        } else {
            0
        };
        let due = self.step + u32::try_from(late).unwrap();
        self.answers.push_back((due, wake));
    }

    fn inspect(&mut self, unit: &UnitName, also: &[UnitName]) -> Inspection {
        let at = self.now();
        let broken = self.fault(self.faults.bus);
        let snapshot = match self.units.iter().find(|(name, _)| **name == unit.as_str()) {
            Some((_, known)) if !broken => Ok(UnitSnapshot {
                at,
                unit: unit.clone(),
                load_state: "loaded".into(),
                state: known.state.clone(),
                slice: Some(UnitName::new(known.slice).unwrap()),
                restart_policy: "no".into(),
                start_limit_burst: 5,
                start_limit_interval: Span::secs(10),
                pending_job: None,
                refuse_manual_start: false,
                refuse_manual_stop: false,
                stop_closure: Vec::new(),
                control_group: String::new(),
                memory_current_bytes: None,
                main_pid: 0,
                exec_main_code: 0,
                exec_main_status: 0,
                resources: Resources::default(),
                vitals: Vitals::default(),
            }),
            _ => Err("the bus hangs".to_owned()),
        };
        let calendar = if self.fault(self.faults.bus) {
            CalendarReading::Unreadable {
                at,
                reason: "the bus hangs".into(),
            }
        } else {
            let running = self.backup.then(|| Activity {
                name: "db-backup.service".into(),
                began_by: "db-backup.timer".into(),
                purpose: Purpose::Backup,
                pid: None,
                related: Vec::new(),
            });
            CalendarReading::Readable(Calendar {
                at,
                running: running.into_iter().collect(),
                ..Calendar::default()
            })
        };
        let also_down = also.iter().filter(|unit| {
            self.units
                .iter()
                .any(|(name, known)| *name == unit.as_str() && known.state.active.is_down())
        });
        Inspection {
            unit: snapshot,
            calendar,
            also_down: also_down.cloned().collect(),
        }
    }

    fn act(&mut self, intent: Intent) {
        self.acts.push(Act {
            true_s: self.true_s(),
            disk_len: self.disk.len(),
            paused: self.paused,
            intent: intent.clone(),
        });
        let name = UNITS
            .iter()
            .map(|(name, _)| *name)
            .find(|name| *name == intent.unit.as_str());
        let works = self.random.chance(0.6);
        let result = if self.fault(self.faults.bus) {
            StepResult::Unknown {
                reason: "the bus was lost".into(),
            }
        } else {
            StepResult::Job {
                result: if works { "done" } else { "failed" }.into(),
                path: "/job/1".into(),
            }
        };
        if works && let Some(name) = name {
            self.invocations += 1;
            let invocation = self.invocations.to_string();
            self.units.get_mut(name).unwrap().state = running(&invocation);
        }
        let at = self.now();
        self.answer(Wake::StepEnded(StepEnd {
            at,
            intent: intent.id,
            result,
            after: None,
        }));
    }

    /// Status of every incident as the daemon sees it.
    pub(crate) fn statuses(&self) -> Vec<IncidentStatus> {
        self.state
            .incidents(true)
            .iter()
            .map(|incident| incident.status)
            .collect()
    }
}
