//! The processes: who began whom, in what state, with what command line.
//!
//! Their environment is never read, and command lines lose their secrets before they are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    found::{self, Found, size},
    scene::Scene,
};
use hostmedic_model::{capture::PART_LINES_MAX, scrub::scrub_command};

/// Bytes read of a `stat` file; the kernel writes some hundred.
const STAT_BYTES_MAX: usize = 4096;
/// Bytes read of a command line, and characters kept.
const COMMAND_BYTES_MAX: usize = 4096;
const COMMAND_CHARS_MAX: usize = 160;
/// Deepest indentation; a deeper tree goes on at that depth.
const DEPTH_MAX: usize = 24;

/// What is used of a `stat` file; `proc_pid_stat`(5). Not the reader of `procfs`: it panics on what no
/// kernel writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: String,
    pub(super) state: char,
    pub(super) parent: u32,
    ticks: u64,
    threads: u64,
    pages: u64,
}

impl Stat {
    /// A name may have spaces and parentheses in it: the last one ends it.
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.rsplit_once(')')?;
        let (_, comm) = before.split_once('(')?;
        let fields: Vec<_> = after.split_ascii_whitespace().take(22).collect();
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self {
            comm: comm.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)?.saturating_add(number(12)?),
            threads: number(17)?,
            pages: number(21)?,
        })
    }
}

/// A process's or task's `stat`; `None` if it has gone or makes no sense.
pub(super) fn stat(dir: &Path) -> Option<Stat> {
    let text = found::text(&dir.join("stat"), STAT_BYTES_MAX).ok()?;
    Stat::parse(&text)
}

/// Its command line without secrets; empty for a kernel thread and for a zombie.
pub(super) fn command(dir: &Path) -> String {
    let bytes = found::read(&dir.join("cmdline"), COMMAND_BYTES_MAX).unwrap_or_default();
    clean(&bytes)
}

/// The arguments, each ended by a zero byte, as one line.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let arguments = text.trim_end_matches('\0').split('\0');
    scrub_command(arguments, COMMAND_CHARS_MAX)
}

/// Bytes that are resident.
pub(super) fn resident(stat: &Stat) -> u64 {
    stat.pages.saturating_mul(procfs::page_size())
}

/// The processes as a tree.
pub(super) fn tree(scene: &Scene) -> Found {
    let pids = match scene.pids() {
        Ok(pids) => pids,
        Err(reason) => return Found::nothing(reason),
    };
    let mut all = BTreeMap::new();
    for pid in pids {
        if scene.is_late() {
            break;
        }
        if let Some(stat) = stat(&scene.process(*pid)) {
            all.insert(*pid, stat);
        }
    }
    let mut found = Found::default();
    let order = order(&all);
    // Command lines are read for those alone that are shown.
    for (pid, depth) in order.iter().take(PART_LINES_MAX) {
        if let Some(stat) = all.get(pid) {
            found.line(told(*pid, *depth, stat, &command(&scene.process(*pid))));
        }
    }
    let left_out = pids.len().saturating_sub(found.lines.len());
    if left_out > 0 {
        found.lacks(format!(
            "{left_out} of {} processes: ended meanwhile, not reached in time, or beyond the {PART_LINES_MAX} that are kept",
            pids.len()
        ));
    }
    found
}

/// Each process below the one that began it, with its depth.
fn order(all: &BTreeMap<u32, Stat>) -> Vec<(u32, usize)> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut todo = Vec::new();
    for (pid, stat) in all {
        if all.contains_key(&stat.parent) && stat.parent != *pid {
            children.entry(stat.parent).or_default().push(*pid);
        } else {
            todo.push((*pid, 0));
        }
    }
    todo.reverse();
    // A number may be used again while they are read: two may then name each other as parent.
    let mut seen = BTreeSet::new();
    let mut order = Vec::with_capacity(all.len());
    let mut rest = all.keys();
    loop {
        let next = todo.pop().or_else(|| {
            let left = rest.by_ref().find(|pid| !seen.contains(*pid));
            left.map(|pid| (*pid, 0))
        });
        let Some((pid, depth)) = next else { break };
        if !seen.insert(pid) {
            continue;
        }
        order.push((pid, depth));
        let below = children.remove(&pid).unwrap_or_default();
        todo.extend(below.into_iter().rev().map(|pid| (pid, depth + 1)));
    }
    order
}

fn told(pid: u32, depth: usize, stat: &Stat, command: &str) -> String {
    let seconds = stat.ticks as f64 / procfs::ticks_per_second().max(1) as f64;
    let mut line = format!(
        "{:indent$}{pid} {} {}, of {}, {} threads, {seconds:.1} s CPU, {}",
        "",
        stat.state,
        stat.comm,
        stat.parent,
        stat.threads,
        size(resident(stat)),
        indent = 2 * depth.min(DEPTH_MAX),
    );
    if !command.is_empty() {
        line += ": ";
        line += command;
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use std::{fs, path::PathBuf, time::Duration};

    use hostmedic_model::subject::{Subject, UnitName};
    use hostmedic_observe::subject::Subjects;
    use proptest::prelude::*;

    use super::*;

    /// A scene over a made-up `/proc`, about the whole host.
    pub(in crate::capture) fn over(proc: &Path) -> Scene {
        let unit = UnitName::new("a.service").unwrap();
        let subjects = Subjects::over(None, "", 4);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        let mut scene = Scene::new(&unit, &[Subject::Host], &subjects, proc, until);
        scene.proc = proc.to_owned();
        scene
    }

    /// A made-up process.
    pub(in crate::capture) fn process(
        proc: &Path,
        pid: u32,
        comm: &str,
        parent: u32,
        pages: u64,
    ) -> PathBuf {
        let dir = proc.join(pid.to_string());
        fs::create_dir_all(&dir).unwrap();
        let stat = format!(
            "{pid} ({comm}) S {parent} 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 100 1000000 {pages} \
             18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        fs::write(dir.join("stat"), stat).unwrap();
        dir
    }

    #[test]
    fn children_stand_below_who_began_them_and_secrets_go() {
        let dir = tempfile::tempdir().unwrap();
        process(dir.path(), 10, "web) S (x", 1, 512);
        let worker = process(dir.path(), 30, "worker", 20, 0);
        process(dir.path(), 20, "web", 10, 0);
        fs::write(
            worker.join("cmdline"),
            "work\0--token=hunter2\0-phunter2\0\u{1b}[2J\0",
        )
        .unwrap();
        fs::write(worker.join("environ"), "PASSWORD=hunter2\0").unwrap();
        // Gone between the listing and the look.
        fs::create_dir(dir.path().join("40")).unwrap();
        let found = tree(&over(dir.path()));
        assert_eq!(found.lines.len(), 3, "{found:?}");
        let size = size(512 * procfs::page_size());
        assert_eq!(
            found.lines[0],
            format!("10 S web) S (x, of 1, 3 threads, 2.0 s CPU, {size}")
        );
        assert!(found.lines[1].starts_with("  20 S web, of 10"), "{found:?}");
        assert!(
            found.lines[2].ends_with(": work --token=(secret) -p(secret) [2J"),
            "{found:?}"
        );
        assert!(found.lines[2].starts_with("    30 S worker, of 20"));
        assert_eq!(found.missing.len(), 1, "{found:?}");
        assert!(found.missing[0].starts_with("1 of 4 processes"));
    }

    #[test]
    fn a_command_line_that_is_large_or_binary_is_one_short_line() {
        let huge = vec![b'a'; 1 << 20];
        assert!(clean(&huge).len() <= COMMAND_CHARS_MAX);
        assert_eq!(clean(b""), "");
        assert!(!clean(&[0xff, 0x00, 0x1b, 0x07]).contains(char::is_control));
    }

    #[test]
    fn this_process_is_told() {
        let scene = over(Path::new("/proc"));
        let own = stat(&scene.process(std::process::id())).unwrap();
        assert!(resident(&own) > 0);
        assert!(!tree(&scene).lines.is_empty());
    }

    proptest! {
        /// Whatever numbers they say, each process is shown once.
        #[test]
        fn each_is_shown_once(parents in prop::collection::btree_map(0_u32..40, 0_u32..40, 0..40)) {
            let dir = tempfile::tempdir().unwrap();
            let all: BTreeMap<u32, Stat> = parents.iter().map(|(pid, parent)| {
                (*pid, stat(&process(dir.path(), *pid, "a", *parent, 1)).unwrap())
            }).collect();
            let order = order(&all);
            let shown: BTreeSet<_> = order.iter().map(|(pid, _)| *pid).collect();
            prop_assert_eq!(order.len(), all.len());
            prop_assert_eq!(shown.len(), all.len());
        }

        /// No bytes in a process's files break the reader.
        #[test]
        fn any_stat_is_read_or_left_out(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let dir = tempfile::tempdir().unwrap();
            let own = dir.path().join("7");
            fs::create_dir(&own).unwrap();
            for begin in [&b""[..], b"7 (a) S 1 ", b"7 ("] {
                let all: Vec<u8> = begin.iter().chain(&bytes).copied().collect();
                fs::write(own.join("stat"), all).unwrap();
                prop_assert!(tree(&over(dir.path())).lines.len() <= 1);
            }
        }
    }
}
