//! What matching costs: time per incident with 500 playbooks, building, and memory.
//!
//! Time is this process's own time on the processors, so that a busy machine does not change it;
//! beside it stands the time of the clock.

use std::{
    env, fmt::Write as _, fs, hint::black_box, num::NonZeroUsize, path::PathBuf, process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use hostmedic_embed::{Cache, Kernel, Model, SHIPPED_SHA256};
use hostmedic_index::Graph;
use hostmedic_reason::matching::{
    catalogue::{Catalogue, Query, SCAN_MAX},
    dense::{Nearest, Scan},
    entry::Entry,
    library::Library,
};

use super::data::{Data, Shown};

/// Playbooks of a large library.
const PLAYBOOKS: usize = 500;
/// Vectors of the largest library that is promised: 10,000 playbooks with four each.
const VECTORS: usize = 40_000;

/// Says where the peer's program is.
const CANDLE: &str = "HOSTMEDIC_BENCH_CANDLE";

/// What `resident` matches with.
#[derive(clap::Args)]
pub(crate) struct ResidentArgs {
    /// Folder with playbooks.jsonl and incidents.jsonl.
    data: PathBuf,
    /// Vectors of the library, made before.
    cache: PathBuf,
}

/// Measures and tells.
pub(super) fn run(data: &Data) -> Result<String> {
    let mut out = String::from("\n## Cost\n\n");
    let library = library(data);
    let mut cache = Cache::new(SHIPPED_SHA256);
    let cold = timed(|| build(&library, &mut cache));
    let bytes = cache.encode();
    let warm = timed(|| {
        let mut cache = Cache::decode(&bytes, SHIPPED_SHA256)?;
        build(&library, &mut cache).map(drop)
    });
    warm.value?;
    let catalogue = cold.value?;
    writeln!(
        out,
        "| {PLAYBOOKS} playbooks | CPU | clock |\n|---|---|---|"
    )?;
    writeln!(
        out,
        "| build, nothing cached | {:.2} s | {:.2} s |",
        cold.cpu_s, cold.clock_s
    )?;
    writeln!(
        out,
        "| build from the cache ({} vectors) | {:.0} ms | {:.0} ms |",
        cache.len(),
        warm.cpu_s * 1e3,
        warm.clock_s * 1e3
    )?;

    writeln!(
        out,
        "\n| per incident ({} texts) | p50 CPU | p95 CPU | p50 clock | p95 clock |\n|---|---|---|---|---|",
        data.incidents.len()
    )?;
    for kernel in Kernel::ALL {
        let Some(model) = Model::shipped_on(kernel) else {
            writeln!(
                out,
                "| embed and match, {kernel:?} | not on this processor | | | |"
            )?;
            continue;
        };
        latency(
            &mut out,
            &format!("embed and match, {kernel:?}"),
            data,
            |text| {
                let vector = model.embed_incident(text);
                black_box(catalogue.rank(&Query::plain(text, &vector)));
            },
        )?;
    }
    out += &candle(data)?;
    let vector = Model::shipped().embed_incident(&data.incidents[0].text);
    latency(&mut out, "match only", data, |text| {
        black_box(catalogue.rank(&Query::plain(text, &vector)));
    })?;
    let long = "the disk of the database is full and nothing can be written any more ".repeat(40);
    latency(&mut out, "embed the longest text", data, |_| {
        black_box(Model::shipped().embed(&long));
    })?;
    out += &large(&catalogue)?;
    out += &memory(data, &bytes)?;
    Ok(out)
}

/// A library of [`PLAYBOOKS`]: each takes its parts from neighbours in the labelled set.
fn library(data: &Data) -> Library {
    let known = data.library(Shown::All).playbooks;
    let entries: Vec<_> = (0..PLAYBOOKS)
        .map(|at| {
            let part = |step: usize| &known[(at + at / known.len() * step) % known.len()];
            Entry {
                name: format!("{}-{at}", part(0).name),
                summary: format!("{} Variant {at}.", part(0).summary),
                symptoms: part(1)
                    .symptoms
                    .iter()
                    .map(|text| format!("{text} Seen on {at}."))
                    .collect(),
                signals: [
                    part(2).signals.clone(),
                    vec![format!("unit-{at}.service failed")],
                ]
                .concat(),
                not_for: part(3)
                    .symptoms
                    .iter()
                    .map(|text| format!("{text} Not on {at}."))
                    .collect(),
                ..Entry::default()
            }
        })
        .collect();
    entries.into()
}

fn build(library: &Library, cache: &mut Cache) -> Result<Catalogue> {
    let model = Model::shipped();
    let texts = library.texts();
    // As the daemon does.
    let threads = NonZeroUsize::new(2).context("two is not nothing")?;
    cache.learn(texts, threads, |new| model.embed_all(new));
    let embed = |text: &str| cache.vector(text, |text| model.embed(text));
    let catalogue = Catalogue::build(library, embed);
    // As the daemon does: a small library is scanned.
    if catalogue.len() <= SCAN_MAX {
        return Ok(catalogue);
    }
    let graph = Graph::build(catalogue.vectors())?;
    Ok(catalogue.with_index(Box::new(graph)))
}

fn latency(out: &mut String, name: &str, data: &Data, work: impl Fn(&str)) -> Result<()> {
    let (cpu, clock) = data
        .incidents
        .iter()
        .map(|incident| {
            let done = timed(|| work(&incident.text));
            (done.cpu_s, done.clock_s)
        })
        .unzip();
    *out += &latency_row(name, cpu, clock);
    Ok(())
}

/// A row of the median and the 95th percentile of times in seconds.
fn latency_row(name: &str, cpu: Vec<f64>, clock: Vec<f64>) -> String {
    let mut row = format!("| {name} |");
    for mut times in [cpu, clock] {
        times.sort_by(f64::total_cmp);
        for share in [0.50, 0.95] {
            let at = (times.len() as f64 * share) as usize;
            let time_s = times.get(at.min(times.len().saturating_sub(1)));
            row += &format!(" {:.2} ms |", time_s.unwrap_or(&f64::NAN) * 1e3);
        }
    }
    row + "\n"
}

/// The peer's row: the same model in 32 bits by candle, a program of its own.
fn candle(data: &Data) -> Result<String> {
    let Some(program) = env::var_os(CANDLE) else {
        return Ok(
            "| embed, candle f32 | not built: `cargo xtask bench match` builds it | | | |\n"
                .to_owned(),
        );
    };
    let folder = tempfile::tempdir()?;
    let texts = folder.path().join("texts");
    let lines = data
        .incidents
        .iter()
        .map(|incident| incident.text.replace('\n', " ") + "\n");
    fs::write(&texts, lines.collect::<String>())?;
    let output = Command::new(program)
        .stdin(fs::File::open(&texts)?)
        .env("RAYON_NUM_THREADS", "1")
        .output()?;
    ensure!(
        output.status.success(),
        "candle: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let done: Vec<Candle> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()?;
    let nearest = done.iter().map(|text| text.nearness).fold(1.0, f64::min);
    let name = format!("embed, candle f32 (nearness to ours at least {nearest:.3})");
    let (cpu, clock) = done.iter().map(|text| (text.cpu_s, text.clock_s)).unzip();
    Ok(latency_row(&name, cpu, clock))
}

/// What the peer says of one text.
#[derive(serde::Deserialize)]
struct Candle {
    cpu_s: f64,
    clock_s: f64,
    nearness: f64,
}

/// The graph against the scan of everything, on vectors scattered around real ones.
fn large(catalogue: &Catalogue) -> Result<String> {
    let seeds: Vec<_> = catalogue.vectors().collect();
    let vectors: Vec<_> = (0..VECTORS as u32)
        .map(|key| {
            let (one, other) = (
                key as usize % seeds.len(),
                (key as usize * 7919 + 13) % seeds.len(),
            );
            let share = (key % 97) as f32 / 97.0;
            let mut values = *seeds[one].1.values();
            for (value, other) in values.iter_mut().zip(seeds[other].1.values()) {
                *value += share * other;
            }
            (key, hostmedic_model::vector::Vector::direction_of(&values))
        })
        .collect();
    let built = timed(|| Graph::build(vectors.iter().cloned()));
    let graph = built.value?;
    let scan = Scan::build(vectors.iter().cloned());
    let asked: Vec<_> = seeds.iter().step_by(seeds.len() / 200).collect();
    let mut found = 0;
    let by_graph = timed(|| {
        asked
            .iter()
            .map(|(_, vector)| graph.nearest(vector, 10))
            .collect::<Vec<_>>()
    });
    let by_scan = timed(|| {
        asked
            .iter()
            .map(|(_, vector)| scan.nearest(vector, 10))
            .collect::<Vec<_>>()
    });
    for (graph, scan) in by_graph.value.iter().zip(&by_scan.value) {
        found += scan.iter().filter(|key| graph.contains(key)).count();
    }
    let count = asked.len() as f64;
    Ok(format!(
        "\n| {VECTORS} vectors | usearch | scan |\n|---|---|---|\n\
         | build | {:.1} s | - |\n| ten nearest | {:.0} us | {:.0} us |\n\
         | of the scan's ten found | {:.1} % | 100 % |\n",
        built.cpu_s,
        by_graph.cpu_s / count * 1e6,
        by_scan.cpu_s / count * 1e6,
        100.0 * found as f64 / (count * 10.0),
    ))
}

/// Lets a process of its own match, and asks it what it keeps.
fn memory(data: &Data, cache: &[u8]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("vectors");
    fs::write(&path, cache)?;
    let output = Command::new(env::current_exe()?)
        .arg("resident")
        .arg(&data.folder)
        .arg(&path)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Matches with a large library and prints the memory of this process.
pub(crate) fn resident(args: &ResidentArgs) -> Result<()> {
    let before = resident_mb()?;
    {
        let data = Data::read(&args.data)?;
        let mut cache = Cache::decode(&fs::read(&args.cache)?, SHIPPED_SHA256)?;
        let catalogue = build(&library(&data), &mut cache)?;
        drop(cache);
        for incident in &data.incidents {
            let vector = Model::shipped().embed_incident(&incident.text);
            black_box(catalogue.rank(&Query::plain(&incident.text, &vector)));
        }
        let after = resident_mb()?;
        println!("\n| memory, {PLAYBOOKS} playbooks | MB |\n|---|---|");
        println!("| process before | {:.1} |", before.0);
        println!("| process after all texts | {:.1} |", after.0);
        println!("| of it anonymous | {:.1} |", after.1);
    }
    Ok(())
}

/// Resident and anonymous memory of this process.
fn resident_mb() -> Result<(f64, f64)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: f64 = kilobytes
            .context("/proc/self/status lacks a field")?
            .parse()?;
        anyhow::Ok(kilobytes / 1024.0)
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}

struct Timed<T> {
    value: T,
    cpu_s: f64,
    clock_s: f64,
}

fn timed<T>(work: impl FnOnce() -> T) -> Timed<T> {
    let (cpu, clock) = (process_s(), Instant::now());
    let value = work();
    Timed {
        cpu_s: process_s() - cpu,
        clock_s: clock.elapsed().as_secs_f64(),
        value,
    }
}

/// This process's time on the processors so far, all threads together.
fn process_s() -> f64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0.0, |time| {
        time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
    })
}
