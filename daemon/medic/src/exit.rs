//! How `medic` ends: one table of exit codes, and the error that carries one.

use std::fmt;

/// How `medic` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Done, and the answer is no.
    Finding,
    /// The command line makes no sense.
    Usage,
    /// The daemon does not answer.
    Unreachable,
    /// This user may not.
    NotPermitted,
    /// The thing does not exist.
    NotFound,
    /// The daemon said no.
    Refused,
    /// The audit chain does not prove what was asked.
    CannotSay,
    /// Anything else.
    Internal,
}

/// Every exit code and what it means, as `--help` shows them.
pub const EXITS: [(Exit, u8, &str); 9] = [
    (Exit::Ok, 0, "done"),
    (
        Exit::Finding,
        1,
        "done, and the answer is no: a chain does not verify, a playbook is wrong or fails its tests",
    ),
    (Exit::Usage, 2, "the command line makes no sense"),
    (Exit::Unreachable, 3, "the daemon does not answer"),
    (
        Exit::NotPermitted,
        4,
        "this user may not; the message names the group to join",
    ),
    (
        Exit::NotFound,
        5,
        "there is no such incident, inhibit, file, ...",
    ),
    (Exit::Refused, 6, "the daemon refused the command"),
    (
        Exit::CannotSay,
        7,
        "cannot say: not all of the time that was asked about is covered",
    ),
    (
        Exit::Internal,
        70,
        "anything else went wrong (EX_SOFTWARE of sysexits(3))",
    ),
];

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        let found = EXITS.iter().find(|(exit, _, _)| *exit == self);
        found.map_or(70, |(_, code, _)| *code)
    }
}

/// The table, for `--help`.
pub(crate) fn help() -> String {
    let lines = EXITS
        .iter()
        .map(|(_, code, meaning)| format!("  {code:>2}  {meaning}"));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// Why `medic` could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// How it ends.
    pub(crate) exit: Exit,
    /// A word for programs.
    pub(crate) code: String,
    /// What failed, on which thing.
    pub(crate) message: String,
    /// What to do; may be empty.
    pub(crate) hint: String,
}

impl Failed {
    pub(crate) fn new(
        exit: Exit,
        code: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Nothing the user did.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, "internal", message, "")
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  {}", self.hint)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_documented() {
        for (n, (exit, code, meaning)) in EXITS.iter().enumerate() {
            assert_eq!(exit.code(), *code);
            assert!(EXITS[..n].iter().all(|(_, other, _)| other != code));
            assert!(help().contains(&format!("{code:>2}  {meaning}")));
        }
    }
}
