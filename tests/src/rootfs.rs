//! The root file systems that throw-away systems boot from: built once, then only read.
//!
//! Without the cache every test run would wait for debootstrap (40 s and 60 MB of downloads).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// Suite of Debian that the root file systems are made of; systemd 252.
const SUITE: &str = "bookworm";

/// Units that only cost time at boot, or would pollute what tests look at.
const MASKED: [&str; 8] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-networkd-wait-online.service",
    "systemd-update-utmp.service",
];

/// What a root file system is made of. Changing it rebuilds the cache.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Its directory in the cache.
    name: &'static str,
    /// What it holds beside the essential packages.
    packages: &'static str,
}

/// For containers on this machine's kernel.
pub const CONTAINER: Recipe = Recipe {
    name: "rootfs-bookworm",
    packages: "systemd,systemd-sysv,libpam-systemd,dbus,polkitd,procps,iproute2",
};

/// For virtual machines: the same, and what makes the kernel do things.
pub const VM: Recipe = Recipe {
    name: "rootfs-vm",
    packages: "systemd,systemd-sysv,libpam-systemd,dbus,polkitd,procps,iproute2,\
               kmod,nftables,ethtool,dmsetup,e2fsprogs,xfsprogs,util-linux",
};

/// Directory for what is worth keeping between runs: `$XDG_CACHE_HOME/hostmedic`, else
/// `$HOME/.cache/hostmedic`.
///
/// # Errors
/// Fails if neither variable is set.
pub fn cache_dir() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("hostmedic"))
}

/// The root file system for containers; see [`Recipe::ensure`].
///
/// # Errors
/// Says which command failed and where its log is.
pub fn ensure() -> Result<PathBuf> {
    CONTAINER.ensure()
}

impl Recipe {
    /// All that decides what the root file system holds; the cache is as good as this is the same.
    pub fn text(&self) -> String {
        format!("{SUITE} {} masked {}\n", self.packages, MASKED.join(" "))
    }

    /// The root file system, built now if the cache lacks it or holds another recipe's.
    ///
    /// Safe to call from several processes at once: one builds, the others wait. Needs root,
    /// `debootstrap` and, the first time, a Debian mirror (`HOSTMEDIC_DEBIAN_MIRROR`, or
    /// debootstrap's default).
    ///
    /// # Errors
    /// Says which command failed and where its log is.
    pub fn ensure(&self) -> Result<PathBuf> {
        let cache = cache_dir()?;
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let lock =
            fs::File::create(cache.join("rootfs.lock")).context("cannot make rootfs.lock")?;
        lock.lock().context("cannot lock rootfs.lock")?;

        let root = cache.join(self.name);
        let recipe = self.text();
        let stamp = cache.join(format!("{}.recipe", self.name));
        if root.is_dir() && fs::read_to_string(&stamp).is_ok_and(|found| found == recipe) {
            return Ok(root);
        }
        // The stamp is written last: a build that was cut short is thrown away by the next.
        let _ = fs::remove_file(&stamp);
        for old in [&root, &cache.join("rootfs-new")] {
            if old.exists() {
                fs::remove_dir_all(old)
                    .with_context(|| format!("cannot remove {}", old.display()))?;
            }
        }
        build(&cache, self.packages)?;
        fs::rename(cache.join("rootfs-new"), &root).context("cannot move rootfs-new into place")?;
        fs::write(&stamp, recipe).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(root)
    }
}

/// Runs debootstrap into `rootfs-new`.
fn build(cache: &Path, packages: &str) -> Result<()> {
    let new = cache.join("rootfs-new");
    let log = cache.join("rootfs.log");
    eprintln!(
        "building {} with debootstrap, about a minute, once (log: {})",
        new.display(),
        log.display()
    );
    let out = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={packages}"), SUITE]);
    debootstrap.arg(&new);
    debootstrap.args(env::var_os("HOSTMEDIC_DEBIAN_MIRROR"));
    debootstrap.env("DEBIAN_FRONTEND", "noninteractive");
    let status = debootstrap
        .stdout(out.try_clone().context("cannot share the log")?)
        .stderr(out)
        .status()
        .context("cannot run debootstrap; apt-get install debootstrap")?;
    ensure!(
        status.success(),
        "debootstrap failed ({status}); see {}",
        log.display()
    );

    for unit in MASKED {
        let link = new.join("etc/systemd/system").join(unit);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("/dev/null", &link)
            .with_context(|| format!("cannot mask {unit}"))?;
    }
    // Each boot gets an identity of its own, and nothing from this machine.
    for (path, text) in [("etc/machine-id", ""), ("etc/hostname", "victim\n")] {
        fs::write(new.join(path), text).with_context(|| format!("cannot write {path}"))?;
    }
    let _ = fs::remove_dir_all(new.join("var/cache/apt/archives"));
    Ok(())
}
