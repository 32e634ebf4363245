//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on 1834 rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: Coefficients = Coefficients {
    intercept: -2.65,
    score: 2.07,
    margin: 10.86,
};
