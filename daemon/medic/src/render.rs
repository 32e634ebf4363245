//! Answers as text for people. Pure: model in, text out, so every page has a test of its exact
//! words.

pub(crate) mod baseline;
pub(crate) mod coverage;
pub(crate) mod events;
pub(crate) mod evidence;
#[cfg(feature = "offline")]
pub(crate) mod fleet;
pub(crate) mod incident;
pub(crate) mod lists;
pub(crate) mod matched;
pub(crate) mod playbook;
pub(crate) mod plot;
pub(crate) mod probes;
pub(crate) mod record;
pub(crate) mod status;
pub(crate) mod text;
pub(crate) mod top;
pub(crate) mod why;
