//! How a score becomes a probability. Written by `hostmedic-bench calibrate`; not by hand.

use super::confidence::Coefficients;

/// Fitted on 1834 rows; their reliability is in `docs/matching.md`.
pub const COEFFICIENTS: Coefficients = Coefficients {
    intercept: -2.41,
    score: 1.96,
    margin: 11.13,
};

/// Those of a playbook whose examples have a say, fitted on 5448 rows.
pub const COEFFICIENTS_WITH_EXAMPLES: Coefficients = Coefficients {
    intercept: -3.4,
    score: 1.94,
    margin: 4.26,
};
