//! Logistic regression of "the best playbook is right" on its score and lead, and how well its
//! probabilities hold.
//!
//! Rows are weighted so that [`UNMATCHED_RATIO`] of them have no right playbook: a daemon meets
//! more such incidents than a labelled set has.

use hostmedic_reason::matching::confidence::{ACT_MIN, Coefficients};

use super::rows::{Answer, Asked};

/// Share of incidents that no playbook is for, and of those for which just the right one is lacking.
const UNMATCHED_RATIO: f64 = 0.15;
const LACKING_RATIO: f64 = 0.05;
/// Folds of the cross-validation.
const FOLDS: usize = 5;
/// Keeps the fit finite where rows could be told apart without error.
const RIDGE: f64 = 1e-3;
/// Bins of the reliability table.
const BINS: usize = 10;

/// A probability and what came true, with the weight of the row.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) probability: f64,
    pub(super) right: bool,
    pub(super) asked: Asked,
    pub(super) weight: f64,
}

/// The weight of each row.
pub(super) fn weights(answers: &[&Answer]) -> Vec<f64> {
    let count = |asked| {
        answers
            .iter()
            .filter(|answer| answer.asked == asked)
            .count()
    };
    let weight = |asked| {
        let share = match asked {
            Asked::Right => 1.0 - UNMATCHED_RATIO - LACKING_RATIO,
            Asked::TakenOut => LACKING_RATIO,
            Asked::NeverThere => UNMATCHED_RATIO,
        };
        share * answers.len() as f64 / count(asked) as f64
    };
    answers.iter().map(|answer| weight(answer.asked)).collect()
}

/// Fits by Newton's method (iteratively reweighted least squares).
pub(super) fn fit(answers: &[&Answer]) -> Coefficients {
    let weights = weights(answers);
    let mut beta = [0.0; 3];
    for _ in 0..50 {
        let mut gradient = beta.map(|value| RIDGE * value);
        let mut hessian = [[0.0; 3]; 3];
        for (row, weight) in answers.iter().zip(&weights) {
            let x = Coefficients::factors(row.score, row.margin);
            let p = coefficients(beta).probability(row.score, row.margin);
            let error = weight * (p - f64::from(u8::from(row.right)));
            for i in 0..3 {
                gradient[i] += error * x[i];
                for j in 0..3 {
                    hessian[i][j] += weight * p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        for (i, row) in hessian.iter_mut().enumerate() {
            row[i] += RIDGE;
        }
        let step = solve(hessian, gradient);
        for (value, step) in beta.iter_mut().zip(step) {
            *value -= step;
        }
        if step.iter().all(|step| step.abs() < 1e-9) {
            break;
        }
    }
    coefficients(beta)
}

fn coefficients([intercept, score, margin]: [f64; 3]) -> Coefficients {
    Coefficients {
        intercept,
        score,
        margin,
    }
}

/// Solves three equations by Gaussian elimination; the ridge keeps the pivots from zero.
fn solve(mut a: [[f64; 3]; 3], mut b: [f64; 3]) -> [f64; 3] {
    for pivot in 0..3 {
        for row in pivot + 1..3 {
            let factor = a[row][pivot] / a[pivot][pivot];
            let above = a[pivot];
            for (value, above) in a[row].iter_mut().zip(above) {
                *value -= factor * above;
            }
            b[row] -= factor * b[pivot];
        }
    }
    for pivot in (0..3).rev() {
        let known: f64 = (pivot + 1..3)
            .map(|column| a[pivot][column] * b[column])
            .sum();
        b[pivot] = (b[pivot] - known) / a[pivot][pivot];
    }
    b
}

/// Judges each row by coefficients fitted without any row of its playbook.
pub(super) fn cross_validate(answers: &[&Answer]) -> Vec<Judged> {
    let mut groups: Vec<_> = answers.iter().map(|answer| answer.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    let fold = |answer: &Answer| {
        let place = groups.binary_search(&answer.group.as_str());
        // Neighbours in the alphabet are often neighbours in meaning: deal them out.
        place.unwrap_or_default() % FOLDS
    };
    let fits: Vec<_> = (0..FOLDS)
        .map(|left_out| {
            let rows = answers.iter().copied();
            fit(&rows.filter(|row| fold(row) != left_out).collect::<Vec<_>>())
        })
        .collect();
    judge(answers, |row| {
        fits[fold(row)].probability(row.score, row.margin)
    })
}

/// Judges each row by `probability`.
pub(super) fn judge(answers: &[&Answer], probability: impl Fn(&Answer) -> f64) -> Vec<Judged> {
    let rows = answers.iter().zip(weights(answers));
    rows.map(|(row, weight)| Judged {
        probability: probability(row),
        right: row.right,
        asked: row.asked,
        weight,
    })
    .collect()
}

/// One row of the reliability table.
pub(super) struct Bin {
    pub(super) from: f64,
    pub(super) rows: usize,
    pub(super) weight: f64,
    pub(super) said: f64,
    pub(super) came_true: f64,
}

/// What was said and what came true, by tenths.
pub(super) fn reliability(judged: &[Judged]) -> Vec<Bin> {
    (0..BINS)
        .filter_map(|bin| {
            let inside =
                |row: &&Judged| ((row.probability * BINS as f64) as usize).min(BINS - 1) == bin;
            let rows: Vec<_> = judged.iter().filter(inside).collect();
            let weight: f64 = rows.iter().map(|row| row.weight).sum();
            let mean = |value: &dyn Fn(&Judged) -> f64| {
                rows.iter().map(|row| row.weight * value(row)).sum::<f64>() / weight
            };
            (!rows.is_empty()).then(|| Bin {
                from: bin as f64 / BINS as f64,
                rows: rows.len(),
                weight,
                said: mean(&|row| row.probability),
                came_true: mean(&|row| f64::from(u8::from(row.right))),
            })
        })
        .collect()
}

/// How good probabilities are.
pub(super) struct Quality {
    /// Expected calibration error: the mean gap between said and came true.
    pub(super) ece: f64,
    /// Mean squared error of the probabilities.
    pub(super) brier: f64,
    /// Share of right ones among those that may act.
    pub(super) precision: f64,
    /// Share of texts with a right playbook that may act.
    pub(super) coverage: f64,
    /// How often a text with a right playbook gets a higher probability than one that never had.
    pub(super) none_auroc: f64,
    /// The same against texts whose right playbook was taken out.
    pub(super) taken_out_auroc: f64,
}

/// Measures the quality of probabilities.
pub(super) fn quality(judged: &[Judged]) -> Quality {
    let total: f64 = judged.iter().map(|row| row.weight).sum();
    let sum = |rows: &mut dyn Iterator<Item = &Judged>| rows.map(|row| row.weight).sum::<f64>();
    let gaps = reliability(judged);
    let gaps = gaps
        .iter()
        .map(|bin| bin.weight * (bin.said - bin.came_true).abs());
    let squares = judged
        .iter()
        .map(|row| row.weight * (row.probability - f64::from(u8::from(row.right))).powi(2));
    let acts = |row: &&Judged| row.probability >= ACT_MIN;
    let asked = |asked| judged.iter().filter(move |row| row.asked == asked);
    let scores = |rows| asked(rows).map(|row| row.probability).collect::<Vec<_>>();
    let with = scores(Asked::Right);
    Quality {
        ece: gaps.sum::<f64>() / total,
        brier: squares.sum::<f64>() / total,
        precision: sum(&mut judged.iter().filter(acts).filter(|row| row.right))
            / sum(&mut judged.iter().filter(acts)),
        coverage: asked(Asked::Right).filter(acts).count() as f64 / with.len() as f64,
        none_auroc: auroc(&with, &scores(Asked::NeverThere)),
        taken_out_auroc: auroc(&with, &scores(Asked::TakenOut)),
    }
}

/// How often one of `high` lies above one of `low`; equal ones count half.
pub(super) fn auroc(high: &[f64], low: &[f64]) -> f64 {
    let pairs = high.iter().flat_map(|a| low.iter().map(move |b| (a, b)));
    let won: f64 = pairs
        .map(|(a, b)| match a.total_cmp(b) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum();
    won / (high.len() * low.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(score: f32, right: bool) -> Answer {
        Answer {
            asked: if right {
                Asked::Right
            } else {
                Asked::NeverThere
            },
            group: format!("{score}"),
            score,
            margin: score / 2.0,
            probability: 0.0,
            right,
        }
    }

    #[test]
    fn a_fit_finds_what_made_the_rows() {
        let rows: Vec<_> = (0..100)
            .map(|at| answer(at as f32 / 100.0, at > 40 || at % 7 == 0))
            .collect();
        let rows: Vec<_> = rows.iter().collect();
        let fitted = fit(&rows);
        assert!(fitted.probability(0.9, 0.45) > 0.85);
        assert!(fitted.probability(0.1, 0.05) < 0.4);
        let judged = judge(&rows, |row| fitted.probability(row.score, row.margin));
        let total: f64 = judged.iter().map(|row| row.weight).sum();
        let said: f64 = judged.iter().map(|row| row.weight * row.probability).sum();
        let right = judged.iter().filter(|row| row.right);
        let came_true: f64 = right.map(|row| row.weight).sum();
        // The intercept makes the means agree.
        assert!(((said - came_true) / total).abs() < 1e-3);
    }

    #[test]
    fn auroc_of_chance_is_a_half() {
        assert_eq!(auroc(&[1.0, 2.0], &[1.0, 2.0]), 0.5);
        assert_eq!(auroc(&[3.0], &[1.0, 2.0]), 1.0);
    }

    #[test]
    fn three_equations_are_solved() {
        let a = [[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]];
        let x = solve(a, [4.0, 10.0, 14.0]);
        for (found, expected) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{x:?}");
        }
    }
}
