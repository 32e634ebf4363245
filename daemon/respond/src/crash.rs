//! Named points at which a test can make the process die, as if the power had gone.
//!
//! Recovery between an intent and its outcome is worth nothing untested, and dying at a random
//! moment hits the interesting ones once in a thousand runs.

use hostmedic_model::record::Body;

/// Variable that names the point to die at.
pub const CRASH_AT: &str = "HOSTMEDIC_CRASH_AT";

/// The point at which a record of this sort has just become durable.
pub fn durable(body: &Body) -> Option<&'static str> {
    match body {
        Body::Intent(intent) if intent.undoes.is_some() => Some("undo-intent-durable"),
        Body::Intent(_) => Some("intent-durable"),
        Body::Captured(_) => Some("evidence-durable"),
        Body::StepEnded(_) => Some("step-ended-durable"),
        Body::Outcome(_) => Some("outcome-durable"),
        _ => None,
    }
}

/// Dies here, without unwinding or flushing, if [`CRASH_AT`] names this point.
///
/// Does nothing unless the feature `crash-points` is on, which no shipped build has.
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &str) {
    if std::env::var_os(CRASH_AT).is_some_and(|at| at == *name) {
        eprintln!("dying at crash point {name}");
        std::process::abort();
    }
}

/// Does nothing: the feature `crash-points` is off.
#[cfg(not(feature = "crash-points"))]
pub fn crash_point(_name: &str) {}
