//! Which playbook fits an incident: by the structure of its trigger, and by what is told of it.
//!
//! `trigger` decides what may act; it reads facts and no text, by `truth`. `filter` says which playbooks can
//! be meant at all, `checker` what the facts say for and against one. The rest ranks playbooks for a
//! text: how near its meaning is (`dense`), which words they share (`bm25`), which fixed strings
//! of a playbook stand in it (`phrase`), how its words go with those of earlier incidents
//! (`wording`), added up in `score`, turned into a probability in `confidence`. What is learned is a `library`, `catalogue` is the
//! door for all of it. Measured in `docs/matching.md`.

mod against;
mod bm25;
pub mod catalogue;
mod checker;
mod coefficients;
pub mod confidence;
pub mod dense;
pub mod entry;
mod filter;
pub mod learned;
pub mod library;
mod numbers;
mod phrase;
pub mod score;
mod terms;
mod trigger;
mod truth;
mod wording;

pub(crate) use checker::check;
pub use coefficients::{COEFFICIENTS, COEFFICIENTS_WITH_EXAMPLES};
pub(crate) use filter::admits;
pub(crate) use trigger::{Match, choose, counts_too_few, holds, rests_on};
pub(crate) use truth::unheard;
