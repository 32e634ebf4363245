//! `cargo xtask demo --detect`: real loads on this machine, and how soon the daemon notices each.
//!
//! The daemon is new here, so what is shown is its first-day rules: a clear jump after calm, a bounded
//! resource that will surely be used up, a level that matters whatever is usual.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use hostmedic_model::{anomaly::Anomaly, sample::Measure, view::BaselineList};

use crate::{
    command,
    demo::stage::{Stage, now, wait_for},
};

/// How often numbers are taken here.
pub(crate) const EVERY: &str = "2s";
const EVERY_S: f64 = 2.0;
/// Samples of calm before the first load: enough to forget how busy the start was.
const CALM_SAMPLES: u64 = 100;
/// How long a load may go unnoticed before it counts as missed.
const PATIENCE: Duration = Duration::from_secs(330);

/// One load.
struct Load {
    name: &'static str,
    /// What it needs while all is calm, so that the daemon knows it.
    before: Option<&'static str>,
    /// Begins it.
    begin: &'static str,
    /// Ends it.
    end: &'static str,
    /// Any of these may tell of it.
    told_by: &'static [Measure],
    /// What a part of the subject's name must be, so that another's trouble is not taken for it.
    about: &'static str,
}

const LOADS: [Load; 4] = [
    Load {
        name: "a CPU hog: one busy loop for each CPU",
        before: None,
        begin: "for n in $(seq $(nproc)); do systemd-run -q --unit=hog-$n sh -c 'while :; do :; done'; done",
        end: "systemctl stop 'hog-*.service'",
        told_by: &[Measure::CpuBusyRatio, Measure::CpuPressureSomeRatio],
        about: "host",
    },
    Load {
        name: "packets lost in a network namespace: 8 Mbit/s of UDP through a queue of 2 Mbit/s",
        before: None,
        begin: "tc qdisc add dev lo root tbf rate 2mbit burst 5kb limit 5000 && systemd-run -q --unit=sender perl -MIO::Socket::INET -e \
                'my $out = IO::Socket::INET->new(Proto => \"udp\", PeerAddr => \"127.0.0.1:7777\"); \
                 while (1) { $out->send(\"x\" x 1000) for 1..10; select undef, undef, undef, 0.01 }'",
        end: "systemctl stop sender.service; tc qdisc del dev lo root",
        told_by: &[Measure::PacketDropsPerS],
        about: "host",
    },
    Load {
        name: "a disk that fills: 128 MB, 2 MB a second",
        before: None,
        begin: "mount -o remount,size=128M /run && systemd-run -q --unit=filler sh -c \
                'while head -c 2000000 /dev/zero >> /run/filler; do sleep 1; done'",
        end: "systemctl stop filler.service; rm -f /run/filler",
        told_by: &[Measure::DiskUsedRatio, Measure::DiskFreeBytes],
        about: "/run",
    },
    Load {
        name: "a memory leak: a service that ran well takes 50 MB a minute",
        before: Some(
            "systemd-run -q --unit=leak perl -e \
             'while (1) { push @x, \"x\" x 833_000 if -e \"/run/leak\"; select undef, undef, undef, 1 }'",
        ),
        begin: "touch /run/leak",
        end: "systemctl stop leak.service; rm -f /run/leak",
        told_by: &[
            Measure::UnitAnonBytes,
            Measure::UnitMemoryBytes,
            Measure::UnitMemoryLimitRatio,
        ],
        about: "leak.service",
    },
];

/// Plays every load; `false` when one was not noticed.
///
/// # Errors
/// If a load cannot be made, or the daemon does not answer.
pub(crate) fn play(stage: &Stage) -> Result<bool> {
    for before in LOADS.iter().filter_map(|load| load.before) {
        stage.system.sh(before)?;
    }
    println!("\nlearning what is calm: {CALM_SAMPLES} samples, one every {EVERY}");
    let patience = Duration::from_secs(60 + 2 * CALM_SAMPLES);
    wait_for("enough calm samples", patience, || {
        let list: BaselineList = stage.medic(&["baseline"])?;
        let cpu = list
            .baselines
            .iter()
            .find(|known| known.series.measure == Measure::CpuBusyRatio);
        Ok(cpu.filter(|cpu| cpu.samples >= CALM_SAMPLES).map(|_| ()))
    })?;
    let mut caught = 0;
    for load in &LOADS {
        if show(stage, load)? {
            caught += 1;
        }
    }
    println!("demo: {caught} of {} loads noticed", LOADS.len());
    Ok(caught == LOADS.len())
}

fn show(stage: &Stage, load: &Load) -> Result<bool> {
    println!("\n{}", load.name);
    let since = now()?;
    stage.system.sh(load.begin)?;
    let begun = Instant::now();
    let found = loop {
        command::check_interrupt()?;
        let all: Vec<Anomaly> = stage.medic(&["anomalies", "--since", "1h"])?;
        let about_it = |anomaly: &Anomaly| {
            anomaly.at.boot_ns > since.boot_ns
                && load.told_by.contains(&anomaly.series.measure)
                && anomaly.series.subject.to_string().contains(load.about)
        };
        if let Some(anomaly) = all.into_iter().find(about_it) {
            break Some(anomaly);
        }
        if begun.elapsed() > PATIENCE {
            break None;
        }
        thread::sleep(Duration::from_millis(250));
    };
    stage.system.sh(load.end)?;
    let Some(anomaly) = found else {
        println!("  NOT noticed within {} s", PATIENCE.as_secs());
        return Ok(false);
    };
    let after_s = anomaly.at.since(since).as_secs_f64();
    println!(
        "  ok  {} after {after_s:.1} s, {:.0} samples: {:.3}, normal is {:.3} ± {:.3}",
        anomaly.series,
        (after_s / EVERY_S).ceil(),
        anomaly.observed,
        anomaly.expected,
        anomaly.spread,
    );
    if let Some(forecast) = anomaly.forecast {
        println!(
            "      used up in {} s if it goes on like this",
            forecast.exhausted_in_s
        );
    }
    Ok(true)
}
