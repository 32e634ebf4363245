//! Fits the coefficients on the labelled set and on the shipped library's incidents, and writes them
//! where the matcher reads them, with their reliability in the document.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use hostmedic_reason::matching::confidence::Coefficients;

use super::{CalibrateArgs, data::Data, fit, report, rows};

const CODE: &str = "daemon/reason/src/matching/coefficients.rs";
const DOCUMENT: &str = "docs/matching.md";
/// The part of the document between these lines is written here.
const BEGIN: &str = "<!-- calibration: begin -->\n";
const END: &str = "<!-- calibration: end -->\n";

/// Fits, writes code and document, and tells what changed.
pub(crate) fn run(args: &CalibrateArgs) -> Result<()> {
    let data = Data::read(&args.args.data)?;
    let measured = rows::measure(&data);
    // A library of few words scores lower than one that is rich; the probability must hold for both.
    let shipped = super::shipped(&args.args, &args.args.rendered)?;
    let answers: Vec<_> = measured
        .iter()
        .chain([&shipped])
        .flat_map(|measured| &measured.answers)
        .collect();
    let fitted = rounded(fit::fit(&answers));
    write(&args.root.join(CODE), &code(fitted, answers.len()))?;

    let judged = fit::judge(&answers, |row| fitted.probability(row.score, row.margin));
    let path = args.root.join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (before, rest) = text
        .split_once(BEGIN)
        .with_context(|| format!("{DOCUMENT} lacks {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{DOCUMENT} lacks {END}"))?;
    let Coefficients {
        intercept,
        score,
        margin,
    } = fitted;
    let tables = report::quality(&measured) + &report::calibration(&measured);
    let tables = tables.replace("## ", "### ");
    let own = report::reliability(&judged);
    write(
        &path,
        &format!(
            "{before}{BEGIN}\n`P = 1 / (1 + exp(-({intercept} + {score} * score + {margin} * margin)))`, \
             fitted on {} rows.\n\nThe fit on its own rows:\n\n{own}\n{tables}\n{END}{after}",
            answers.len(),
        ),
    )?;
    println!("{fitted:?}");
    Ok(())
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

fn code(fitted: Coefficients, rows: usize) -> String {
    let Coefficients {
        intercept,
        score,
        margin,
    } = fitted;
    format!(
        "//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on {rows} rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: Coefficients = Coefficients {{
    intercept: {intercept:?},
    score: {score:?},
    margin: {margin:?},
}};
"
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
