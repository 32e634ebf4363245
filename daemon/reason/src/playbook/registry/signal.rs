//! One kind of thing that happens, as playbooks name it.

use hostmedic_model::signal::SignalKind;
use serde::{Deserialize as _, de::IntoDeserializer};

use super::{Field, Witness, entry, signals::STARTED};
use crate::gather;

/// One kind of signal.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Its name.
    pub name: &'static str,
    /// The model's word for it.
    pub(super) word: &'static str,
    /// Who says so.
    pub witness: Witness,
    /// What `where` can ask of it.
    pub fields: &'static [Field],
    /// What happened.
    pub says: &'static str,
}

entry!(Signal);

impl Signal {
    /// The model's kind, if it is heard and kept; `None` while it is not.
    pub fn kind(&self) -> Option<SignalKind> {
        let word = IntoDeserializer::<serde::de::value::Error>::into_deserializer(self.word);
        let kind = SignalKind::deserialize(word).ok()?;
        gather::is_kept(kind).then_some(kind)
    }

    /// Whether this is the signal that counts starts of a unit.
    pub fn counts_starts(&self) -> bool {
        self.name == STARTED
    }

    /// Whether it can be heard today.
    pub fn exists(&self) -> bool {
        self.kind().is_some() || self.counts_starts()
    }
}
