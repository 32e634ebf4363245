//! The tables that people read.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    fit::{self, Judged},
    rows::{Answer, Asked, Measured, Ranker},
};

const CALIBRATION_HEAD: &str = "| shown of a playbook | coefficients | ECE | Brier | precision at P >= 0.90 | coverage | none AUROC | taken out AUROC |\n|---|---|---|---|---|---|---|---|\n";

/// Who ranks how well, by kind of text.
pub(super) fn quality(measured: &[Measured]) -> String {
    let mut out = String::from("## Ranking\n\n");
    let kinds: BTreeSet<_> = measured
        .iter()
        .flat_map(|measured| measured.rows.values().flatten())
        .filter(|row| row.asked == Asked::Right)
        .map(|row| row.kind.as_str())
        .collect();
    let heads: String = kinds.iter().map(|kind| format!(" {kind} R@1 |")).collect();
    let rules = "---|".repeat(kinds.len());
    let _ = writeln!(
        out,
        "| shown of a playbook | ranker | R@1 | R@5 | MRR |{heads} none AUROC | taken out AUROC |"
    );
    let _ = writeln!(out, "|---|---|---|---|---|{rules}---|---|");
    for measured in measured {
        for ranker in Ranker::ALL {
            let rows = &measured.rows[&ranker];
            let asked: Vec<_> = rows
                .iter()
                .filter(|row| row.asked == Asked::Right)
                .collect();
            let mean = |value: &dyn Fn(usize) -> f64, kind: Option<&str>| {
                let rows = asked
                    .iter()
                    .filter(|row| kind.is_none_or(|kind| row.kind == kind));
                let values: Vec<_> = rows.map(|row| value(row.place)).collect();
                values.iter().sum::<f64>() / values.len() as f64
            };
            let within = |most: usize| move |place: usize| f64::from(u8::from(place <= most));
            let tops = |asked| {
                let rows = rows.iter().filter(|row| row.asked == asked);
                rows.map(|row| f64::from(row.top)).collect::<Vec<_>>()
            };
            let with = tops(Asked::Right);
            let by_kind: String = kinds
                .iter()
                .map(|kind| format!(" {:.3} |", mean(&within(1), Some(kind))))
                .collect();
            let _ = writeln!(
                out,
                "| {} | {} | {:.3} | {:.3} | {:.3} |{by_kind} {:.3} | {:.3} |",
                measured.shown.name(),
                ranker.name(),
                mean(&within(1), None),
                mean(&within(5), None),
                mean(&|place| 1.0 / place as f64, None),
                fit::auroc(&with, &tops(Asked::NeverThere)),
                fit::auroc(&with, &tops(Asked::TakenOut)),
            );
        }
    }
    out
}

/// How well the probabilities hold, cross-validated and as checked in.
pub(super) fn calibration(measured: &[Measured]) -> String {
    let mut out = String::from("\n## Calibration\n\n");
    out += CALIBRATION_HEAD;
    let all: Vec<_> = measured
        .iter()
        .flat_map(|measured| &measured.answers)
        .collect();
    let validated = fit::cross_validate(&all);
    row(&mut out, "all three", "cross-validated", &validated);
    let mut rest = validated.as_slice();
    for measured in measured {
        let (own, others) = rest.split_at(measured.answers.len());
        rest = others;
        row(&mut out, measured.shown.name(), "cross-validated", own);
    }
    let shipped = fit::judge(&all, |answer: &Answer| answer.probability);
    row(&mut out, "all three", "as checked in", &shipped);
    out + "\n" + &reliability(&validated)
}

/// How well the checked-in probabilities hold for one library.
pub(super) fn as_checked_in(measured: &Measured) -> String {
    let mut answers: Vec<_> = measured.answers.iter().collect();
    let judge = |answers: &[_]| fit::judge(answers, |answer: &Answer| answer.probability);
    let judged = judge(&answers);
    answers.retain(|answer| answer.asked != Asked::TakenOut);
    let name = measured.shown.name();
    let mut out = format!("\n{CALIBRATION_HEAD}");
    row(&mut out, name, "as checked in", &judged);
    row(
        &mut out,
        name,
        "as checked in, nothing taken out",
        &judge(&answers),
    );
    out + "\n" + &reliability(&judged)
}

fn row(out: &mut String, shown: &str, coefficients: &str, judged: &[Judged]) {
    let quality = fit::quality(judged);
    let _ = writeln!(
        out,
        "| {shown} | {coefficients} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {} |",
        quality.ece,
        quality.brier,
        quality.precision,
        quality.coverage,
        quality.none_auroc,
        match quality.taken_out_auroc {
            nothing if nothing.is_nan() => "-".to_owned(),
            auroc => format!("{auroc:.3}"),
        },
    );
}

/// What was said and what came true.
pub(super) fn reliability(judged: &[Judged]) -> String {
    let mut out = String::from("| P | rows | mean P | came true |\n|---|---|---|---|\n");
    for bin in fit::reliability(judged) {
        let _ = writeln!(
            out,
            "| {:.1} to {:.1} | {} | {:.3} | {:.3} |",
            bin.from,
            bin.from + 0.1,
            bin.rows,
            bin.said,
            bin.came_true
        );
    }
    out
}
