//! Evidence that the first step would destroy: the unit's last words and its memory cgroup.
//!
//! A restart throws both away; whoever reads the incident tomorrow would find a healthy unit
//! and no reason. What cannot be had is named, never left out in silence.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hostmedic_model::{
    incident::IncidentId, intent::IntentId, record::Captured, subject::UnitName,
};
use hostmedic_observe::{
    host::clock,
    subject::{Subjects, v2_root},
};
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

/// Lines of the journal.
const LINES_MAX: usize = 30;
/// Bytes of one line kept.
const LINE_BYTES_MAX: usize = 512;
/// Bytes read from journalctl; more than the lines kept can hold.
const OUTPUT_BYTES_MAX: u64 = 256 * 1024;
/// How long journalctl may take. A step waits for this, so it is short.
const JOURNAL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Bytes kept of one cgroup file.
const FILE_BYTES_MAX: usize = 4096;
/// Files of the v2 memory controller worth keeping.
const V2_FILES: [&str; 5] = [
    "memory.current",
    "memory.peak",
    "memory.max",
    "memory.high",
    "memory.events",
];
/// The same of the v1 controller.
const V1_FILES: [&str; 5] = [
    "memory.usage_in_bytes",
    "memory.max_usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.failcnt",
    "memory.oom_control",
];

/// Where evidence comes from.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Knows the units' cgroups.
    pub subjects: Subjects,
    /// Journal to read instead of the host's own, as `journalctl -D` takes it.
    pub journal_dir: Option<PathBuf>,
}

impl Capture {
    /// Captures what there is about `unit`. Takes at most about 2 s and changes nothing.
    pub async fn capture(
        &self,
        incident: IncidentId,
        intent: IntentId,
        unit: &UnitName,
    ) -> Captured {
        let mut missing = Vec::new();
        let journal = match timeout(JOURNAL_WAIT_MAX, self.journal(unit)).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(reason)) => {
                missing.push(format!("journal: {reason}"));
                Vec::new()
            }
            Err(_) => {
                missing.push(format!(
                    "journal: journalctl took longer than {JOURNAL_WAIT_MAX:?}"
                ));
                Vec::new()
            }
        };
        let cgroup = self.memory_files(unit, &mut missing);
        Captured {
            incident,
            intent,
            at: clock::now(),
            journal,
            cgroup,
            missing,
        }
    }

    async fn journal(&self, unit: &UnitName) -> Result<Vec<String>, String> {
        let mut command = Command::new("journalctl");
        let lines = LINES_MAX.to_string();
        command.args([
            "--unit",
            unit.as_str(),
            "--lines",
            &lines,
            "--output",
            "cat",
        ]);
        command.args(["--no-pager", "--quiet", "--all"]);
        if let Some(dir) = &self.journal_dir {
            command.arg("--directory").arg(dir);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Dropped at the deadline, it is killed.
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot run journalctl: {error}; is systemd installed?"))?;
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("journalctl has no output".to_owned());
        };
        let (mut text, mut said) = (Vec::new(), Vec::new());
        let (mut out, mut err) = (out.take(OUTPUT_BYTES_MAX), err.take(OUTPUT_BYTES_MAX));
        let read = tokio::try_join!(out.read_to_end(&mut text), err.read_to_end(&mut said));
        read.map_err(|error| format!("cannot read from journalctl: {error}"))?;
        if u64::try_from(text.len()).is_ok_and(|len| len < OUTPUT_BYTES_MAX) {
            let status = child.wait().await.map_err(|error| error.to_string())?;
            if !status.success() {
                let said = String::from_utf8_lossy(&said);
                return Err(format!("journalctl ended with {status}: {}", said.trim()));
            }
        }
        let lines = last_lines(&text);
        if lines.is_empty() {
            return Err(format!(
                "no lines of {unit}; may this user read the journal (group systemd-journal)?"
            ));
        }
        Ok(lines)
    }

    /// Files of the unit's memory cgroup; on a hybrid host its v1 one.
    fn memory_files(&self, unit: &UnitName, missing: &mut Vec<String>) -> BTreeMap<String, String> {
        let Some(path) = self.subjects.path_of(unit) else {
            missing.push(format!("cgroup: none was seen for {unit}"));
            return BTreeMap::new();
        };
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let v2 = v2_root().map(|root| (root, V2_FILES));
        let trees = v2.into_iter().chain([(v1.to_owned(), V1_FILES)]);
        let mut files = BTreeMap::new();
        for (root, names) in trees {
            let dir = root.join(path.trim_start_matches('/'));
            for name in names {
                if let Ok(text) = fs::read_to_string(dir.join(name)) {
                    files.insert(
                        name.to_owned(),
                        cut(text.trim_end(), FILE_BYTES_MAX).to_owned(),
                    );
                }
            }
        }
        if files.is_empty() {
            missing.push(format!(
                "cgroup: {path} has no memory files (gone, or not accounted)"
            ));
        }
        files
    }
}

/// The last lines of a text, oldest first, each cut.
fn last_lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES_MAX);
    lines[from..]
        .iter()
        .map(|line| cut(line, LINE_BYTES_MAX).to_owned())
        .collect()
}

/// The first `bytes_max` bytes, not breaking a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_cut() {
        let long = "é".repeat(LINE_BYTES_MAX);
        let text: String = (0..LINES_MAX + 5)
            .map(|n| format!("{n}\n"))
            .chain([long])
            .collect();
        let lines = last_lines(text.as_bytes());
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0], "6");
        assert!(lines[LINES_MAX - 1].len() <= LINE_BYTES_MAX);
        assert!(lines[LINES_MAX - 1].chars().all(|c| c == 'é'));
        assert!(last_lines(b"").is_empty());
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let capture = Capture {
            subjects: Subjects::over(None, "", 4),
            journal_dir: Some(dir.path().to_owned()),
        };
        let unit = UnitName::new("nosuch.service").unwrap();
        let intent = IntentId("inc_x/1.1".to_owned());
        let captured = capture
            .capture(IncidentId("inc_x".to_owned()), intent, &unit)
            .await;
        assert!(captured.journal.is_empty() && captured.cgroup.is_empty());
        assert_eq!(captured.missing.len(), 2, "{:?}", captured.missing);
        assert!(
            captured.missing[0].starts_with("journal: "),
            "{:?}",
            captured.missing
        );
        assert!(
            captured.missing[1].starts_with("cgroup: "),
            "{:?}",
            captured.missing
        );
    }
}
