//! Which playbook fits an incident: by the structure of its trigger, and by what is told of it.
//!
//! `trigger` decides what may act; it reads facts and no text, by `truth`. `filter` says which playbooks can
//! be meant at all, `checker` what the facts say for and against one. The rest ranks playbooks for a
//! text: how near its meaning is (`dense`), which words they share (`bm25`), which fixed strings
//! of a playbook stand in it (`phrase`), added up in `score`, turned into a probability in
//! `confidence`. `catalogue` is the door for all of it. Measured in `docs/matching.md`.

mod bm25;
pub mod catalogue;
mod checker;
mod coefficients;
pub mod confidence;
pub mod dense;
pub mod entry;
mod filter;
pub mod learned;
mod phrase;
pub mod score;
mod terms;
mod trigger;
mod truth;

pub(crate) use checker::check;
pub use coefficients::COEFFICIENTS;
pub(crate) use filter::admits;
pub(crate) use trigger::{Match, choose, holds, rests_on};
pub(crate) use truth::unheard;
