//! Which test targets there are, and where each may run: from what the manifests say.

use anyhow::{Context as _, Result};

use crate::{
    command::{self, cargo},
    places::Places,
};

/// Test targets of all packages. A feature that a target of another package than the tests'
/// asks for is on, because the whole workspace is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// Need nothing: run as part of the first group.
    pub(crate) plain: Vec<String>,
    /// Of the test package, behind a feature: need root or a machine of their own, one by one.
    pub(crate) serial: Vec<String>,
    /// What a virtual machine runs: those that load probes, and those that only it may run.
    pub(crate) machine: Vec<String>,
}

impl Targets {
    /// Asks cargo for them.
    pub(crate) fn find(places: &Places) -> Result<Self> {
        let mut metadata = cargo();
        metadata.current_dir(&places.root);
        metadata.args(["metadata", "--format-version=1", "--no-deps", "--offline"]);
        let json = serde_json::from_str(&command::output(&mut metadata)?)
            .context("cargo metadata printed no JSON")?;
        Ok(Self::read(&json))
    }

    fn read(metadata: &serde_json::Value) -> Self {
        let mut targets = Self::default();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            let of_tests = package["name"] == "hostmedic-tests";
            for target in package["targets"].as_array().into_iter().flatten() {
                let has = |list: &str, word: &str| {
                    let list = target[list].as_array();
                    list.is_some_and(|list| list.iter().any(|found| found == word))
                };
                let Some(name) = target["name"].as_str().filter(|_| has("kind", "test")) else {
                    continue;
                };
                let needs = |feature| has("required-features", feature);
                if of_tests && (needs("kernel") || needs("vm")) {
                    targets.machine.push(name.to_owned());
                }
                if of_tests && needs("vm") {
                    continue;
                }
                let plain = target["required-features"]
                    .as_array()
                    .is_none_or(Vec::is_empty);
                let list = if of_tests && !plain {
                    &mut targets.serial
                } else {
                    &mut targets.plain
                };
                list.push(name.to_owned());
            }
        }
        targets.serial.sort();
        targets.machine.sort();
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_machine_runs_in_a_virtual_one_only() {
        let target = |name, feature: &[&str]| serde_json::json!({"name": name, "kind": ["test"], "required-features": feature});
        let metadata = serde_json::json!({"packages": [
            {"name": "hostmedic-tests", "targets": [
                {"name": "hostmedic-tests", "kind": ["lib"]},
                {"name": "tidy", "kind": ["test"]},
                target("vm_disk", &["vm"]),
                target("systemd_boot", &["systemd"]),
                target("kernel_oom", &["kernel"]),
            ]},
            {"name": "medicd", "targets": [target("runs", &["crash-points"])]},
        ]});
        let expected = Targets {
            plain: vec!["tidy".to_owned(), "runs".to_owned()],
            serial: vec!["kernel_oom".to_owned(), "systemd_boot".to_owned()],
            machine: vec!["kernel_oom".to_owned(), "vm_disk".to_owned()],
        };
        assert_eq!(Targets::read(&metadata), expected);
    }
}
