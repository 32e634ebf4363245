//! Hooks of modules that the kernel loads after us: their offsets go into a map, because the
//! object's globals are frozen by then.

use aya::{Ebpf, maps::Array};
use hostmedic_abi as abi;

use super::{
    attach,
    btf::Btf,
    error::ProbeError,
    hook::Info,
    support::{kernel_btf, push_module},
};

/// Fields of a module's structures: row, structure, member.
const FIELDS: [(u32, &str, &str, &str); 7] = [
    (abi::LATE_SCSI_DEVICE, "scsi_mod", "scsi_cmnd", "device"),
    (abi::LATE_SDEV_HOST, "scsi_mod", "scsi_device", "host"),
    (abi::LATE_SDEV_CHANNEL, "scsi_mod", "scsi_device", "channel"),
    (abi::LATE_SDEV_ID, "scsi_mod", "scsi_device", "id"),
    (abi::LATE_SDEV_LUN, "scsi_mod", "scsi_device", "lun"),
    (abi::LATE_SHOST_NO, "scsi_mod", "Scsi_Host", "host_no"),
    (abi::LATE_XFS_SUPER, "xfs", "xfs_mount", "m_super"),
];

/// Finds the offsets of `module`'s structures and hands them to the probes. The types are the
/// kernel's own where the module is built in. The error is the reason in one line.
pub(crate) fn resolve(ebpf: &mut Ebpf, btf: &mut Btf, module: &str) -> Result<(), String> {
    let mut wanted = FIELDS.iter().filter(|(_, of, ..)| *of == module).peekable();
    if wanted.peek().is_none() {
        return Ok(());
    }
    // Without a file of its own it is built in, or not there, which the offsets will show.
    let pushed = push_module(btf, module);
    let result = wanted.try_for_each(|(row, _, structure, member)| {
        let offset = btf
            .member_offset(structure, member)
            .map_err(|error| match &pushed {
                Ok(()) => error.to_string(),
                Err(why) => format!("{error}; {why}"),
            })?;
        set(ebpf, *row, offset).map_err(|error| error.to_string())
    });
    btf.pop_module();
    result
}

fn set(ebpf: &mut Ebpf, row: u32, offset: u32) -> Result<(), ProbeError> {
    const MAP: &str = "LATE";
    let failed = |why: String| ProbeError::Map { map: MAP, why };
    let map = ebpf
        .map_mut(MAP)
        .ok_or_else(|| failed("it is not in the object".to_owned()))?;
    let mut rows: Array<_, u32> = map
        .try_into()
        .map_err(|e: aya::maps::MapError| failed(e.to_string()))?;
    rows.set(row, offset, 0).map_err(|e| failed(e.to_string()))
}

/// Loads and attaches the hook of a module that has come. The error is the reason in one line.
pub(crate) fn attach(ebpf: &mut Ebpf, info: &Info) -> Result<attach::Link, String> {
    if let Some(module) = info.module {
        let mut btf = kernel_btf().map_err(|error| error.to_string())?;
        resolve(ebpf, &mut btf, module)?;
    }
    attach::load_raw(ebpf, info)?;
    attach::attach(ebpf, info)
}
