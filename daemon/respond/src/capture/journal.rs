//! What the journal has: the unit's last lines, the kernel's, and its newest core dump.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use hostmedic_model::{
    capture::{JOURNAL_BYTES_MAX, LINE_BYTES_MAX, PART_BYTES_MAX},
    evidence::without_secrets,
    subject::UnitName,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    aside::aside,
    found::{Found, ago, size},
    program::output,
    scene::Scene,
};

/// Marks the entries of systemd-coredump; `SD_MESSAGE_COREDUMP` in systemd's sd-messages.h.
const COREDUMP: &str = "MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1";
/// Where systemd-coredump keeps them; coredump.conf(5).
const COREDUMP_DIR: &str = "/var/lib/systemd/coredump";
/// Files looked at there.
const COREDUMPS_MAX: usize = 4096;

/// Reads with journalctl, from `dir` if there is one. Binary fields and escapes come as they are.
async fn journalctl(dir: Option<&Path>, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let dir = dir.map(|dir| {
        let mut argument = std::ffi::OsString::from("--directory=");
        argument.push(dir);
        argument
    });
    let own = ["--no-pager", "--quiet"];
    let all = own.iter().chain(arguments).map(std::ffi::OsString::from);
    output("journalctl", all.chain(dir))
        .await
        .map_err(|failed| failed.say("journalctl"))
}

/// The last `count` lines of `unit`.
pub(super) async fn unit(dir: Option<PathBuf>, unit: UnitName, count: u32) -> Found {
    let count = count.to_string();
    let arguments = [
        "--all",
        "--output=cat",
        "--lines",
        &count,
        "--unit",
        unit.as_str(),
    ];
    let text = journalctl(dir.as_deref(), &arguments).await;
    tail(text, JOURNAL_BYTES_MAX, &format!("no lines of {unit}"))
}

/// The last `count` lines of the kernel in this boot.
pub(super) async fn kernel(dir: Option<PathBuf>, count: u32) -> Found {
    let count = count.to_string();
    let arguments = [
        "--dmesg",
        "--all",
        "--output=short-monotonic",
        "--no-hostname",
        "--lines",
        &count,
    ];
    let text = journalctl(dir.as_deref(), &arguments).await;
    // What would not fit into a part is left out here, where the oldest go.
    tail(text, PART_BYTES_MAX, "no lines of the kernel")
}

fn tail(text: Result<Vec<u8>, String>, bytes_max: usize, nothing: &str) -> Found {
    let text = match text {
        Ok(text) => text,
        Err(reason) => return Found::nothing(reason),
    };
    let (lines, left_out) = last_lines(&text, bytes_max);
    if lines.is_empty() {
        let group = "may this user read the journal (group systemd-journal)?";
        return Found::nothing(format!("{nothing}; {group}"));
    }
    let mut found = Found {
        lines,
        ..Found::default()
    };
    if left_out > 0 {
        found.lacks(format!(
            "{left_out} older lines; {bytes_max} bytes are kept"
        ));
    }
    found
}

fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(LINE_BYTES_MAX)]
}

/// The last lines of a text without the secrets in them, oldest first, each cut, as far as they fit; and
/// how many do not.
fn last_lines(text: &[u8], bytes_max: usize) -> (Vec<String>, usize) {
    let text = String::from_utf8_lossy(text);
    let mut room = bytes_max;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().rev() {
        let line = without_secrets(cut(line));
        let line = cut(&line);
        let Some(left) = room.checked_sub(line.len() + 1) else {
            break;
        };
        room = left;
        lines.push(line.to_owned());
    }
    lines.reverse();
    let left_out = text.lines().count() - lines.len();
    (lines, left_out)
}

/// The fields of a core dump's entry that are asked for. Never its environment or command line.
/// One is text, a list of bytes, or `null` if it is too long; only text is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
struct Coredump {
    coredump_comm: Value,
    coredump_pid: Value,
    coredump_signal_name: Value,
    coredump_filename: Value,
}

/// Where the newest core dump lies: the unit's, or the host's.
pub(super) async fn coredump(dir: Option<PathBuf>, scene: Arc<Scene>) -> Found {
    let of_unit = format!("COREDUMP_UNIT={}", scene.unit);
    let mut arguments = vec![
        "--output=json",
        "--lines=1",
        "--output-fields=COREDUMP_COMM,COREDUMP_PID,COREDUMP_SIGNAL_NAME,COREDUMP_FILENAME",
        COREDUMP,
        // Else anybody could write such an entry.
        "_UID=0",
    ];
    if scene.of_unit {
        arguments.push(&of_unit);
    }
    let text = journalctl(dir.as_deref(), &arguments).await;
    aside(move || {
        let mut found = Found::default();
        match text {
            Ok(text) => found.lines.extend(dumped(&text, |path| {
                file(&scene.below_root(path)).unwrap_or_else(|reason| reason)
            })),
            Err(reason) => found.lacks(reason),
        }
        // Those that journald no longer knows of, or never did.
        if !scene.of_unit {
            found.lines.extend(newest(&scene.below_root(COREDUMP_DIR)));
        }
        found
    })
    .await
}

/// What an entry says, and what `file` says of the file that it names.
fn dumped(json: &[u8], file: impl Fn(&str) -> String) -> Option<String> {
    let line = json
        .split(|byte| *byte == b'\n')
        .find(|line| !line.is_empty())?;
    let entry: Coredump = serde_json::from_slice(line).ok()?;
    let of = |field: &Value| field.as_str().unwrap_or("?").to_owned();
    let place = match entry.coredump_filename.as_str() {
        Some(path) => format!("{path}, {}", file(path)),
        None => "its file was not kept".to_owned(),
    };
    Some(format!(
        "{} ({}) got {}: {place}",
        of(&entry.coredump_comm),
        of(&entry.coredump_pid),
        of(&entry.coredump_signal_name)
    ))
}

fn file(path: &Path) -> Result<String, String> {
    let meta = fs::symlink_metadata(path).map_err(|error| format!("which is gone: {error}"))?;
    Ok(format!("{}, {}", size(meta.len()), ago(meta.modified())))
}

/// The newest file of a directory.
fn newest(dir: &Path) -> Option<String> {
    let entries = fs::read_dir(dir).ok()?.flatten().take(COREDUMPS_MAX);
    let newest = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .max()?;
    let told = file(&newest.1).ok()?;
    Some(format!("newest file: {}, {told}", newest.1.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_cut() {
        let long = "é".repeat(LINE_BYTES_MAX);
        let text: String = (0..35)
            .map(|n| format!("{n}\n"))
            .chain([long.clone()])
            .collect();
        let (lines, left_out) = last_lines(text.as_bytes(), JOURNAL_BYTES_MAX);
        assert_eq!((lines.len(), left_out), (36, 0));
        assert_eq!(lines[0], "0");
        assert!(lines[35].len() <= LINE_BYTES_MAX);
        assert!(lines[35].chars().all(|c| c == 'é'));
        let told = last_lines(b"login with token=hunter2 ok", JOURNAL_BYTES_MAX).0;
        assert_eq!(told, ["login with token=(secret) ok"]);
        assert_eq!(last_lines(b"", JOURNAL_BYTES_MAX).0, [""; 0]);
        // Of too much the newest is kept, and the rest counted.
        let much: String = (0..500).map(|n| format!("{long}{n}\n")).collect();
        let (lines, left_out) = last_lines(much.as_bytes(), JOURNAL_BYTES_MAX);
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        assert!(bytes <= JOURNAL_BYTES_MAX && left_out > 0);
        assert_eq!(lines.len() + left_out, 500);
        assert_eq!(
            last_lines(&[0xff; 10], JOURNAL_BYTES_MAX).0,
            ["\u{fffd}".repeat(10)]
        );
    }

    #[test]
    fn a_core_dump_is_told_by_its_file() {
        let file = |path: &str| format!("<{path}>");
        let told = |json: &str| dumped(json.as_bytes(), file);
        let whole = r#"{"COREDUMP_COMM":"web","COREDUMP_PID":"42","COREDUMP_SIGNAL_NAME":"SIGSEGV",
            "COREDUMP_FILENAME":"/x/core.web","__CURSOR":"s=1"}"#;
        assert_eq!(
            told(&whole.replace('\n', "")).unwrap(),
            "web (42) got SIGSEGV: /x/core.web, </x/core.web>"
        );
        assert_eq!(
            told(r#"{"COREDUMP_COMM":[255,1],"COREDUMP_PID":null}"#).unwrap(),
            "? (?) got ?: its file was not kept"
        );
        for bad in ["", "\n\n", "{", "7", "\u{0}"] {
            assert_eq!(told(bad), None);
        }
    }

    #[test]
    fn the_newest_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(dir.path()), None);
        fs::write(dir.path().join("core.a"), b"12345").unwrap();
        let told = newest(dir.path()).unwrap();
        assert!(told.contains("core.a, 5 B, 0"), "{told}");
    }
}
