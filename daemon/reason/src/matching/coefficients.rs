//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on 1834 rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: Coefficients = Coefficients {
    intercept: -2.24,
    score: 1.75,
    margin: 10.45,
};

/// Those of a playbook whose examples have a say, fitted on 7828 rows.
pub const COEFFICIENTS_WITH_EXAMPLES: Coefficients = Coefficients {
    intercept: -3.81,
    score: 2.16,
    margin: 4.16,
};
