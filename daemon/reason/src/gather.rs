//! Signals and anomalies that belong together become one incident.
//!
//! One open incident a subject (a storm's beside it): what is known of a subject, and what can be
//! done for it, is one thing. Evidence within the deduplication time after it closed by itself opens
//! it again; later, or if hostmedic had resolved it, a new one opens that knows how often this came
//! before. What incidents have in common is told in `correlate`.

mod evidence;

use std::time::Duration;

use hostmedic_model::{
    anomaly::{Anomaly, Severity},
    incident::{Evidence, Incident, IncidentId, IncidentStatus},
    notice::Notice,
    record::Body,
    sample::{Measure, Sample, Series},
    signal::{Fact, LogPriority, Signal},
    subject::Subject,
    time::At,
    unit::ActiveState,
    wake::Effect,
};
use sha2::{Digest, Sha256};

use self::evidence::{evidence_at, is_repeat, trouble};
pub(crate) use self::evidence::{is_kept, severity_of};
use crate::{
    case::{Case, EVIDENCE_MAX, Stage},
    correlate::{can_be_cause, is_storm},
    matching,
    pipeline::State,
};

/// States heard within this time after the start describe what was already so.
const FIRST_SIGHT: Duration = Duration::from_secs(5);
/// Lines that a unit wrote when its incident opened are heard so much later at most: a window of
/// their source, and a busy host.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// Records of further evidence of one incident; the rest is only counted.
const EXTENSIONS_MAX: u32 = 16;

impl State {
    /// Takes a signal in; opens or extends an incident where it tells of trouble.
    pub(crate) fn gather_signal(&mut self, signal: &Signal, effects: &mut Vec<Effect>) {
        let noticed = self.notices.hear(signal, self.now);
        self.gather_fact(signal, effects);
        if let Some(notice) = noticed {
            self.gather_notice(notice, effects);
            if matches!(signal.fact, Fact::LogLines(_)) {
                // The number alone says nothing: the words belong to it.
                self.extend(&signal.subject, Evidence::Signal(signal.clone()), effects);
            }
        }
    }

    /// Opens or extends an incident with what a detector of events noticed.
    pub(crate) fn gather_notice(&mut self, notice: Notice, effects: &mut Vec<Effect>) {
        let subject = notice.subject.clone();
        let (title, severity) = (notice.noticed.title(), notice.severity);
        let evidence = Evidence::Notice(notice);
        self.open_or_extend(&subject, title, severity, evidence, effects);
    }

    fn gather_fact(&mut self, signal: &Signal, effects: &mut Vec<Effect>) {
        if let Some((title, severity)) = trouble(&signal.fact) {
            self.facts.learn_signal(signal);
            let evidence = Evidence::Signal(signal.clone());
            self.open_or_extend(&signal.subject, title, severity, evidence, effects);
            return;
        }
        match &signal.fact {
            Fact::UnitState(state) => {
                let Some(unit) = signal.subject.unit().cloned() else {
                    return;
                };
                let first_sight =
                    self.facts.unit(&unit).is_none() && self.now.since(self.started) < FIRST_SIGHT;
                if !self.facts.learn_state(&unit, state, signal.at) {
                    return;
                }
                self.reconsider_after(&unit, state.active);
                let failed = state.active == ActiveState::Failed;
                let evidence = Evidence::Signal(signal.clone());
                if first_sight {
                    // Nobody knows how long it has been so, or whether people left it so. It is
                    // shown, but is no signal that a playbook could act on.
                    if failed && self.open_case(&signal.subject).is_none() {
                        self.open_or_extend(
                            &signal.subject,
                            "unit was already failed at start",
                            Severity::Warning,
                            evidence,
                            effects,
                        );
                    }
                    return;
                }
                self.facts.learn_signal(signal);
                if failed {
                    self.open_or_extend(
                        &signal.subject,
                        "unit failed",
                        Severity::Critical,
                        evidence,
                        effects,
                    );
                } else if state.sub == "auto-restart" && state.result != "success" {
                    self.open_or_extend(
                        &signal.subject,
                        "unit crashed, systemd restarts it",
                        Severity::Warning,
                        evidence,
                        effects,
                    );
                } else if self.open_case(&signal.subject).is_some() {
                    self.extend(&signal.subject, evidence, effects);
                }
            }
            Fact::UnitRemoved => {
                if let Some(unit) = signal.subject.unit().cloned() {
                    self.facts.forget_unit(&unit);
                }
            }
            Fact::PacketDrops(_) | Fact::TcpTrouble(_) | Fact::NetCounter(_) => {
                self.facts.learn_signal(signal);
                // What its subject always does is no evidence, and must not keep it open.
                if self.notices.is_surge(signal) {
                    self.extend(&signal.subject, Evidence::Signal(signal.clone()), effects);
                }
            }
            Fact::LogLines(lines) => {
                self.facts.learn_signal(signal);
                // What its unit always writes is no evidence, but the last words of one that
                // fails reach us after its failure.
                let last_words =
                    lines.priority > LogPriority::Warning && self.has_just_fallen(&signal.subject);
                if last_words || self.notices.is_new_line(signal) {
                    self.extend(&signal.subject, Evidence::Signal(signal.clone()), effects);
                }
            }
            Fact::FatalSignal(_)
            | Fact::Zombies(_)
            | Fact::Pressure(_)
            | Fact::MemoryEvents(_)
            | Fact::UnitWatchdog
            | Fact::LinkChanges(_) => {
                self.facts.learn_signal(signal);
                if self.open_case(&signal.subject).is_some() {
                    self.extend(&signal.subject, Evidence::Signal(signal.clone()), effects);
                }
            }
            Fact::ProcessExec(_) | Fact::ProcessExit(_) => {
                let policy = &self.policy;
                self.facts.learn_program(&signal.fact, signal.at, |comm| {
                    Self::purpose_of(policy, comm)
                });
            }
            // Names of cgroups are for `observe`; trouble was handled above.
            _ => {}
        }
    }

    /// A unit that changed may be the very reason why something is held: look again at once.
    fn reconsider_after(&mut self, unit: &hostmedic_model::subject::UnitName, active: ActiveState) {
        if !active.is_down() {
            return;
        }
        let scheduled = match &self.calendar {
            Some(hostmedic_model::calendar::CalendarReading::Readable(calendar)) => calendar
                .running
                .iter()
                .any(|activity| activity.name == unit.as_str()),
            _ => false,
        };
        if !scheduled {
            return;
        }
        let now = self.now;
        for case in self.cases.values_mut() {
            if let Stage::Held { look_at } = &mut case.stage {
                *look_at = now;
            }
        }
    }

    pub(crate) fn gather_anomaly(&mut self, anomaly: Anomaly, effects: &mut Vec<Effect>) {
        let subject = anomaly.series.subject.clone();
        let measure = anomaly.series.measure;
        let title = match measure {
            Measure::CertificateUsedRatio if anomaly.observed < 1.0 => {
                "certificate runs out".to_owned()
            }
            Measure::CertificateUsedRatio | Measure::CertificateLeftS => {
                "certificate has expired".to_owned()
            }
            _ => format!("unusual {measure}"),
        };
        let severity = anomaly.severity;
        self.open_or_extend(
            &subject,
            &title,
            severity,
            Evidence::Anomaly(anomaly),
            effects,
        );
        if measure == Measure::CertificateUsedRatio {
            self.add_time_left(&subject, effects);
        }
    }

    /// A share of a certificate's life tells people little: how long it still is belongs to it.
    fn add_time_left(&mut self, subject: &Subject, effects: &mut Vec<Effect>) {
        let series = Series {
            subject: subject.clone(),
            measure: Measure::CertificateLeftS,
        };
        if let Some(left) = self.facts.sample(&series).cloned() {
            self.extend(subject, Evidence::Sample(left), effects);
        }
    }

    /// Opens an incident when a playbook's trigger that rests on this measure holds.
    pub(crate) fn gather_sample(&mut self, sample: &Sample, effects: &mut Vec<Effect>) {
        let subject = &sample.series.subject;
        self.notices.number(subject);
        let holds = self.playbooks.iter().any(|playbook| {
            matching::rests_on(playbook, sample.series.measure)
                && matching::holds(playbook, subject, &self.facts, self.now)
        });
        if holds {
            let title = format!("{} beyond its limit", sample.series.measure);
            self.open_or_extend(
                subject,
                &title,
                Severity::Warning,
                Evidence::Sample(sample.clone()),
                effects,
            );
        }
    }

    /// The incident about `subject` that is not over.
    pub(crate) fn open_case(&self, subject: &Subject) -> Option<&IncidentId> {
        let mut incidents = self.cases.values().map(|case| &case.incident);
        incidents
            .find(|incident| {
                incident.subject == *subject && !incident.status.is_over() && !is_storm(incident)
            })
            .map(|incident| &incident.id)
    }

    /// Whether a unit is not up, and its incident so new that its last words are still coming.
    fn has_just_fallen(&self, subject: &Subject) -> bool {
        let is_down = |unit| !self.facts.is_active(unit);
        let case = self.open_case(subject).and_then(|id| self.cases.get(id));
        case.is_some_and(|case| self.now.since(case.incident.opened_at) <= LAST_WORDS)
            && subject.unit().is_some_and(is_down)
    }

    fn open_or_extend(
        &mut self,
        subject: &Subject,
        title: &str,
        severity: Severity,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) {
        if self.open_case(subject).is_some() {
            self.extend(subject, evidence, effects);
        } else if let Some(id) = self.just_closed(subject) {
            self.reopen(&id, title, severity, evidence, effects);
        } else {
            let id = self.open(subject, title, severity, evidence, effects);
            self.place(&id, effects);
            self.advance(&id, effects);
        }
    }

    /// Opens an incident, below its cause if that is known.
    pub(crate) fn open(
        &mut self,
        subject: &Subject,
        title: &str,
        severity: Severity,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) -> IncidentId {
        let now_wall = self.now.wall_ms;
        let recurrence = self.correlation.recurrence(subject, title, now_wall);
        let at = evidence_at(&evidence);
        let mut incident = Incident {
            id: self.name_incident(subject, at),
            subject: subject.clone(),
            title: title.to_owned(),
            severity,
            status: IncidentStatus::Open,
            opened_at: at,
            last_at: at,
            closed_at: None,
            evidence: vec![evidence],
            extended: 0,
            recurrences_30d: recurrence.times,
            parent: None,
            similar: recurrence.similar,
        };
        if !is_storm(&incident) {
            incident.parent = self.cause_of(&incident);
        }
        self.correlation.remember(&incident, now_wall);
        effects.push(Effect::Record(Body::IncidentOpened(incident.clone())));
        let id = incident.id.clone();
        let mut case = Case::new(incident, self.now);
        case.flaps = recurrence.flaps;
        self.cases.insert(id.clone(), case);
        id
    }

    /// The incident about `subject` that closed by itself within the deduplication time. One that
    /// was resolved by an act is another matter: people must hear that the act did not last.
    fn just_closed(&self, subject: &Subject) -> Option<IncidentId> {
        let (now, within) = (self.now, self.policy.deduplication.0);
        let is_recent = |closed_at: At| {
            // After a reboot only the wall clock can tell; it must not lie for both.
            let by_wall = now.wall_ms.abs_diff(closed_at.wall_ms);
            now.since(closed_at) < within && u128::from(by_wall) < within.as_millis()
        };
        let mut incidents: Vec<_> = self.cases.values().map(|case| &case.incident).collect();
        incidents.retain(|incident| {
            incident.subject == *subject
                && incident.status == IncidentStatus::Closed
                && incident.closed_at.is_some_and(is_recent)
                && !is_storm(incident)
        });
        let newest = incidents
            .into_iter()
            .max_by_key(|incident| incident.closed_at);
        newest.map(|incident| incident.id.clone())
    }

    /// Opens an incident again instead of telling people anew.
    fn reopen(
        &mut self,
        id: &IncidentId,
        title: &str,
        severity: Severity,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) {
        let look_at = self.now;
        let Some(case) = self.cases.get_mut(id) else {
            return;
        };
        let incident = &mut case.incident;
        if severity > incident.severity {
            title.clone_into(&mut incident.title);
        }
        incident.closed_at = None;
        case.decided = None;
        case.flaps = case.flaps.saturating_add(1);
        case.enter(Stage::Waiting { look_at });
        self.extend_case(id, evidence);
        if let Some(case) = self.cases.get(id) {
            effects.push(Effect::Record(Body::IncidentOpened(case.incident.clone())));
        }
        self.advance(id, effects);
    }

    fn extend(&mut self, subject: &Subject, evidence: Evidence, effects: &mut Vec<Effect>) {
        let Some(id) = self.open_case(subject).cloned() else {
            return;
        };
        let is_cause = can_be_cause(&evidence);
        if let Some(evidence) = self.extend_case(&id, evidence) {
            effects.push(Effect::Record(Body::IncidentExtended {
                incident: id.clone(),
                evidence,
            }));
            if is_cause {
                self.adopt(&id, effects);
            }
        }
        let now = self.now;
        if let Some(case) = self.cases.get_mut(&id)
            && let Stage::Waiting { look_at } = &mut case.stage
        {
            *look_at = now;
        }
        self.advance(&id, effects);
    }

    /// Adds evidence to an incident; gives it back if it is worth a record.
    pub(crate) fn extend_case(&mut self, id: &IncidentId, evidence: Evidence) -> Option<Evidence> {
        let incident = &mut self.cases.get_mut(id)?.incident;
        incident.last_at = evidence_at(&evidence).max(incident.last_at);
        incident.extended = incident.extended.saturating_add(1);
        let severity = severity_of(&evidence);
        let is_worse = severity > incident.severity;
        incident.severity = incident.severity.max(severity);
        // Numbers repeat with every sample; only the first of a series is worth a record.
        let mut known = incident.evidence.iter();
        let is_repeated = known.any(|known| is_repeat(known, &evidence));
        if incident.evidence.len() < EVIDENCE_MAX && !is_repeated {
            incident.evidence.push(evidence.clone());
        }
        // What makes an incident worse, or a child, must outlive a restart.
        let is_news = incident.extended <= EXTENSIONS_MAX || matches!(evidence, Evidence::Child(_));
        (is_worse || is_news && !is_repeated).then_some(evidence)
    }

    /// A name that a replay gives again: from moment, host, boot and subject.
    fn name_incident(&self, subject: &Subject, at: At) -> IncidentId {
        let utc = jiff::Timestamp::from_millisecond(self.now.wall_ms).unwrap_or_default();
        let mut salt = 0_u32;
        loop {
            let text = format!(
                "{}|{}|{subject}|{}|{salt}",
                self.host, self.boot.0, at.boot_ns
            );
            let hash = hex::encode(Sha256::digest(text.as_bytes()));
            let id = IncidentId(format!(
                "inc_{}_{}",
                utc.strftime("%Y%m%d_%H%M%S"),
                &hash[..8]
            ));
            if !self.cases.contains_key(&id) {
                return id;
            }
            salt += 1;
        }
    }
}
