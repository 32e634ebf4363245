//! What the running kernel was found to offer. Facts only; what follows is decided in `plan`.

use std::{collections::BTreeMap, fs};

use super::{
    btf::{Argument, Btf},
    error::ProbeError,
    fields::{FIELDS, Field, Group},
    hook::{ALL, Attach},
    reasons::DropReasons,
};

/// Facts about this kernel. An error is the reason why something is not there.
#[derive(Clone, Debug)]
pub(crate) struct KernelSupport {
    /// Offset of each of [`FIELDS`].
    pub(crate) offsets: Vec<Result<u32, String>>,
    /// What each tracepoint or function passes, by its name.
    pub(crate) arguments: BTreeMap<&'static str, Result<Vec<Argument>, String>>,
    /// How far apart the counters of resident pages are; see `probes/src/kernel/task.rs`.
    pub(crate) rss_stride: Result<u32, String>,
    /// Whether a socket's cgroup is a plain pointer.
    pub(crate) socket_has_cgroup: bool,
    /// Names of the reasons for dropping packets.
    pub(crate) reasons: DropReasons,
}

/// Where the kernel describes its types; there since 5.4 with `CONFIG_DEBUG_INFO_BTF`.
const BTF_DIR: &str = "/sys/kernel/btf";

impl KernelSupport {
    /// Asks the running kernel.
    pub(crate) fn detect(btf: &Btf) -> Self {
        let mut arguments = BTreeMap::new();
        for info in &ALL {
            let (name, found) = match info.attach {
                Attach::Typed(name) | Attach::Raw(name) => (name, btf.tracepoint(name)),
                Attach::Function(name) => (name, btf.function(name)),
            };
            arguments.insert(name, found.map_err(|e| e.to_string()));
        }
        let rss_inner = rss_inner(btf);
        let offset_of = |field: &Field| {
            let offset = offset(btf, field)?;
            Ok(match field.global {
                "OFF_MM_RSS" => offset + rss_inner,
                _ => offset,
            })
        };
        Self {
            offsets: FIELDS.iter().map(offset_of).collect(),
            arguments,
            rss_stride: rss_stride(btf),
            socket_has_cgroup: btf
                .member("sock_cgroup_data", "cgroup")
                .is_ok_and(|member| member.is_pointer && member.offset == 0),
            reasons: DropReasons::of(btf),
        }
    }

    /// Whether every offset of `group` is known.
    pub(crate) fn group(&self, group: Group) -> Result<(), String> {
        let mut of_group = FIELDS
            .iter()
            .zip(&self.offsets)
            .filter(|(f, _)| f.groups.contains(&group));
        of_group.try_for_each(|(_, offset)| offset.clone().map(drop))?;
        match group {
            Group::Rss => self.rss_stride.clone().map(drop),
            _ => Ok(()),
        }
    }

    /// What `name` passes.
    pub(crate) fn passes(&self, name: &str) -> Result<&[Argument], String> {
        match self.arguments.get(name) {
            Some(Ok(arguments)) => Ok(arguments),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("nobody asked for `{name}`")),
        }
    }
}

/// Reads the kernel's own types. They take some 8 MB: drop them after use.
pub(crate) fn kernel_btf() -> Result<Btf, ProbeError> {
    let bytes =
        fs::read(format!("{BTF_DIR}/vmlinux")).map_err(|source| ProbeError::NoBtf { source })?;
    Btf::parse(bytes).map_err(|error| ProbeError::BadBtf {
        why: error.to_string(),
    })
}

/// Reads a module's types on top of the kernel's; the error says why there are none.
pub(crate) fn push_module(btf: &mut Btf, module: &str) -> Result<(), String> {
    let path = format!("{BTF_DIR}/{module}");
    let bytes = fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    btf.push_module(&bytes).map_err(|error| error.to_string())
}

fn offset(btf: &Btf, field: &Field) -> Result<u32, String> {
    let Field {
        structure,
        member,
        align,
        ..
    } = field;
    let offset = btf
        .member_offset(structure, member)
        .map_err(|e| e.to_string())?;
    if offset % align == 0 {
        return Ok(offset);
    }
    Err(format!(
        "`{member}` of `struct {structure}` is at {offset}, not a multiple of {align}"
    ))
}

/// From 6.2 on `rss_stat` is an array of `struct percpu_counter`, before it one of words in a
/// structure of its own (`include/linux/mm_types.h`).
fn rss_stride(btf: &Btf) -> Result<u32, String> {
    if btf.member("mm_rss_stat", "count").is_ok() {
        return Ok(8);
    }
    btf.size_of("percpu_counter").map_err(|e| e.to_string())
}

/// Where the number lies in one counter of resident pages.
fn rss_inner(btf: &Btf) -> u32 {
    match btf.member_offset("mm_rss_stat", "count") {
        Ok(offset) => offset,
        Err(_) => btf.member_offset("percpu_counter", "count").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_of_the_running_kernel_is_found_or_has_a_substitute() {
        let support = KernelSupport::detect(&kernel_btf().unwrap());
        let missing: Vec<_> = FIELDS
            .iter()
            .zip(&support.offsets)
            .filter(|(_, offset)| offset.is_err())
            .map(|(field, _)| field.global)
            // A kernel without machine checks has no structure for them.
            .filter(|global| !global.starts_with("OFF_MCE"))
            .collect();
        // A disk is found one way or the other.
        assert!(
            missing == ["OFF_RQ_DISK"] || missing == ["OFF_QUEUE_DISK"],
            "{missing:?}"
        );
        assert!(support.rss_stride.is_ok());
    }
}
