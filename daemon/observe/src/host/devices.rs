//! From a device number to the disk's name and serial number, also after it was pulled out.
//!
//! An event carries `8:3`; a person needs `sda3` and the serial number printed on the disk that
//! has to be replaced. Numbers are used again, so an answer is asked for afresh after a while;
//! a device that is gone by then keeps the last answer.
//!
//! The kernel writes a device number into 32 bits in two ways: inside itself, and so in
//! tracepoints, as `major << 20 | minor` (`MKDEV`, `include/linux/kdev_t.h`), and towards programs
//! as `huge_encode_dev` does (makedev(3)). [`of_kernel`] reads the first.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use hostmedic_model::{signal::Device, subject::Subject, time::At};

/// Devices remembered at most; a large storage host has some hundred.
const DEVICES_MAX: usize = 1024;
/// How long a device that was found is believed.
const FOUND_FOR: Duration = Duration::from_secs(5 * 60);
/// How long a device that was not found is not asked for again.
const ABSENT_FOR: Duration = Duration::from_secs(10);
/// Longest serial number; the longest known form (`naa.` and 32 digits) has 36 characters.
const SERIAL_CHARS_MAX: usize = 128;
/// Bits of the minor number in the kernel's own form; `include/linux/kdev_t.h`.
const MINOR_BITS: u32 = 20;

/// Major and minor number of a `dev_t` as tracepoints show it: `major << 20 | minor`.
pub fn of_kernel(dev: u32) -> (u32, u32) {
    (dev >> MINOR_BITS, dev & ((1 << MINOR_BITS) - 1))
}

/// What a fact about `device` is about.
pub fn subject_of(device: &Device) -> Subject {
    Subject::Device(device.to_string())
}

/// Answers by device number, remembered.
#[derive(Debug)]
pub struct Devices {
    /// Links by number: `/sys/dev/block`.
    links: PathBuf,
    /// udev's database: `/run/udev/data`.
    udev: PathBuf,
    known: HashMap<(u32, u32), Known>,
    devices_max: usize,
}

#[derive(Debug)]
struct Known {
    device: Device,
    asked: At,
    used: At,
}

impl Devices {
    /// Over this host's sysfs and udev.
    pub fn new() -> Self {
        Self::over("/sys/dev/block", "/run/udev/data", DEVICES_MAX)
    }

    /// Over other directories, remembering at most `devices_max` devices.
    pub fn over(links: impl Into<PathBuf>, udev: impl Into<PathBuf>, devices_max: usize) -> Self {
        Self {
            links: links.into(),
            udev: udev.into(),
            known: HashMap::new(),
            devices_max: devices_max.max(1),
        }
    }

    /// The block device of these numbers; without a name if sysfs never knew it.
    ///
    /// Reads at most ten small files, and none for a device that was asked for of late.
    pub fn of(&mut self, major: u32, minor: u32, at: At) -> Device {
        let key = (major, minor);
        if let Some(known) = self.known.get_mut(&key) {
            known.used = known.used.max(at);
            let trusted_for = match known.device.name {
                Some(_) => FOUND_FOR,
                None => ABSENT_FOR,
            };
            if at.since(known.asked) < trusted_for {
                return known.device.clone();
            }
        }
        let found = self.look(major, minor);
        // Gone: what it was called is still the best answer.
        let device = match self.known.remove(&key) {
            Some(known) if found.name.is_none() => known.device,
            _ => found,
        };
        if self.known.len() >= self.devices_max {
            self.forget_oldest();
        }
        let known = Known {
            device: device.clone(),
            asked: at,
            used: at,
        };
        self.known.insert(key, known);
        device
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .known
            .iter()
            .min_by_key(|(key, known)| (known.used, **key));
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.known.remove(&key);
        }
    }

    fn look(&self, major: u32, minor: u32) -> Device {
        let number = format!("{major}:{minor}");
        let unnamed = Device {
            major,
            minor,
            name: None,
            serial: None,
        };
        let Ok(dir) = fs::canonicalize(self.links.join(&number)) else {
            return unnamed;
        };
        let disk = match dir.parent() {
            Some(parent) if dir.join("partition").exists() => parent,
            _ => dir.as_path(),
        };
        Device {
            name: name(&dir),
            serial: self.serial(disk),
            ..unnamed
        }
    }

    /// The first source that knows: the driver, udev (which asks the disk), the page that SCSI
    /// disks give their number on, and last the world-wide name, which is not on the label but
    /// still tells one disk from another.
    fn serial(&self, disk: &Path) -> Option<String> {
        let file = |name: &str| printable(&fs::read(disk.join(name)).ok()?);
        file("device/serial")
            .or_else(|| file("serial"))
            .or_else(|| {
                let number = fs::read_to_string(disk.join("dev")).ok()?;
                let entry = self.udev.join(format!("b{}", number.trim()));
                udev_serial(&fs::read(entry).ok()?)
            })
            .or_else(|| unit_serial(&fs::read(disk.join("device/vpd_pg80")).ok()?))
            .or_else(|| file("device/wwid"))
            .or_else(|| file("wwid"))
    }
}

impl Default for Devices {
    fn default() -> Self {
        Self::new()
    }
}

/// Name below `/dev`. The directory's own name has `!` where the device's has `/`.
fn name(dir: &Path) -> Option<String> {
    let of_uevent = |text: String| {
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("DEVNAME="))?;
        printable(name.as_bytes())
    };
    let uevent: io::Result<String> = fs::read_to_string(dir.join("uevent"));
    uevent.ok().and_then(of_uevent).or_else(|| {
        let own = dir.file_name()?.to_string_lossy().replace('!', "/");
        printable(own.as_bytes())
    })
}

/// `ID_SERIAL_SHORT` of an entry of udev's database, whose properties are lines `E:KEY=VALUE`.
fn udev_serial(entry: &[u8]) -> Option<String> {
    let mut lines = entry.split(|byte| *byte == b'\n');
    lines.find_map(|line| printable(line.strip_prefix(b"E:ID_SERIAL_SHORT=")?))
}

/// The serial number in a SCSI disk's page 80h: four bytes, of which the last two are the
/// length, then text. Source: SPC-4, 7.8.15.
fn unit_serial(page: &[u8]) -> Option<String> {
    let (head, rest) = page.split_first_chunk::<4>()?;
    let [_, code, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if code != 0x80 {
        return None;
    }
    printable(rest.get(..length).unwrap_or(rest))
}

/// Text from a device, which may hold anything: only what can be printed, without the spaces
/// around it; `None` if nothing is left.
fn printable(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let clean: String = text
        .trim_matches(|c: char| c.is_whitespace() || c == '\0')
        .chars()
        .filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER)
        .take(SERIAL_CHARS_MAX)
        .collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> At {
        At::default().plus(Duration::from_secs(secs))
    }

    /// `sda` with one partition, a device-mapper device, and a name with a slash.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.add("8:0", "devices/block/sda", "sda");
            tree.add("8:1", "devices/block/sda/sda1", "sda1");
            tree.write("devices/block/sda/sda1/partition", "1\n");
            tree.add("252:0", "devices/virtual/block/dm-0", "dm-0");
            tree.add("104:0", "devices/block/cciss!c0d0", "cciss/c0d0");
            tree
        }

        fn add(&self, number: &str, dir: &str, name: &str) {
            self.write(&format!("{dir}/dev"), format!("{number}\n"));
            self.write(
                &format!("{dir}/uevent"),
                format!("MAJOR=8\nDEVNAME={name}\n"),
            );
            let links = self.0.path().join("links");
            fs::create_dir_all(&links).unwrap();
            symlink(self.0.path().join(dir), links.join(number)).unwrap();
        }

        fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }

        fn devices(&self, max: usize) -> Devices {
            Devices::over(self.0.path().join("links"), self.0.path().join("udev"), max)
        }

        #[track_caller]
        fn expect(&self, number: (u32, u32), name: Option<&str>, serial: Option<&str>) {
            let device = self.devices(8).of(number.0, number.1, at(1));
            assert_eq!(
                (device.name.as_deref(), device.serial.as_deref()),
                (name, serial)
            );
        }
    }

    #[test]
    fn numbers_are_split_as_the_kernel_joins_them() {
        assert_eq!(of_kernel(8 << 20 | 3), (8, 3));
        assert_eq!(of_kernel(259 << 20 | 0xf_ffff), (259, 0xf_ffff));
        assert_eq!(of_kernel(u32::MAX), (4095, 0xf_ffff));
    }

    #[test]
    fn a_partition_has_its_own_name_and_its_disks_serial() {
        let tree = Tree::new();
        tree.write("devices/block/sda/device/serial", "  WD-42\n\0");
        tree.expect((8, 1), Some("sda1"), Some("WD-42"));
        tree.expect((8, 0), Some("sda"), Some("WD-42"));
        tree.expect((252, 0), Some("dm-0"), None);
        tree.expect((104, 0), Some("cciss/c0d0"), None);
        tree.expect((9, 9), None, None);
    }

    #[test]
    fn sources_of_serials_are_asked_in_order() {
        let tree = Tree::new();
        tree.write("devices/block/sda/device/wwid", "naa.5000c500\n");
        tree.expect((8, 1), Some("sda1"), Some("naa.5000c500"));
        tree.write(
            "devices/block/sda/device/vpd_pg80",
            b"\0\x80\0\x06  Z1X2trailing",
        );
        tree.expect((8, 1), Some("sda1"), Some("Z1X2"));
        tree.write(
            "udev/b8:0",
            "S:disk/by-id/x\nE:ID_SERIAL=a\nE:ID_SERIAL_SHORT=U7\n",
        );
        tree.expect((8, 1), Some("sda1"), Some("U7"));
        tree.write("devices/block/sda/serial", "V9");
        tree.expect((8, 1), Some("sda1"), Some("V9"));
    }

    #[test]
    fn a_device_that_is_gone_keeps_its_name_and_a_new_one_gets_its_own() {
        let tree = Tree::new();
        let mut devices = tree.devices(8);
        assert_eq!(devices.of(8, 0, at(1)).name.as_deref(), Some("sda"));
        let link = tree.0.path().join("links/8:0");
        fs::remove_file(&link).unwrap();
        assert_eq!(devices.of(8, 0, at(1000)).name.as_deref(), Some("sda"));
        tree.add("8:0", "devices/block/sdb", "sdb");
        assert_eq!(devices.of(8, 0, at(1001)).name.as_deref(), Some("sda"));
        assert_eq!(devices.of(8, 0, at(2000)).name.as_deref(), Some("sdb"));
    }

    #[test]
    fn an_absent_device_is_asked_for_again_soon() {
        let tree = Tree::new();
        let mut devices = tree.devices(8);
        assert_eq!(devices.of(7, 0, at(1)).name, None);
        tree.add("7:0", "devices/virtual/block/loop0", "loop0");
        assert_eq!(devices.of(7, 0, at(2)).name, None);
        assert_eq!(devices.of(7, 0, at(12)).name.as_deref(), Some("loop0"));
    }

    #[test]
    fn memory_is_bounded_and_the_least_used_goes() {
        let tree = Tree::new();
        let mut devices = tree.devices(3);
        devices.of(8, 0, at(1));
        for minor in 0..50 {
            devices.of(99, minor, at(u64::from(minor) + 2));
            devices.of(8, 0, at(u64::from(minor) + 2));
        }
        assert_eq!(devices.known.len(), 3);
        assert!(devices.known.contains_key(&(8, 0)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_printable_serial_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let all = [printable(&bytes), unit_serial(&bytes), udev_serial(&bytes)];
            for serial in all.into_iter().flatten() {
                prop_assert!(!serial.is_empty() && serial.chars().count() <= SERIAL_CHARS_MAX);
                prop_assert!(!serial.chars().any(char::is_control));
            }
        }
    }
}
