//! The tables in `docs/benchmarks.md`, written by a run and not by hand.

use std::fs;

use anyhow::{Context as _, Result};

use super::{report::Report, table};
use crate::places::Places;

/// The document, below the root of the clone.
const PATH: &str = "docs/benchmarks.md";

/// The lines that the tables stand between.
const BEGIN: &str = "<!-- written by `cargo xtask bench capture --write-docs` -->\n";
const END: &str = "<!-- end of what is written -->\n";

/// Puts the tables in place of those before.
pub(super) fn write(places: &Places, report: &Report) -> Result<()> {
    let path = places.file(PATH);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {PATH}"))?;
    let written = replaced(&text, &table::text(report))
        .with_context(|| format!("{PATH} lacks the lines that its tables stand between"))?;
    fs::write(&path, written).with_context(|| format!("cannot write {PATH}"))?;
    println!("bench: {PATH} is written");
    Ok(())
}

fn replaced(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tables_are_replaced() {
        let text = format!("# Benchmarks\n\n{BEGIN}old\n{END}\nMore.\n");
        let written = replaced(&text, "new\n").unwrap();
        assert_eq!(
            written,
            format!("# Benchmarks\n\n{BEGIN}\nnew\n\n{END}\nMore.\n")
        );
        assert_eq!(replaced(&written, "new\n").as_deref(), Some(&*written));
        assert_eq!(replaced("# Benchmarks\n", "new\n"), None);
    }
}
