//! Creates the maps, freezes what `plan` decided into the object, loads and attaches programs.
//!
//! aya's parsed copy of the kernel's BTF is large, so it lives only as long as a [`Loader`].

use std::os::fd::{AsFd, OwnedFd};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::Map,
    programs::{BtfTracePoint, ProgramError, tp_btf::BtfTracePointLinkId},
};

use super::{
    error::ProbeError,
    hook::Hook,
    plan::{Flags, Plan},
    support::FIELDS,
};

/// The probes' object, aligned as aya's parser wants it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hostmedic-probes"));

/// Smallest ring: one page, which aya rounds up to the machine's.
const ONE_PAGE: u32 = 4096;

/// Sizes of the maps whose size is a choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of the ring of rare events.
    pub(crate) rare_bytes: u32,
    /// Bytes of the ring of everyday events.
    pub(crate) hot_bytes: u32,
}

/// Loads the object, more than once, against one reading of the kernel's BTF.
pub(crate) struct Loader<'a> {
    loader: EbpfLoader<'a>,
    btf: Btf,
}

impl<'a> Loader<'a> {
    /// Sets what holds for every load: the offsets of [`FIELDS`] and the attesting thread's name.
    pub(crate) fn new(offsets: &'a [u32], nonce: &'a [u64; 2]) -> Result<Self, ProbeError> {
        let mut loader = EbpfLoader::new();
        // It reads the kernel's BTF for CO-RE relocations, which our object has none of.
        loader.btf(None);
        for (field, offset) in FIELDS.iter().zip(offsets) {
            loader.override_global(field.global, offset, true);
        }
        let [low, high] = nonce;
        loader.override_global("NONCE_LOW", low, true);
        loader.override_global("NONCE_HIGH", high, true);
        let btf = Btf::from_sys_fs().map_err(|e| ProbeError::BadBtf { why: e.to_string() })?;
        Ok(Self { loader, btf })
    }

    /// The object with maps as small as can be, for attestation.
    pub(crate) fn load_small(&mut self) -> Result<Ebpf, ProbeError> {
        let flags = Flags {
            victim_task: false,
            score: false,
            group_dead: false,
            keep_recent: false,
        };
        self.load(
            flags,
            Sizes {
                rare_bytes: ONE_PAGE,
                hot_bytes: ONE_PAGE,
            },
        )
    }

    /// The object with `flags` frozen into it. No program is loaded yet.
    pub(crate) fn load(&mut self, flags: Flags, sizes: Sizes) -> Result<Ebpf, ProbeError> {
        let bit = |flag: bool| -> &'static u8 { if flag { &1 } else { &0 } };
        let Flags {
            victim_task,
            score,
            group_dead,
            keep_recent,
        } = flags;
        self.loader
            .override_global("HAS_VICTIM_TASK", bit(victim_task), true)
            .override_global("HAS_SCORE", bit(score), true)
            .override_global("HAS_GROUP_DEAD", bit(group_dead), true)
            .override_global("KEEP_RECENT", bit(keep_recent), true)
            .map_max_entries("RARE", sizes.rare_bytes)
            .map_max_entries("HOT", sizes.hot_bytes)
            .map_max_entries("RECENT", if keep_recent { 8192 } else { 1 })
            .map_max_entries("ENDED", if group_dead { 1 } else { 1024 });
        self.loader
            .load(OBJECT)
            .map_err(|error| ProbeError::Object {
                why: with_causes(&error),
            })
    }

    /// Loads and attaches one program. The error is the reason in one line.
    pub(crate) fn attach(
        &self,
        ebpf: &mut Ebpf,
        program: &str,
        tracepoint: &str,
    ) -> Result<BtfTracePointLinkId, String> {
        let found = ebpf
            .program_mut(program)
            .ok_or("it is missing from the probes' object")?;
        let probe: &mut BtfTracePoint = found.try_into().map_err(|e| refusal(&e))?;
        probe.load(tracepoint, &self.btf).map_err(|e| refusal(&e))?;
        probe.attach().map_err(|e| refusal(&e))
    }
}

/// Loads and attaches what `plan` says; what the kernel refuses becomes absent in it.
pub(crate) fn attach_planned(
    loader: &Loader<'_>,
    ebpf: &mut Ebpf,
    plan: &mut Plan,
) -> Vec<(Hook, BtfTracePointLinkId)> {
    let mut links = Vec::new();
    for hook in Hook::ALL {
        if plan.loads(hook) {
            match loader.attach(ebpf, hook.name(), hook.tracepoint()) {
                Ok(link) => links.push((hook, link)),
                Err(reason) => plan.refuse(hook, &reason),
            }
        }
    }
    links
}

/// Detaches one program; it stays loaded, and its counters readable.
pub(crate) fn detach(ebpf: &mut Ebpf, hook: Hook, link: BtfTracePointLinkId) {
    let probe = ebpf
        .program_mut(hook.name())
        .map(<&mut BtfTracePoint>::try_from);
    if let Some(Ok(probe)) = probe
        && let Err(error) = probe.detach(link)
    {
        tracing::warn!(hook = hook.name(), %error, "Could not detach a probe.");
    }
}

/// A descriptor of each map, for accounting: the rings move to their readers.
pub(crate) fn map_fds(ebpf: &Ebpf) -> Result<Vec<OwnedFd>, ProbeError> {
    let of_ours = |map: &Map| match map {
        Map::Array(data) | Map::PerCpuArray(data) | Map::LruHashMap(data) | Map::RingBuf(data) => {
            Some(data.fd().as_fd().try_clone_to_owned())
        }
        _ => None,
    };
    let fds: Result<Vec<_>, _> = ebpf.maps().filter_map(|(_, map)| of_ours(map)).collect();
    fds.map_err(|source| ProbeError::Account {
        path: "the maps' descriptors".to_owned(),
        source,
    })
}

/// Why the kernel refused a program: the verifier's last word, not its whole log.
fn refusal(error: &ProgramError) -> String {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        return with_causes(error);
    };
    let log = verifier_log.to_string();
    let statistics = [
        "processed ",
        "verification time",
        "stack depth",
        "max_states",
    ];
    let is_word = |line: &&str| {
        !line.trim().is_empty() && !statistics.iter().any(|start| line.starts_with(start))
    };
    match log.lines().rev().find(is_word) {
        Some(word) => format!(
            "the kernel's verifier refused it ({io_error}): {}",
            word.trim()
        ),
        None => format!("the kernel refused to load it: {io_error}"),
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}
