//! The services that the demo kills: how they are made, caged and starved.
//!
//! The kill is the kernel's own. A victim's main process is put into a small memory cgroup and
//! told to leak; nobody sends it a signal that ends it.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use hostmedic_tests::nspawn::Nspawn;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::demo::stage::wait_for;

/// Memory a caged victim may have; it needs about 6 MiB until it leaks.
const CAGE_BYTES: u64 = 32 << 20;

/// The victim's program: idle, until SIGUSR1 makes it leak. The bound is for the case that the
/// cage does not hold: the machine must not be the one that runs out of memory.
pub(crate) const PROGRAM: &str = r#"# Stands for a service: idle until SIGUSR1, then it leaks until the kernel ends it.
my ($leak, @hoard) = (0);
$SIG{USR1} = sub { $leak = 1 };
while (1) {
    if ($leak && @hoard < 64) { push @hoard, "x" x (4 << 20) }
    else { select undef, undef, undef, 0.1 }
}
"#;

/// Where [`PROGRAM`] lies in the throw-away system.
pub(crate) const PROGRAM_PATH: &str = "/usr/local/lib/hostmedic-demo/victim.pl";

/// Unit of a victim: a service that nothing restarts by itself.
pub(crate) fn unit(description: &str) -> String {
    format!(
        "[Unit]\nDescription={description}\n\n[Service]\nExecStart=/usr/bin/perl {PROGRAM_PATH}\n\
         Restart=no\n\n[Install]\nWantedBy=multi-user.target\n"
    )
}

/// A memory cgroup of the host's v1 tree, removed when dropped.
///
/// On a host with the v2 memory controller there is none: there systemd itself sets the limit.
#[derive(Debug)]
pub(crate) struct Cage {
    dir: Option<PathBuf>,
}

impl Cage {
    /// Makes one, empty.
    pub(crate) fn new() -> Result<Self> {
        let base = Path::new("/sys/fs/cgroup/memory");
        if !base.join("memory.limit_in_bytes").exists() {
            return Ok(Self { dir: None });
        }
        let dir = base.join(format!("hostmedic-demo-{}", process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let cage = Self {
            dir: Some(dir.clone()),
        };
        let limit = CAGE_BYTES.to_string();
        fs::write(dir.join("memory.limit_in_bytes"), &limit).context("cannot limit the cage")?;
        // Exists only where swap is accounted; without it a victim might survive in swap.
        let _ = fs::write(dir.join("memory.memsw.limit_in_bytes"), &limit);
        let _ = fs::write(dir.join("memory.swappiness"), "0");
        Ok(cage)
    }

    /// Lets the kernel run `unit` out of memory; returns when the process is gone.
    ///
    /// # Errors
    /// Fails if the unit has no main process, or if the kernel let it live.
    pub(crate) fn starve(&self, system: &Nspawn, unit: &str) -> Result<u32> {
        let pid = system.main_pid(unit)?;
        match &self.dir {
            Some(dir) => fs::write(dir.join("cgroup.procs"), pid.to_string())
                .with_context(|| format!("cannot put process {pid} of {unit} into the cage"))?,
            None => {
                let limit = format!("MemoryMax={CAGE_BYTES} MemorySwapMax=0");
                system.sh(&format!("systemctl set-property --runtime {unit} {limit}"))?;
            }
        }
        let target = Pid::from_raw(i32::try_from(pid).context("a process id beyond i32")?);
        kill(target, Signal::SIGUSR1).with_context(|| format!("cannot signal process {pid}"))?;
        let gone = || Ok((!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
        wait_for(
            "the kernel to end the victim",
            Duration::from_secs(20),
            gone,
        )?;
        ensure!(
            self.kills() != Some(0),
            "process {pid} of {unit} ended, but not for memory"
        );
        Ok(pid)
    }

    /// OOM kills that the kernel counted in the cage; `None` where it does not count.
    fn kills(&self) -> Option<u64> {
        let control = fs::read_to_string(self.dir.as_ref()?.join("memory.oom_control")).ok()?;
        control
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let Some(dir) = &self.dir else { return };
        // The last victim may still be on its way out of the cage.
        for _ in 0..50 {
            if fs::remove_dir(dir).is_ok() || !dir.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("demo: {} is left; remove it with rmdir", dir.display());
    }
}
