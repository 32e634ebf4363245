//! `cargo xtask bench capture`: the plan of the run, from building to the report.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    audit::Bystanders,
    contender::{Contender, Starter},
    cost, document, goals,
    load::{Load, Programs, last_cpu},
    priority::First,
    report::{Machine, Report},
    stage::Stage,
    table,
    turns::{self, Taken},
    workers::Workers,
};
use crate::{build, command, places::Places, setup};

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Turns that each contender gets.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(10..=1000))]
    rounds: u32,
    /// Length of each measurement, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 400, value_parser = clap::value_parser!(u64).range(100..=10_000))]
    slice: u64,
    /// Only these loads: exec, net, disk; all without it.
    #[arg(long = "load", value_enum)]
    loads: Vec<Group>,
    /// Leave the peers out, so that many rounds do not take hours.
    #[arg(long)]
    own: bool,
    /// Write everything measured into this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables into docs/benchmarks.md; needs all loads.
    #[arg(long, conflicts_with_all = ["loads", "own"])]
    write_docs: bool,
    /// Measure the optimised programs; building them takes half an hour on two processors.
    #[arg(long)]
    release: bool,
    /// Measure what is built, and build nothing.
    #[arg(long)]
    no_build: bool,
}

impl Options {
    /// Those of `contenders` that are wanted.
    fn of(&self, contenders: &[Contender]) -> Vec<Contender> {
        let wanted = |contender: &&Contender| !self.own || !contender.is_peer();
        contenders.iter().filter(wanted).copied().collect()
    }
}

/// Loads that the same contenders watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    Exec,
    Net,
    Disk,
}

impl Group {
    const ALL: [Self; 3] = [Self::Exec, Self::Net, Self::Disk];

    fn loads(self) -> &'static [Load] {
        match self {
            Self::Exec => &[Load::ExecPinned, Load::ExecEach],
            Self::Net => &[Load::UdpDrop, Load::TcpRefused, Load::TcpStream],
            Self::Disk => &[Load::DiskRead],
        }
    }

    /// In turns, for throughput.
    fn contenders(self) -> &'static [Contender] {
        use Contender::{
            Auditd, BpftraceDisk, BpftraceNetwork, BpftraceProcess, Capture, CaptureLatency,
            CaptureNoDrops, Medicd, Nobody, PerfRecordDisk, PerfRecordNetwork, PerfRecordProcess,
            PerfTrace,
        };
        match self {
            Self::Exec => &[
                Nobody,
                Capture,
                Medicd,
                BpftraceProcess,
                Auditd,
                PerfTrace,
                PerfRecordProcess,
            ],
            Self::Net => &[
                Nobody,
                Capture,
                CaptureNoDrops,
                BpftraceNetwork,
                PerfRecordNetwork,
            ],
            Self::Disk => &[
                Nobody,
                Capture,
                CaptureLatency,
                BpftraceDisk,
                PerfRecordDisk,
            ],
        }
    }

    /// In turns, for the time of each BPF program.
    fn timed(self) -> &'static [Contender] {
        use Contender::{
            BpftraceDisk, BpftraceNetwork, BpftraceProcess, Capture, CaptureLatency, Empty,
        };
        match self {
            Self::Exec => &[Empty, Capture, BpftraceProcess],
            Self::Net => &[Empty, Capture, BpftraceNetwork],
            Self::Disk => &[Empty, CaptureLatency, BpftraceDisk],
        }
    }
}

/// Measures and reports.
///
/// # Errors
/// Says what could not be measured at all.
pub(super) fn run(places: &Places, options: &Options) -> Result<()> {
    ensure!(
        setup::is_root(),
        "this loads BPF programs, makes network namespaces and asks for priority: run it as root"
    );
    setup::for_bench()?;
    let programs = programs(places, options)?;
    let work = tempfile::tempdir().context("cannot make a directory")?;
    let _first = First::take();
    let stage = Stage::build(&programs).context("cannot prepare the loads")?;
    let starter = Starter {
        places,
        programs: &programs,
        work: work.path(),
    };
    let slice = Duration::from_millis(options.slice);
    let groups: Vec<Group> = Group::ALL
        .into_iter()
        .filter(|group| options.loads.is_empty() || options.loads.contains(group))
        .collect();

    let mut report = Report::new(Machine::find()?, options.rounds, options.slice);
    report.profile = if options.release { "release" } else { "dev" }.to_owned();
    for group in groups {
        let _beside = match group {
            Group::Disk => Workers::move_to(last_cpu())
                .inspect_err(|error| println!("bench: disk reads will vary more: {error:#}"))
                .ok(),
            Group::Exec | Group::Net => None,
        };
        let contenders = options.of(group.contenders());
        let measured = {
            let _spared = Bystanders::spare();
            turns::measure(
                &starter,
                &stage,
                group.loads(),
                &contenders,
                Taken {
                    rounds: options.rounds,
                    slice,
                },
            )?
        };
        report.add_turns(group.loads(), &contenders, measured);
        // Means over many runs of a program need fewer rounds than rates of a load.
        let rounds = (options.rounds / 3).max(10);
        let hooks = cost::measure(
            &starter,
            &stage,
            group.loads(),
            &options.of(group.timed()),
            Taken { rounds, slice },
        )?;
        report.hooks.extend(hooks);
    }
    report.goals = goals::judge(&report);
    print!("\n{}", table::text(&report));
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report).context("cannot write JSON")?;
        std::fs::write(path, json + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("bench: {} is written", path.display());
    }
    if options.write_docs {
        document::write(places, &report)?;
    }
    Ok(())
}

/// Builds what is measured, unless told not to.
fn programs(places: &Places, options: &Options) -> Result<Programs> {
    let profile = if options.release { "release" } else { "debug" };
    let programs = Programs {
        dir: places.target.join(profile),
    };
    if options.no_build {
        return Ok(programs);
    }
    setup::run(places)?;
    build::probes(places)?;
    let mut build: Command = build::workspace(places, "build")?;
    build.args([
        "--bin",
        "bench-load",
        "--bin",
        "bench-capture",
        "--bin",
        "medicd",
    ]);
    if options.release {
        build.arg("--release");
    }
    build::with_progress(places, &mut build).context("cannot build what is measured")?;
    command::check_interrupt()?;
    Ok(programs)
}
