//! Memory of the largest processes: what is theirs alone, what is shared, and their largest maps.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::Path,
};

use super::{
    found::{self, Found, PTRACE, is_denied, size},
    process::{resident, stat},
    scene::{Scene, has_gone},
};

/// Bytes read of a process's maps: some thousand of them.
const MAPS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Different names of maps kept apart.
const NAMES_MAX: usize = 4096;
/// Maps told of a process.
const MAPS_TOLD_MAX: usize = 5;
/// Bytes read of `smaps_rollup` and `status`.
const FILE_BYTES_MAX: usize = 8 * 1024;
/// What of `smaps_rollup` tells something, and how people say it.
const ROLLUP: [(&str, &str); 5] = [
    ("Rss", "resident"),
    ("Pss", "proportional"),
    ("Private_Dirty", "its own and changed"),
    ("Anonymous", "anonymous"),
    ("Swap", "swapped"),
];
/// The same of `status`, which everybody may read.
const STATUS: [(&str, &str); 5] = [
    ("VmRSS", "resident"),
    ("RssAnon", "anonymous"),
    ("RssFile", "of files"),
    ("RssShmem", "shared"),
    ("VmSwap", "swapped"),
];

/// The `count` largest processes.
pub(super) fn top(scene: &Scene, count: u32) -> Found {
    let pids = match scene.pids() {
        Ok(pids) => pids,
        Err(reason) => return Found::nothing(reason),
    };
    let mut largest: Vec<_> = pids
        .iter()
        .take_while(|_| !scene.is_late())
        .filter_map(|pid| {
            let stat = stat(&scene.process(*pid))?;
            Some((resident(&stat), *pid, stat.comm))
        })
        .collect();
    largest.sort_by_key(|(bytes, pid, _)| (std::cmp::Reverse(*bytes), *pid));
    let mut found = Found::default();
    let mut denied = 0;
    for (_, pid, comm) in largest.iter().take(count as usize) {
        let dir = scene.process(*pid);
        match found::text(&dir.join("smaps_rollup"), FILE_BYTES_MAX) {
            Ok(text) => {
                found.line(format!("{pid} {comm}: {}", told(&text, &ROLLUP)));
                for (name, kib) in maps(&dir.join("smaps"), scene) {
                    found.line(format!("  {} {name}", size(kib.saturating_mul(1024))));
                }
            }
            Err(error) if has_gone(&error) && !dir.exists() => {
                found.lacks(format!("{pid} {comm} has ended"));
            }
            Err(error) => {
                if is_denied(&error) {
                    denied += 1;
                } else {
                    found.lacks(format!("maps of {pid} {comm}: {error}"));
                }
                let text = found::text(&dir.join("status"), FILE_BYTES_MAX).unwrap_or_default();
                found.line(format!("{pid} {comm}: {}", told(&text, &STATUS)));
            }
        }
        if scene.is_late() {
            found.lacks("not all of them in time");
            break;
        }
    }
    found.lacks_right(denied, "the maps", PTRACE);
    found
}

/// Lines such as `Rss:   123 kB`, as people say them.
fn told(text: &str, names: &[(&str, &str)]) -> String {
    let told: Vec<_> = names
        .iter()
        .filter_map(|(name, said)| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(format!("{said} {}", size(kib(line)?.checked_mul(1024)?)))
        })
        .collect();
    match told.is_empty() {
        true => "no memory (ended, or of the kernel)".to_owned(),
        false => told.join(", "),
    }
}

fn kib(value: &str) -> Option<u64> {
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// The largest maps with the KiB that are resident of each, those of one name together.
fn maps(path: &Path, scene: &Scene) -> Vec<(String, u64)> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    largest(BufReader::new(file.take(MAPS_BYTES_MAX)), || {
        scene.is_late()
    })
}

fn largest(mut lines: impl BufRead, is_late: impl Fn() -> bool) -> Vec<(String, u64)> {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    let mut name = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(count) if count > 0 && !is_late() => {}
            _ => break,
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(value) = text.strip_prefix("Rss:") {
            let Some(kib) = kib(value) else { continue };
            if sizes.len() < NAMES_MAX || sizes.contains_key(&name) {
                let sum = sizes.entry(name.clone()).or_default();
                *sum = sum.saturating_add(kib);
            }
        } else if text.starts_with(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) {
            // Address, rights, offset, device, inode, and the name with all its spaces.
            let mut fields = text.trim_end().splitn(6, ' ');
            name = match fields.nth(5).map(str::trim) {
                Some(last) if !last.is_empty() => last.to_owned(),
                _ => "(anonymous)".to_owned(),
            };
        }
    }
    let mut largest: Vec<_> = sizes.into_iter().filter(|(_, kib)| *kib > 0).collect();
    largest.sort_by_key(|(_, kib)| std::cmp::Reverse(*kib));
    largest.truncate(MAPS_TOLD_MAX);
    largest
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::capture::process::tests::{over, process};

    const SMAPS: &str = "\
00400000-00401000 r-xp 00000000 08:01 123                                /opt/a b/web
Size:                  4 kB
Rss:                 100 kB
Pss:                  50 kB
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 
Rss:                 300 kB
7f0000002000-7f0000003000 rw-p 00000000 00:00 0                          [heap]
Rss:                  20 kB
7f0000004000-7f0000005000 rw-p 00000000 00:00 0 
Rss:                   1 kB
";

    #[test]
    fn maps_of_one_name_are_added_up() {
        let expected = [("(anonymous)", 301), ("/opt/a b/web", 100), ("[heap]", 20)];
        let expected = expected.map(|(name, kib)| (name.to_owned(), kib));
        assert_eq!(largest(SMAPS.as_bytes(), || false), expected);
        assert_eq!(largest(SMAPS.as_bytes(), || true), []);
    }

    #[test]
    fn the_largest_come_first_and_who_has_ended_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let small = process(dir.path(), 5, "small", 1, 10);
        let large = process(dir.path(), 6, "large", 1, 1000);
        process(dir.path(), 7, "medium", 1, 100);
        fs::write(large.join("smaps_rollup"), "Rss:  2048 kB\nSwap: 0 kB\n").unwrap();
        fs::write(large.join("smaps"), SMAPS).unwrap();
        fs::write(small.join("status"), "VmRSS:\t 40 kB\n").unwrap();
        let found = top(&over(dir.path()), 2);
        assert_eq!(
            found.lines,
            [
                "6 large: resident 2.0 MiB, swapped 0 B",
                "  301.0 KiB (anonymous)",
                "  100.0 KiB /opt/a b/web",
                "  20.0 KiB [heap]",
                "7 medium: no memory (ended, or of the kernel)",
            ]
        );
        // Its file is not there though the process is.
        assert_eq!(found.missing.len(), 1, "{found:?}");
    }

    proptest! {
        #[test]
        fn any_maps_give_a_few_names(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut all = SMAPS.as_bytes().to_vec();
            all.extend(&bytes);
            all.extend(b"\nRss: 99999999999999999999 kB\nRss: 18446744073709551615 kB\n");
            prop_assert!(largest(all.as_slice(), || false).len() <= MAPS_TOLD_MAX);
        }
    }
}
