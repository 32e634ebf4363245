//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on 1834 rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: Coefficients = Coefficients {
    intercept: -1.99,
    score: 1.39,
    margin: 12.01,
};

/// Those of a playbook whose examples have a say, fitted on 7828 rows.
pub const COEFFICIENTS_WITH_EXAMPLES: Coefficients = Coefficients {
    intercept: -4.37,
    score: 2.45,
    margin: 7.11,
};
