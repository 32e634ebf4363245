//! The closed lists that a playbook is written with: signals, states, measures, checks, steps and
//! captures. Nothing else can be said, and each entry says what it means.
//!
//! An entry may be ahead of the engine: the language is complete, but what the engine cannot hear
//! or do yet is found by asking the engine's own types, and keeps a playbook at *observe*.

pub mod captures;
pub mod checks;
pub mod measures;
pub mod signal;
pub mod signals;
pub mod states;
pub mod steps;

use super::quantity::Unit;

/// What a slot takes. Everything is typed: no free text reaches a shell, a query or a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A unit name, or a binding to one.
    SystemdUnit,
    /// A time span.
    Span,
    /// A number in this unit.
    Number(Unit),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several of these words.
    Words(&'static [&'static str]),
    /// An absolute path without `..`, or a binding to one.
    Path,
    /// A name made of `a-z A-Z 0-9 . _ : @ -`, or a binding to one: an interface, a device, a tag.
    Name,
    /// A signal of the registry.
    Signal,
    /// A measure of the registry.
    Measure,
    /// A number in the unit of the measure that is named beside it.
    OfMeasure,
}

/// One named value of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub slot: Slot,
    /// Whether it must be given.
    pub required: bool,
}

/// A field that must be given.
const fn must(name: &'static str, slot: Slot) -> Field {
    Field {
        name,
        slot,
        required: true,
    }
}

/// A field that may be given.
const fn may(name: &'static str, slot: Slot) -> Field {
    Field {
        name,
        slot,
        required: false,
    }
}

/// Where a reading comes from. Two readings are independent if one broken witness cannot make
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Witness {
    /// A hook in the kernel.
    Kernel,
    /// A change that systemd told of.
    Systemd,
    /// A fresh reading of what is so now.
    Reading,
    /// Numbers over time.
    Series,
    /// Something we tried ourselves: a connection, a name, a request.
    Probe,
    /// What programs write of themselves.
    Log,
    /// The package manager.
    Packages,
    /// A database, over its own protocol.
    Database,
    /// A person.
    People,
}

impl Witness {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kernel => "the kernel",
            Self::Systemd => "systemd's word",
            Self::Reading => "a fresh reading",
            Self::Series => "numbers over time",
            Self::Probe => "our own try",
            Self::Log => "logs",
            Self::Packages => "the package manager",
            Self::Database => "the database",
            Self::People => "people",
        }
    }
}

/// What can be looked up by name.
pub trait Entry {
    /// Its name in a file.
    fn name(&self) -> &'static str;
}

macro_rules! entry {
    ($type:ty) => {
        impl $crate::playbook::registry::Entry for $type {
            fn name(&self) -> &'static str {
                self.name
            }
        }
    };
}
use entry;

/// The entry of this name.
pub fn find<'a, E: Entry>(entries: &'a [E], name: &str) -> Option<&'a E> {
    entries.iter().find(|entry| entry.name() == name)
}

/// The name that was probably meant.
pub fn nearest<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, word), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// Names of the entries.
pub fn names<E: Entry>(entries: &[E]) -> impl Iterator<Item = &'static str> {
    entries.iter().map(Entry::name)
}

#[cfg(test)]
mod tests;
