//! Notices how facts come: too often, again, not at all. Each detector is a file; all are bounded,
//! learn from the subject's own past, and cost a few comparisons for each signal.
//!
//! They count time by the seconds that were watched. While the host sleeps or the daemon is not
//! running nothing can be heard, so that time neither makes a habit nor a silence.

mod clock_step;
mod crash_loop;
mod habits;
mod link_flap;
mod new_lines;
mod oom_again;
mod rate;
mod silence;
mod surges;
mod table;

use std::time::Duration;

use hostmedic_model::{
    anomaly::Severity,
    calendar::CalendarReading,
    notice::{Notice, Noticed},
    signal::{Fact, Signal},
    subject::{Subject, UnitName},
    time::{At, Span},
};

pub(crate) use self::table::Table;
use self::{
    clock_step::ClockStep, crash_loop::CrashLoops, link_flap::LinkFlaps, new_lines::NewLines,
    oom_again::OomAgain, rate::Surge, silence::Silence, surges::Surges,
};
use crate::facts::Facts;

/// Wakes come every second; a longer pause than this was not watched.
const WATCHED_MAX: Duration = Duration::from_secs(10);
/// Seconds between two looks for what stays away.
const LOOK_EVERY_S: u64 = 30;
/// After counted losses what was not heard may have been lost.
const AFTER_LOSS_S: u64 = 300;

/// Links that went so soon after a pause that nobody watched went with the host's sleep.
const AFTER_SLEEP_S: u64 = 60;

/// All detectors of events.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    last: Option<At>,
    watched: Duration,
    looked_s: u64,
    lost_s: Option<u64>,
    slept_s: Option<u64>,
    clock: ClockStep,
    crashes: CrashLoops,
    ooms: OomAgain,
    links: LinkFlaps,
    surges: Surges,
    silence: Silence,
    lines: NewLines,
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            last: None,
            watched: Duration::ZERO,
            looked_s: 0,
            lost_s: None,
            slept_s: None,
            clock: ClockStep::default(),
            crashes: CrashLoops::new(),
            ooms: OomAgain::new(),
            links: LinkFlaps::new(),
            surges: Surges::new(),
            silence: Silence::new(),
            lines: NewLines::new(),
        }
    }
}

impl Notices {
    /// Time passed: `at` is the wake's own moment, as it came.
    pub(crate) fn live(&mut self, at: At) -> Option<Notice> {
        if let Some(last) = self.last {
            let pause = at.since(last);
            self.watched += pause.min(WATCHED_MAX);
            if pause > WATCHED_MAX {
                self.slept_s = Some(self.now_s());
            }
        }
        if self.last.is_none_or(|last| at.boot_ns > last.boot_ns) {
            self.last = Some(at);
        }
        let (step_ms, severity) = self.clock.look(at)?;
        Some(Notice {
            at,
            subject: Subject::Host,
            noticed: Noticed::ClockStep,
            severity,
            observed: step_ms as f64,
            expected: 0.0,
            over: Span::secs(0),
        })
    }

    fn now_s(&self) -> u64 {
        self.watched.as_secs()
    }

    /// Takes a signal in; gives what it completes.
    pub(crate) fn hear(&mut self, signal: &Signal, now: At) -> Option<Notice> {
        let now_s = self.now_s();
        let notice = |noticed, severity, observed, expected, over| Notice {
            at: now,
            subject: signal.subject.clone(),
            noticed,
            severity,
            observed,
            expected,
            over,
        };
        match (&signal.fact, signal.subject.unit()) {
            (Fact::UnitState(state), Some(unit)) => {
                if let Some(invocation) = &state.invocation_id {
                    self.silence.run(unit, invocation, now_s);
                }
                self.lines.state(unit, state, now_s);
                let crashes = self.crashes.hear(unit, state, now_s)?;
                Some(notice(
                    Noticed::CrashLoop,
                    Severity::Critical,
                    crashes as f64,
                    0.0,
                    Span::secs(crash_loop::WITHIN_S),
                ))
            }
            (Fact::LogLines(lines), Some(unit)) => {
                let count = self.lines.hear(unit, lines, now_s)?;
                Some(notice(
                    Noticed::NewLogLines,
                    Severity::Warning,
                    count as f64,
                    0.0,
                    Span::secs(new_lines::WITHIN_S),
                ))
            }
            (Fact::OomKill(_), _) => {
                let kills = self.ooms.hear(&signal.subject, now.wall_ms)?;
                let over_s = oom_again::WITHIN_MS.unsigned_abs() / 1000;
                Some(notice(
                    Noticed::OomAgain,
                    Severity::Critical,
                    kills as f64,
                    0.0,
                    Span::secs(over_s),
                ))
            }
            (Fact::LinkChanges(changes), _) => {
                let slept = self.slept_s;
                if slept.is_some_and(|slept_s| now_s - slept_s <= AFTER_SLEEP_S) {
                    return None;
                }
                let downs = self.links.hear(&signal.subject, changes.down, now_s)?;
                // It harms, but whether by little or much other facts tell.
                Some(notice(
                    Noticed::LinkFlap,
                    Severity::Warning,
                    downs as f64,
                    0.0,
                    Span::secs(link_flap::WITHIN_S),
                ))
            }
            _ => {
                let (noticed, Surge { observed, expected }) = self.surges.hear(signal, now_s)?;
                Some(notice(
                    noticed,
                    Severity::Warning,
                    observed,
                    expected,
                    Span::minutes(1),
                ))
            }
        }
    }

    /// A kill that the audit chain tells of.
    pub(crate) fn recall_oom(&mut self, signal: &Signal) {
        if matches!(signal.fact, Fact::OomKill(_)) {
            self.ooms.hear(&signal.subject, signal.at.wall_ms);
        }
    }

    /// Whether a fact of the network is more than what its subject always does.
    pub(crate) fn is_surge(&self, signal: &Signal) -> bool {
        self.surges.is_on(signal)
    }

    /// Whether a signal is of lines that are new for their unit.
    pub(crate) fn is_new_line(&self, signal: &Signal) -> bool {
        match (&signal.fact, signal.subject.unit()) {
            (Fact::LogLines(lines), Some(unit)) => self.lines.is_new(unit, lines.id),
            _ => false,
        }
    }

    /// A number about `subject` came.
    pub(crate) fn number(&mut self, subject: &Subject) {
        // A file system that is not mounted any more is no silence, nor is a file that was removed.
        if !matches!(subject, Subject::Mount(_) | Subject::Certificate(_)) {
            self.silence.number(subject, self.watched.as_secs());
        }
    }

    /// Something was lost in the newest window.
    pub(crate) fn lost(&mut self) {
        let now_s = self.now_s();
        self.lost_s = Some(now_s);
        self.surges.lost(now_s);
    }

    /// Looks for what stays away.
    pub(crate) fn look(
        &mut self,
        now: At,
        facts: &Facts,
        calendar: Option<&CalendarReading>,
    ) -> Vec<Notice> {
        let now_s = self.now_s();
        let just_lost = self
            .lost_s
            .is_some_and(|lost_s| now_s - lost_s <= AFTER_LOSS_S);
        if now_s - self.looked_s < LOOK_EVERY_S || just_lost {
            return Vec::new();
        }
        self.looked_s = now_s;
        let is_expected =
            |subject: &Subject| subject.unit().is_none_or(|unit| facts.is_active(unit));
        let mut missed: Vec<_> = self
            .silence
            .silent(now_s, is_expected)
            .into_iter()
            .map(|(subject, missed)| (subject, Noticed::Silent, missed))
            .collect();
        for unit in due(calendar, facts) {
            if let Some(found) = self.silence.not_started(unit, now_s) {
                missed.push((Subject::Unit(unit.clone()), Noticed::NotStarted, found));
            }
        }
        let notice = |(subject, noticed, missed): (_, _, silence::Missed)| Notice {
            at: now,
            subject,
            noticed,
            severity: Severity::Warning,
            observed: missed.since_s as f64,
            expected: missed.pause_s,
            over: Span::secs(missed.since_s),
        };
        missed.into_iter().map(notice).collect()
    }

    /// Habits that were forgotten for want of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.crashes.forgotten()
            + self.ooms.forgotten()
            + self.links.forgotten()
            + self.surges.forgotten()
            + self.silence.forgotten()
            + self.lines.forgotten()
    }
}

/// Units that a timer which is switched on should start, and that do not run now.
fn due<'a>(
    calendar: Option<&'a CalendarReading>,
    facts: &'a Facts,
) -> impl Iterator<Item = &'a UnitName> {
    let due = match calendar {
        Some(CalendarReading::Readable(calendar)) => calendar.due.as_slice(),
        _ => &[],
    };
    due.iter()
        .filter(|due| facts.is_active(&due.timer) && !facts.is_active(&due.unit))
        .map(|due| &due.unit)
}
