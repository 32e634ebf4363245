//! The command line: every word `medic` understands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use hostmedic_model::{
    subject::{BadUnitName, UnitName},
    time::Span,
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

/// `medic playbook`.
#[derive(Debug, Subcommand)]
pub(crate) enum Playbook {
    /// Checks playbook files; of a directory, every *.yaml in it.
    Lint {
        /// Files and directories.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Lists the playbooks that the daemon has in force.
    List,
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
