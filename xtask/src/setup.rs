//! `cargo xtask setup`: install what is missing, and nothing else; a second run changes nothing.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use hostmedic_tests::rootfs;

use crate::{command, places::Places, toolchain};

/// Packages of Debian and Ubuntu, and what each is for.
const PACKAGES: [(&str, &str); 15] = [
    ("g++", "compiles RocksDB"),
    ("clang", "bindings to RocksDB"),
    ("libclang-dev", "bindings to RocksDB"),
    ("make", "build scripts"),
    ("pkg-config", "build scripts"),
    ("git", "tidy reads the list of files from it"),
    ("dbus", "the system bus and its library of tools"),
    ("debootstrap", "builds the throw-away system's files"),
    ("systemd-container", "systemd-nspawn, the throw-away system"),
    ("util-linux", "nsenter, setpriv, unshare, losetup"),
    ("procps", "tests look at processes"),
    ("iproute2", "tests and the demo make networks of their own"),
    ("nftables", "tests drop packets"),
    ("e2fsprogs", "tests fill a small file system"),
    ("xfsprogs", "a test shuts one down"),
];

/// What virtual machines need beside, and what each is for. They take 150 MB, so they are
/// installed when a machine is first wanted.
const VM_PACKAGES: [(&str, &str); 5] = [
    ("qemu-system-x86", "emulates the machine"),
    ("cpio", "packs the machine's files"),
    ("kmod", "depmod, for the machine's modules"),
    ("binutils", "strip, for the test programs"),
    ("debian-archive-keyring", "proves that kernels are Debian's"),
];

/// What benchmarks need beside, and what each is for.
const BENCH_PACKAGES: [(&str, &str); 4] = [
    ("auditd", "a peer that is compared with"),
    ("bpftrace", "a peer that is compared with"),
    ("linux-perf", "a peer that is compared with"),
    ("bpftool", "names of programs"),
];

/// Installs what is missing.
///
/// # Errors
/// Says what could not be installed and how to do it by hand.
pub(crate) fn run(places: &Places) -> Result<()> {
    fs::create_dir_all(&places.cache)
        .with_context(|| format!("cannot make {}", places.cache.display()))?;
    apt_install(&PACKAGES.map(|(package, _)| package.to_owned()))?;
    let toolchain = toolchain::install(places)?;
    println!(
        "setup: probes are built by {toolchain:?}, LLVM {}",
        toolchain.llvm_major()?
    );
    if is_root() {
        rootfs::ensure().context("cannot build the throw-away system's files")?;
    } else {
        println!("setup: not root, so no throw-away system; demo and the system tests need it");
    }
    Ok(())
}

/// Installs what is missing for virtual machines.
///
/// # Errors
/// As [`run`].
pub(crate) fn for_vm() -> Result<()> {
    apt_install(&VM_PACKAGES.map(|(package, _)| package.to_owned()))
}

/// Installs what is missing for benchmarks.
///
/// # Errors
/// As [`run`].
pub(crate) fn for_bench() -> Result<()> {
    // Debian starts a daemon when it installs one; this one would begin to audit the host.
    if !command::exists("auditd") && Path::new("/run/systemd/system").exists() && is_root() {
        println!("setup: auditd.service is masked; `systemctl unmask auditd` to use it");
        command::run(Command::new("systemctl").args(["mask", "auditd.service"]))?;
    }
    apt_install(&BENCH_PACKAGES.map(|(package, _)| package.to_owned()))
}

/// Whether we may install packages, load probes and boot containers.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Installs those of `packages` that are missing.
///
/// # Errors
/// Without root, or on another distribution, says what to install by hand.
pub(crate) fn apt_install(packages: &[String]) -> Result<()> {
    if !command::exists("dpkg-query") {
        println!(
            "setup: this is neither Debian nor Ubuntu; make sure of the like of: {}",
            packages.join(" ")
        );
        return Ok(());
    }
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        missing.join(" ")
    );
    for package in &missing {
        let known = PACKAGES.iter().chain(&VM_PACKAGES).chain(&BENCH_PACKAGES);
        let purpose = known.into_iter().find(|(name, _)| name == package);
        println!(
            "setup: {package} is missing ({})",
            purpose.map_or("the probes", |(_, why)| why)
        );
    }
    ensure!(is_root(), "packages are missing; as root: {by_hand}");
    command::run(apt_get().arg("update"))
        .context("cannot update the list of packages; is there a network?")?;
    command::run(
        apt_get()
            .args(["install", "--no-install-recommends"])
            .args(&missing),
    )
    .with_context(|| format!("cannot install packages; by hand: {by_hand}"))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-y", "-q"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Those of `packages` that dpkg does not know as installed.
fn missing(packages: &[String]) -> Vec<String> {
    // dpkg-query ends with 1 if it knows one of them not at all, so its status says nothing.
    let known = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\\n"])
        .args(packages)
        .output();
    let known = known.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let known = known.unwrap_or_default();
    let installed = |package: &String| {
        known
            .lines()
            .any(|line| line.split_once(' ') == Some((package.as_str(), "installed")))
    };
    packages
        .iter()
        .filter(|package| !installed(package))
        .cloned()
        .collect()
}
