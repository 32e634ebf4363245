//! Which facts are counted together, and how sure a surge of them must be.

use hostmedic_model::{
    notice::Noticed,
    signal::{DropPlace, Fact, NetCounterKind, Sender, Signal, TcpTroubleKind},
    subject::Subject,
};
use serde::{Deserialize, Serialize};

use super::{
    rate::{Past, Rate, Strictness, Surge},
    table::Table,
};

/// Subjects times kinds; 80 bytes each.
const RATES_MAX: usize = 8192;
const KILL: u8 = 9;

/// A few crashes more than usual are worth a look at once.
const ERRORS: Strictness = Strictness {
    spreads: 4.5,
    count_min: 5.0,
    minutes: 1,
};
/// Networks have bursts: only what lasts matters, and only if somebody could feel it.
const NETWORK: Strictness = Strictness {
    spreads: 6.0,
    count_min: 60.0,
    minutes: 2,
};

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Error,
    Drop(DropPlace),
    Tcp(TcpTroubleKind),
    Refusal(NetCounterKind),
}

impl Kind {
    fn strictness(self) -> Strictness {
        match self {
            Self::Error => ERRORS,
            Self::Drop(_) | Self::Tcp(_) | Self::Refusal(_) => NETWORK,
        }
    }

    fn noticed(self) -> Noticed {
        match self {
            Self::Error => Noticed::ErrorSurge,
            Self::Drop(_) => Noticed::DropSurge,
            Self::Tcp(TcpTroubleKind::Retransmit) => Noticed::RetransmitSurge,
            Self::Tcp(TcpTroubleKind::ResetSent | TcpTroubleKind::ResetReceived) => {
                Noticed::ResetSurge
            }
            Self::Refusal(_) => Noticed::RefusalSurge,
        }
    }
}

/// What is kept of a rate: whose, of what, when it was last heard of, and its past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept(Subject, Kind, u64, Past);

/// Rates of every subject.
#[derive(Clone, Debug)]
pub(super) struct Surges {
    rates: Table<(Subject, Kind), Rate>,
    /// The newest minute in which something was lost; it is not learned from.
    lossy_minute: Option<u64>,
}

impl Surges {
    pub(super) fn new() -> Self {
        Self {
            rates: Table::new(RATES_MAX),
            lossy_minute: None,
        }
    }

    /// Counts a fact; `now_s` are the seconds watched so far.
    pub(super) fn hear(&mut self, signal: &Signal, now_s: u64) -> Option<(Noticed, Surge)> {
        let (kind, count) = counted(signal)?;
        let minute = now_s / 60;
        let lossy = self.lossy_minute;
        let key = (signal.subject.clone(), kind);
        let rate = self.rates.touch(&key, now_s, || Rate::new(minute, minute));
        let is_whole = |minute| lossy != Some(minute);
        let surge = rate.add(minute, count, is_whole, kind.strictness())?;
        Some((kind.noticed(), surge))
    }

    /// Whether this fact belongs to a surge, rather than to what its subject always does.
    pub(super) fn is_on(&self, signal: &Signal) -> bool {
        counted(signal)
            .and_then(|(kind, _)| self.rates.get(&(signal.subject.clone(), kind)))
            .is_some_and(|rate| rate.is_on)
    }

    /// What is to be kept over a restart.
    pub(super) fn kept(&self) -> Vec<Kept> {
        self.rates
            .rows()
            .map(|((subject, kind), touched_s, rate)| {
                Kept(subject.clone(), *kind, touched_s, rate.past())
            })
            .collect()
    }

    /// Goes on from what was kept when `now_s` seconds had been watched; `None` if counts cannot
    /// have led to it.
    pub(super) fn resume(kept: &[Kept], now_s: u64) -> Option<Self> {
        let mut surges = Self::new();
        for Kept(subject, kind, touched_s, past) in kept {
            let rate = Rate::resume(past, now_s / 60)?;
            let key = (subject.clone(), *kind);
            surges.rates.touch(&key, (*touched_s).min(now_s), || rate);
        }
        Some(surges)
    }

    pub(super) fn lost(&mut self, now_s: u64) {
        self.lossy_minute = Some(now_s / 60);
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.rates.forgotten()
    }
}

/// As what a fact is counted, and how often it happened.
fn counted(signal: &Signal) -> Option<(Kind, u64)> {
    match &signal.fact {
        Fact::FatalSignal(fatal) if is_service(&signal.subject) => {
            // Somebody's SIGKILL is a wish, not an error.
            let is_wish = fatal.signal == KILL && matches!(fatal.sender, Sender::Process(_));
            (!is_wish).then_some((Kind::Error, 1))
        }
        Fact::ProcessExit(exit) if is_service(&signal.subject) => {
            (exit.status != 0).then_some((Kind::Error, 1))
        }
        Fact::PacketDrops(drops) => Some((Kind::Drop(drops.place), drops.packets)),
        Fact::TcpTrouble(trouble) => Some((Kind::Tcp(trouble.trouble), trouble.count)),
        Fact::NetCounter(counter) => Some((Kind::Refusal(counter.counter), counter.count)),
        _ => None,
    }
}

/// Sessions of people fail as people work; only services have a habit.
fn is_service(subject: &Subject) -> bool {
    subject.unit().is_some_and(|unit| {
        unit.as_str().ends_with(".service") && !unit.as_str().starts_with("user@")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::{
        signal::{FatalSignal, NetCounter, TaskRef},
        subject::UnitName,
        time::At,
    };

    use super::*;

    fn crash(subject: &str, signal: u8, sender: Sender) -> Signal {
        Signal {
            at: At::default(),
            subject: Subject::Unit(UnitName::new(subject).unwrap()),
            fact: Fact::FatalSignal(FatalSignal {
                target: TaskRef::default(),
                signal,
                sender,
            }),
        }
    }

    fn refused(count: u64) -> Signal {
        Signal {
            at: At::default(),
            subject: Subject::Host,
            fact: Fact::NetCounter(NetCounter {
                counter: NetCounterKind::ListenOverflow,
                count,
            }),
        }
    }

    fn burst(signal: &Signal, times: usize) -> usize {
        let mut surges = Surges::new();
        let after_an_hour = 3600;
        (0..times)
            .filter_map(|_| surges.hear(signal, after_an_hour))
            .count()
    }

    #[test]
    fn a_burst_of_crashes_is_told_once() {
        assert_eq!(burst(&crash("web.service", 11, Sender::Kernel), 50), 1);
        assert_eq!(burst(&crash("web.service", 11, Sender::Kernel), 4), 0);
    }

    #[test]
    fn what_people_kill_or_try_out_is_no_error() {
        let killer = Sender::Process(TaskRef::default());
        assert_eq!(burst(&crash("web.service", KILL, killer), 50), 0);
        assert_eq!(
            burst(&crash("user@1000.service", 11, Sender::Kernel), 50),
            0
        );
        assert_eq!(burst(&crash("session-1.scope", 11, Sender::Kernel), 50), 0);
    }

    #[test]
    fn refusals_are_a_surge_only_beyond_the_habit_and_if_they_last() {
        let mut surges = Surges::new();
        let told = |surges: &mut Surges, second: u64, count| {
            surges.hear(&refused(count), second).is_some()
        };
        for second in (0..7200).step_by(10) {
            assert!(!told(&mut surges, second, 30), "{second}");
            assert!(!surges.is_on(&refused(1)));
        }
        assert!(!told(&mut surges, 7200, 5000));
        assert!(told(&mut surges, 7260, 5000));
        assert!(surges.is_on(&refused(1)));
        assert!(!told(&mut surges, 7400, 30));
        assert!(!surges.is_on(&refused(1)));
    }
}
