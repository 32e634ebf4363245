//! The command line: every word `medic` understands.

pub(crate) mod numbers;
pub(crate) mod playbook;

use std::{
    path::PathBuf,
    str::FromStr,
    time::{Duration, SystemTime},
};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use hostmedic_model::{
    command::Judgement,
    signal::SignalKind,
    subject::{BadUnitName, UnitName},
    time::Span,
};

use self::{
    numbers::{Anomalies, Baseline, Replayed},
    playbook::Playbook,
};
use crate::exit;

/// Asks a running medicd, tells it what you want, and checks what it left behind.
#[derive(Debug, Parser)]
#[command(name = "medic", version, after_help = exit::help(), after_long_help = exit::help())]
pub(crate) struct Cli {
    /// Socket of the daemon.
    #[arg(
        long,
        global = true,
        env = "HOSTMEDIC_SOCKET",
        value_name = "PATH",
        default_value = "/run/hostmedic/medicd.sock"
    )]
    pub(crate) socket: PathBuf,
    /// Print JSON (schemas: `curl --unix-socket PATH http://localhost/v1/openapi.json`).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// The host at a glance: what is wrong, what waits for you, what is held, what it costs.
    Status,
    /// Lists incidents, newest first.
    Incidents {
        /// Also those that are over.
        #[arg(long)]
        all: bool,
    },
    /// One incident, from the kernel event to the outcome.
    Incident {
        /// Its name, such as `inc_20260814_021703_9f2c41d0`.
        id: String,
    },
    /// Why hostmedic did, or did not, act on an incident.
    Why {
        /// Its name.
        id: String,
    },
    /// Lets a proposal be carried out: once, and only as it was shown.
    Approve {
        /// The incident.
        id: String,
        /// Binding of the proposal you saw; its first 8 digits are enough. Without it, the
        /// proposal that is printed now is meant.
        #[arg(long, value_name = "HEX")]
        binding: Option<String>,
    },
    /// Turns a proposal down; the incident is handed to people.
    Reject {
        /// The incident.
        id: String,
        /// Why, for those who read the audit chain later.
        #[arg(long)]
        reason: String,
    },
    /// Says whether the right playbook was found, so that the matcher learns from it.
    Judge {
        /// The incident.
        id: String,
        /// right, wrong, or forget to take back what the incident has taught.
        #[arg(value_parser = judgement)]
        judgement: Judgement,
        /// The playbook that is meant; without it, the one that `medic why` has first.
        #[arg(long, value_name = "NAME")]
        playbook: Option<String>,
    },
    /// Leaves a unit, or the whole host, alone for a while; or lists or lifts that.
    Inhibit(Inhibit),
    /// Stops all acting at once; observing and recording go on. Works without a daemon, too.
    Pause {
        /// Why, for those who find it paused.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        state: StateDir,
    },
    /// Acts again after a pause. Works without a daemon, too.
    Resume {
        #[command(flatten)]
        state: StateDir,
    },
    /// Prints each new record as it comes.
    Watch,
    /// The kernel hooks: what each gives here, what it counted, lost and costs.
    Probes {
        /// Show every counter of the loss ledger.
        #[arg(long)]
        ledger: bool,
    },
    /// Events that are kept, oldest first; as JSON, one a line.
    Events(Events),
    /// What the audit chain proves about one hook and a span of time; ends with 7 when it cannot
    /// say.
    Coverage(Coverage),
    /// What is normal on this host: every series, or one with its recent past.
    Baseline(Baseline),
    /// What was not normal, oldest first.
    Anomalies(Anomalies),
    /// What happened, through the daemon's own reasoning once more; nothing is done.
    Replay(Replayed),
    /// A live picture of the host; `q` leaves.
    Top(Top),
    /// The shipped detectors as a pipe, with the shipped defaults: CSV in, CSV out, row by row.
    #[command(subcommand)]
    Detect(Detect),
    /// Playbooks: the rules.
    #[command(subcommand)]
    Playbook(Playbook),
    /// The audit chain.
    #[command(subcommand)]
    Audit(Audit),
    /// Other hosts, as the collector knows them.
    #[cfg(feature = "offline")]
    Fleet(Fleet),
    /// Prints a completion script: `medic completions bash > /etc/bash_completion.d/medic`.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// `medic inhibit`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["span", "list", "lift"]))]
pub(crate) struct Inhibit {
    /// The unit; without it, every unit.
    #[arg(long, value_name = "UNIT", value_parser = unit_name, conflicts_with_all = ["list", "lift"])]
    pub(crate) unit: Option<UnitName>,
    /// For how long: 30m, 2h, 1d.
    #[arg(long = "for", value_name = "SPAN", requires = "reason")]
    pub(crate) span: Option<Span>,
    /// Why, for those who wonder that nothing happens.
    #[arg(long, requires = "span")]
    pub(crate) reason: Option<String>,
    /// Lists the inhibits in force.
    #[arg(long)]
    pub(crate) list: bool,
    /// Ends this inhibit early.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) lift: Option<u64>,
}

/// A unit name, checked as systemd would.
fn unit_name(name: &str) -> Result<UnitName, BadUnitName> {
    UnitName::new(name)
}

/// `medic events`.
#[derive(Args, Debug)]
pub(crate) struct Events {
    /// Only from then on: 1h (ago), or a moment in UTC such as '2026-08-14 02:17:03'.
    #[arg(long, value_name = "WHEN", default_value = "1h")]
    pub(crate) since: Moment,
    /// Only before then.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<Moment>,
    /// Only about this unit.
    #[arg(long, value_name = "UNIT", value_parser = unit_name)]
    pub(crate) unit: Option<UnitName>,
    /// Only of this kind, such as `oom_kill`; may be given more than once.
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = signal_kind)]
    pub(crate) kinds: Vec<SignalKind>,
    /// Only the newest of them.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: Option<u32>,
    /// Then print each new one as it comes, until Ctrl-C.
    #[arg(long, conflicts_with = "until")]
    pub(crate) follow: bool,
}

/// `medic coverage`.
#[derive(Args, Debug)]
pub(crate) struct Coverage {
    /// The hook, as `medic probes` names it.
    #[arg(long, default_value = "oom_victim")]
    pub(crate) hook: String,
    /// From then on: 8h (ago), or a moment in UTC.
    #[arg(long, value_name = "WHEN", default_value = "8h")]
    pub(crate) since: Moment,
    /// Until then; without it, until the end of the newest row of the ledger.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<Moment>,
}

/// `medic top`.
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// How often to look.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = every)]
    pub(crate) every: Span,
    /// Print one picture as plain text; also when stdout is no terminal.
    #[arg(long)]
    pub(crate) once: bool,
}

/// A pace that neither the daemon nor the reader suffers from.
fn every(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    let allowed = Duration::from_millis(200)..=Duration::from_secs(3600);
    if allowed.contains(&span.0) {
        Ok(span)
    } else {
        Err(format!("`{text}` is not within 200ms..=1h"))
    }
}

/// The model's word for a judgement.
fn judgement(word: &str) -> Result<Judgement, String> {
    serde_json::from_value(word.into())
        .map_err(|_| format!("`{word}` is none of right, wrong and forget"))
}

/// The model's word for a kind of event.
fn signal_kind(word: &str) -> Result<SignalKind, String> {
    serde_json::from_value(word.into()).map_err(|error| error.to_string())
}

/// A moment as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So long ago.
    Ago(Span),
    /// Unix milliseconds.
    At(i64),
}

impl Moment {
    /// In Unix milliseconds, if it is `now_ms`.
    pub(crate) fn wall_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::Ago(span) => {
                let ms = i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
                now_ms.saturating_sub(ms)
            }
            Self::At(wall_ms) => wall_ms,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        let moment = humantime::parse_rfc3339_weak(text)
            .map_err(|_| format!("`{text}` is neither a span such as 8h nor a moment in UTC such as '2026-08-14 02:17:03'"))?;
        let since_1970 = moment
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|_| format!("`{text}` is before 1970"))?;
        Ok(Self::At(
            i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX),
        ))
    }
}

/// Where the daemon keeps its state.
#[derive(Args, Debug)]
pub(crate) struct StateDir {
    /// State directory of the daemon, used when it does not answer.
    #[arg(
        long = "state",
        value_name = "DIR",
        default_value = "/var/lib/hostmedic"
    )]
    pub(crate) dir: PathBuf,
}

/// `medic audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Prints records in chain order, one a line.
    Show {
        /// First record.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Writes the whole chain of a store to a file that can be checked anywhere.
    #[cfg(feature = "offline")]
    Export {
        /// Ledger of the daemon, which may be running.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/hostmedic/ledger")]
        store: PathBuf,
        /// File to write; it must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Checks every hash and signature of a store or an export; names the first bad record.
    #[cfg(feature = "offline")]
    Verify(Verify),
}

/// `medic audit verify`.
#[cfg(feature = "offline")]
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("source").args(["store", "export"]))]
pub(crate) struct Verify {
    /// Ledger of the daemon to check [default: /var/lib/hostmedic/ledger].
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Export to check.
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,
    /// Public key of the host, 64 hex digits. Without it the key beside the chain is believed,
    /// which finds damage but no forger.
    #[arg(long, value_name = "HEX")]
    pub(crate) key: Option<String>,
}

/// `medic fleet`.
#[cfg(feature = "offline")]
#[derive(Args, Debug)]
pub(crate) struct Fleet {
    /// Operator's bundle for the collector (a file, or a directory with bundle.toml), as
    /// `medic-collector enrol` makes it.
    #[arg(
        long,
        global = true,
        env = "HOSTMEDIC_BUNDLE",
        value_name = "PATH",
        default_value = "/etc/hostmedic/operator.toml"
    )]
    pub(crate) bundle: PathBuf,
    #[command(subcommand)]
    pub(crate) task: FleetTask,
}

/// What to ask the collector.
#[cfg(feature = "offline")]
#[derive(Debug, Subcommand)]
pub(crate) enum FleetTask {
    /// Lists hosts: how far their chains reach, when they were last heard.
    Hosts,
    /// Lists incidents of all hosts, newest first.
    Incidents {
        /// Only those of this host: its id or name.
        #[arg(long)]
        host: Option<String>,
        /// Only those that are not over.
        #[arg(long)]
        open: bool,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Checks the collector's copy of a host's chain.
    Verify {
        /// Host id or name.
        host: String,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn moments_are_spans_or_utc() {
        let now = 1_786_673_823_000;
        for (text, expected) in [
            ("1h", now - 3_600_000),
            ("90s", now - 90_000),
            ("2026-08-14 02:17:03", now),
            ("2026-08-14T02:17:03Z", now),
            ("2026-08-14 02:17:03.412Z", now + 412),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().wall_ms(now), expected);
        }
        assert!("noon".parse::<Moment>().unwrap_err().contains("`noon`"));
        assert!("1900-01-01 00:00:00".parse::<Moment>().is_err());
    }

    #[test]
    fn events_and_top_refuse_nonsense() {
        for (bad, says) in [
            ("medic events --kind oom", "unknown variant `oom`"),
            ("medic events --limit 0", "0 is not in 1..=1000"),
            ("medic events --follow --until 1h", "cannot be used with"),
            ("medic top --every 1ms", "200ms"),
            ("medic coverage --since noon", "`noon`"),
        ] {
            let error = Cli::try_parse_from(bad.split(' ')).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn inhibit_asks_for_what_it_needs() {
        let read = |args: &str| Cli::try_parse_from(args.split(' '));
        for good in [
            "medic inhibit --for 2h --reason x",
            "medic inhibit --unit a.service --for 2h --reason x",
            "medic inhibit --list",
            "medic inhibit --lift 7",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("medic inhibit", "required"),
            ("medic inhibit --for 2h", "--reason"),
            ("medic inhibit --unit a.service", "required"),
            (
                "medic inhibit --unit a --for 2h --reason x",
                "unit name `a`",
            ),
            (
                "medic inhibit --for soon --reason x",
                "`soon` is not a duration",
            ),
            ("medic inhibit --list --lift 7", "cannot be used with"),
            (
                "medic inhibit --lift 7 --unit a.service",
                "cannot be used with",
            ),
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}

/// `medic detect`.
#[derive(Debug, Subcommand)]
pub(crate) enum Detect {
    /// One series: columns `timestamp,value` in; `timestamp,value,anomaly_score,notified` out.
    ///
    /// A timestamp is `2026-08-14 02:17:03` (taken as UTC), RFC 3339 or seconds since 1970. A value
    /// that is empty, `NaN` or infinite is a gap, never zero. `notified` is 1 only at the row at
    /// which a notification goes out.
    Series {
        /// Time between rows [default: that between the first two rows].
        #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
        interval: Option<Duration>,
    },
    /// All metrics of one host: a header of metric names and one row of numbers per sample in;
    /// `score,notified,blame` out, the metrics to blame separated by `;`, worst first.
    ///
    /// An empty cell is a gap. A first column named `timestamp` gives the time of each row; without
    /// it rows are one interval apart.
    Host {
        /// Time between rows.
        #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
        interval: Duration,
    },
}
