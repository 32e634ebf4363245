//! One machine from power-on to power-off: started, watched, ended when its time is over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use hostmedic_tests::machine::{SPARE_MEMORY, SPARE_MEMORY_BYTES};

use super::{
    kernel::Kernel,
    report::{Reader, Report},
};
use crate::command;

/// Two processors, so that what happens at once can happen at once.
const PROCESSORS: &str = "2";

/// Memory; the image and what it unpacks to lie in it.
const MEMORY_MIB: &str = "2048";

/// Files that a run leaves.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    /// What the kernel and systemd say.
    pub(super) console: PathBuf,
    /// What the tests say.
    pub(super) tests: PathBuf,
}

impl Logs {
    /// Makes `dir` and empties the two.
    pub(super) fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let logs = Self {
            console: dir.join("console.log"),
            tests: dir.join("tests.log"),
        };
        for log in [&logs.console, &logs.tests] {
            fs::write(log, "").with_context(|| format!("cannot write {}", log.display()))?;
        }
        Ok(logs)
    }
}

/// Boots `image` and reports what the tests said until the machine turned itself off.
///
/// # Errors
/// Fails if it could not be started or Ctrl-C came; a machine that breaks, hangs or takes longer
/// than `limit` is ended and gives a report that is not whole.
pub(super) fn run(
    kernel: &Kernel,
    image: &Path,
    tests: &[String],
    limit: Duration,
    logs: &Logs,
) -> Result<Report> {
    let started = Instant::now();
    // The emulator dies with us, however we die.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none"]);
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi"]);
    qemu.args(["-cpu", "max", "-smp", PROCESSORS, "-m", MEMORY_MIB]);
    // A panic reboots at once, and a reboot ends the emulator.
    qemu.arg("-no-reboot");
    let spare = format!("memmap={SPARE_MEMORY_BYTES}${SPARE_MEMORY:#x}");
    let words = "console=ttyS0 panic=-1 systemd.show_status=0";
    qemu.args(["-append", &format!("{words} {spare}")]);
    qemu.arg("-kernel").arg(&kernel.vmlinuz);
    qemu.arg("-initrd").arg(image);
    for log in [&logs.console, &logs.tests] {
        qemu.args(["-serial", &format!("file:{}", log.display())]);
    }
    // The monitor stands at the third serial port, so that a test can break its own machine, and
    // there is a port that PCIe errors can come from (`tests/tests/vm_hardware.rs`).
    let monitor = logs.console.with_file_name("monitor");
    let at = |id: &str, more: &str| format!("socket,id={id},path={}{more}", monitor.display());
    qemu.args(["-chardev", &at("monitor", ",server=on,wait=off")]);
    qemu.args(["-mon", "chardev=monitor"]);
    qemu.args(["-chardev", &at("inside", "")]);
    qemu.args(["-serial", "chardev:inside"]);
    qemu.args(["-device", "pcie-root-port,id=root-port"]);
    let mut child = command::spawn(&mut qemu)?;

    let mut reader = Reader::new(tests);
    let ended = loop {
        let ended = command::wait(&mut child, Some(Duration::from_millis(500)));
        command::check_interrupt()?;
        let said = fs::read(&logs.tests).context("cannot read what the tests said")?;
        for mark in reader.read(&String::from_utf8_lossy(&said)) {
            println!(
                "vm: {}: {mark} ({} s)",
                kernel.release,
                started.elapsed().as_secs()
            );
        }
        if let Ok(status) = ended {
            break (!status.success()).then(|| format!("the emulator ended with {status}"));
        }
        if started.elapsed() > limit {
            command::stop(&mut child);
            let minutes = limit.as_secs() / 60;
            break Some(format!("it took longer than {minutes} min and was stopped"));
        }
    };
    Ok(reader.finish(&kernel.release, started.elapsed(), ended))
}
