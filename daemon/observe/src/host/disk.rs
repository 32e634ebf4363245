//! How full each mounted file system is.
//!
//! statvfs(3) on a dead NFS server never returns, so each file system is asked on a thread of
//! its own: one that hangs costs one small thread and is named, and the daemon goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use hostmedic_model::{sample::Measure, subject::Subject};
use nix::sys::statvfs::{Statvfs, statvfs};
use procfs::process::{MountInfo, Process};

use super::{Taken, ratio};

/// How long one round waits for all file systems together.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// File systems asked in one round; the rest is named.
const MOUNTS_MAX: usize = 256;
/// File systems held in memory that services really fill.
const MEMORY_MOUNTS: [&str; 4] = ["/run", "/tmp", "/var/tmp", "/dev/shm"];

/// One file system, by its first mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    /// `major:minor`.
    pub(super) device: String,
}

/// Every mount of the namespace, and what each holding file system uses.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    all: Vec<Mount>,
    used: BTreeMap<String, (PathBuf, u64)>,
}

impl Mounts {
    /// Mount point (as in the samples) and used bytes of the file system that holds `path`.
    pub(super) fn holding(&self, path: &Path) -> Option<(&Path, u64)> {
        let mounts = self
            .all
            .iter()
            .filter(|mount| path.starts_with(&mount.point));
        let deepest = mounts.max_by_key(|mount| mount.point.as_os_str().len())?;
        let (point, used) = self.used.get(&deepest.device)?;
        Some((point, *used))
    }
}

/// Asks file systems, and remembers those that still owe an answer.
#[derive(Debug, Default)]
pub(super) struct Disks {
    hanging: BTreeMap<PathBuf, mpsc::Receiver<nix::Result<Statvfs>>>,
}

impl Disks {
    pub(super) fn sample(&mut self, taken: &mut Taken) -> Mounts {
        let listed = match Process::myself().and_then(|process| process.mountinfo()) {
            Ok(listed) => listed.0,
            Err(error) => {
                taken.problem("/proc/self/mountinfo", error);
                return Mounts::default();
            }
        };
        // One that answered at last may be asked again.
        self.hanging
            .retain(|_, answer| matches!(answer.try_recv(), Err(mpsc::TryRecvError::Empty)));

        let mut real = real_mounts(&listed);
        if real.len() > MOUNTS_MAX {
            let rest = real.len() - MOUNTS_MAX;
            taken.problem(
                "mounts",
                format!("{rest} beyond the first {MOUNTS_MAX} are not read"),
            );
            real.truncate(MOUNTS_MAX);
        }
        let all = listed.iter().map(|mount| Mount {
            point: mount.mount_point.clone(),
            device: mount.majmin.clone(),
        });
        let mut mounts = Mounts {
            all: all.collect(),
            used: BTreeMap::new(),
        };
        let deadline = Instant::now() + WAIT_MAX;
        for (mount, answer) in self.ask(real, taken) {
            let name = mount.point.display().to_string();
            let left = deadline.saturating_duration_since(Instant::now());
            match answer.recv_timeout(left) {
                Ok(Ok(stat)) => {
                    if let Some((used, share)) = used(&stat) {
                        let subject = Subject::Mount(name);
                        let free = stat.blocks_available() * stat.fragment_size();
                        taken.sample(subject.clone(), Measure::DiskUsedRatio, share);
                        taken.sample(subject.clone(), Measure::DiskFreeBytes, free as f64);
                        // btrfs and others make inodes as needed and count none.
                        if stat.files() > 0 {
                            let inodes = stat.files().saturating_sub(stat.files_free());
                            let share = ratio(inodes, stat.files());
                            taken.sample(subject, Measure::InodesUsedRatio, share);
                        }
                        mounts.used.insert(mount.device, (mount.point, used));
                    }
                }
                Ok(Err(error)) => taken.problem(name, format!("statvfs said {}", error.desc())),
                Err(_) => {
                    taken.problem(
                        name,
                        "statvfs did not answer within a second; is its server down?",
                    );
                    self.hanging.insert(mount.point, answer);
                }
            }
        }
        mounts
    }

    /// Starts to ask each file system that owes no answer.
    fn ask(
        &self,
        mounts: Vec<Mount>,
        taken: &mut Taken,
    ) -> Vec<(Mount, mpsc::Receiver<nix::Result<Statvfs>>)> {
        let mut asked = Vec::new();
        for mount in mounts {
            let name = mount.point.display().to_string();
            if self.hanging.contains_key(&mount.point) {
                taken.problem(name, "statvfs has not answered since it was last asked");
                continue;
            }
            let (send, answer) = mpsc::sync_channel(1);
            let point = mount.point.clone();
            let started = thread::Builder::new()
                .name("statvfs".to_owned())
                .stack_size(64 * 1024)
                .spawn(move || {
                    let _ = send.send(statvfs(&point));
                });
            match started {
                Ok(_) => asked.push((mount, answer)),
                Err(error) => taken.problem(name, format!("cannot start a thread: {error}")),
            }
        }
        asked
    }
}

/// Mounts that can fill: one for each file system, the first that shows it.
fn real_mounts(listed: &[MountInfo]) -> Vec<Mount> {
    let mut seen = BTreeSet::new();
    let mut mounts: Vec<_> = listed.iter().filter(|mount| can_fill(mount)).collect();
    // The shortest path is the one that people know; bind mounts lie deeper.
    mounts.sort_by_key(|mount| mount.mount_point.as_os_str().len());
    mounts
        .into_iter()
        .filter(|mount| seen.insert(mount.majmin.clone()))
        .map(|mount| Mount {
            point: mount.mount_point.clone(),
            device: mount.majmin.clone(),
        })
        .collect()
}

/// Whether a mount is of a file system that services write to: no kernel interface, no image
/// that is always full, not read-only as a whole. (The mount alone may be read-only for us:
/// `ProtectSystem=` does that.)
fn can_fill(mount: &MountInfo) -> bool {
    if mount.super_options.contains_key("ro") {
        return false;
    }
    match mount.fs_type.as_str() {
        "tmpfs" => MEMORY_MOUNTS
            .iter()
            .any(|point| mount.mount_point == Path::new(point)),
        "squashfs" | "iso9660" | "erofs" | "cramfs" | "autofs" | "devtmpfs" | "ramfs" => false,
        "zfs" | "btrfs" | "bcachefs" | "overlay" | "virtiofs" | "9p" | "nfs" | "nfs4" | "cifs"
        | "smb3" | "ceph" | "glusterfs" | "lustre" | "gpfs" => true,
        fuse if fuse.starts_with("fuse.") => false,
        _ => mount
            .mount_source
            .as_deref()
            .is_some_and(|source| source.starts_with('/')),
    }
}

/// Used bytes, and used / (used + available to users), as df(1) counts; `None` where a file
/// system has no blocks at all.
fn used(stat: &Statvfs) -> Option<(u64, f64)> {
    let blocks_used = stat.blocks().saturating_sub(stat.blocks_free());
    let blocks = blocks_used + stat.blocks_available();
    (blocks > 0).then(|| {
        (
            blocks_used * stat.fragment_size(),
            ratio(blocks_used, blocks),
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use procfs::FromBufRead as _;

    use super::*;

    const MOUNTINFO: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw - proc proc rw
23 21 0:21 / /run rw - tmpfs tmpfs rw,size=1
24 21 0:22 / /run/credentials rw - ramfs ramfs rw
25 21 8:1 /srv /srv/data ro,relatime - ext4 /dev/sda1 rw
26 21 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
27 21 8:2 / /mnt/old ro - ext4 /dev/sda2 ro
28 21 0:40 / /mnt/nfs rw - nfs4 server:/export rw
29 21 0:41 / /run/user/0/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
30 21 8:3 / /var/log/journal rw - xfs /dev/sda3 rw
";

    fn listed() -> Vec<MountInfo> {
        procfs::process::MountInfos::from_buf_read(MOUNTINFO.as_bytes())
            .unwrap()
            .0
    }

    #[test]
    fn only_what_can_fill_is_asked_once() {
        let points: Vec<_> = real_mounts(&listed())
            .into_iter()
            .map(|m| m.point)
            .collect();
        let expected = ["/", "/run", "/mnt/nfs", "/var/log/journal"].map(PathBuf::from);
        assert_eq!(points, expected);
    }

    #[test]
    fn a_path_belongs_to_its_deepest_mount_by_the_name_people_know() {
        let all = listed().into_iter().map(|m| Mount {
            point: m.mount_point,
            device: m.majmin,
        });
        let used = BTreeMap::from([
            ("8:1".to_owned(), (PathBuf::from("/"), 10)),
            ("8:3".to_owned(), (PathBuf::from("/var/log/journal"), 20)),
        ]);
        let mounts = Mounts {
            all: all.collect(),
            used,
        };
        let holding = |path: &str| {
            mounts
                .holding(Path::new(path))
                .map(|(point, used)| (point.to_owned(), used))
        };
        assert_eq!(holding("/srv/data/x"), Some((PathBuf::from("/"), 10)));
        assert_eq!(
            holding("/var/log/journal/abc"),
            Some((PathBuf::from("/var/log/journal"), 20))
        );
        assert_eq!(holding("/mnt/nfs/x"), None);
    }
}
