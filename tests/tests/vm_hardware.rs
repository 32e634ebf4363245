//! Hardware that fails is told: errors stand in the registers of processors, of the `PCIe` port and
//! of a memory controller, and the kernel's own drivers find them there.
//!
//! `cargo xtask vm` runs this. The machine has its own monitor at a serial port, so that a test can
//! break it. A memory controller with error registers that Linux knows (EDAC) QEMU does not have; but
//! its host bridge keeps what is written to it, so the test lays such registers out itself.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    process::Command,
};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, HardwareError, HardwareSource},
};
use hostmedic_observe::kernel::{About, KernelEvent, Options};
use hostmedic_tests::{
    kernel::Capture,
    machine::SPARE_MEMORY,
    storage::{Setting, attempt},
    vm::{is_inside, run},
};

/// Where `xtask/src/vm/guest.rs` puts the monitor (human form, qemu-doc "System Emulation/Monitor").
const MONITOR: &str = "/dev/ttyS2";

/// Its `PCIe` root port, by the same file.
const PORT: &str = "root-port";

/// Has the emulator do something to this machine.
fn monitor(command: &str) {
    // Its prompt must not come back to it as a command.
    run("stty", &["-F", MONITOR, "raw", "-echo"]);
    let mut line = fs::File::options().write(true).open(MONITOR).unwrap();
    // What it may have taken for the begin of a line ends here.
    line.write_all(format!("\n{command}\n").as_bytes()).unwrap();
    // The line is out before it is closed.
    run("stty", &["-F", MONITOR, "raw", "-echo"]);
}

/// Breaks the machine while `hook` listens, and gives the errors of `source`. What `break_it` gives
/// is dropped as soon as one came.
fn told<Broken>(
    hook: &str,
    source: HardwareSource,
    break_it: impl FnOnce() -> Broken,
) -> Vec<HardwareError> {
    let is_it =
        |event: &KernelEvent| matches!(&event.fact, Fact::HardwareError(e) if e.source == source);
    let mut capture = Capture::start(&Options::default());
    assert_eq!(
        capture.coverage(hook),
        Coverage::Captured,
        "{:?}",
        capture.report(hook)
    );
    let broken = break_it();
    capture.wait_for(hook, is_it);
    drop(broken);
    let account = capture.stop();
    account.assert_adds_up();
    let of_it = account.events.into_iter().filter(is_it);
    let error = |event: KernelEvent| match event {
        KernelEvent {
            about: About::Host,
            fact: Fact::HardwareError(error),
            ..
        } => error,
        other => panic!("this is not about the host: {other:?}"),
    };
    of_it.map(error).collect()
}

/// Goal: an error that a processor corrected is told with its processor and bank.
/// Method: a corrected error in a bank of the second processor (Intel SDM 3B, 16.3.2: valid,
/// enabled, a cache's error code); the kernel looks through the banks every second.
#[test]
fn corrected_error_of_a_processor_is_told() {
    const CHECKS: &str = "/sys/devices/system/machinecheck/machinecheck0/check_interval";
    if !is_inside("machine check") {
        return;
    }
    let _often = Setting::change(CHECKS, "1").expect("this kernel looks for machine checks");
    let inject = "mce 1 2 0x9000000000000135 0 0 0";
    let errors = told("machine_check", HardwareSource::MachineCheck, || {
        monitor(inject);
    });
    let expected = HardwareError {
        source: HardwareSource::MachineCheck,
        place: "CPU 1, bank 2".to_owned(),
        corrected: Some(true),
    };
    assert_eq!(errors, [expected]);
}

/// Lets a bridge pass errors on (PCI-to-PCI Bridge Architecture 1.2, 3.2.5.18: Bridge Control
/// register, SERR# Enable), as firmware does; the emulated one does not.
fn forward_errors(config: &str) {
    const BRIDGE_CONTROL: u64 = 0x3e;
    const SERR_ENABLE: u8 = 1 << 1;
    let config = fs::File::options().read(true).write(true).open(config);
    let config = config.unwrap();
    let mut control = [0];
    config.read_exact_at(&mut control, BRIDGE_CONTROL).unwrap();
    control[0] |= SERR_ENABLE;
    config.write_all_at(&control, BRIDGE_CONTROL).unwrap();
}

/// Goal: an error of a `PCIe` device is told with the device, and whether it was corrected.
/// Method: a poisoned packet at the root port. (QEMU before 8 keeps corrected errors to itself.)
#[test]
fn error_of_a_pcie_device_is_told() {
    if !is_inside("PCIe error") {
        return;
    }
    let slot = Command::new("sh")
        .args(["-c", "grep -l 0x060400 /sys/bus/pci/devices/*/class"])
        .output()
        .unwrap();
    let slot = String::from_utf8(slot.stdout).unwrap();
    let device = slot
        .trim()
        .rsplit('/')
        .nth(1)
        .expect("there is a root port");
    forward_errors(&format!("/sys/bus/pci/devices/{device}/config"));
    let poisoned = format!("pcie_aer_inject_error {PORT} POISON_TLP");
    let errors = told("pcie_error", HardwareSource::Pcie, || monitor(&poisoned));
    let expected = HardwareError {
        source: HardwareSource::Pcie,
        place: device.to_owned(),
        corrected: Some(false),
    };
    assert_eq!(errors, [expected]);
}

/// The host bridge.
const BRIDGE: &str = "/sys/bus/pci/devices/0000:00:00.0";

/// The driver that is to take it for its own. `x38_edac` reads the same registers, but when it is
/// removed, kernel 6.12 frees the window as if it had been allocated, and faults.
const DRIVER: &str = "i3200_edac";

/// Writes to the host bridge's configuration.
fn configure(offset: u64, value: &[u8]) -> io::Result<()> {
    let config = fs::File::options()
        .write(true)
        .open(format!("{BRIDGE}/config"))?;
    config.write_all_at(value, offset)
}

/// An error of memory, as its bit in a log of errors (C0ECCERRLOG).
#[derive(Clone, Copy)]
enum Logged {
    Corrected = 1 << 0,
    Uncorrected = 1 << 1,
}

/// A memory controller that tells an error each second, until dropped.
///
/// The layout is that of the Intel 3200 (datasheet, "DRAM Controller Registers (D0:F0)"; names as in
/// `drivers/edac/i3200_edac.c`). QEMU's host bridge keeps what is written to registers that it does
/// not have, and the window of further registers is memory that the kernel leaves alone.
struct FailingMemory;

impl FailingMemory {
    /// Registers in the configuration. The driver clears bits of ERRSTS by writing ones, which here
    /// sets them, so both always stand there and the log alone tells the kind of error.
    const CONFIGURATION: [(u64, [u8; 8]); 4] = [
        // MCHBAR: where the window is.
        (0x48, SPARE_MEMORY.to_le_bytes()),
        // TOM: 64 MiB. Zero, as the second channel has, would mean that the channels are stacked.
        (0xa0, [1, 0, 0, 0, 0, 0, 0, 0]),
        // ERRSTS: an error of either kind.
        (0xc8, [0b11, 0, 0, 0, 0, 0, 0, 0]),
        // CAPID0, from byte 8 on: bit 5 stands for a single channel.
        (0xe8, [1 << 5, 0, 0, 0, 0, 0, 0, 0]),
    ];

    const WINDOW_BYTES: usize = 16 << 10;
    const C0DRB: usize = 0x200;
    const C0ECCERRLOG: usize = 0x280;

    fn new(logged: Logged) -> Self {
        let mut window = vec![0; Self::WINDOW_BYTES];
        // The first rank ends at 64 MiB, and so do the others, which are empty thereby.
        for rank in 0..4 {
            window[Self::C0DRB + 2 * rank] = 1;
        }
        window[Self::C0ECCERRLOG] = logged as u8;
        // Before the driver maps it: what is mapped without a cache cannot be with one, as by this.
        fs::File::options()
            .write(true)
            .open("/dev/mem")
            .and_then(|memory| memory.write_all_at(&window, SPARE_MEMORY))
            .unwrap_or_else(|e| panic!("cannot write /dev/mem at {SPARE_MEMORY:#x}: {e}"));

        let failing = Self;
        for (offset, value) in Self::CONFIGURATION {
            configure(offset, &value)
                .unwrap_or_else(|e| panic!("cannot configure {BRIDGE} at {offset:#x}: {e}"));
        }
        // The driver looks for its device once, when it is loaded.
        fs::write(format!("{BRIDGE}/driver_override"), DRIVER).unwrap();
        run("modprobe", &[DRIVER]);
        failing
    }
}

impl Drop for FailingMemory {
    fn drop(&mut self) {
        let removed = attempt("modprobe", &["--remove", DRIVER]);
        if !removed.status.success() {
            let said = String::from_utf8_lossy(&removed.stderr);
            eprintln!("cannot remove {DRIVER}: {said}");
        }
        // An empty line ends it.
        let mut mended = vec![fs::write(format!("{BRIDGE}/driver_override"), "\n")];
        mended.extend(Self::CONFIGURATION.map(|(offset, _)| configure(offset, &[0; 8])));
        for error in mended.into_iter().filter_map(Result::err) {
            eprintln!("cannot mend {BRIDGE}: {error}");
        }
    }
}

/// Goal: an error of memory is told with the module's label, and whether it was corrected.
/// Method: a driver of the kernel's finds either kind in the registers of a memory controller.
#[test]
fn error_of_memory_is_told() {
    if !is_inside("error of memory") {
        return;
    }
    for (logged, corrected) in [(Logged::Corrected, true), (Logged::Uncorrected, false)] {
        let broken = || FailingMemory::new(logged);
        let mut errors = told(
            "memory_controller",
            HardwareSource::MemoryController,
            broken,
        );
        // It comes each second until it is mended.
        errors.dedup();
        let expected = HardwareError {
            source: HardwareSource::MemoryController,
            // Nobody has given the module a name (edac_mc_alloc in drivers/edac/edac_mc.c).
            place: "mc#0csrow#0channel#0".to_owned(),
            corrected: Some(corrected),
        };
        assert_eq!(errors, [expected]);
    }
}
