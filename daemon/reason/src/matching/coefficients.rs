//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on 1834 rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: Coefficients = Coefficients {
    intercept: -2.65,
    score: 2.06,
    margin: 10.87,
};

/// Those of a playbook whose examples have a say, fitted on 4762 rows.
pub const COEFFICIENTS_WITH_EXAMPLES: Coefficients = Coefficients {
    intercept: -4.52,
    score: 3.77,
    margin: 6.21,
};
