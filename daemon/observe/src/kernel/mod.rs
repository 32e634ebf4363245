//! What the kernel's hooks tell: loads the probes, reads their rings, accounts for every event.
//!
//! The order of the files is the way of a start: `support` finds facts in the kernel's BTF,
//! `attest` proves the offsets on a thread of ours, `plan` decides, `sizes` bounds the memory,
//! `attach` does it; then `ring`, `spill` and `decode` bring events, `tallies` what is counted by
//! key, and `counters` and `cost` account for them.

mod attach;
mod attest;
mod btf;
mod cost;
mod counters;
mod cpus;
mod decode;
mod error;
mod event;
mod fdinfo;
mod fields;
mod freeze;
mod hook;
mod late;
mod own;
mod plan;
mod probes;
mod reasons;
mod ring;
mod seats;
mod sizes;
mod spill;
mod support;
mod symbols;
mod tallies;

pub use self::{
    cost::{Cost, CostSample, HookCost},
    error::ProbeError,
    event::{About, KernelEvent},
    probes::{Options, Probes},
    sizes::MAP_BYTES_MAX,
    tallies::{Counted, What},
};

/// Bytes of a cgroup's path that an event can carry; a longer one is cut.
pub const CGROUP_PATH_MAX: usize = hostmedic_abi::PATH_LEN;

/// Names of all hooks.
pub fn hook_names() -> Vec<&'static str> {
    hook::ALL.iter().map(|info| info.name).collect()
}
