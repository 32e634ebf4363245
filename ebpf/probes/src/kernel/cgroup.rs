//! cgroups, and whose memory ran out. Fields are named as in include/linux/cgroup-defs.h,
//! kernfs.h, memcontrol.h and oom.h.

use super::{Arguments, Object, hop, load, peek};
use crate::frozen::frozen;

frozen! {
    OFF_CSS_SET_DFL: u32;
    OFF_CGROUP_SERIAL: u32;
}

frozen! {
    OFF_CGROUP_KN: u32;
    OFF_CGROUP_ROOT: u32;
    OFF_ROOT_HIERARCHY: u32;
    OFF_KN_ID: u32;
    OFF_CSS_CGROUP: u32;
    OFF_OOM_MEMCG: u32;
    OFF_MEMCG_CSS: u32;
}

/// A `struct cgroup`.
#[derive(Clone, Copy)]
pub struct Cgroup(Object);

/// The cgroup of a `struct css_set` in the unified tree.
#[inline(always)]
pub(super) fn of_css_set(set: Object) -> Option<Cgroup> {
    hop(set, &OFF_CSS_SET_DFL).map(Cgroup)
}

/// The cgroup of the `struct cgroup_subsys_state` that lies `at` bytes into `holder`.
#[inline(always)]
pub(super) fn of_state(holder: Object, at: u32) -> Option<Cgroup> {
    let cgroup: Object = super::load_at(holder, (at + OFF_CSS_CGROUP.load()) as usize);
    super::not_null(cgroup).map(Cgroup)
}

/// Id of the cgroup at an untyped address.
#[inline(always)]
pub(super) fn id_at(cgroup: u64) -> u64 {
    match peek::<u64>(cgroup, u64::from(OFF_CGROUP_KN.load())) {
        0 => 0,
        node => peek(node, u64::from(OFF_KN_ID.load())),
    }
}

impl Cgroup {
    /// The cgroup at an address the verifier knows as one.
    #[inline(always)]
    pub(super) fn of(object: Object) -> Self {
        Self(object)
    }

    /// The cgroup that is argument `n`.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments, n: usize) -> Option<Self> {
        ctx.object(n).map(Self)
    }

    /// Its id, which is its directory's inode; 0 if the walk breaks off.
    #[inline(always)]
    pub fn id(self) -> u64 {
        hop(self.0, &OFF_CGROUP_KN).map_or(0, |node| load(node, &OFF_KN_ID))
    }

    /// A number that no other cgroup has had since the boot; 0 for the root. On a cache line less
    /// than the id.
    #[inline(always)]
    pub fn serial(self) -> u64 {
        load(self.0, &OFF_CGROUP_SERIAL)
    }

    /// Whether it belongs to the unified tree: `cgrp_dfl_root` is hierarchy 0 (cgroups(7)).
    #[inline(always)]
    pub fn is_unified(self) -> bool {
        hop(self.0, &OFF_CGROUP_ROOT)
            .is_some_and(|root| load::<i32, _>(root, &OFF_ROOT_HIERARCHY) == 0)
    }
}

/// The `struct oom_control` of one search for a victim.
#[derive(Clone, Copy)]
pub struct OomControl(Object);

impl OomControl {
    /// The one that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Option<Self> {
        ctx.object(0).map(Self)
    }

    /// The cgroup that hit its limit; `None` when the host ran out.
    #[inline(always)]
    pub fn cgroup(self) -> Option<Cgroup> {
        hop(self.0, &OFF_OOM_MEMCG).and_then(|memcg| of_state(memcg, OFF_MEMCG_CSS.load()))
    }
}
