//! Mounts that were writable and are no more: a file system that gave up, or somebody's remount.
//!
//! `/proc/PID/mountinfo` has two options for it. The mount's own says what this mount point
//! allows; the super block's says whether the file system itself takes writes, through whichever
//! mount. Under `ProtectSystem=` every mount of the daemon's own namespace is read-only by the
//! first, so a file system is judged by the second alone, and told once, at the path that people
//! know. The kernel wakes a reader of mountinfo for mounts and remounts of its own namespace,
//! but not when ext4 gives up; so it is read again at intervals as well.
//!
//! Since 6.12 ext4 leaves the flag of the super block alone when it gives up; from 6.15 on it
//! says `emergency_ro` among its options, in between only its own report tells (`ext4_error`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _, Seek as _},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use hostmedic_model::{
    signal::{Device, Fact, MountReadOnly, Signal},
    subject::Subject,
    time::At,
};

use super::devices::Devices;

/// Bytes read at most: some ten thousand mounts.
const BYTES_MAX: u64 = 4 << 20;

/// One line of mountinfo. Source: `proc_pid_mountinfo`(5).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    major: u32,
    minor: u32,
    /// Directory of the file system that is mounted; `/` unless it is a bind mount.
    root: String,
    point: String,
    filesystem: String,
    source: String,
    /// Whether this mount allows writes.
    is_writable: bool,
    /// Whether the file system itself does.
    is_whole_writable: bool,
}

/// A mount that has become read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    mount: Mount,
    is_whole: bool,
}

/// Watches one mount namespace. Poll [`Mounts::fd`] for `POLLPRI` and call [`Mounts::read`] then
/// and at intervals.
#[derive(Debug)]
pub(super) struct Mounts {
    file: File,
    before: Option<Vec<Mount>>,
    devices: Devices,
}

impl Mounts {
    /// Opens `path`, which is a `mountinfo` file.
    ///
    /// # Errors
    /// Fails if it cannot be opened.
    pub(super) fn open(path: &Path, devices: Devices) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            before: None,
            devices,
        })
    }

    /// What the kernel marks with `POLLPRI` when a mount has changed.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Every file system of the last reading: mount point, type and device number.
    pub(super) fn file_systems(&self) -> impl Iterator<Item = (&str, &str, (u32, u32))> {
        let mounts = self.before.iter().flatten();
        mounts.map(|mount| {
            let number = (mount.major, mount.minor);
            (mount.point.as_str(), mount.filesystem.as_str(), number)
        })
    }

    /// Its block device, by the number of a mount.
    pub(super) fn device(&mut self, (major, minor): (u32, u32), at: At) -> Device {
        self.devices.of(major, minor, at)
    }

    /// Reads all mounts and gives those that became read-only since the last reading. The first
    /// reading gives none.
    ///
    /// # Errors
    /// Fails if the file cannot be read; the next reading is compared with the last good one.
    pub(super) fn read(&mut self, at: At) -> io::Result<Vec<Signal>> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        (&self.file).take(BYTES_MAX).read_to_end(&mut bytes)?;
        let now = parse(&bytes);
        let changes = match &self.before {
            Some(before) => became_read_only(before, &now),
            None => Vec::new(),
        };
        self.before = Some(now);
        let signal = |Change { mount, is_whole }| {
            let mut device = self.devices.of(mount.major, mount.minor, at);
            // btrfs and others mount a device under a number of their own.
            if device.name.is_none() {
                device.name = mount.source.strip_prefix("/dev/").map(str::to_owned);
            }
            Signal {
                at,
                subject: Subject::Mount(mount.point),
                fact: Fact::MountReadOnly(MountReadOnly {
                    device,
                    filesystem: mount.filesystem,
                    whole: is_whole,
                }),
            }
        };
        Ok(changes.into_iter().map(signal).collect())
    }
}

/// Every mount that was writable and is not, by its id. A file system that changed as a whole is
/// given once, by its shortest path. Ids are used again, so a mount is the same only if it shows
/// the same part of the same file system.
fn became_read_only(before: &[Mount], now: &[Mount]) -> Vec<Change> {
    let before: BTreeMap<u64, &Mount> = before.iter().map(|mount| (mount.id, mount)).collect();
    let same = |mount: &Mount| {
        before.get(&mount.id).copied().filter(|was| {
            (was.major, was.minor, &was.root, &was.filesystem)
                == (mount.major, mount.minor, &mount.root, &mount.filesystem)
        })
    };
    let mut by_length: Vec<_> = now.iter().collect();
    by_length.sort_by_key(|mount| (mount.point.len(), mount.id));
    let mut told = BTreeSet::new();
    let change = |mount: &Mount| {
        let was = same(mount)?;
        let is_whole = was.is_whole_writable && !mount.is_whole_writable;
        let is_own = was.is_writable && !mount.is_writable && mount.is_whole_writable;
        // Two superblocks never share a number.
        let is_new = is_own || (is_whole && told.insert((mount.major, mount.minor)));
        is_new.then(|| Change {
            mount: mount.clone(),
            is_whole,
        })
    };
    by_length.into_iter().filter_map(change).collect()
}

/// Where something is mounted, by a mountinfo (`proc_pid_mountinfo`(5)).
pub fn mount_points(mountinfo: &[u8]) -> Vec<String> {
    let mounts = parse(mountinfo).into_iter();
    mounts.map(|mount| mount.point).collect()
}

/// Every line that has all its fields; others are passed over.
fn parse(bytes: &[u8]) -> Vec<Mount> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(line)
        .collect()
}

fn line(bytes: &[u8]) -> Option<Mount> {
    let mut fields = bytes
        .split(|byte| *byte == b' ')
        .filter(|field| !field.is_empty());
    let id = number(fields.next()?)?;
    let _parent: u64 = number(fields.next()?)?;
    let device = fields.next()?;
    let colon = device.iter().position(|byte| *byte == b':')?;
    let (major, minor) = (&device[..colon], &device[colon + 1..]);
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    let options = fields.next()?;
    // Any number of tags such as `shared:1`, then a dash.
    fields.find(|field| *field == b"-")?;
    let filesystem = unescape(fields.next()?);
    let source = unescape(fields.next()?);
    let whole_options = fields.next()?;
    Some(Mount {
        id,
        major: number(major)?,
        minor: number(minor)?,
        root,
        point,
        filesystem,
        source,
        is_writable: !has(options, b"ro"),
        is_whole_writable: !has(whole_options, b"ro") && !has(whole_options, b"emergency_ro"),
    })
}

fn number<N: std::str::FromStr>(bytes: &[u8]) -> Option<N> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn has(options: &[u8], option: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|own| own == option)
}

/// Undoes the kernel's `\040` for a space, tab, line feed, backslash or `#`. Bytes that are no
/// UTF-8 become U+FFFD.
fn unescape(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', digits @ ..] if *first == b'\\' => digits.first_chunk::<3>().and_then(octal),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(text, 8).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEFORE: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 8:2 / /srv/my\\040data rw,relatime shared:2 master:1 - xfs /dev/sda2 rw
23 21 8:1 /srv /var/srv rw,relatime - ext4 /dev/sda1 rw
24 21 8:3 / /mnt/old ro - ext4 /dev/sda3 ro
25 21 8:1 / /sealed ro - ext4 /dev/sda1 rw
26 21 0:41 / /tmp rw - tmpfs tmpfs rw,size=1k
";

    fn changes(before: &str, now: &str) -> Vec<(String, bool)> {
        let changes = became_read_only(&parse(before.as_bytes()), &parse(now.as_bytes()));
        changes
            .into_iter()
            .map(|change| (change.mount.point, change.is_whole))
            .collect()
    }

    #[track_caller]
    fn expect(from: &str, to: &str, expected: &[(&str, bool)]) {
        let now = BEFORE.replace(from, to);
        assert_ne!(now, BEFORE, "nothing was replaced");
        let expected: Vec<_> = expected
            .iter()
            .map(|(point, is_whole)| ((*point).to_owned(), *is_whole))
            .collect();
        assert_eq!(changes(BEFORE, &now), expected);
    }

    #[test]
    fn a_file_system_is_told_once_by_its_shortest_path() {
        expect("/dev/sda1 rw", "/dev/sda1 ro", &[("/", true)]);
        expect("/dev/sda1 rw", "/dev/sda1 rw,emergency_ro", &[("/", true)]);
    }
    #[test]
    fn one_mount_alone_is_not_the_whole() {
        expect("/var/srv rw", "/var/srv ro", &[("/var/srv", false)]);
    }
    #[test]
    fn spaces_in_names_are_read() {
        expect(
            "xfs /dev/sda2 rw",
            "xfs /dev/sda2 ro",
            &[("/srv/my data", true)],
        );
    }
    #[test]
    fn a_mount_that_is_sealed_anyway_shows_its_file_systems_fall() {
        let sealed = BEFORE
            .replace("/ / rw", "/ / ro")
            .replace("/var/srv rw", "/var/srv ro");
        let now = sealed.replace("/dev/sda1 rw", "/dev/sda1 ro");
        assert_eq!(changes(&sealed, &now), [("/".to_owned(), true)]);
    }
    #[test]
    fn an_option_that_only_looks_like_it_is_none() {
        expect("rw,size=1k", "rw,errors=remount-ro,root=x", &[]);
    }
    #[test]
    fn a_fresh_read_only_mount_is_no_change() {
        let fresh = format!("{BEFORE}30 21 11:0 / /cdrom ro - iso9660 /dev/sr0 ro\n");
        assert_eq!(changes(BEFORE, &fresh), []);
        // The same id, given to another file system meanwhile.
        expect(
            "26 21 0:41 / /tmp rw - tmpfs tmpfs rw",
            "26 21 0:50 / /tmp ro - tmpfs tmpfs ro",
            &[],
        );
        assert_eq!(changes(BEFORE, ""), []);
        assert_eq!(changes("", BEFORE), []);
    }
    #[test]
    fn becoming_writable_is_no_change() {
        expect(
            "/mnt/old ro - ext4 /dev/sda3 ro",
            "/mnt/old rw - ext4 /dev/sda3 rw",
            &[],
        );
    }

    #[test]
    fn a_reading_names_device_and_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mountinfo");
        std::fs::write(&path, BEFORE).unwrap();
        let devices = Devices::over(dir.path(), dir.path(), 8);
        let mut mounts = Mounts::open(&path, devices).unwrap();
        assert_eq!(mounts.read(At::default()).unwrap(), []);
        std::fs::write(&path, BEFORE.replace("/dev/sda2 rw", "/dev/sda2 ro")).unwrap();
        let signals = mounts.read(At::default()).unwrap();
        let [signal] = signals.as_slice() else {
            panic!("{signals:?}")
        };
        assert_eq!(signal.subject, Subject::Mount("/srv/my data".to_owned()));
        let Fact::MountReadOnly(fact) = &signal.fact else {
            panic!("{signal:?}")
        };
        assert_eq!((fact.device.major, fact.device.minor), (8, 2));
        assert_eq!(fact.device.name.as_deref(), Some("sda2"));
        assert_eq!((fact.filesystem.as_str(), fact.whole), ("xfs", true));
        assert_eq!(mounts.read(At::default()).unwrap(), []);
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        for (from, to) in [
            ("a\\040b\\011c\\012d\\134e\\043", "a b\tc\nd\\e#"),
            ("\\04", "\\04"),
            ("\\999x", "\\999x"),
            ("\\777", "\\777"),
            ("\\", "\\"),
        ] {
            assert_eq!(unescape(from.as_bytes()), to);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer(
            one in proptest::collection::vec(any::<u8>(), 0..200),
            two in "([0-9]{1,3} ){2}[0-9]:[0-9] / /[a-z\\\\0-9]{0,9} r[ow] - [a-z]{1,4} x r[ow]",
        ) {
            parse(&one);
            let two = parse(two.as_bytes());
            prop_assert_eq!(two.len(), 1);
            prop_assert_eq!(became_read_only(&two, &two), []);
        }
    }
}
