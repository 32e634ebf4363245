//! What a reader found, and how files are read: never more of one than is asked for.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::SystemTime,
};

use hostmedic_model::time::Span;

/// Right to look into processes of other users; proc(5), ptrace(2) "Ptrace access mode checking".
pub(super) const PTRACE: &str = "CAP_SYS_PTRACE";
/// Right to read a task's kernel stack; `proc_pid_stack()`, fs/proc/base.c.
pub(super) const ADMIN: &str = "CAP_SYS_ADMIN";
/// Right to list directories of other users.
pub(super) const SEARCH: &str = "CAP_DAC_READ_SEARCH";

/// What one reader gives. Nothing found is no line; what could not be looked at is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What was found, one line each.
    pub(super) lines: Vec<String>,
    /// Whole small files by name; the memory cgroup's.
    pub(super) files: BTreeMap<String, String>,
    /// What could not be had, and why.
    pub(super) missing: Vec<String>,
}

impl Found {
    /// Nothing, for this reason.
    pub(super) fn nothing(reason: impl Into<String>) -> Self {
        let mut found = Self::default();
        found.lacks(reason);
        found
    }

    /// Lines, or the reason why there are none.
    pub(super) fn of(lines: Result<Vec<String>, String>) -> Self {
        match lines {
            Ok(lines) => Self {
                lines,
                ..Self::default()
            },
            Err(reason) => Self::nothing(reason),
        }
    }

    pub(super) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    pub(super) fn lacks(&mut self, reason: impl Into<String>) {
        self.missing.push(reason.into());
    }

    /// `count` things could not be read for want of `right`.
    pub(super) fn lacks_right(&mut self, count: usize, what: &str, right: &str) {
        if count > 0 {
            self.lacks(format!(
                "{what} of {count} may not be read; it needs {right}"
            ));
        }
    }
}

/// The first `bytes_max` bytes of a file.
pub(super) fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same as text. What is no UTF-8 is replaced.
pub(super) fn text(path: &Path, bytes_max: usize) -> io::Result<String> {
    read(path, bytes_max).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The whole of a short file, without its end of line.
pub(super) fn word(path: &Path) -> Option<String> {
    let text = text(path, 512).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Whether it is for want of a right that something could not be read.
pub(super) fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Bytes as people say them.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut name = "";
    for unit in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = unit;
    }
    format!("{value:.1} {name}")
}

/// How long ago a file was changed, such as `3m ago`.
pub(super) fn ago(then: io::Result<SystemTime>) -> String {
    let passed = then.ok().and_then(|then| then.elapsed().ok());
    passed.map_or_else(
        || "at an unknown time".to_owned(),
        |passed| format!("{} ago", Span::secs(passed.as_secs())),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_the_unit_that_fits() {
        for (bytes, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3 << 19, "1.5 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(size(bytes), said);
        }
    }

    #[test]
    fn no_more_is_read_than_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![0xff; 100_000]).unwrap();
        assert_eq!(read(&path, 10).unwrap().len(), 10);
        assert_eq!(text(&path, 3).unwrap(), "\u{fffd}\u{fffd}\u{fffd}");
        // An endless file ends, too.
        assert_eq!(read(Path::new("/dev/zero"), 5000).unwrap().len(), 5000);
        assert_eq!(word(Path::new("/nonexistent")), None);
    }
}
