//! What a machine boots from: one archive that the kernel unpacks into memory.
//!
//! The kernel takes several archives one after another, so three layers are simply joined: the
//! root file system and a kernel's modules are packed once, the programs of this run each time.
//! They are not compressed: an emulated processor unpacks slower than the emulator copies (for
//! 200 MB 6 s plain, 9 s with zstd, 14 s with gzip -1).

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use hostmedic_tests::rootfs;

use super::{kernel::Kernel, programs::Programs};
use crate::command;

/// Parts of the root file system that no test looks at.
const UNUSED: [&str; 11] = [
    "./usr/lib/python3*",
    "./usr/lib/x86_64-linux-gnu/gconv",
    "./usr/lib/x86_64-linux-gnu/libicu*",
    "./usr/share/doc",
    "./usr/share/info",
    "./usr/share/locale",
    "./usr/share/man",
    "./usr/share/zoneinfo",
    "./var/cache/*",
    "./var/lib/apt/lists/*",
    "./var/lib/dpkg/info",
];

/// Where the programs lie in the machine.
const PROGRAMS: &str = "opt/hostmedic";

/// Runs them, after the boot has ended, and then turns the machine off.
const UNIT: &str = "\
[Unit]
Description=Tests of hostmedic
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=exec
ExecStart=/opt/hostmedic/run.sh
Environment=HOSTMEDIC_VM=1 RUST_BACKTRACE=0 HOME=/tmp
# Before 5.11 the memory of maps counts as locked.
LimitMEMLOCK=infinity
";

/// Nobody logs in, so nothing waits for a terminal (90 s for each, without udev).
const MASKED: [&str; 2] = ["getty.target", "serial-getty@ttyS0.service"];

/// Joins the layers for `kernel` into `image`.
pub(super) fn build(
    kernel: &Kernel,
    programs: &Programs,
    cache: &Path,
    image: &Path,
) -> Result<()> {
    let layers = [
        root_layer(cache)?,
        kernel.modules.clone(),
        programs_layer(programs, image)?,
    ];
    let mut joined =
        fs::File::create(image).with_context(|| format!("cannot write {}", image.display()))?;
    for layer in layers {
        fs::File::open(&layer)
            .and_then(|mut part| io::copy(&mut part, &mut joined))
            .with_context(|| format!("cannot add {} to the image", layer.display()))?;
    }
    Ok(())
}

/// Archive of the root file system, packed anew when that was made anew.
fn root_layer(cache: &Path) -> Result<PathBuf> {
    let root = rootfs::VM
        .ensure()
        .context("cannot build the virtual machine's files")?;
    let (layer, stamp) = (cache.join("rootfs.cpio"), cache.join("rootfs.recipe"));
    let recipe = format!("{}without {}\n", rootfs::VM.text(), UNUSED.join(" "));
    if layer.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == recipe) {
        return Ok(layer);
    }
    let _ = fs::remove_file(&stamp);
    pack(&root, &UNUSED, &layer)?;
    fs::write(&stamp, recipe).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(layer)
}

/// Archive of what this run tests, beside the image.
fn programs_layer(programs: &Programs, image: &Path) -> Result<PathBuf> {
    let stage = image.with_extension("stage");
    programs.copy_to(&stage.join(PROGRAMS))?;
    let script = stage.join(PROGRAMS).join("run.sh");
    fs::write(&script, include_str!("run.sh")).context("cannot write run.sh")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .context("cannot make run.sh a program")?;

    let units = stage.join("etc/systemd/system");
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants).context("cannot make the units' directory")?;
    fs::write(units.join("hostmedic-tests.service"), UNIT).context("cannot write the unit")?;
    let mut links = vec![
        ("/lib/systemd/systemd", stage.join("init")),
        (
            "../hostmedic-tests.service",
            wants.join("hostmedic-tests.service"),
        ),
    ];
    links.extend(MASKED.map(|unit| ("/dev/null", units.join(unit))));
    for (target, link) in links {
        symlink(target, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    let layer = image.with_extension("programs.cpio");
    pack(&stage, &[], &layer)?;
    Ok(layer)
}

/// Packs a directory but for what fits the patterns `without` (find's `-path`).
pub(super) fn pack(dir: &Path, without: &[&str], archive: &Path) -> Result<()> {
    // Arguments: the directory, the archive, the patterns.
    const SCRIPT: &str = r#"set -e
cd "$1"; archive=$2; shift 2
for pattern do shift; set -- "$@" -path "$pattern" -prune -o; done
find . "$@" -print0 >"$archive.names"
cpio --null --create --format=newc --owner=+0:+0 --quiet <"$archive.names" >"$archive"
rm "$archive.names"
"#;
    let mut pack = Command::new("sh");
    pack.args(["-c", SCRIPT, "sh"]).arg(dir).arg(archive);
    let done = command::output(pack.args(without)).map(drop);
    done.with_context(|| format!("cannot pack {}", dir.display()))
}
