//! Pages of `medic playbook`.

pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod lint;
pub(crate) mod show;
pub(crate) mod tried;
