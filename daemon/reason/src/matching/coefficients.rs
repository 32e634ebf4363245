//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on 1834 rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: Coefficients = Coefficients {
    intercept: -2.23,
    score: 1.56,
    margin: 11.0,
};

/// Those of a playbook whose examples have a say, fitted on 7828 rows.
pub const COEFFICIENTS_WITH_EXAMPLES: Coefficients = Coefficients {
    intercept: -3.81,
    score: 2.15,
    margin: 4.63,
};
