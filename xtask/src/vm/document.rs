//! The table of results in `docs/kernels.md`, written by a run and not by hand.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use anyhow::{Context as _, Result};

use super::report::Report;
use crate::{places::Places, tally::Tally};

/// The document, below the root of the clone.
const PATH: &str = "docs/kernels.md";

/// The lines that the table stands between.
const BEGIN: &str = "<!-- written by `cargo xtask vm --kernel all --write-docs` -->\n";
const END: &str = "<!-- end of what is written -->\n";

/// Puts the results in place of those before.
pub(super) fn write(places: &Places, reports: &[Report]) -> Result<()> {
    let path = places.file(PATH);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {PATH}"))?;
    let written = replaced(&text, &results(reports))
        .with_context(|| format!("{PATH} lacks the lines that its table stands between"))?;
    fs::write(&path, written).with_context(|| format!("cannot write {PATH}"))?;
    println!("vm: {PATH} is written");
    Ok(())
}

fn replaced(text: &str, results: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{results}\n{END}{after}"))
}

/// A table, a row for each test target and a column for each kernel, and what was skipped.
fn results(reports: &[Report]) -> String {
    let names: BTreeSet<_> = reports
        .iter()
        .flat_map(|report| report.targets().map(|(name, _)| name.to_owned()))
        .collect();
    let mut text = String::from("| test |");
    for report in reports {
        let _ = write!(text, " {} |", report.release);
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(reports.len()));
    for name in &names {
        let _ = write!(text, "| `{name}` |");
        for report in reports {
            let found = report.targets().find(|(found, _)| found == name);
            let cell = found.map_or_else(|| "not run".to_owned(), |(_, tally)| cell(&tally));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    let details: String = reports
        .iter()
        .map(|report| report.tally().details())
        .collect();
    if !details.is_empty() {
        text.push('\n');
        for line in details.lines() {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}

/// Counts that are not zero.
fn cell(tally: &Tally) -> String {
    let (passed, failed, skipped) = tally.counts();
    let counts = [(passed, "passed"), (failed, "FAILED"), (skipped, "skipped")];
    let words = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = words
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::vm::report::Reader;

    #[test]
    fn only_the_table_is_replaced() {
        let text = format!("# Kernels\n\n{BEGIN}old\n{END}\nMore.\n");
        let written = replaced(&text, "new\n").unwrap();
        assert_eq!(
            written,
            format!("# Kernels\n\n{BEGIN}\nnew\n\n{END}\nMore.\n")
        );
        assert_eq!(replaced(&written, "new\n").as_deref(), Some(&*written));
        assert_eq!(replaced("# Kernels\n", "new\n"), None);
    }

    #[test]
    fn a_row_is_a_target_and_a_column_a_kernel() {
        let mut reader = Reader::new(&["kernel_a".to_owned()]);
        let log = "@@ begin kernel_a\nskipped: no xfs\n\
                   test result: ok. 3 passed; 0 failed; 0 ignored\n@@ end kernel_a 0\n@@ done\n";
        reader.read(log);
        let report = reader.finish("6.1.0-56-amd64", Duration::ZERO, None);
        assert_eq!(
            results(&[report]),
            "| test | 6.1.0-56-amd64 |\n|---|---|\n| `kernel_a` | 2 passed, 1 skipped |\n\n\
             - skipped: 6.1.0-56-amd64 kernel_a: no xfs\n"
        );
    }
}
