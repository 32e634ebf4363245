//! The programs that a machine runs: every test target for it, and the helpers they start.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{build, command, places::Places, targets::Targets};

/// A program that cargo built.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Program {
    name: String,
    built: PathBuf,
    is_test: bool,
}

/// What the machines of one run are given.
#[derive(Clone, Debug)]
pub(super) struct Programs(Vec<Program>);

impl Programs {
    /// Builds the test targets that `only` names, all if it names none, and the helpers.
    pub(super) fn build(places: &Places, only: &[String]) -> Result<Self> {
        let mut targets = Targets::find(places)?.machine;
        if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
            bail!(
                "there is no test {unknown}; there are {}",
                targets.join(", ")
            );
        }
        targets.retain(|target| only.is_empty() || only.contains(target));
        let mut build = build::workspace(places, "test")?;
        build.args(["--no-run", "--message-format=json-render-diagnostics"]);
        for target in &targets {
            build.args(["--test", target]);
        }
        let said = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        build.stdout(said.reopen().context("cannot open a temporary file")?);
        command::run(&mut build).context("cannot build the tests for virtual machines")?;
        let said = fs::read_to_string(said.path()).context("cannot read what cargo said")?;
        let programs = Self(programs(&said));
        let found = programs.tests();
        ensure!(
            found == targets,
            "cargo built {found:?}, but {targets:?} were asked for"
        );
        Ok(programs)
    }

    /// Names of the test targets, sorted.
    pub(super) fn tests(&self) -> Vec<String> {
        let tests = self.0.iter().filter(|program| program.is_test);
        let mut names: Vec<_> = tests.map(|program| program.name.clone()).collect();
        names.sort();
        names
    }

    /// Puts them into `dir` as they lie in cargo's directory: tests in `deps`, helpers above.
    pub(super) fn copy_to(&self, dir: &Path) -> Result<()> {
        let deps = dir.join("deps");
        fs::create_dir_all(&deps).with_context(|| format!("cannot make {}", deps.display()))?;
        for program in &self.0 {
            let place = if program.is_test { &deps } else { dir };
            // Symbols are more than half of it, and all of it lies in the machine's memory.
            let mut strip = Command::new("strip");
            strip.arg("-o").arg(place.join(&program.name));
            command::run(strip.arg(&program.built))?;
        }
        Ok(())
    }
}

/// Programs of the test package in cargo's messages, one JSON object a line.
fn programs(messages: &str) -> Vec<Program> {
    let read = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let target = &message["target"];
        let kind = target["kind"][0].as_str()?;
        let of_tests = message["manifest_path"]
            .as_str()?
            .ends_with("/tests/Cargo.toml");
        (of_tests && matches!(kind, "test" | "bin")).then_some(())?;
        Some(Program {
            name: target["name"].as_str()?.to_owned(),
            built: message["executable"].as_str()?.into(),
            is_test: kind == "test",
        })
    };
    messages.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/c/model/Cargo.toml","target":{"kind":["lib"],"name":"model"},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/c/tests/Cargo.toml","target":{"kind":["lib"],"name":"hostmedic_tests"},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/c/tests/Cargo.toml","target":{"kind":["bin"],"name":"kernel-child"},"executable":"/t/debug/kernel-child"}
{"reason":"compiler-artifact","manifest_path":"/c/tests/Cargo.toml","target":{"kind":["test"],"name":"kernel_oom"},"executable":"/t/debug/deps/kernel_oom-0"}
{"reason":"build-finished","success":true}
"#;
        let program = |name: &str, built: &str, is_test| Program {
            name: name.to_owned(),
            built: built.into(),
            is_test,
        };
        assert_eq!(
            programs(messages),
            [
                program("kernel-child", "/t/debug/kernel-child", false),
                program("kernel_oom", "/t/debug/deps/kernel_oom-0", true),
            ]
        );
    }
}
