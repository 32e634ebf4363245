//! Debian's stock kernels: the newest of a series is found, downloaded and cut down to what a
//! machine without hardware needs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{apt::Apt, image};
use crate::command;

/// Directories of modules to keep, each with all below it.
const MODULES_BELOW: [&str; 9] = [
    "arch",
    "block",
    "crypto",
    "drivers/block",
    "drivers/md",
    "fs",
    "kernel",
    "lib",
    "net",
];

/// Directories of modules to keep without those below it, which drive hardware.
const MODULES_IN: [&str; 4] = [
    "drivers/edac",
    "drivers/net",
    "drivers/net/slip",
    "drivers/scsi",
];

/// A line of kernels that Debian keeps up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Series {
    /// Of Debian 11: the oldest with everything that the probes need.
    #[value(name = "5.10")]
    V5_10,
    /// Of Debian 12.
    #[value(name = "6.1")]
    V6_1,
    /// Of Debian 13, and of Debian 12's backports.
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    /// Oldest first.
    pub(super) const ALL: [Self; 3] = [Self::V5_10, Self::V6_1, Self::V6_12];

    /// As people write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }
}

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// As `uname -r` says.
    pub(super) release: String,
    /// The compressed kernel.
    pub(super) vmlinuz: PathBuf,
    /// Archive of its modules.
    pub(super) modules: PathBuf,
}

impl Kernel {
    /// The newest of `series`, from the cache `dir` if it is there. Without a network the newest
    /// that is there.
    pub(super) fn newest(series: Series, dir: &Path) -> Result<Self> {
        let kernels = dir.join("kernels");
        fs::create_dir_all(&kernels)
            .with_context(|| format!("cannot make {}", kernels.display()))?;
        let listed = Apt::open(&dir.join("apt")).and_then(|apt| {
            let names = apt.names(&format!("linux-image-{}", series.name()))?;
            let release = newest(series, &names)
                .with_context(|| format!("Debian has no kernel {}", series.name()))?;
            Ok((apt, release))
        });
        let release = match listed {
            Ok((apt, release)) => {
                if !is_complete(&kernels.join(&release)) {
                    fetch(&apt, &release, &kernels)?;
                    forget_older(series, &release, &kernels);
                }
                release
            }
            Err(error) => {
                command::check_interrupt()?;
                let kept = names_in(&kernels);
                let Some(release) = newest(series, &kept) else {
                    return Err(error);
                };
                println!("vm: {error:#}; {release} of an earlier run is used");
                release
            }
        };
        let kernel = kernels.join(&release);
        Ok(Self {
            vmlinuz: kernel.join("vmlinuz"),
            modules: kernel.join("modules.cpio"),
            release,
        })
    }
}

/// Release of the newest plain kernel of `series` among names of packages.
///
/// Plain is `linux-image-6.1.0-56-amd64`, but not `...-cloud-amd64`, `...-rt-amd64` or a meta
/// package such as `linux-image-6.12-amd64`.
fn newest(series: Series, names: &str) -> Option<String> {
    names
        .lines()
        .filter_map(|name| name.trim().strip_prefix("linux-image-"))
        .filter_map(|release| Some((numbers(series, release)?, release)))
        .max()
        .map(|(_, release)| release.to_owned())
}

/// Numbers to compare releases of one series by; `None` for another series or no plain kernel.
fn numbers(series: Series, release: &str) -> Option<Vec<u32>> {
    let rest = release.strip_prefix(series.name())?.strip_prefix('.')?;
    let rest = rest.strip_suffix("-amd64")?;
    // Debian 12 calls its build of a newer Debian's kernel `6.12.117+deb12`.
    let rest = rest.strip_suffix("+deb12").unwrap_or(rest);
    rest.split(['.', '-']).map(|n| n.parse().ok()).collect()
}

/// What the cache holds, as names of packages.
fn names_in(kernels: &Path) -> String {
    let entries = fs::read_dir(kernels).into_iter().flatten().flatten();
    entries
        .filter(|entry| is_complete(&entry.path()))
        .map(|entry| format!("linux-image-{}\n", entry.file_name().display()))
        .collect()
}

/// Whether `kernel` was made by this recipe, to its end.
fn is_complete(kernel: &Path) -> bool {
    fs::read_to_string(kernel.join("recipe")).is_ok_and(|found| found == recipe())
}

fn recipe() -> String {
    format!("{} {}\n", MODULES_BELOW.join(" "), MODULES_IN.join(" "))
}

/// Older kernels of the series go; the newest has come.
fn forget_older(series: Series, release: &str, kernels: &Path) {
    for entry in fs::read_dir(kernels).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name != release && numbers(series, &name).is_some() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Downloads a kernel and keeps what is needed of it as `kernels/RELEASE`.
fn fetch(apt: &Apt, release: &str, kernels: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(kernels).context("cannot make a directory for a kernel")?;
    let package = format!("linux-image-{release}");
    println!("vm: downloading {package}");
    apt.download(&package, work.path())?;
    let Some(deb) = fs::read_dir(work.path())
        .context("cannot look for the package")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
    else {
        bail!("apt-get download left no package of {package}");
    };
    let all = work.path().join("all");
    command::run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&all))?;

    // Debian 12 has /lib -> usr/lib; depmod wants /lib, and the archive must not replace the link.
    let stage = work.path().join("stage");
    let modules = stage.join("usr/lib/modules").join(release);
    fs::create_dir_all(&modules).context("cannot make the modules' directory")?;
    std::os::unix::fs::symlink("usr/lib", stage.join("lib")).context("cannot link /lib")?;
    let packed = all.join("lib/modules").join(release);
    for list in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        fs::copy(packed.join(list), modules.join(list))
            .with_context(|| format!("{package} has no {list}"))?;
    }
    let below = MODULES_BELOW.map(|dir| (dir, true));
    let flat = MODULES_IN.map(|dir| (dir, false));
    for (dir, with_below) in below.into_iter().chain(flat) {
        let (from, to) = (
            packed.join("kernel").join(dir),
            modules.join("kernel").join(dir),
        );
        if from.is_dir() {
            copy_files(&from, &to, with_below)?;
        }
    }
    command::run(Command::new("depmod").arg("-b").arg(&stage).arg(release))?;

    let ready = work.path().join("ready");
    fs::create_dir(&ready).context("cannot make the kernel's directory")?;
    image::pack(&stage, &["./lib"], &ready.join("modules.cpio"))?;
    let vmlinuz = all.join("boot").join(format!("vmlinuz-{release}"));
    fs::copy(&vmlinuz, ready.join("vmlinuz"))
        .with_context(|| format!("{package} has no {}", vmlinuz.display()))?;
    fs::write(ready.join("recipe"), recipe()).context("cannot write the kernel's recipe")?;
    let kept = kernels.join(release);
    let _ = fs::remove_dir_all(&kept);
    fs::rename(&ready, &kept).with_context(|| format!("cannot make {}", kept.display()))
}

/// Copies the files of a directory, and if wanted those below it.
fn copy_files(from: &Path, to: &Path, with_below: bool) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_file() {
            fs::copy(&path, copy).with_context(|| format!("cannot copy {}", path.display()))?;
        } else if with_below {
            copy_files(&path, &copy, true)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "linux-image-6.12-amd64\nlinux-image-6.12.107+deb12-amd64\n\
        linux-image-6.12.99+deb12-amd64\nlinux-image-6.12.117+deb12-cloud-amd64\n\
        linux-image-6.1.0-9-amd64\nlinux-image-6.1.0-56-amd64\nlinux-image-6.1.0-57-rt-amd64\n\
        linux-image-6.1.0-0.deb11.52-amd64\nlinux-image-6.1.0-58-amd64-dbg\n\
        linux-image-6.1.0-59-amd64-unsigned\nlinux-image-5.10.0-46-amd64\n";

    #[test]
    fn the_newest_is_found_by_numbers_and_not_by_letters() {
        let release = |series| newest(series, NAMES);
        assert_eq!(release(Series::V5_10).as_deref(), Some("5.10.0-46-amd64"));
        assert_eq!(release(Series::V6_1).as_deref(), Some("6.1.0-56-amd64"));
        assert_eq!(
            release(Series::V6_12).as_deref(),
            Some("6.12.107+deb12-amd64")
        );
    }

    #[test]
    fn a_series_is_not_another_that_begins_like_it() {
        assert_eq!(
            newest(Series::V6_1, "linux-image-6.12.107+deb12-amd64\n"),
            None
        );
        assert_eq!(newest(Series::V6_12, ""), None);
    }
}
