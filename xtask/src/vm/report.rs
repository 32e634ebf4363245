//! What the tests in a machine said: marks and output become results, test by test.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::tally::{Group, Tally};

/// Begins a line of `run.sh`; no test prints it.
const MARK: &str = "@@ ";

/// Something that `run.sh` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A test target begins.
    Begin(String),
    /// It ended with this status; 124 when it took too long.
    End(String, i32),
    /// All have ended.
    Done,
}

impl Mark {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(MARK)?.split(' ');
        let mark = match (words.next()?, words.next(), words.next()) {
            ("begin", Some(name), None) => Self::Begin(name.to_owned()),
            ("end", Some(name), Some(status)) => Self::End(name.to_owned(), status.parse().ok()?),
            ("done", None, None) => Self::Done,
            _ => return None,
        };
        Some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(name) => write!(f, "{name} begins"),
            Self::End(name, 0) => write!(f, "{name} passed"),
            Self::End(name, 124 | 137) => write!(f, "{name} took too long"),
            Self::End(name, status) => write!(f, "{name} FAILED with status {status}"),
            Self::Done => f.write_str("all tests have ended"),
        }
    }
}

/// One test target's output and end.
#[derive(Clone, Debug, Default)]
struct Target {
    output: String,
    status: Option<i32>,
}

/// Reads a log that grows.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    targets: BTreeMap<String, Target>,
    current: Option<String>,
    read_bytes: usize,
    is_done: bool,
}

impl Reader {
    /// A reader that expects these test targets.
    pub(super) fn new(tests: &[String]) -> Self {
        let target = |name: &String| (name.clone(), Target::default());
        Self {
            targets: tests.iter().map(target).collect(),
            current: None,
            read_bytes: 0,
            is_done: false,
        }
    }

    /// Reads whole lines that `log` has beyond what was read before, and gives their marks.
    pub(super) fn read(&mut self, log: &str) -> Vec<Mark> {
        let new = log.get(self.read_bytes..).unwrap_or_default();
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        self.read_bytes += whole;
        let lines = new[..whole].lines();
        lines.filter_map(|line| self.line(line)).collect()
    }

    fn line(&mut self, line: &str) -> Option<Mark> {
        let mark = Mark::parse(line);
        match &mark {
            Some(Mark::Begin(name)) => self.current = Some(name.clone()),
            Some(Mark::End(name, status)) => {
                self.targets.entry(name.clone()).or_default().status = Some(*status);
                self.current = None;
            }
            Some(Mark::Done) => self.is_done = true,
            None => {
                if let Some(name) = &self.current {
                    let target = self.targets.entry(name.clone()).or_default();
                    target.output.push_str(line);
                    target.output.push('\n');
                }
            }
        }
        mark
    }

    /// The end; `broken` says why, if the machine did not turn itself off.
    pub(super) fn finish(self, release: &str, took: Duration, broken: Option<String>) -> Report {
        let broken = match (broken, self.is_done) {
            (None, false) => Some("it ended before its tests did".to_owned()),
            (broken, _) => broken,
        };
        Report {
            release: release.to_owned(),
            took,
            broken,
            targets: self.targets,
        }
    }
}

/// What one kernel did with the tests.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// Of the kernel.
    pub(super) release: String,
    /// From power-on to power-off.
    pub(super) took: Duration,
    /// Why it is not whole.
    pub(super) broken: Option<String>,
    targets: BTreeMap<String, Target>,
}

impl Report {
    /// Each test target with its count, sorted by name.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&str, Tally)> {
        self.targets.iter().map(|(name, target)| {
            let mut group = Group::new(&format!("{} {name}", self.release));
            for line in target.output.lines() {
                group.read(line);
            }
            let mut tally = Tally::default();
            tally.add(&group, target.status == Some(0));
            (name.as_str(), tally)
        })
    }

    /// All of them together.
    pub(super) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        for (_, counted) in self.targets() {
            all.merge(counted);
        }
        if let Some(why) = &self.broken {
            all.check(&format!("{}: {why}", self.release), false);
        }
        all
    }

    /// Output of the test targets that did not end well.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        let failed = self
            .targets
            .iter()
            .filter(|(_, target)| target.status != Some(0));
        failed.map(|(name, target)| (name.as_str(), target.output.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "@@ begin kernel_a\n\nrunning 2 tests\nskipped: no xfs\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
        \n@@ end kernel_a 0\n@@ begin vm_b\ntest x ... FAILED\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
        \n@@ end vm_b 101\n@@ done\n";

    fn read(log: &str) -> Report {
        let tests = ["kernel_a", "vm_b"].map(str::to_owned);
        let mut reader = Reader::new(&tests);
        // A log is seen in pieces that end anywhere.
        for end in 0..=log.len() {
            reader.read(&log[..end]);
        }
        reader.finish("6.1", Duration::ZERO, None)
    }

    #[test]
    fn each_test_of_each_target_is_counted() {
        let report = read(LOG);
        let counts: Vec<_> = report.targets().map(|(_, tally)| tally.counts()).collect();
        assert_eq!(counts, [(1, 0, 1), (1, 1, 0)]);
        assert_eq!(report.tally().counts(), (2, 1, 1));
        assert!(
            report
                .failures()
                .all(|(name, said)| name == "vm_b" && said.contains("FAILED"))
        );
    }

    #[test]
    fn a_machine_that_breaks_off_fails_what_it_did_not_end() {
        let (log, _) = LOG.split_once("test x").unwrap();
        let report = read(log);
        assert_eq!(
            report.broken.as_deref(),
            Some("it ended before its tests did")
        );
        assert_eq!(report.tally().counts(), (1, 2, 1));
    }

    #[test]
    fn marks_are_whole_lines_of_known_words() {
        assert_eq!(Mark::parse("@@ begin a"), Some(Mark::Begin("a".to_owned())));
        assert_eq!(
            Mark::parse("@@ end a 124"),
            Some(Mark::End("a".to_owned(), 124))
        );
        for line in ["@@ end a", "@@ end a b", "x @@ done", "@@ done now", ""] {
            assert_eq!(Mark::parse(line), None, "{line}");
        }
    }
}
