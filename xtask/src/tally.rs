//! Counting what passed and failed over many test runs, to close with one line.

use std::fmt;

/// What passed, failed and was skipped so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u32,
    /// Names of what failed.
    failed: Vec<String>,
    /// What was not run, and why.
    skipped: Vec<String>,
}

impl Tally {
    /// Counts one check that is no test, such as clippy.
    pub(crate) fn check(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed.push(name.to_owned());
        }
    }

    /// Notes that something was not run.
    pub(crate) fn skip(&mut self, what: &str) {
        self.skipped.push(what.to_owned());
    }

    /// Adds what a group's output said; `ended_well` is its exit status.
    pub(crate) fn add(&mut self, group: &Group, ended_well: bool) {
        self.passed += group.passed.saturating_sub(count(&group.skipped));
        self.skipped.extend(group.skipped.iter().cloned());
        let named = count(&group.failed);
        self.failed.extend(
            group
                .failed
                .iter()
                .map(|name| format!("{}: {name}", group.name)),
        );
        let unnamed = group.failed_count.saturating_sub(named);
        for _ in 0..unnamed {
            self.failed
                .push(format!("{}: a test without a name", group.name));
        }
        if !ended_well && named + unnamed == 0 {
            // It did not compile, was killed, or took too long.
            self.failed
                .push(format!("{}: did not run to its end", group.name));
        }
    }

    /// Whether nothing failed.
    pub(crate) fn is_green(&self) -> bool {
        self.failed.is_empty()
    }

    /// How many passed, failed and were skipped.
    pub(crate) fn counts(&self) -> (u32, u32, u32) {
        (self.passed, count(&self.failed), count(&self.skipped))
    }

    /// Adds all that another counted.
    pub(crate) fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// What failed and what was skipped, one a line; empty when there is neither.
    pub(crate) fn details(&self) -> String {
        let failed = self.failed.iter().map(|name| format!("failed: {name}\n"));
        let skipped = self.skipped.iter().map(|what| format!("skipped: {what}\n"));
        skipped.chain(failed).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed.len())?;
        if !self.skipped.is_empty() {
            write!(f, ", {} skipped", self.skipped.len())?;
        }
        Ok(())
    }
}

/// What the output of one `cargo test` said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    passed: u32,
    failed_count: u32,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Group {
    /// A group that has said nothing yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Reads one line of output of cargo's test runner.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            // `ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s`
            let number = |word: &str| {
                let words: Vec<_> = counts.split([' ', ';']).collect();
                let at = words.iter().position(|found| *found == word);
                at.and_then(|at| words.get(at.checked_sub(1)?)?.parse::<u32>().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            self.failed_count += number("failed");
            for _ in 0..number("ignored") {
                self.skipped
                    .push(format!("{}: a test marked as ignored", self.name));
            }
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|l| l.strip_suffix(" ... FAILED"))
        {
            self.failed.push(name.to_owned());
        } else if let Some(why) = line.trim_start().strip_prefix("skipped: ") {
            // A test that found the machine lacking says so and passes; it is not a pass.
            self.skipped.push(format!("{}: {why}", self.name));
        }
    }
}

fn count<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(lines: &[&str]) -> Group {
        let mut group = Group::new("unit");
        for line in lines {
            group.read(line);
        }
        group
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut tally = Tally::default();
        tally.check("clippy", true);
        let group = group(&[
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test a::b ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.1s",
        ]);
        tally.add(&group, false);
        assert_eq!(tally.to_string(), "6 passed, 1 failed");
        assert_eq!(tally.details(), "failed: unit: a::b\n");
        assert!(!tally.is_green());
    }

    #[test]
    fn a_skip_is_not_a_pass() {
        let mut tally = Tally::default();
        let group = group(&[
            "skipped: needs cgroup v2",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        ]);
        tally.add(&group, true);
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn a_group_that_does_not_compile_is_a_failure() {
        let mut tally = Tally::default();
        tally.add(&group(&["error[E0308]: mismatched types"]), false);
        assert_eq!(tally.to_string(), "0 passed, 1 failed");
        assert_eq!(tally.details(), "failed: unit: did not run to its end\n");
    }
}
