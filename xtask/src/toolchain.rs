//! The compiler and linker for the probes: a target that stable Rust does not ship.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{output, run, shown, without_outer_cargo},
    places::Places,
    setup::apt_install,
};

/// Debian's compiler with its sources: a matching set that needs no download from elsewhere.
const DEBIAN_SET: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Turns LLVM bitcode into a BPF object; one version, so that every machine builds the same.
const BPF_LINKER: &str = "0.13.0";

/// A compiler that can build the core library for the BPF target.
#[derive(Clone, Debug)]
pub(crate) enum Toolchain {
    /// A nightly of rustup with the component `rust-src`, by its name.
    Nightly(String),
    /// `/usr/bin/rustc` and `/usr/bin/cargo` with `rust-web-src`.
    Debian,
}

impl Toolchain {
    /// The one to use, if there is one: a nightly first, because it is what most people have.
    pub(crate) fn find() -> Option<Self> {
        let installed = output(without_outer_cargo("rustup").args(["toolchain", "list"]));
        for line in installed.unwrap_or_default().lines() {
            let name = line.split_whitespace().next().unwrap_or_default();
            let nightly = Self::Nightly(name.to_owned());
            if name.starts_with("nightly") && nightly.has_sources() {
                return Some(nightly);
            }
        }
        Self::Debian.has_sources().then_some(Self::Debian)
    }

    fn has_sources(&self) -> bool {
        output(self.rustc().args(["--print", "sysroot"])).is_ok_and(|sysroot| {
            Path::new(&sysroot)
                .join("lib/rustlib/src/rust/library/core/Cargo.toml")
                .is_file()
        })
    }

    /// Its compiler.
    fn rustc(&self) -> Command {
        match self {
            Self::Nightly(name) => {
                let mut command = without_outer_cargo("rustup");
                command.args(["run", name, "rustc"]);
                command
            }
            Self::Debian => without_outer_cargo("/usr/bin/rustc"),
        }
    }

    /// Its cargo, allowed to use what `-Z build-std` needs.
    pub(crate) fn cargo(&self) -> Command {
        match self {
            Self::Nightly(name) => {
                let mut command = without_outer_cargo("rustup");
                command.args(["run", name, "cargo"]);
                command
            }
            Self::Debian => {
                let mut command = without_outer_cargo("/usr/bin/cargo");
                command
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    /// Major version of the LLVM it writes bitcode with; the linker must read the same.
    pub(crate) fn llvm_major(&self) -> Result<u32> {
        let text = output(self.rustc().arg("-vV"))?;
        text.lines()
            .find_map(|line| {
                line.strip_prefix("LLVM version: ")?
                    .split('.')
                    .next()?
                    .parse()
                    .ok()
            })
            .with_context(|| format!("{self:?} names no LLVM version: {text}"))
    }
}

/// Makes sure of a compiler for the probes and of the linker that goes with it.
pub(crate) fn install(places: &Places) -> Result<Toolchain> {
    let toolchain = match Toolchain::find() {
        Some(toolchain) => toolchain,
        None => {
            apt_install(&DEBIAN_SET.map(str::to_owned)).context(
                "no compiler for the probes: `rustup toolchain install nightly --component \
                 rust-src`, or on Debian 12 and later `apt-get install rustc-web cargo-web \
                 rust-web-src`",
            )?;
            Toolchain::find().context("rust-web-src is installed, but its sources are not found")?
        }
    };
    let llvm = toolchain.llvm_major()?;
    install_linker(places, llvm)?;
    Ok(toolchain)
}

fn install_linker(places: &Places, llvm: u32) -> Result<()> {
    let tools = places.tools();
    let linker = tools.join("bin/bpf-linker");
    let stamp = tools.join("bpf-linker.stamp");
    let wanted = format!("{BPF_LINKER} llvm-{llvm}\n");
    if linker.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    if !(21..=23).contains(&llvm) {
        bail!(
            "bpf-linker {BPF_LINKER} reads LLVM 21 to 23, but the compiler for the probes writes \
             LLVM {llvm}; install an older nightly with rust-src"
        );
    }
    apt_install(&[format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")]).with_context(
        || format!("bpf-linker needs LLVM {llvm}'s development files; see https://apt.llvm.org"),
    )?;
    println!("setup: building bpf-linker {BPF_LINKER} for LLVM {llvm}, about a minute, once");
    let mut install = without_outer_cargo("cargo");
    install.args([
        "install",
        "bpf-linker",
        "--version",
        BPF_LINKER,
        "--locked",
        "--quiet",
    ]);
    install.args([
        "--no-default-features",
        "--features",
        &format!("llvm-{llvm}"),
        "--force",
    ]);
    install.arg("--root").arg(&tools);
    install.env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"));
    install.env("CARGO_TARGET_DIR", places.cache.join("tools-target"));
    let line = shown(&install);
    run(&mut install).with_context(|| format!("cannot build bpf-linker with `{line}`"))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    // Only the program is worth keeping.
    let _ = fs::remove_dir_all(places.cache.join("tools-target"));
    Ok(())
}
