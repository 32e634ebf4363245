//! Fits the coefficients on the labelled set and on the shipped library's incidents, and writes them
//! where the matcher reads them, with their reliability in the document.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use hostmedic_reason::matching::confidence::{Coefficients, LEAD_ENOUGH};

use super::{
    CalibrateArgs,
    data::{self, Data, Shown},
    fit, report,
    rows::{self, Measured},
};

const CODE: &str = "daemon/reason/src/matching/coefficients.rs";
const DOCUMENT: &str = "docs/matching.md";
/// The part of the document between these lines is written here.
const BEGIN: &str = "<!-- calibration: begin -->\n";
const END: &str = "<!-- calibration: end -->\n";

/// Fits, writes code and document, and tells what changed.
pub(crate) fn run(args: &CalibrateArgs) -> Result<()> {
    let data = Data::read(&args.args.data)?;
    let measured = rows::measure(&data);
    let (library, incidents) = data::shipped(&args.args.playbooks, &args.args.rendered)?;
    let mut bare = library.clone();
    bare.unmatched.clear();
    for entry in &mut bare.playbooks {
        entry.examples.clear();
    }
    // A library of few words scores lower than one that is rich; the probability must hold for both.
    let shipped = rows::measure_one(Shown::Shipped, &bare, &incidents);
    let without = Fitted::of(measured.iter().chain([&shipped]));
    // Texts of an author whose other texts the library does not know.
    let mut told = vec![rows::measure_one(Shown::Shipped, &library, &incidents)];
    for (library, asked) in data::without_an_author(&library) {
        told.push(rows::measure_one(Shown::Shipped, &library, &asked));
    }
    let with = Fitted::of(&told);
    write(&args.root.join(CODE), &code(&without, &with))?;

    let path = args.root.join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (before, rest) = text
        .split_once(BEGIN)
        .with_context(|| format!("{DOCUMENT} lacks {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{DOCUMENT} lacks {END}"))?;
    let tables = report::quality(&measured) + &report::calibration(&measured);
    let tables = tables.replace("## ", "### ");
    let authors = report::quality(&[together(told)]).replace("## ", "### ");
    let fits = without.told("Without examples") + &with.told("With examples");
    write(
        &path,
        &format!(
            "{before}{BEGIN}{fits}\nExamples of each author, asked without that author's others, and \
             the incidents of `rendered.jsonl`:\n\n{authors}\n{tables}\n{END}{after}"
        ),
    )?;
    println!("{:?}\n{:?}", without.coefficients, with.coefficients);
    Ok(())
}

/// All that was asked, as one.
fn together(all: Vec<Measured>) -> Measured {
    let mut all = all.into_iter();
    let mut first = all.next().unwrap_or_default();
    for measured in all {
        for (ranker, rows) in measured.rows {
            first.rows.entry(ranker).or_default().extend(rows);
        }
        first.answers.extend(measured.answers);
    }
    first
}

/// Coefficients, and how well they hold on the rows they were fitted on.
struct Fitted {
    coefficients: Coefficients,
    rows: usize,
    reliability: String,
}

impl Fitted {
    fn of<'a>(measured: impl IntoIterator<Item = &'a Measured>) -> Self {
        let answers = measured.into_iter();
        let answers: Vec<_> = answers.flat_map(|measured| &measured.answers).collect();
        let coefficients = rounded(fit::fit(&answers));
        let judged = fit::judge(&answers, |row| {
            coefficients.probability(row.score, row.margin)
        });
        Self {
            coefficients,
            rows: answers.len(),
            reliability: report::reliability(&judged),
        }
    }

    fn told(&self, which: &str) -> String {
        let Coefficients {
            intercept,
            score,
            margin,
        } = self.coefficients;
        format!(
            "\n{which}: `P = 1 / (1 + exp(-({intercept} + {score} * score + {margin} * min(margin, {LEAD_ENOUGH}))))`, \
             fitted on {} rows. On these rows:\n\n{}",
            self.rows, self.reliability
        )
    }

    fn code(&self) -> String {
        // Its debug form is the code that makes it.
        format!("Coefficients = {:#?};\n", self.coefficients)
    }
}

/// Two digits: more would be noise of the fit.
fn rounded(fitted: Coefficients) -> Coefficients {
    let round = |value: f64| (value * 100.0).round() / 100.0;
    Coefficients {
        intercept: round(fitted.intercept),
        score: round(fitted.score),
        margin: round(fitted.margin),
    }
}

fn code(without: &Fitted, with: &Fitted) -> String {
    format!(
        "//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on {} rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: {}
/// Those of a playbook whose examples have a say, fitted on {} rows.
pub const COEFFICIENTS_WITH_EXAMPLES: {}",
        without.rows,
        without.code(),
        with.rows,
        with.code()
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().is_some_and(Path::is_dir);
    ensure!(
        parent,
        "{}: no such folder; give the clone with --root",
        path.display()
    );
    fs::write(path, text).with_context(|| path.display().to_string())
}
