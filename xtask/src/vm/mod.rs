//! `cargo xtask vm`: the tests of the probes on other kernels than this machine's.
//!
//! Debian's stock kernels boot under emulation, with systemd, pure cgroup v2 and the modules that
//! break disks and networks. Without them nobody would know whether the probes load anywhere else.

mod apt;
mod document;
mod guest;
mod image;
mod kernel;
mod programs;
mod report;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use self::{
    guest::Logs,
    kernel::{Kernel, Series},
    programs::Programs,
    report::Report,
};
use crate::{build, command, places::Places, setup, tally::Tally};

/// The kernel that `cargo xtask test` boots.
const FOR_TEST: Series = Series::V6_12;

/// Longest time of one machine, unless said otherwise.
const LIMIT_MIN: u64 = 15;

/// Lines of the kernel's last words to show when a machine breaks.
const LAST_WORDS: usize = 30;

/// Which kernels to boot.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// A series of kernels (5.10, 6.1, 6.12), or `all`; may be given several times.
    #[arg(long = "kernel", value_name = "SERIES", default_value = "6.12", value_parser = one_or_all)]
    kernels: Vec<Which>,
    /// Run only this test target; may be given several times.
    #[arg(long = "test", value_name = "NAME")]
    tests: Vec<String>,
    /// Longest time for one kernel, in minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = LIMIT_MIN)]
    limit: u64,
    /// Write the results into docs/kernels.md; needs all kernels and all tests.
    #[arg(long, conflicts_with = "tests")]
    write_docs: bool,
}

/// A series, or `None` for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Which(Option<Series>);

fn one_or_all(text: &str) -> Result<Which, String> {
    if text == "all" {
        return Ok(Which(None));
    }
    <Series as clap::ValueEnum>::from_str(text, false).map(|series| Which(Some(series)))
}

impl Options {
    /// The series that are meant, each once, oldest first.
    fn series(&self) -> Vec<Series> {
        let all = self.kernels.contains(&Which(None));
        let wanted = |series: &Series| all || self.kernels.contains(&Which(Some(*series)));
        Series::ALL.into_iter().filter(wanted).collect()
    }
}

/// Boots the kernels and closes with one line for each.
///
/// # Errors
/// Fails if it could not even begin; `false` means that something failed.
pub(crate) fn run(places: &Places, options: &Options) -> Result<bool> {
    let series = options.series();
    ensure!(
        !options.write_docs || series == Series::ALL,
        "--write-docs needs --kernel all"
    );
    setup::run(places)?;
    build::probes(places)?;
    let limit = Duration::from_secs(options.limit * 60);
    let reports = boot_each(places, &series, &options.tests, limit)?;
    let mut all = Tally::default();
    println!();
    for report in &reports {
        print!("{}", report.tally().details());
    }
    for report in &reports {
        let tally = report.tally();
        println!(
            "vm: {}: {tally} ({} s)",
            report.release,
            report.took.as_secs()
        );
        all.merge(tally);
    }
    if options.write_docs {
        document::write(places, &reports)?;
    }
    Ok(all.is_green())
}

/// Boots one kernel, as a part of `cargo xtask test`, and gives what it counted.
///
/// # Errors
/// As [`run`].
pub(crate) fn one(places: &Places) -> Result<Tally> {
    let reports = boot_each(
        places,
        &[FOR_TEST],
        &[],
        Duration::from_secs(LIMIT_MIN * 60),
    )?;
    let mut tally = Tally::default();
    for report in reports {
        tally.merge(report.tally());
    }
    Ok(tally)
}

/// Boots one after another: each needs both processors of a small machine.
fn boot_each(
    places: &Places,
    series: &[Series],
    tests: &[String],
    limit: Duration,
) -> Result<Vec<Report>> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the machines run programs that are built here, so this must be an x86-64 machine"
    );
    ensure!(setup::is_root(), "virtual machines need root (debootstrap)");
    setup::for_vm()?;
    let programs = Programs::build(places, tests)?;
    let cache = places.cache.join("vm");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let _alone = lock(&cache.join("lock"))?;
    let boot = |series: &Series| {
        let kernel = Kernel::newest(*series, &cache)?;
        boot(&kernel, &programs, &cache, limit)
    };
    series.iter().map(boot).collect()
}

/// Boots one kernel and shows what failed.
fn boot(kernel: &Kernel, programs: &Programs, cache: &Path, limit: Duration) -> Result<Report> {
    let release = &kernel.release;
    let work = tempfile::tempdir_in(cache).context("cannot make a directory for the image")?;
    let image = work.path().join("image");
    image::build(kernel, programs, cache, &image)?;
    let logs = Logs::new(&cache.join("logs").join(release))?;
    println!(
        "vm: booting {release}; {} and {} grow",
        logs.console.display(),
        logs.tests.display()
    );
    let report = guest::run(kernel, &image, &programs.tests(), limit, &logs)?;
    for (name, output) in report.failures() {
        println!("\nvm: {release}: output of {name}:\n{output}");
    }
    if let Some(why) = &report.broken {
        let console = fs::read(&logs.console).context("cannot read the console's log")?;
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<_> = console.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
        println!(
            "\nvm: {release}: {why}; its last words:\n{}",
            last.join("\n")
        );
    }
    Ok(report)
}

/// Holds the cache for this process; waits, and says so, while another has it.
fn lock(path: &Path) -> Result<fs::File> {
    let started = Instant::now();
    let file = fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => {
                bail!("cannot lock {}: {error}", path.display())
            }
        }
        if !said {
            println!("vm: waiting for another `cargo xtask vm` to end");
            said = true;
        }
        command::check_interrupt()?;
        ensure!(
            started.elapsed() < Duration::from_secs(3600),
            "another `cargo xtask vm` has held {} for an hour",
            path.display()
        );
        thread::sleep(Duration::from_millis(500));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn series(words: &[&str]) -> Vec<Series> {
        let words = ["vm"].iter().chain(words);
        Cli::try_parse_from(words).unwrap().options.series()
    }

    #[test]
    fn kernels_are_chosen_by_series() {
        assert_eq!(series(&[]), [Series::V6_12]);
        assert_eq!(series(&["--kernel", "all"]), Series::ALL);
        assert_eq!(
            series(&["--kernel", "6.1", "--kernel", "5.10", "--kernel", "6.1"]),
            [Series::V5_10, Series::V6_1]
        );
        assert!(Cli::try_parse_from(["vm", "--kernel", "4.19"]).is_err());
    }
}
