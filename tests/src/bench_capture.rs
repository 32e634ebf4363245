//! What `cargo xtask bench` measures as hostmedic's capture: the probes, and a process that takes
//! everything they tell, as the daemon does.
//!
//! `capture FIRST_MS [disk-latency] [without=HOOK]...` says `ready`, takes events until SIGTERM,
//! reads counts and counters every five seconds, the first time after `FIRST_MS`, and closes with
//! a line of what it took. `time-programs` has the kernel time all BPF programs until SIGTERM.

use std::{
    env,
    process::ExitCode,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::sys::{Stats, enable_stats};
use hostmedic_observe::kernel::{KernelEvent, Options, Probes};
use nix::sys::signal::{SigSet, Signal};
use tokio::sync::mpsc::{Receiver, channel as queue};

/// How often the daemon reads counts and counters.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Ends by itself after this time, if whoever started it cannot end it.
const LIFE: Duration = Duration::from_secs(900);
/// Events that may wait, as in the daemon.
const QUEUE_LEN: usize = 4096;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-capture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let verb = arguments.next().context("a verb is missing")?;
    // Before any thread exists, so that all of them leave the signal to the one that waits.
    let mut asked = SigSet::empty();
    asked.add(Signal::SIGTERM);
    asked.thread_block().context("cannot block SIGTERM")?;
    let (ends, ended) = channel();
    thread::spawn(move || {
        let _ = asked.wait();
        let _ = ends.send(());
    });
    match verb.as_str() {
        "time-programs" => {
            let timing = enable_stats(Stats::RunTime);
            let _timing = timing.context("the kernel does not time programs (CAP_SYS_ADMIN)")?;
            println!("ready");
            let _ = ended.recv_timeout(LIFE);
            Ok(())
        }
        "capture" => {
            let first = arguments.next().context("FIRST_MS is missing")?;
            let first = first.parse().context("FIRST_MS is no number")?;
            let options = options(arguments)?;
            capture(&options, Duration::from_millis(first), &ended)
        }
        _ => bail!("unknown verb {verb}"),
    }
}

fn options(words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    for word in words {
        match word.split_once('=') {
            None if word == "disk-latency" => options.disk_latency = true,
            Some(("without", hook)) => options.without.push(hook.to_owned()),
            _ => bail!("unknown word {word}"),
        }
    }
    Ok(options)
}

fn capture(
    options: &Options,
    first: Duration,
    ended: &std::sync::mpsc::Receiver<()>,
) -> Result<()> {
    let (mut probes, _) = Probes::load(options)?;
    let ((rare_in, rare), (hot_in, hot)) = (queue(QUEUE_LEN), queue(QUEUE_LEN));
    probes.start(rare_in, hot_in)?;
    let takers = [rare, hot].map(|lane| thread::spawn(move || take(lane)));
    // A daemon that has run for a while has read before: the first time brings memory and code in.
    probes.tallies()?;
    probes.counters()?;
    println!("ready");
    let began = Instant::now();
    let (mut wait, mut readings, mut keys) = (first, 0_u64, 0);
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(wait) {
        keys += probes.tallies()?.len();
        probes.counters()?;
        readings += 1;
        wait = READ_EVERY;
        if began.elapsed() > LIFE {
            break;
        }
    }
    let (counters, queues) = probes.stop()?;
    let taken: u64 = takers.map(|taker| taker.join().unwrap_or(0)).iter().sum();
    let sum = |of: fn(&hostmedic_model::loss::HookCounters) -> u64| -> u64 {
        counters.iter().map(of).sum()
    };
    println!(
        "seen {} delivered {} lost {} taken {taken} dropped {} readings {readings} keys {keys}",
        sum(|of| of.seen),
        sum(|of| of.delivered),
        sum(|of| of.ring_full),
        queues.queue_full,
    );
    Ok(())
}

/// Takes events to the end and says how many.
fn take(mut lane: Receiver<KernelEvent>) -> u64 {
    let mut taken = 0;
    while lane.blocking_recv().is_some() {
        taken += 1;
    }
    taken
}
