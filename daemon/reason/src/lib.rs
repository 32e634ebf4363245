//! Signals and samples in, decisions and acts out: every decision of hostmedic, and no I/O,
//! clock, thread or randomness. Time arrives inside the wake, so a run can be replayed.
//!
//! Modules stand in the order an event meets them.

pub mod advice;
mod attempts;
mod baseline;
mod bits;
mod budget;
mod case;
mod conclude;
mod consider;
mod correlate;
pub mod coverage;
mod decide;
pub mod describe;
pub mod detect;
mod execute;
mod facts;
mod gather;
pub mod guard;
mod handle;
mod lessons;
pub mod lines;
pub mod matching;
mod notice;
mod operator;
pub mod pipeline;
mod plan;
pub mod playbook;
pub mod policy;
mod reading;
mod recall;
pub mod replay;
mod sealed;
mod setting;
mod undo;
mod verify;
