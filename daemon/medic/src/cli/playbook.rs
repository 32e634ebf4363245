//! The words of `medic playbook`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Where the package puts the library.
const LIBRARY: &str = "/usr/share/hostmedic/playbooks";

/// `medic playbook`.
#[derive(Debug, Subcommand)]
pub(crate) enum Playbook {
    /// Lists the playbooks that the daemon has in force, or those of a directory.
    #[command(alias = "list")]
    Ls(Ls),
    /// What one playbook comes to: when it acts, what it does, how far it may go.
    Show {
        /// A file, or the name of a playbook in the library.
        playbook: String,
        #[command(flatten)]
        library: Library,
    },
    /// Checks playbook files; of a directory, every *.yaml in it.
    Lint {
        /// Files and directories.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Warnings count, too: the shipped library has none.
        #[arg(long)]
        strict: bool,
    },
    /// Runs the playbooks' own cases through the daemon's state machine; touches nothing.
    Test {
        /// Files and directories. Of a file, the playbooks beside it take part, too.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Tries each file alone, without the playbooks beside it.
        #[arg(long)]
        alone: bool,
    },
    /// Explains a word of the language, or a playbook step by step; without one, lists every word.
    Explain(Explain),
    /// Writes a whole, commented playbook to start from.
    New {
        /// Its name, which is its file's name.
        name: String,
        /// What it is like.
        #[arg(long, value_enum, default_value = "restart")]
        shape: Shape,
        /// Where to write it.
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Which playbooks fit a text, by meaning, words and fixed strings; needs no daemon.
    Match(Match),
    /// What changed between two playbooks, and whether it became looser or tighter.
    Diff {
        /// The older file.
        before: PathBuf,
        /// The newer file.
        after: PathBuf,
    },
    /// Prints the JSON Schema, for editors.
    Schema,
}

/// `medic playbook ls`.
#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// Lists this directory instead of asking the daemon.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Only those that wait for something the daemon cannot see or do yet, and for what.
    #[arg(long)]
    pub(crate) missing: bool,
}

/// Where playbooks are looked for by name.
#[derive(Args, Debug)]
pub(crate) struct Library {
    /// Directory of the library.
    #[arg(long = "library", env = "HOSTMEDIC_PLAYBOOKS", value_name = "DIR", default_value = LIBRARY)]
    pub(crate) dir: PathBuf,
}

/// `medic playbook match`.
#[derive(Args, Debug)]
pub(crate) struct Match {
    /// What happened, in any words.
    #[arg(required_unless_present_any = ["jsonl", "incident"], conflicts_with_all = ["jsonl", "incident"])]
    pub(crate) text: Option<String>,
    /// The words in which the daemon compared this incident.
    #[arg(long, value_name = "ID", conflicts_with = "jsonl")]
    pub(crate) incident: Option<String>,
    /// Reads one JSON object a line, `{"id", "text"}`, and answers each with
    /// `{"id", "matches": [{"playbook", "score", "confidence"}], "route"}`.
    #[arg(long)]
    pub(crate) jsonl: bool,
    #[command(flatten)]
    pub(crate) library: Library,
}

/// `medic playbook explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// A signal, state, measure, check, step or capture; or a playbook's name or file.
    pub(crate) word: Option<String>,
    /// Prints the page of all words that is checked in.
    #[arg(long, conflicts_with = "word")]
    pub(crate) markdown: bool,
    #[command(flatten)]
    pub(crate) library: Library,
}

/// What a new playbook is like.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shape {
    /// Restarts a unit.
    Restart,
    /// Makes room on a file system.
    Disk,
    /// Does nothing and tells people.
    Notify,
    /// Works on a database.
    Sql,
}
