//! Backups and package managers that run now, found by program: work that no unit knows of.
//!
//! An operator's `pg_dump` in a terminal has no timer and no unit of its own. Without this file
//! a restart would cut it off.

use std::{ffi::OsStr, fs, io, path::Path};

use hostmedic_model::{
    calendar::{Activity, Purpose},
    subject::UnitName,
};

use crate::subject::{path_in_proc, unit_of};

/// The kernel cuts a program's `comm` at 15 bytes; `proc_pid_comm`(5).
const COMM_MAX: usize = 15;
/// Activities reported at most: a hundred say no more than this many.
const ACTIVITIES_MAX: usize = 64;

/// Programs that copy data away.
pub const BACKUP_PROGRAMS: [&str; 17] = [
    "pg_dump",
    "pg_dumpall",
    "pg_basebackup",
    "mysqldump",
    "mariadb-dump",
    "mariabackup",
    "mariadb-backup",
    "xtrabackup",
    "mongodump",
    "borg",
    "restic",
    "duplicity",
    "rsnapshot",
    "rdiff-backup",
    "barman",
    "pgbackrest",
    "wal-g",
];

/// Programs that install or remove packages.
pub const PACKAGE_PROGRAMS: [&str; 8] = [
    "dpkg",
    "apt-get",
    "apt",
    "dnf",
    "yum",
    "rpm",
    "zypper",
    "unattended-upgrade",
];

/// Which programs to look for, and what each is for.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// Programs that copy data away.
    pub backup: &'a [String],
    /// Programs that install or remove packages.
    pub package: &'a [String],
}

impl Watched<'_> {
    /// What the program called `name` is for, if it is watched.
    pub fn purpose(&self, name: &str) -> Option<Purpose> {
        let is = |list: &[String]| {
            let mut programs = list.iter().map(String::as_str);
            programs
                .any(|program| name == program || (name.len() == COMM_MAX && cut(program) == name))
        };
        if is(self.backup) {
            Some(Purpose::Backup)
        } else {
            is(self.package).then_some(Purpose::PackageTransaction)
        }
    }
}

/// Every watched program that runs now.
///
/// # Errors
/// Fails if /proc cannot be listed. A process that goes meanwhile is no error.
pub fn running(watched: Watched<'_>) -> io::Result<Vec<Activity>> {
    running_in(Path::new("/proc"), watched)
}

fn running_in(proc: &Path, watched: Watched<'_>) -> io::Result<Vec<Activity>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let dir = entry?.path();
        let pid = dir
            .file_name()
            .and_then(OsStr::to_str)
            .and_then(|name| name.parse().ok());
        let Some(pid) = pid else { continue };
        if let Some((name, purpose)) = identify(&dir, watched) {
            let cgroup = fs::read_to_string(dir.join("cgroup")).unwrap_or_default();
            let unit: Option<UnitName> = path_in_proc(&cgroup).and_then(unit_of);
            found.push(Activity {
                name,
                began_by: "exec".to_owned(),
                purpose,
                pid: Some(pid),
                related: unit.into_iter().collect(),
            });
            if found.len() == ACTIVITIES_MAX {
                break;
            }
        }
    }
    found.sort_by_key(|activity| activity.pid);
    Ok(found)
}

/// By `comm`, which anyone may read and which for a script is the script's name; else by the
/// first two words of the command line (`python3 /usr/bin/duplicity`). Kernel threads and
/// zombies have no command line and are never a backup.
fn identify(dir: &Path, watched: Watched<'_>) -> Option<(String, Purpose)> {
    let comm = fs::read(dir.join("comm")).ok()?;
    let comm = String::from_utf8_lossy(&comm).trim_end().to_owned();
    let line = fs::read(dir.join("cmdline"))
        .ok()
        .filter(|line| !line.is_empty())?;
    if let Some(purpose) = watched.purpose(&comm) {
        return Some((comm, purpose));
    }
    line.split(|byte| *byte == 0).take(2).find_map(|word| {
        let word = String::from_utf8_lossy(word);
        let name = word.rsplit('/').next().unwrap_or(&word);
        // A bare first argument is data (`echo dpkg`); a program there is a path.
        let is_program = word.contains('/') || line.starts_with(word.as_bytes());
        let purpose = watched.purpose(name).filter(|_| is_program)?;
        Some((name.to_owned(), purpose))
    })
}

fn cut(program: &str) -> &str {
    program.get(..COMM_MAX).unwrap_or(program)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn check(comm: &str, cmdline: &str, expected: Option<&str>) {
        let proc = tempfile::tempdir().unwrap();
        let dir = proc.path().join("42");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("comm"), format!("{comm}\n")).unwrap();
        fs::write(dir.join("cmdline"), cmdline).unwrap();
        fs::write(dir.join("cgroup"), "0::/system.slice/cron.service\n").unwrap();
        fs::create_dir(proc.path().join("self")).unwrap();
        let (backup, package) = (
            BACKUP_PROGRAMS.map(String::from),
            PACKAGE_PROGRAMS.map(String::from),
        );
        let watched = Watched {
            backup: &backup,
            package: &package,
        };
        let found = running_in(proc.path(), watched).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|activity| activity.name.as_str())
            .collect();
        assert_eq!(
            names,
            expected.into_iter().collect::<Vec<_>>(),
            "{comm} {cmdline:?}"
        );
        if let Some(activity) = found.first() {
            assert_eq!(
                (activity.pid, activity.began_by.as_str()),
                (Some(42), "exec")
            );
            assert_eq!(activity.related, [UnitName::new("cron.service").unwrap()]);
        }
    }

    #[test]
    fn a_dump_is_a_backup() {
        check("pg_dump", "/usr/bin/pg_dump\0app\0", Some("pg_dump"));
    }
    #[test]
    fn a_long_name_is_cut_by_the_kernel() {
        check(
            "unattended-upgr",
            "/usr/bin/python3\0-u\0",
            Some("unattended-upgr"),
        );
    }
    #[test]
    fn an_interpreter_runs_a_script() {
        check(
            "python3",
            "/usr/bin/python3\0/usr/bin/duplicity\0full\0",
            Some("duplicity"),
        );
    }
    #[test]
    fn an_argument_is_no_program() {
        check("grep", "grep\0pg_dump\0", None);
        check("vim", "vim\0-R\0/usr/bin/borg\0", None);
    }
    #[test]
    fn a_kernel_thread_is_no_backup() {
        check("restic", "", None);
    }
    #[test]
    fn a_longer_name_is_another_program() {
        check("dpkg-query", "dpkg-query\0", None);
    }
}
