//! What the kernel says of itself: software RAID and its settings.

use std::{fs, path::Path};

use super::found::{self, Found, is_denied};

/// Bytes read of `/proc/mdstat`.
const MDSTAT_BYTES_MAX: usize = 16 * 1024;
/// Arrays asked for more.
const ARRAYS_MAX: usize = 32;
/// What each array says of itself; Documentation/admin-guide/md.rst.
const ARRAY_FILES: [&str; 7] = [
    "array_state",
    "degraded",
    "sync_action",
    "sync_completed",
    "sync_speed",
    "mismatch_cnt",
    "raid_disks",
];
/// Settings that the steps of playbooks change, and those that explain them.
const SETTINGS: [&str; 31] = [
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_buckets",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_local_reserved_ports",
    "net/ipv4/tcp_fin_timeout",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_max_tw_buckets",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_syncookies",
    "net/ipv4/tcp_mem",
    "net/core/somaxconn",
    "net/core/netdev_max_backlog",
    "net/core/rmem_max",
    "net/core/wmem_max",
    "vm/swappiness",
    "vm/min_free_kbytes",
    "vm/watermark_scale_factor",
    "vm/vfs_cache_pressure",
    "vm/overcommit_memory",
    "vm/overcommit_ratio",
    "vm/dirty_ratio",
    "vm/dirty_background_ratio",
    "vm/panic_on_oom",
    "fs/file-max",
    "fs/file-nr",
    "kernel/pid_max",
    "kernel/threads-max",
    "dev/raid/speed_limit_min",
    "dev/raid/speed_limit_max",
];

/// Arrays, their disks and how far a resync is.
pub(super) fn md(proc: &Path, sys: &Path) -> Found {
    let mdstat = match found::text(&proc.join("mdstat"), MDSTAT_BYTES_MAX) {
        Ok(text) => text,
        // A kernel without the driver has no arrays.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Found::default(),
        Err(error) => return Found::nothing(format!("/proc/mdstat: {error}")),
    };
    let lines = mdstat.lines().map(str::trim_end);
    let mut found = Found {
        lines: lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
        ..Found::default()
    };
    let arrays = fs::read_dir(sys.join("block"))
        .into_iter()
        .flatten()
        .flatten();
    let mut arrays: Vec<_> = arrays
        .map(|entry| entry.path().join("md"))
        .filter(|dir| dir.is_dir())
        .take(ARRAYS_MAX)
        .collect();
    arrays.sort();
    for dir in arrays {
        let name = dir.parent().and_then(Path::file_name).unwrap_or_default();
        let said: Vec<_> = ARRAY_FILES
            .iter()
            .filter_map(|file| Some(format!("{file} {}", found::word(&dir.join(file))?)))
            .collect();
        found.line(format!("{}: {}", name.to_string_lossy(), said.join(", ")));
    }
    found
}

/// The settings by their names; one that this kernel does not have is left out.
pub(super) fn settings(proc: &Path) -> Found {
    let mut found = Found::default();
    for setting in SETTINGS {
        let name = setting.replace('/', ".");
        match found::text(&proc.join("sys").join(setting), 512) {
            Ok(value) => found.line(format!("{name} = {}", value.trim().replace('\t', " "))),
            Err(error) if is_denied(&error) => found.lacks(format!("{name} may not be read")),
            Err(_) => {}
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_told_with_its_resync() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(md(dir.path(), dir.path()), Found::default());
        let md0 = dir.path().join("block/md0/md");
        fs::create_dir_all(&md0).unwrap();
        fs::create_dir_all(dir.path().join("block/sda")).unwrap();
        fs::write(md0.join("sync_action"), "resync\n").unwrap();
        fs::write(md0.join("degraded"), "1\n").unwrap();
        let mdstat = "Personalities : [raid1] \nmd0 : active raid1 sdb1[1] sda1[0]\n\nunused devices: <none>\n";
        fs::write(dir.path().join("mdstat"), mdstat).unwrap();
        assert_eq!(
            md(dir.path(), dir.path()).lines,
            [
                "Personalities : [raid1]",
                "md0 : active raid1 sdb1[1] sda1[0]",
                "unused devices: <none>",
                "md0: degraded 1, sync_action resync",
            ]
        );
    }

    #[test]
    fn this_kernels_settings_are_read() {
        let found = settings(Path::new("/proc"));
        let has = |name: &str| found.lines.iter().any(|line| line.starts_with(name));
        assert!(has("vm.swappiness = "), "{found:?}");
        assert!(has("kernel.pid_max = "), "{found:?}");
        assert!(settings(Path::new("/nonexistent")).lines.is_empty());
    }
}
