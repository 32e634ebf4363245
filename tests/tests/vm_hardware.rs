//! Hardware that fails is told: the emulator puts errors into the registers of its processors and
//! of its `PCIe` port, and the kernel's own drivers find them there.
//!
//! `cargo xtask vm` runs this. The machine has its own monitor at a serial port, so that a test can
//! break it. A memory controller with error registers that Linux knows (EDAC) QEMU does not have.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, io::Write as _, os::unix::fs::FileExt as _, process::Command};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, HardwareError, HardwareSource},
};
use hostmedic_observe::kernel::{About, KernelEvent, Options};
use hostmedic_tests::{
    kernel::Capture,
    storage::Setting,
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

/// Breaks the machine by `command` while `hook` listens, and gives the errors of `source`.
fn told(hook: &str, source: HardwareSource, command: &str) -> Vec<HardwareError> {
    let is_it =
        |event: &KernelEvent| matches!(&event.fact, Fact::HardwareError(e) if e.source == source);
    let mut capture = Capture::start(&Options::default());
    assert_eq!(
        capture.coverage(hook),
        Coverage::Captured,
        "{:?}",
        capture.report(hook)
    );
    monitor(command);
    capture.wait_for(command, is_it);
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
    let errors = told("machine_check", HardwareSource::MachineCheck, inject);
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
    let errors = told("pcie_error", HardwareSource::Pcie, &poisoned);
    let expected = HardwareError {
        source: HardwareSource::Pcie,
        place: device.to_owned(),
        corrected: Some(false),
    };
    assert_eq!(errors, [expected]);
}
