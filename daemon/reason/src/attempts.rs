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
/// An attempt of an earlier boot counts by the stricter clock if the wall clock says that it
/// is younger than this. Beyond it a reboot would block a host for attempts of last month.
const EARLIER_BOOT_STRICT: Duration = Duration::from_secs(24 * 3600);

/// One attempt: the first step of one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) at: At,
    pub(crate) boot: BootId,
    pub(crate) unit: UnitName,
    pub(crate) slice: Option<UnitName>,
    pub(crate) playbook: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    list: VecDeque<Attempt>,
}

impl Attempts {
    pub(crate) fn add(&mut self, intent: &Intent, now: At, boot: &BootId) {
        self.list.retain(|attempt| age(attempt, now, boot) <= KEPT);
        if self.list.len() == KEPT_MAX {
            self.list.pop_front();
        }
        self.list.push_back(Attempt {
            at: intent.at,
            boot: intent.boot.clone(),
            unit: intent.unit.clone(),
            slice: intent.slice.clone(),
            playbook: intent.playbook.name.clone(),
        });
    }

    /// Age of the youngest attempt on `unit`.
    pub(crate) fn last_on(&self, unit: &UnitName, now: At, boot: &BootId) -> Option<Duration> {
        self.ages(now, boot, |attempt| attempt.unit == *unit).min()
    }

    /// Age of the youngest attempt of `playbook` on `unit`.
    pub(crate) fn last_of(
        &self,
        playbook: &str,
        unit: &UnitName,
        now: At,
        boot: &BootId,
    ) -> Option<Duration> {
        self.ages(now, boot, |attempt| {
            attempt.unit == *unit && attempt.playbook == playbook
        })
        .min()
    }

    /// Attempts on `unit` within `span`.
    pub(crate) fn on_unit(&self, unit: &UnitName, span: Duration, now: At, boot: &BootId) -> usize {
        self.ages(now, boot, |attempt| attempt.unit == *unit)
            .filter(|age| *age < span)
            .count()
    }

    /// Attempts in `slice` within `span`.
    pub(crate) fn in_slice(
        &self,
        slice: &UnitName,
        span: Duration,
        now: At,
        boot: &BootId,
    ) -> usize {
        self.ages(now, boot, |attempt| attempt.slice.as_ref() == Some(slice))
            .filter(|age| *age < span)
            .count()
    }

    fn ages<'a>(
        &'a self,
        now: At,
        boot: &'a BootId,
        which: impl Fn(&Attempt) -> bool + 'a,
    ) -> impl Iterator<Item = Duration> + 'a {
        self.list
            .iter()
            .filter(move |attempt| which(attempt))
            .map(move |attempt| age(attempt, now, boot))
    }
}

/// How long ago an attempt was, by the clock that makes it younger.
///
/// In the same boot both clocks speak: a wall clock set forward cannot wear a limit off, one set
/// back cannot either. After a reboot only the wall clock and this boot's age are left; the time
/// that the host was off is unknown, so the host's own age is the least that has passed.
fn age(attempt: &Attempt, now: At, boot: &BootId) -> Duration {
    let by_wall = now.wall_ms.saturating_sub(attempt.at.wall_ms);
    let by_wall = Duration::from_millis(u64::try_from(by_wall).unwrap_or(0));
    let this_boot = Duration::from_nanos(now.boot_ns);
    if attempt.boot == *boot {
        now.since(attempt.at).min(by_wall)
    } else if by_wall < EARLIER_BOOT_STRICT {
        by_wall.min(this_boot)
    } else {
        by_wall
    }
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

    fn intent(at: At, boot: &str) -> Intent {
        Intent {
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
            unit: UnitName::new("web.service").unwrap(),
            slice: Some(UnitName::new("system.slice").unwrap()),
            wait_max: Span::secs(30),
            invocation_before: None,
            closure_before: Vec::new(),
            approved_by: None,
        }
    }

    proptest! {
        /// Whatever the wall clock does within a boot, an attempt of the last hour counts.
        #[test]
        fn a_clock_jump_never_wears_a_limit_off(elapsed_s in 0_u64..3600, jump_ms in -10_i64.pow(12)..10_i64.pow(12)) {
            let boot = BootId("a".into());
            let then = At { boot_ns: 10_u64.pow(12), wall_ms: 1_700_000_000_000 };
            let mut attempts = Attempts::default();
            attempts.add(&intent(then, "a"), then, &boot);
            let now = At {
                boot_ns: then.boot_ns + elapsed_s * 1_000_000_000,
                wall_ms: then.wall_ms + i64::try_from(elapsed_s).unwrap() * 1000 + jump_ms,
            };
            let unit = UnitName::new("web.service").unwrap();
            prop_assert_eq!(attempts.on_unit(&unit, HOUR, now, &boot), 1);
            prop_assert!(attempts.last_on(&unit, now, &boot).unwrap() <= Duration::from_secs(elapsed_s));
        }

        /// After a reboot, a limit holds at least until this boot is as old as the limit.
        #[test]
        fn a_reboot_never_wears_a_limit_off(up_s in 0_u64..3600, off_ms in -10_i64.pow(9)..86_000_000_i64) {
            let then = At { boot_ns: 5, wall_ms: 1_700_000_000_000 };
            let mut attempts = Attempts::default();
            attempts.add(&intent(then, "a"), then, &BootId("a".into()));
            let now = At { boot_ns: up_s * 1_000_000_000, wall_ms: then.wall_ms + off_ms };
            let slice = UnitName::new("system.slice").unwrap();
            prop_assert_eq!(attempts.in_slice(&slice, HOUR, now, &BootId("b".into())), 1);
        }
    }

    #[test]
    fn an_attempt_wears_off_when_both_clocks_agree() {
        let boot = BootId("a".into());
        let then = At {
            boot_ns: 1,
            wall_ms: 1_700_000_000_000,
        };
        let mut attempts = Attempts::default();
        attempts.add(&intent(then, "a"), then, &boot);
        let unit = UnitName::new("web.service").unwrap();
        assert_eq!(attempts.on_unit(&unit, HOUR, then.plus(HOUR), &boot), 0);
        assert_eq!(
            attempts.on_unit(
                &unit,
                HOUR,
                then.plus(HOUR - Duration::from_millis(1)),
                &boot
            ),
            1
        );
    }
}
