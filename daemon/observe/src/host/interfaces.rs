//! From an interface's index to its name, also after it is gone.
//!
//! A dropped packet carries the index alone, and a container's interface lives for seconds. An
//! index counts within its network namespace: ask only about packets of the daemon's own.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::PathBuf,
    time::Duration,
};

use hostmedic_model::time::At;

/// Names kept at most, with those of interfaces that are gone; the kernel does not use an index
/// again before it has counted through 31 bits.
const NAMES_MAX: usize = 4096;
/// Interfaces that one look reads at most.
const LOOK_MAX: usize = 4096;
/// An unknown index makes us look again at most this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Names by index, remembered.
#[derive(Debug)]
pub struct Interfaces {
    /// `/sys/class/net`.
    root: PathBuf,
    known: HashMap<u32, Known>,
    names_max: usize,
    looked: Option<At>,
}

#[derive(Debug)]
struct Known {
    name: String,
    used: At,
}

impl Interfaces {
    /// Over this host's sysfs.
    pub fn new() -> Self {
        Self::over("/sys/class/net", NAMES_MAX)
    }

    /// Over another directory, remembering at most `names_max` names.
    pub fn over(root: impl Into<PathBuf>, names_max: usize) -> Self {
        Self {
            root: root.into(),
            known: HashMap::new(),
            names_max: names_max.max(1),
            looked: None,
        }
    }

    /// Name of the interface with this index, or the last one it had.
    pub fn name(&mut self, index: u32, at: At) -> Option<String> {
        let is_stale = self.looked.is_none_or(|then| at.since(then) >= LOOK_EVERY);
        if index != 0 && is_stale && !self.known.contains_key(&index) {
            // What cannot be listed stays unknown; `refresh` is where it is named.
            let _ = self.refresh(at);
        }
        let known = self.known.get_mut(&index)?;
        known.used = known.used.max(at);
        Some(known.name.clone())
    }

    /// Learns every interface that exists now, and the new names of those that were renamed.
    ///
    /// # Errors
    /// Fails if the directory cannot be listed. An interface that goes meanwhile is no error.
    pub fn refresh(&mut self, at: At) -> io::Result<()> {
        self.looked = Some(at);
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.root)?.flatten().take(LOOK_MAX) {
            // `bonding_masters` is a file in the same directory.
            let index = fs::read_to_string(entry.path().join("ifindex")).ok();
            if let Some(index) = index.and_then(|text| parse_index(&text)) {
                found.insert(index, entry.file_name().to_string_lossy().into_owned());
            }
        }
        for (index, name) in found {
            let used = self.known.get(&index).map_or(at, |known| known.used);
            if self.known.len() >= self.names_max && !self.known.contains_key(&index) {
                self.forget_oldest();
            }
            self.known.insert(index, Known { name, used });
        }
        Ok(())
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .known
            .iter()
            .min_by_key(|(index, known)| (known.used, **index));
        if let Some(index) = oldest.map(|(index, _)| *index) {
            self.known.remove(&index);
        }
    }
}

impl Default for Interfaces {
    fn default() -> Self {
        Self::new()
    }
}

/// An index as sysfs writes it; the kernel has none below 1.
fn parse_index(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|index| *index > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> At {
        At::default().plus(Duration::from_secs(secs))
    }

    fn add(dir: &tempfile::TempDir, name: &str, index: &str) {
        let own = dir.path().join(name);
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("ifindex"), index).unwrap();
    }

    #[test]
    fn an_interface_that_is_gone_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        add(&dir, "lo", "1\n");
        add(&dir, "veth7", "7\n");
        fs::write(dir.path().join("bonding_masters"), "\n").unwrap();
        let mut interfaces = Interfaces::over(dir.path(), 8);
        assert_eq!(interfaces.name(7, at(1)).as_deref(), Some("veth7"));
        fs::remove_dir_all(dir.path().join("veth7")).unwrap();
        interfaces.refresh(at(5)).unwrap();
        assert_eq!(interfaces.name(7, at(5)).as_deref(), Some("veth7"));
        assert_eq!(interfaces.name(1, at(5)).as_deref(), Some("lo"));
        assert_eq!(interfaces.name(0, at(9)), None);
    }

    #[test]
    fn an_unknown_index_costs_one_look_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let mut interfaces = Interfaces::over(dir.path(), 8);
        assert_eq!(interfaces.name(3, at(1)), None);
        add(&dir, "eth0", "3\n");
        assert_eq!(interfaces.name(3, at(1)), None);
        assert_eq!(interfaces.name(3, at(2)).as_deref(), Some("eth0"));
    }

    #[test]
    fn a_renamed_interface_gets_its_new_name() {
        let dir = tempfile::tempdir().unwrap();
        add(&dir, "eth0", "3\n");
        let mut interfaces = Interfaces::over(dir.path(), 8);
        assert_eq!(interfaces.name(3, at(1)).as_deref(), Some("eth0"));
        fs::rename(dir.path().join("eth0"), dir.path().join("ens3")).unwrap();
        interfaces.refresh(at(2)).unwrap();
        assert_eq!(interfaces.name(3, at(2)).as_deref(), Some("ens3"));
    }

    #[test]
    fn memory_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for index in 1..40 {
            add(&dir, &format!("v{index}"), &format!("{index}\n"));
        }
        let mut interfaces = Interfaces::over(dir.path(), 5);
        interfaces.refresh(at(1)).unwrap();
        assert_eq!(interfaces.known.len(), 5);
        assert!(Interfaces::over("/nowhere", 5).refresh(at(1)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_gives_an_index_above_zero_or_none(text in ".{0,20}") {
            prop_assert!(parse_index(&text).is_none_or(|index| index > 0));
        }
    }
}
