//! Attempts on units, counted against every limit: successes and failures alike.
//!
//! They are rebuilt from the audit chain at start, so limits survive restart and reboot.

use std::{collections::VecDeque, time::Duration};

use hostmedic_model::{
    intent::Intent,
    subject::UnitName,
    time::{At, BootId},
};

/// Attempts older than this on every clock are forgotten.
const KEPT: Duration = Duration::from_secs(48 * 3600);
/// Attempts kept; far above what the limits let through in `KEPT`.
const KEPT_MAX: usize = 4096;

/// One attempt: the first step of one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    wall_ms: i64,
    /// [`Attempts::lived`] at the attempt.
    lived: Duration,
    unit: UnitName,
    slice: Option<UnitName>,
    playbook: String,
}

/// Attempts, and a clock that no wall clock, restart or reboot can wind forward.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    list: VecDeque<Attempt>,
    /// Time that this host is known to have lived: boot clocks of all boots in the chain, added
    /// up as far as records saw them. Time without a record is not counted, so a span of it is
    /// never longer than the true one.
    lived: Duration,
    seen: Option<(BootId, u64)>,
    wall_ms: i64,
}

impl Attempts {
    /// Takes a moment of boot `boot` in; moments come in order.
    pub(crate) fn live(&mut self, at: At, boot: &BootId) {
        let before_ns = match &self.seen {
            Some((seen, before_ns)) if seen == boot => *before_ns,
            // A new boot: the time between the boots is unknown, this one's age is not.
            _ => 0,
        };
        self.lived += Duration::from_nanos(at.boot_ns.saturating_sub(before_ns));
        match &mut self.seen {
            Some((seen, seen_ns)) if seen == boot => *seen_ns = at.boot_ns.max(before_ns),
            seen => *seen = Some((boot.clone(), at.boot_ns)),
        }
        self.wall_ms = at.wall_ms;
    }

    /// Counts an attempt, made at the newest moment.
    pub(crate) fn add(&mut self, intent: &Intent) {
        let (lived, wall_ms) = (self.lived, self.wall_ms);
        self.list
            .retain(|attempt| age(attempt, lived, wall_ms) <= KEPT);
        if self.list.len() == KEPT_MAX {
            self.list.pop_front();
        }
        self.list.push_back(Attempt {
            wall_ms,
            lived,
            unit: intent.unit.clone(),
            slice: intent.slice.clone(),
            playbook: intent.playbook.name.clone(),
        });
    }

    /// Age of the youngest attempt on `unit`.
    pub(crate) fn last_on(&self, unit: &UnitName) -> Option<Duration> {
        self.ages(|attempt| attempt.unit == *unit).min()
    }

    /// Age of the youngest attempt of `playbook` on `unit`.
    pub(crate) fn last_of(&self, playbook: &str, unit: &UnitName) -> Option<Duration> {
        self.ages(|attempt| attempt.unit == *unit && attempt.playbook == playbook)
            .min()
    }

    /// Attempts on `unit` within `span`.
    pub(crate) fn on_unit(&self, unit: &UnitName, span: Duration) -> usize {
        self.ages(|attempt| attempt.unit == *unit)
            .filter(|age| *age < span)
            .count()
    }

    /// Attempts in `slice` within `span`.
    pub(crate) fn in_slice(&self, slice: &UnitName, span: Duration) -> usize {
        self.ages(|attempt| attempt.slice.as_ref() == Some(slice))
            .filter(|age| *age < span)
            .count()
    }

    /// Attempts on the host within `span`.
    pub(crate) fn on_host(&self, span: Duration) -> usize {
        self.ages(|_| true).filter(|age| *age < span).count()
    }

    fn ages(&self, which: impl Fn(&Attempt) -> bool) -> impl Iterator<Item = Duration> {
        self.list
            .iter()
            .filter(move |attempt| which(attempt))
            .map(|attempt| age(attempt, self.lived, self.wall_ms))
    }
}

/// How long ago an attempt was, by the clock that makes it younger: a wall clock set forward, set
/// back or lost over a reboot cannot wear a limit off.
fn age(attempt: &Attempt, lived: Duration, wall_ms: i64) -> Duration {
    let by_wall = u64::try_from(wall_ms.saturating_sub(attempt.wall_ms)).unwrap_or(0);
    lived
        .saturating_sub(attempt.lived)
        .min(Duration::from_millis(by_wall))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::{
        decision::PlaybookRef, incident::IncidentId, intent::IntentId, playbook::Verb, time::Span,
    };
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn attempted(at: At, boot: &str) -> Attempts {
        let mut attempts = Attempts::default();
        attempts.live(at, &BootId(boot.into()));
        attempts.add(&Intent {
            id: IntentId("inc/1.1".into()),
            at,
            boot: BootId(boot.into()),
            incident: IncidentId("inc".into()),
            playbook: PlaybookRef {
                name: "p".into(),
                version: 1,
                sha256: String::new(),
            },
            verb: Verb::Restart,
            unit: web(),
            slice: Some(UnitName::new("system.slice").unwrap()),
            wait_max: Span::secs(30),
            invocation_before: None,
            closure_before: Vec::new(),
            approved_by: None,
            change: None,
            inverse: None,
            undoes: None,
        });
        attempts
    }

    fn web() -> UnitName {
        UnitName::new("web.service").unwrap()
    }

    const THEN: At = At {
        boot_ns: 1_000_000_000_000,
        wall_ms: 1_700_000_000_000,
    };

    proptest! {
        /// Whatever the wall clock does within a boot, an attempt of the last hour counts.
        #[test]
        fn a_clock_jump_never_wears_a_limit_off(elapsed_s in 0_u64..3600, jump_ms in -10_i64.pow(12)..10_i64.pow(12)) {
            let mut attempts = attempted(THEN, "a");
            let now = At {
                boot_ns: THEN.boot_ns + elapsed_s * 1_000_000_000,
                wall_ms: THEN.wall_ms + i64::try_from(elapsed_s).unwrap() * 1000 + jump_ms,
            };
            attempts.live(now, &BootId("a".into()));
            prop_assert_eq!(attempts.on_unit(&web(), HOUR), 1);
            prop_assert!(attempts.last_on(&web()).unwrap() <= Duration::from_secs(elapsed_s));
        }

        /// Any number of reboots, at any wall time: an attempt counts until an hour was lived.
        #[test]
        fn reboots_never_wear_a_limit_off(ups_s in prop::collection::vec(1_u64..700, 1..5), wall_ms in any::<i64>()) {
            let mut attempts = attempted(THEN, "a");
            for (boot, up_s) in ups_s.iter().enumerate() {
                attempts.live(At { boot_ns: up_s * 1_000_000_000, wall_ms }, &BootId(format!("b{boot}")));
            }
            let slice = UnitName::new("system.slice").unwrap();
            prop_assert_eq!(attempts.in_slice(&slice, HOUR), 1);
        }
    }

    #[test]
    fn an_attempt_wears_off_when_both_clocks_agree() {
        let boot = BootId("a".into());
        let mut attempts = attempted(THEN, "a");
        attempts.live(THEN.plus(HOUR - Duration::from_millis(1)), &boot);
        assert_eq!(attempts.on_unit(&web(), HOUR), 1);
        attempts.live(THEN.plus(HOUR), &boot);
        assert_eq!(attempts.on_unit(&web(), HOUR), 0);
    }

    #[test]
    fn an_attempt_before_a_reboot_wears_off_once_an_hour_was_lived() {
        let mut attempts = attempted(THEN, "a");
        attempts.live(THEN.plus(HOUR / 2), &BootId("a".into()));
        let later = At {
            boot_ns: 1_800_000_000_000,
            wall_ms: THEN.wall_ms + 86_400_000,
        };
        attempts.live(later, &BootId("b".into()));
        assert_eq!(attempts.on_unit(&web(), HOUR), 0);
    }
}
