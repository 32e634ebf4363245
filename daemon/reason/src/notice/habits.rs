//! What the detectors of events have learned, as bytes, so that a restart forgets no habit: how often
//! things happen a minute, and how regularly they come.
//!
//! Short memories are left out: a few restarts in a row, a link that flaps, a surge that is on. What a
//! unit writes is left out, too: kinds of lines are found anew in each run, under other numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Notices,
    silence::{self, Silence},
    surges::{self, Surges},
};
use crate::sealed;

/// What the bytes are, and the version of their form.
const KIND: &str = "hostmedic-habits 1";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Habits {
    /// Seconds that were watched; all others count from the same moment.
    watched_s: u64,
    rates: Vec<surges::Kept>,
    silence: silence::Kept,
}

impl Notices {
    /// All habits as bytes, for [`Self::load`] after a restart. Some 2 MiB at most.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let habits = Habits {
            watched_s: self.now_s(),
            rates: self.surges.kept(),
            silence: self.silence.kept(),
        };
        sealed::seal(KIND, &habits)
    }

    /// Takes in what [`Self::to_bytes`] gave, and how many habits that were. Time goes on from there,
    /// so it must be the first thing that happens.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<usize, String> {
        if self.last.is_some() {
            return Err("habits are taken back before time passes, not later".to_owned());
        }
        let (_, body) = sealed::open(bytes, "habits", &[KIND])?;
        let habits: Habits = serde_json::from_slice(body)
            .map_err(|error| format!("the habits cannot be read: {error}"))?;
        let now_s = habits.watched_s;
        let count = habits.rates.len() + habits.silence.len();
        let surges = Surges::resume(&habits.rates, now_s)
            .ok_or("a rate among the habits cannot have come from counts")?;
        let silence = Silence::resume(habits.silence, now_s)
            .ok_or("a pause among the habits lies after the last second that was watched")?;
        self.watched = Duration::from_secs(now_s);
        self.surges = surges;
        self.silence = silence;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::{
        signal::{Fact, NetCounter, NetCounterKind, Signal},
        subject::{Subject, UnitName},
        time::At,
        unit::{ActiveState, UnitState},
    };
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> At {
        At {
            boot_ns: second * 1_000_000_000,
            wall_ms: i64::try_from(second).unwrap() * 1000,
        }
    }

    fn refused(count: u64, second: u64) -> Signal {
        Signal {
            at: at(second),
            subject: Subject::Host,
            fact: Fact::NetCounter(NetCounter {
                counter: NetCounterKind::ListenOverflow,
                count,
            }),
        }
    }

    fn started(run: u64, second: u64) -> Signal {
        Signal {
            at: at(second),
            subject: Subject::Unit(UnitName::new("backup.service").unwrap()),
            fact: Fact::UnitState(UnitState {
                active: ActiveState::Active,
                sub: "running".to_owned(),
                result: String::new(),
                invocation_id: Some(run.to_string()),
                n_restarts: 0,
            }),
        }
    }

    /// Seconds are watched one by one; what comes is heard.
    fn watch(
        notices: &mut Notices,
        seconds: std::ops::Range<u64>,
        mut heard: impl FnMut(u64) -> Vec<Signal>,
    ) -> usize {
        let mut told = 0;
        for second in seconds {
            notices.live(at(second));
            for signal in heard(second) {
                told += usize::from(notices.hear(&signal, at(second)).is_some());
            }
        }
        told
    }

    /// Six hours in which 30 connections are refused every ten seconds and a backup runs each hour.
    fn learned() -> Notices {
        let mut notices = Notices::default();
        let told = watch(&mut notices, 0..6 * 3600, |second| {
            let mut heard = Vec::new();
            if second % 10 == 0 {
                heard.push(refused(30, second));
            }
            if second % 3600 == 0 {
                heard.push(started(second / 3600, second));
            }
            heard
        });
        assert_eq!(told, 0);
        notices
    }

    fn restarted(notices: &Notices) -> Notices {
        let mut next = Notices::default();
        next.load(&notices.to_bytes()).unwrap();
        next
    }

    #[test]
    fn what_is_read_back_is_the_same() {
        let learned = learned();
        let next = restarted(&learned);
        assert_eq!(next.to_bytes(), learned.to_bytes());
        assert_eq!(next.now_s(), learned.now_s());
    }

    #[test]
    fn a_surge_right_after_a_restart_is_told() {
        let storm = |second: u64| vec![refused(5000, second)];
        let begin = 100_000;
        assert_eq!(watch(&mut Notices::default(), begin..begin + 130, storm), 0);
        let mut next = restarted(&learned());
        assert_eq!(watch(&mut next, begin..begin + 130, storm), 1);
    }

    #[test]
    fn what_always_happens_is_none_after_a_restart() {
        let mut next = restarted(&learned());
        let usual = |second: u64| {
            let is_due = second.is_multiple_of(10);
            is_due.then(|| refused(30, second)).into_iter().collect()
        };
        assert_eq!(watch(&mut next, 100_000..107_200, usual), 0);
    }

    #[test]
    fn a_run_that_stays_away_over_a_restart_is_missed() {
        let unit = UnitName::new("backup.service").unwrap();
        let mut next = restarted(&learned());
        let now_s = next.now_s();
        assert!(next.silence.not_started(&unit, now_s + 3600).is_none());
        assert!(next.silence.not_started(&unit, now_s + 7200).is_some());
        let mut fresh = Notices::default();
        assert!(fresh.silence.not_started(&unit, now_s + 7200).is_none());
    }

    #[test]
    fn numbers_that_nobody_asks_for_any_more_are_no_silence() {
        let mut notices = Notices::default();
        for second in 0..600 {
            notices.live(at(second));
            notices.number(&Subject::Host);
        }
        let mut next = restarted(&notices);
        assert!(next.silence.silent(10_000, |_| true).is_empty());
        for second in 700..703 {
            next.live(at(second));
            next.number(&Subject::Host);
        }
        assert_eq!(next.silence.silent(10_000, |_| true).len(), 1);
    }

    #[test]
    fn damage_and_late_bytes_change_nothing() {
        let bytes = learned().to_bytes();
        let mut notices = Notices::default();
        let before = notices.to_bytes();
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let body = String::from_utf8(bytes[head..].to_vec()).unwrap();
        let forged = |from: &str, to: &str| {
            assert!(body.contains(from), "{from}");
            sealed::seal_bytes(KIND, body.replacen(from, to, 1).as_bytes())
        };
        for odd in [
            Vec::new(),
            bytes[..bytes.len() - 1].to_vec(),
            sealed::seal_bytes("hostmedic-habits 2", body.as_bytes()),
            forged("\"watched_s\":", "\"watched_s\":0,\"more\":"),
            forged("\"watched_s\":2", "\"watched_s\":"),
            forged("\"learned\":", "\"learned\":9"),
            forged("\"moments\":[", "\"moments\":[9"),
        ] {
            assert!(notices.load(&odd).is_err());
        }
        assert_eq!(notices.to_bytes(), before);
        notices.live(at(1));
        assert!(notices.load(&bytes).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// No bytes make it panic, sealed or not.
        #[test]
        fn any_bytes_are_an_answer(
            at_byte in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut notices = Notices::default();
            prop_assert!(notices.load(&noise).is_err());
            prop_assert!(notices.load(&sealed::seal_bytes(KIND, &noise)).is_err());
            watch(&mut notices, 0..300, |second| vec![refused(3, second), started(second, second)]);
            let bytes = notices.to_bytes();
            let head = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let mut body = bytes[head..].to_vec();
            let place = at_byte.index(body.len());
            body[place] = byte;
            let mut forged = Notices::default();
            if forged.load(&sealed::seal_bytes(KIND, &body)).is_ok() {
                watch(&mut forged, 0..200, |second| vec![refused(9, second)]);
            }
        }
    }
}
