//! Brings what units write to the journal: lines become kinds of lines, and each window one fact
//! for each kind.

use std::time::Duration;

use hostmedic_model::{
    signal::{Fact, Signal},
    subject::Subject,
};
use hostmedic_observe::{
    host::clock,
    journal::{Heard, Journal, Options},
};
use hostmedic_reason::lines::{
    LineLosses, Lines,
    entry::{Entry, FIELDS, NoEntry},
};
use tokio::time::{Instant, sleep_until};

use crate::{config::Config, sources::Outlets};

/// How long lines are gathered. What a unit wrote when it failed is late by at most this.
const WINDOW: Duration = Duration::from_secs(5);
/// Windows between two words on what was lost.
const TELL_EVERY: Duration = Duration::from_secs(600);

/// Begins to follow the journal, if the configuration says so.
pub(crate) fn start(config: &Config, outlets: &Outlets) {
    if !config.logs.follow {
        tracing::info!("The journal is not followed: the configuration says so.");
        return;
    }
    let journal = Journal::new(Options {
        directory: config.journal_dir.clone(),
        fields: FIELDS,
    });
    tokio::spawn(follow(journal, outlets.clone()));
}

async fn follow(mut journal: Journal, to: Outlets) {
    let mut lines = Lines::default();
    let mut account = Account::default();
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
                account.tell(journal.too_long(), lines.losses());
            }
            heard = journal.next() => match heard {
                Heard::Line(line) => {
                    account.problem = None;
                    match Entry::read(line) {
                        Ok(entry) => {
                            lines.take(&entry.unit, entry.priority, &entry.message);
                            ends_at.get_or_insert_with(|| Instant::now() + WINDOW);
                        }
                        Err(NoEntry::Garbled) => account.garbled += 1,
                        Err(NoEntry::NoUnit | NoEntry::Harmless) => {}
                    }
                }
                Heard::Problem(problem) => account.problem(&problem.reason),
            },
        }
    }
}

/// What went wrong, and what of it was told.
#[derive(Debug, Default)]
struct Account {
    /// The newest problem that was told.
    problem: Option<String>,
    /// Lines of journalctl that are no entries.
    garbled: u64,
    told: (u64, u64, LineLosses),
    told_at: Option<Instant>,
}

impl Account {
    /// The same problem is told once.
    fn problem(&mut self, reason: &str) {
        if self.problem.as_deref() != Some(reason) {
            tracing::warn!(reason, "Cannot follow the journal; trying again.");
            self.problem = Some(reason.to_owned());
        }
    }

    /// Says what was lost, when that is more than before, and not too often.
    fn tell(&mut self, too_long: u64, losses: LineLosses) {
        let now = (self.garbled, too_long, losses);
        let is_due = self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if now != self.told && is_due {
            tracing::info!(
                garbled = self.garbled,
                too_long,
                units_forgotten = losses.units,
                kinds_forgotten = losses.templates,
                lines_untold = losses.untold,
                "Not everything in the journal was taken in."
            );
            self.told = now;
            self.told_at = Some(Instant::now());
        }
    }
}
