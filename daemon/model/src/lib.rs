//! The nouns of hostmedic: what the stages hand to each other. No I/O, no clock.
//!
//! Without this crate every stage would invent its own words. Modules stand in the order an
//! event meets them; the glossary is in `ARCHITECTURE.md`. Types derive serde because their
//! JSON is the audit record's body (RFC 8785) and the local API's answer: one form, tested once.

pub mod advice;
pub mod anomaly;
pub mod calendar;
pub mod capture;
pub mod command;
pub mod decision;
pub mod evidence;
mod fact;
pub mod incident;
pub mod intent;
pub mod loss;
pub mod matched;
pub mod notice;
pub mod outcome;
pub mod playbook;
pub mod property;
pub mod record;
pub mod sample;
pub mod scrub;
pub mod signal;
pub mod subject;
pub mod time;
pub mod told;
pub mod unit;
pub mod vector;
pub mod view;
pub mod wake;
pub mod wide;
