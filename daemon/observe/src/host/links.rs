//! How often the link of each network interface went and came, from the kernel's own counters.
//!
//! No probe sees it: `netif_carrier_off()` has no tracepoint. The kernel counts each change, also
//! those between two readings. Source: `carrier_down_count` and `carrier_up_count` (since 4.16),
//! Documentation/ABI/testing/sysfs-class-net; `carrier_changes` is their sum.
//!
//! Three kinds of change are nobody's news and are left out here:
//! - An interface that is new, also one of an old name: containers' `veth` and tunnels come and go,
//!   and each brings counters of its own. So counters are compared by index, which the kernel does
//!   not use again; what an interface counted before it was first seen is only its baseline.
//! - An interface without hardware that stands on others (bridge, bond, VLAN): its carrier follows
//!   theirs, which speak for themselves. A bridge of containers has a carrier while one of them runs.
//! - One of another network namespace: this one's sysfs does not show it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use hostmedic_model::{
    signal::{Fact, LinkChanges, Signal},
    subject::Subject,
    time::At,
};

use super::{SourceProblem, rise::Rises};

/// Interfaces read in one round; the rest is named as a problem.
const INTERFACES_MAX: usize = 1024;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Down,
    Up,
}

/// Reads the counters once a round and tells what rose.
#[derive(Debug)]
pub struct LinkWatch {
    /// `/sys/class/net`.
    class_net: PathBuf,
    changes: Rises<(u32, Change)>,
}

impl LinkWatch {
    /// Over this host.
    pub fn new() -> Self {
        Self::over("/sys/class/net")
    }

    /// Over another directory.
    pub fn over(class_net: impl Into<PathBuf>) -> Self {
        Self {
            class_net: class_net.into(),
            changes: Rises::new(),
        }
    }

    /// The changes since the last round by interface, and what could not be read.
    pub(super) fn poll(&mut self, at: At, problems: &mut Vec<SourceProblem>) -> Vec<Signal> {
        let mut paths: Vec<PathBuf> = match fs::read_dir(&self.class_net) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) => {
                let source = format!("links in {}", self.class_net.display());
                problems.push(SourceProblem::new(source, error));
                return Vec::new();
            }
        };
        paths.sort();
        if paths.len() > INTERFACES_MAX {
            let rest = paths.len() - INTERFACES_MAX;
            let reason = format!("{rest} beyond the first {INTERFACES_MAX} are not read");
            problems.push(SourceProblem::new("links", reason));
            paths.truncate(INTERFACES_MAX);
        }
        let (mut now, mut names) = (BTreeMap::new(), BTreeMap::new());
        for path in &paths {
            // `bonding_masters` is a file, and an interface may go meanwhile.
            let index = number(&path.join("ifindex")).and_then(|index| u32::try_from(index).ok());
            let (Some(index), Some(name)) = (index, path.file_name()) else {
                continue;
            };
            if only_follows(path) {
                continue;
            }
            for (change, file) in [
                (Change::Down, "carrier_down_count"),
                (Change::Up, "carrier_up_count"),
            ] {
                if let Some(count) = number(&path.join(file)) {
                    now.insert((index, change), count);
                }
            }
            names.insert(index, name.to_string_lossy().into_owned());
        }
        let mut rose: BTreeMap<u32, LinkChanges> = BTreeMap::new();
        for ((index, change), rise) in self.changes.round(now) {
            let changes = rose.entry(index).or_insert(LinkChanges { down: 0, up: 0 });
            match change {
                Change::Down => changes.down = rise,
                Change::Up => changes.up = rise,
            }
        }
        let signal = |(index, changes)| {
            Some(Signal {
                at,
                subject: Subject::Interface(names.remove(&index)?),
                fact: Fact::LinkChanges(changes),
            })
        };
        rose.into_iter().filter_map(signal).collect()
    }
}

impl Default for LinkWatch {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the carrier is that of the interfaces below: no hardware (`device`) of its own, and a
/// bridge, also one without ports, or on top of another (`lower_NAME`). A port of a switch chip
/// stands on another, too, but has hardware and a link of its own.
fn only_follows(interface: &Path) -> bool {
    if interface.join("device").exists() {
        return false;
    }
    let is_above = || {
        let entries = fs::read_dir(interface).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name())
            .any(|name| name.as_encoded_bytes().starts_with(b"lower_"))
    };
    interface.join("bridge").exists() || is_above()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write("bonding_masters", "\n");
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn link(&self, name: &str, index: u32, down: u64, up: u64) {
            self.write(&format!("{name}/ifindex"), &format!("{index}\n"));
            self.write(&format!("{name}/carrier_down_count"), &format!("{down}\n"));
            self.write(&format!("{name}/carrier_up_count"), &format!("{up}\n"));
        }
    }

    fn told(watch: &mut LinkWatch) -> Vec<String> {
        let mut problems = Vec::new();
        let signals = watch.poll(At::default(), &mut problems);
        assert_eq!(problems, []);
        signals
            .iter()
            .map(|signal| format!("{}: {}", signal.subject, signal.fact))
            .collect()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn changes_since_the_last_look_are_told_by_name() {
        let tree = Tree::new();
        tree.link("eth0", 2, 5, 6);
        tree.link("eth1", 3, 1, 1);
        let mut watch = LinkWatch::over(tree.0.path());
        assert_eq!(told(&mut watch), NOTHING, "what was before is a baseline");
        tree.link("eth0", 2, 8, 8);
        assert_eq!(
            told(&mut watch),
            ["interface eth0: link went down 3 times and came up 2 times"]
        );
        tree.link("eth0", 2, 8, 9);
        assert_eq!(
            told(&mut watch),
            ["interface eth0: link went down 0 times and came up 1 times"]
        );
        assert_eq!(told(&mut watch), NOTHING);
    }

    #[test]
    fn interfaces_that_come_and_go_are_no_changes() {
        let tree = Tree::new();
        let mut watch = LinkWatch::over(tree.0.path());
        told(&mut watch);
        for index in 10..20 {
            // Each is made anew under the same name, and is up by the time it is seen.
            tree.link("veth1", index, u64::from(index), u64::from(index));
            assert_eq!(told(&mut watch), NOTHING);
        }
        // A new name is the same interface.
        fs::rename(tree.0.path().join("veth1"), tree.0.path().join("lan0")).unwrap();
        tree.link("lan0", 19, 20, 20);
        assert_eq!(
            told(&mut watch),
            ["interface lan0: link went down 1 times and came up 1 times"]
        );
    }

    #[test]
    fn what_stands_on_others_is_silent_and_a_port_of_a_switch_is_not() {
        let tree = Tree::new();
        let names = ["br0", "bond0", "lan1"];
        for (name, index) in names.into_iter().zip(2..) {
            tree.link(name, index, 1, 1);
        }
        tree.write("br0/bridge/ageing_time", "30000\n");
        tree.write("bond0/lower_eth0/ifindex", "9\n");
        tree.write("lan1/lower_eth0/ifindex", "9\n");
        tree.write("lan1/device/uevent", "\n");
        let mut watch = LinkWatch::over(tree.0.path());
        told(&mut watch);
        for (name, index) in names.into_iter().zip(2..) {
            tree.link(name, index, 4, 1);
        }
        assert_eq!(
            told(&mut watch),
            ["interface lan1: link went down 3 times and came up 0 times"]
        );
    }

    #[test]
    fn what_cannot_be_listed_is_named_and_too_many_are_bounded() {
        let tree = Tree::new();
        let mut problems = Vec::new();
        let mut nowhere = LinkWatch::over(tree.0.path().join("none"));
        assert_eq!(nowhere.poll(At::default(), &mut problems), []);
        assert_eq!(problems.len(), 1, "{problems:?}");
        for index in 0..1100 {
            tree.link(&format!("v{index:04}"), index + 1, 1, 1);
        }
        problems.clear();
        let mut watch = LinkWatch::over(tree.0.path());
        watch.poll(At::default(), &mut problems);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].reason.starts_with("77 beyond"), "{problems:?}");
    }

    /// Runs against this machine's own files: all must be readable.
    #[test]
    fn this_hosts_links_are_read() {
        let mut watch = LinkWatch::new();
        let mut problems = Vec::new();
        assert_eq!(watch.poll(At::default(), &mut problems), []);
        assert_eq!(problems, []);
    }
}
