//! Where tasks wait in the kernel: those first that nothing can wake.

use std::fs;

use super::{
    found::{self, ADMIN, Found, is_denied},
    process::stat,
    scene::{Scene, has_gone},
};

/// Tasks looked at.
const TASKS_MAX: usize = 8192;
/// Frames told of one stack.
const FRAMES_MAX: usize = 16;
/// Bytes read of a stack; the kernel writes a page at most.
const STACK_BYTES_MAX: usize = 8 * 1024;

/// A task that waits.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    /// 0: uninterruptible; 1: stopped or traced; 2: any other.
    rank: u8,
    is_thread: bool,
    pid: u32,
    task: u32,
    state: char,
    comm: String,
}

/// The kernel stacks of `count` waiting tasks.
pub(super) fn top(scene: &Scene, count: u32) -> Found {
    let pids = match scene.pids() {
        Ok(pids) => pids,
        Err(reason) => return Found::nothing(reason),
    };
    let mut waiting = Vec::new();
    let mut looked_at = 0;
    for pid in pids {
        let tasks = fs::read_dir(scene.process(*pid).join("task"));
        for task in tasks.into_iter().flatten().flatten() {
            if TASKS_MAX <= looked_at || scene.is_late() {
                break;
            }
            looked_at += 1;
            let number = task.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(number) = number
                && let Some(stat) = stat(&task.path())
                && let Some(rank) = rank(stat.state)
            {
                waiting.push(Waiting {
                    rank,
                    is_thread: number != *pid,
                    pid: *pid,
                    task: number,
                    state: stat.state,
                    comm: stat.comm,
                });
            }
        }
    }
    waiting.sort();
    let mut found = Found::default();
    let mut denied = 0;
    for task in waiting.iter().take(count as usize) {
        let dir = scene
            .process(task.pid)
            .join("task")
            .join(task.task.to_string());
        let mut line = format!("{}/{} {} {}", task.pid, task.task, task.state, task.comm);
        // "0" stands for nothing, and for what may not be read.
        if let Some(place) = found::word(&dir.join("wchan")).filter(|place| place != "0") {
            line += &format!(", waits in {}", place.trim_end_matches('\0'));
        }
        match found::text(&dir.join("stack"), STACK_BYTES_MAX) {
            Ok(text) => line += &format!(": {}", frames(&text)),
            Err(error) if is_denied(&error) => denied += 1,
            Err(error) if has_gone(&error) && !dir.join("stat").exists() => line += ", has ended",
            Err(error) => found.lacks(format!("stack of {}: {error}", task.task)),
        }
        found.line(line);
    }
    found.lacks_right(denied, "the kernel stacks", ADMIN);
    if scene.is_late() || TASKS_MAX <= looked_at {
        found.lacks(format!("only {looked_at} tasks were looked at"));
    }
    found
}

/// Who waits comes before who runs, which has no stack worth reading; the dead wait for nobody.
fn rank(state: char) -> Option<u8> {
    match state {
        'D' => Some(0),
        'T' | 't' => Some(1),
        'S' | 'I' | 'K' | 'W' | 'P' => Some(2),
        _ => None,
    }
}

/// `[<0>] futex_wait+0x60/0x90` as `futex_wait`, innermost first.
fn frames(text: &str) -> String {
    let names = text.lines().filter_map(|line| {
        let (_, place) = line.split_once("] ")?;
        let name = place.split(['+', ' ']).next()?;
        Some(name).filter(|name| !name.is_empty())
    });
    let names: Vec<_> = names.take(FRAMES_MAX).collect();
    match names.is_empty() {
        true => "(no frames)".to_owned(),
        false => names.join(" < "),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::capture::process::tests::{over, process};

    /// A made-up task of a made-up process.
    fn task(proc: &Path, pid: u32, number: u32, state: char) -> std::path::PathBuf {
        let dir = process(proc, pid, "web", 1, 1)
            .join("task")
            .join(number.to_string());
        fs::create_dir_all(&dir).unwrap();
        let whole = fs::read_to_string(proc.join(pid.to_string()).join("stat")).unwrap();
        let own = whole.replacen(") S ", &format!(") {state} "), 1);
        fs::write(dir.join("stat"), own).unwrap();
        dir
    }

    #[test]
    fn who_cannot_be_woken_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let asleep = task(dir.path(), 5, 5, 'S');
        task(dir.path(), 5, 6, 'R');
        task(dir.path(), 5, 8, 'Z');
        let stuck = task(dir.path(), 5, 7, 'D');
        fs::write(
            stuck.join("stack"),
            "[<0>] nfs_wait_bit+0x1/0x2 [nfs]\n[<0>] do_syscall_64+0x3/0x4\n",
        )
        .unwrap();
        fs::write(stuck.join("wchan"), "nfs_wait_bit\0").unwrap();
        fs::write(asleep.join("wchan"), "0").unwrap();
        fs::write(asleep.join("stack"), "").unwrap();
        let found = top(&over(dir.path()), 20);
        assert_eq!(
            found.lines,
            [
                "5/7 D web, waits in nfs_wait_bit: nfs_wait_bit < do_syscall_64",
                "5/5 S web: (no frames)",
            ]
        );
        assert_eq!(found.missing, [""; 0]);
        assert_eq!(top(&over(dir.path()), 1).lines.len(), 1);
    }

    #[test]
    fn a_stack_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        task(dir.path(), 5, 5, 'D');
        let found = top(&over(dir.path()), 5);
        assert_eq!(found.lines, ["5/5 D web"]);
        assert_eq!(found.missing.len(), 1, "{found:?}");
    }

    proptest! {
        #[test]
        fn any_stack_is_a_few_names(text in any::<String>(), many in 0_usize..200) {
            let deep = "[<0>] a+0x1/0x2\n".repeat(many) + &text;
            prop_assert!(frames(&deep).split(" < ").count() <= FRAMES_MAX);
        }
    }
}
