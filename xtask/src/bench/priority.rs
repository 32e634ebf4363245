//! Our place before other work on the machine, for the time of a run.
//!
//! Where the scheduler groups tasks by session (`CONFIG_SCHED_AUTOGROUP`), niceness counts only
//! within the session: nice -20 would still get no more than the compiler in the next window.
//! sched(7) says how a session is favoured as a whole.

use std::fs;

/// The session's favour as `/proc` takes it.
const FILE: &str = "/proc/self/autogroup";
/// As for the processes within: see `load::PRIORITY`.
const NICENESS: &str = "-20";

/// Our session comes first; put back when dropped.
pub(super) struct First {
    before: Option<String>,
}

impl First {
    /// From now on. Where sessions are not grouped, niceness does it alone.
    pub(super) fn take() -> Self {
        let before = fs::read_to_string(FILE).ok();
        let before = before.and_then(|text| niceness(&text).map(str::to_owned));
        if before.is_some()
            && let Err(error) = fs::write(FILE, NICENESS)
        {
            println!("bench: cannot come before other sessions ({FILE}: {error})");
        }
        Self { before }
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(FILE, before);
        }
    }
}

/// The niceness in `/autogroup-6533 nice 0`.
fn niceness(text: &str) -> Option<&str> {
    Some(text.split_once(" nice ")?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_niceness_before_is_found() {
        assert_eq!(niceness("/autogroup-6533 nice -5\n"), Some("-5"));
        assert_eq!(niceness(""), None);
    }
}
