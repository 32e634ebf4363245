//! Creates the maps, freezes what `plan` decided into the object, loads and attaches programs.
//!
//! aya's parsed copy of the kernel's BTF is large, so it lives only as long as a [`Loader`]. A
//! program stays loaded while it is detached, so a hook that was switched off comes back without
//! it.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::Map,
    programs::{
        BtfTracePoint, FEntry, Program, ProgramError, RawTracePoint, fentry::FEntryLinkId,
        raw_trace_point::RawTracePointLinkId, tp_btf::BtfTracePointLinkId,
    },
};
use zerocopy::IntoBytes as _;

use super::{
    error::ProbeError,
    fields::FIELDS,
    freeze::{Numbers, Unknown, freeze},
    hook::{ALL, Attach, Hook, Info},
    plan::Plan,
    sizes::{Keys, Sizes},
};

/// The probes' object.
pub(super) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostmedic-probes"));

/// Maps that survive the daemon, if there is a place to pin them.
pub(crate) const PINNED: [&str; 5] = ["COUNTS", "KEPT", "SPILL", "SPILLED", "SPILL_READ"];

/// Numbers to freeze into the object beside offsets and abilities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constants {
    /// `RSS_STRIDE`.
    pub(crate) rss_stride: u32,
    /// `DROP_REASON_MIN`.
    pub(crate) drop_reason_min: u32,
    /// `ROWS_AT`.
    pub(crate) rows_at: u64,
    /// `EPHEMERAL_LOW` and `EPHEMERAL_HIGH`.
    pub(crate) ephemeral: (u32, u32),
}

/// Loads the object, more than once, against one reading of the kernel's BTF.
pub(crate) struct Loader<'a> {
    loader: EbpfLoader<'a>,
    btf: Btf,
    numbers: Numbers,
}

impl<'a> Loader<'a> {
    /// Sets what holds for every load: the offsets of [`FIELDS`], the attesting thread's name and
    /// numbers.
    pub(crate) fn new(
        offsets: &[u32],
        nonce: &[u64; 2],
        constants: Constants,
    ) -> Result<Self, ProbeError> {
        let mut loader = EbpfLoader::new();
        // It reads the kernel's BTF for CO-RE relocations, which our object has none of.
        loader.btf(None);
        let mut numbers = Numbers::default();
        for (field, offset) in FIELDS.iter().zip(offsets) {
            numbers.set(field.global, u64::from(*offset));
        }
        let [low, high] = nonce;
        numbers.set("NONCE_LOW", *low);
        numbers.set("NONCE_HIGH", *high);
        numbers.set("RSS_STRIDE", u64::from(constants.rss_stride));
        numbers.set("ROWS_AT", constants.rows_at);
        numbers.set("DROP_REASON_MIN", u64::from(constants.drop_reason_min));
        numbers.set("EPHEMERAL_LOW", u64::from(constants.ephemeral.0));
        numbers.set("EPHEMERAL_HIGH", u64::from(constants.ephemeral.1));
        let btf = Btf::from_sys_fs().map_err(|e| ProbeError::BadBtf { why: e.to_string() })?;
        Ok(Self {
            loader,
            btf,
            numbers,
        })
    }

    /// The object with maps as small as can be, for attestation.
    pub(crate) fn load_small(&mut self) -> Result<Ebpf, ProbeError> {
        self.create(&Sizes::SMALLEST, Unknown::IsZero)
    }

    /// The object with `flags` frozen into it. No program is loaded yet.
    pub(crate) fn load(
        &mut self,
        flags: &[(&'static str, bool)],
        sizes: &Sizes,
    ) -> Result<Ebpf, ProbeError> {
        for (name, on) in flags {
            self.numbers.set(name, u64::from(*on));
        }
        self.create(sizes, Unknown::IsWrong)
    }

    fn create(&mut self, sizes: &Sizes, unknown: Unknown) -> Result<Ebpf, ProbeError> {
        // A quarter: what comes while its reader wakes finds room.
        self.numbers
            .set("HOT_WAKE_BYTES", u64::from(sizes.hot_bytes / 4));
        let object = freeze(OBJECT, &self.numbers, unknown)?;
        let Keys {
            processes,
            network,
            disks,
            flows,
        } = sizes.keys;
        self.loader
            .map_max_entries("COUNTS", sizes.cpus)
            .map_max_entries("DROP_SEATS", sizes.drop_seats)
            .map_max_entries("DISK_SEATS", sizes.disk_seats)
            .map_max_entries("RARE", sizes.rare_bytes)
            .map_max_entries("HOT", sizes.hot_bytes)
            .map_max_entries("RECENT", sizes.recent)
            .map_max_entries("ENDED", sizes.ended)
            .map_max_entries("SHARES", sizes.shares)
            .map_max_entries("PROCESSES", processes)
            .map_max_entries("NETWORK", network)
            .map_max_entries("DISKS", disks)
            .map_max_entries("FLOWS", flows);
        self.loader
            .load(object.as_bytes())
            .map_err(|error| ProbeError::Object {
                why: with_causes(&error),
            })
    }

    /// Takes the maps of [`PINNED`] from `directory`, or pins them there.
    pub(crate) fn pin_in(&mut self, directory: &Path) {
        for map in PINNED {
            self.loader
                .map_pin_path(map, PathBuf::from(directory).join(map));
        }
    }

    /// Loads and attaches one program to a typed tracepoint, for as long as `ebpf` lives. The
    /// error is the reason in one line.
    pub(crate) fn attach_typed(
        &self,
        ebpf: &mut Ebpf,
        program: &str,
        tracepoint: &str,
    ) -> Result<(), String> {
        let probe = typed(ebpf, program)?;
        probe.load(tracepoint, &self.btf).map_err(|e| refusal(&e))?;
        probe.attach().map(drop).map_err(|e| refusal(&e))
    }

    /// Loads the program of one hook. The error is the reason in one line.
    fn load_program(&self, ebpf: &mut Ebpf, info: &Info, plan: &Plan) -> Result<(), String> {
        let loaded = match info.attach {
            Attach::Typed(_) if info.hook == Hook::BlockError => {
                typed(ebpf, info.name)?.load(plan.block_error_at, &self.btf)
            }
            Attach::Typed(point) => typed(ebpf, info.name)?.load(point, &self.btf),
            Attach::Raw(_) => raw(ebpf, info.name)?.load(),
            Attach::Function(point) => function(ebpf, info.name)?.load(point, &self.btf),
        };
        loaded.map_err(|e| refusal(&e))
    }
}

/// An attached program. Attached while it lives; see [`detach`].
pub(crate) enum Link {
    Typed(BtfTracePointLinkId),
    Raw(RawTracePointLinkId),
    Function(FEntryLinkId),
}

/// Loads and attaches what `plan` says; what the kernel refuses becomes absent in it.
pub(crate) fn attach_planned(
    loader: &Loader<'_>,
    ebpf: &mut Ebpf,
    plan: &mut Plan,
) -> Vec<(Hook, Link)> {
    let mut links = Vec::new();
    for info in &ALL {
        if !plan.loads(info.hook) {
            continue;
        }
        let attached = loader
            .load_program(ebpf, info, plan)
            .and_then(|()| attach(ebpf, info));
        match attached {
            Ok(link) => links.push((info.hook, link)),
            Err(reason) => plan.report(info.hook, Err(&absence(info, reason))),
        }
    }
    links
}

/// Why a hook is not there, if its module is not.
pub(crate) fn absence(info: &Info, reason: String) -> String {
    match info.module {
        Some(module) if !is_loaded(module) => {
            format!("the kernel has not loaded {module}; it is attached once it has")
        }
        _ => reason,
    }
}

/// Whether the module is loaded, or built in with parameters.
pub(crate) fn is_loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

/// Attaches a loaded program (again).
pub(crate) fn attach(ebpf: &mut Ebpf, info: &Info) -> Result<Link, String> {
    let link = match info.attach {
        Attach::Typed(_) => typed(ebpf, info.name)?.attach().map(Link::Typed),
        Attach::Raw(point) => raw(ebpf, info.name)?.attach(point).map(Link::Raw),
        Attach::Function(_) => function(ebpf, info.name)?.attach().map(Link::Function),
    };
    link.map_err(|e| refusal(&e))
}

/// Loads the program of a raw tracepoint, if it is not loaded: the kernel loads it without looking
/// whether the tracepoint is there, and finds that out when it is attached.
pub(crate) fn load_raw(ebpf: &mut Ebpf, info: &Info) -> Result<(), String> {
    match raw(ebpf, info.name)?.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(()),
        Err(error) => Err(refusal(&error)),
    }
}

/// Detaches one program; it stays loaded, and its counters readable.
pub(crate) fn detach(ebpf: &mut Ebpf, info: &Info, link: Link) {
    let detached = match link {
        Link::Typed(link) => typed(ebpf, info.name).map(|probe| probe.detach(link)),
        Link::Raw(link) => raw(ebpf, info.name).map(|probe| probe.detach(link)),
        Link::Function(link) => function(ebpf, info.name).map(|probe| probe.detach(link)),
    };
    if let Ok(Err(error)) = detached {
        tracing::warn!(hook = info.name, %error, "Could not detach a probe.");
    }
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Program, String> {
    ebpf.program_mut(name)
        .ok_or_else(|| "it is missing from the probes' object".to_owned())
}

fn typed<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut BtfTracePoint, String> {
    program(ebpf, name)?.try_into().map_err(|e| refusal(&e))
}

fn raw<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut RawTracePoint, String> {
    program(ebpf, name)?.try_into().map_err(|e| refusal(&e))
}

fn function<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut FEntry, String> {
    program(ebpf, name)?.try_into().map_err(|e| refusal(&e))
}

/// A descriptor of each map, for accounting: the rings move to their readers.
pub(crate) fn map_fds(ebpf: &Ebpf) -> Result<Vec<OwnedFd>, ProbeError> {
    let of_ours = |map: &Map| match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::LruHashMap(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data) => Some(data.fd().as_fd().try_clone_to_owned()),
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
