//! Brings what units write to the journal: lines become kinds of lines, and each window one fact
//! for each kind.

use std::time::Duration;

use hostmedic_model::{
    signal::{Fact, Signal},
    subject::Subject,
    view::JournalStatus,
};
use hostmedic_observe::{
    host::clock,
    journal::{Heard, Journal, Options},
};
use hostmedic_reason::lines::{
    LineLosses, Lines,
    entry::{Entry, FIELDS, NoEntry},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{config::Config, sources::Outlets};

/// How long lines are gathered. What a unit wrote when it failed is late by at most this.
const WINDOW: Duration = Duration::from_secs(5);
/// Windows between two words on what was lost.
const TELL_EVERY: Duration = Duration::from_secs(600);

/// Begins to follow the journal, if the configuration says so, and gives where it tells how that
/// goes.
pub(crate) fn start(config: &Config, outlets: &Outlets) -> Option<watch::Receiver<JournalStatus>> {
    if !config.logs.follow {
        tracing::info!("The journal is not followed: the configuration says so.");
        return None;
    }
    let journal = Journal::new(Options {
        directory: config.journal_dir.clone(),
        fields: FIELDS,
    });
    let (status, seen) = watch::channel(JournalStatus::default());
    tokio::spawn(follow(journal, outlets.clone(), Account::new(status)));
    Some(seen)
}

async fn follow(mut journal: Journal, to: Outlets, mut account: Account) {
    let mut lines = Lines::default();
    // There is no window, and no clock runs, while nothing is written.
    let mut ends_at: Option<Instant> = None;
    loop {
        let end = async {
            match ends_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = end => {
                ends_at = None;
                let at = clock::now();
                for (unit, found) in lines.close() {
                    let signal = Signal { at, subject: Subject::Unit(unit), fact: Fact::LogLines(found) };
                    to.sink.keep_other(&signal);
                    if to.signals.send(signal).await.is_err() {
                        return;
                    }
                }
                account.forgotten(lines.losses());
            }
            heard = journal.next() => match heard {
                Heard::Line(line) => {
                    account.reads();
                    match Entry::read(line) {
                        Ok(entry) => {
                            lines.take(&entry.unit, entry.priority, &entry.message);
                            ends_at.get_or_insert_with(|| Instant::now() + WINDOW);
                        }
                        Err(NoEntry::Garbled) => account.lost(|status| &mut status.unreadable),
                        Err(NoEntry::NoUnit | NoEntry::Harmless) => {}
                    }
                }
                Heard::Started => account.starts(),
                Heard::TooLong => account.lost(|status| &mut status.too_long),
                Heard::Problem(problem) => account.problem(&problem.reason),
            },
        }
    }
}

/// What went wrong, and what of it was logged.
#[derive(Debug)]
struct Account {
    /// For `medic status`.
    status: watch::Sender<JournalStatus>,
    /// The newest problem that was logged, until a line comes.
    logged_problem: Option<String>,
    logged: JournalStatus,
    logged_at: Option<Instant>,
}

impl Account {
    fn new(status: watch::Sender<JournalStatus>) -> Self {
        Self {
            status,
            logged_problem: None,
            logged: JournalStatus::default(),
            logged_at: None,
        }
    }

    /// journalctl was started. Whether it stays is another matter: its problem is not news yet.
    fn starts(&mut self) {
        self.status.send_modify(|status| status.problem = None);
    }

    /// A line came.
    fn reads(&mut self) {
        self.logged_problem = None;
    }

    /// It cannot be followed now. The same problem is logged once.
    fn problem(&mut self, reason: &str) {
        self.status.send_modify(|status| {
            // One that goes on is one interruption, however often it is tried.
            status.interruptions += u64::from(status.problem.is_none());
            status.problem = Some(reason.to_owned());
        });
        if self.logged_problem.as_deref() != Some(reason) {
            tracing::warn!(reason, "Cannot follow the journal; trying again.");
            self.logged_problem = Some(reason.to_owned());
        }
    }

    /// A line was lost.
    fn lost(&mut self, counter: fn(&mut JournalStatus) -> &mut u64) {
        self.status.send_modify(|status| *counter(status) += 1);
        self.log();
    }

    /// What was lost up to the end of a window.
    fn forgotten(&mut self, losses: LineLosses) {
        self.status.send_modify(|status| {
            status.untold = losses.untold;
            status.units_forgotten = losses.units;
            status.kinds_forgotten = losses.templates;
        });
        self.log();
    }

    /// Logs what was lost, when that is more than before, and not too often.
    fn log(&mut self) {
        let is_due = self.logged_at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        let now = JournalStatus {
            problem: None,
            interruptions: 0,
            ..self.status.borrow().clone()
        };
        if now != self.logged && is_due {
            tracing::info!(
                unreadable = now.unreadable,
                too_long = now.too_long,
                units_forgotten = now.units_forgotten,
                kinds_forgotten = now.kinds_forgotten,
                lines_untold = now.untold,
                "Not everything in the journal was taken in."
            );
            self.logged = now;
            self.logged_at = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_lost_is_seen_at_once() {
        let (status, seen) = watch::channel(JournalStatus::default());
        let mut account = Account::new(status);
        account.starts();
        account.lost(|status| &mut status.too_long);
        account.lost(|status| &mut status.unreadable);
        account.lost(|status| &mut status.unreadable);
        account.forgotten(LineLosses {
            units: 1,
            templates: 2,
            untold: 3,
        });
        let expected = JournalStatus {
            problem: None,
            interruptions: 0,
            too_long: 1,
            unreadable: 2,
            untold: 3,
            units_forgotten: 1,
            kinds_forgotten: 2,
        };
        assert_eq!(*seen.borrow(), expected);
        assert_eq!(seen.borrow().lost(), 6);
    }

    /// Goal: a journalctl that cannot be started for an hour is one interruption, one that is
    /// started and ends again and again is many, and none outlives its end.
    #[tokio::test]
    async fn interruptions_are_counted_once_each() {
        let (status, seen) = watch::channel(JournalStatus::default());
        let mut account = Account::new(status);
        let told = || {
            let status = seen.borrow();
            (status.interruptions, status.problem.clone())
        };
        account.problem("no files of a journal");
        account.problem("may not be read");
        assert_eq!(told(), (1, Some("may not be read".to_owned())));
        account.starts();
        assert_eq!(told(), (1, None));
        account.problem("journalctl ended");
        assert_eq!(told(), (2, Some("journalctl ended".to_owned())));
    }
}
