//! Keeps the house in order: what reviewers would otherwise have to remember.
//!
//! Needs no root and no network. Each test lists everything it finds, so that one run suffices.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "tidy/licence.rs"]
mod licence;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Longest Rust file; beyond it a file has more than one job.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Files that git tracks or would track, below the root.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git cannot be run; apt-get install git");
    assert!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut files: Vec<_> = listed
        .lines()
        .filter(|path| root().join(path).is_file())
        .map(str::to_owned)
        .collect();
    assert!(
        files.len() > 50,
        "only {} files: is this the clone?",
        files.len()
    );
    files.sort();
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn expect_nothing(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}\n  {}\n", findings.join("\n  "));
}

/// Goal: no probe without a row in the table, bytes of the ABI and a test on a kernel.
#[test]
fn each_probe_has_its_row_bytes_and_test() {
    let table = read("ebpf/README.md");
    let files = files();
    let mut findings = Vec::new();
    let mut probes = 0;
    for path in files
        .iter()
        .filter(|path| path.starts_with("ebpf/probes/src/"))
    {
        let name = Path::new(path).file_stem().unwrap().to_str().unwrap();
        let source = read(path);
        // attest.rs holds no hook: it is loaded for a moment, and tested by kernel_attest.
        let kinds = ["#[btf_tracepoint(", "#[raw_tracepoint(", "#[fentry("];
        if !kinds.iter().any(|kind| source.contains(kind)) || name == "attest" {
            continue;
        }
        probes += 1;
        if !source.contains(&format!("fn {name}(")) {
            findings.push(format!("{path}: its program is not called {name}"));
        }
        if !table
            .lines()
            .any(|line| line.starts_with(&format!("| `{name}` |")))
        {
            findings.push(format!("{path}: ebpf/README.md has no row `{name}`"));
        }
        if !source.contains("use hostmedic_abi::") {
            findings.push(format!("{path}: what it tells is not of the ABI"));
        }
        let tested = |test: &&String| {
            let kinds = ["tests/tests/kernel_", "tests/tests/vm_"];
            kinds.iter().any(|kind| test.starts_with(kind)) && read(test).contains(name)
        };
        if !files.iter().any(|path| tested(&path)) {
            findings.push(format!(
                "{path}: no tests/tests/kernel_*.rs or vm_*.rs mentions {name}"
            ));
        }
    }
    assert!(
        probes >= 29,
        "found {probes} probes only: has the layout changed?"
    );
    expect_nothing(
        "a probe is complete when it can be read about and fails a test",
        &findings,
    );
}

/// Goal: whoever opens a file is told at once what it is for.
#[test]
fn each_file_begins_by_saying_what_it_is_for() {
    let mut findings = Vec::new();
    for path in files() {
        let name = path.rsplit('/').next().unwrap_or(&path);
        let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
        let mark = match kind {
            "rs" => "//! ",
            "rules" | "proto" => "// ",
            "yaml" | "service" | "sysusers" | "tmpfiles" | "sh" | "toml" | "bt" => "# ",
            _ if path == ".ci/run" => "# ",
            _ => continue,
        };
        // A crate's manifest is told of by its lib.rs, the toolchain's file is one line.
        if (name == "Cargo.toml" && path != "Cargo.toml") || name == "rust-toolchain.toml" {
            continue;
        }
        let text = read(&path);
        let first = text
            .lines()
            .find(|line| !line.starts_with("#!/") && !line.starts_with("# yaml-language-server:"))
            .unwrap_or_default();
        if first
            .strip_prefix(mark)
            .is_none_or(|words| words.split_whitespace().count() < 3)
        {
            findings.push(format!(
                "{path}: begins with `{first}`, not with `{mark}` and a sentence"
            ));
        }
    }
    expect_nothing("the first line of a file says what it is for", &findings);
}

/// Goal: nothing half done is called done, and nothing of one machine is in the sources.
#[test]
fn nothing_is_left_open() {
    // Put together here, so that this file does not find itself.
    let open = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("place", "holder"),
        concat!("#[ig", "nore"),
    ];
    let local = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/home", "/"),
    ];
    let mut findings = Vec::new();
    for path in files() {
        if path.contains("LICENSE") || path.ends_with("Cargo.lock") {
            continue;
        }
        // A file that is no text holds no words.
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (number, line) in (1..).zip(text.lines()) {
            let lower = line.to_lowercase();
            for word in open {
                // Capitals are shouted on purpose; the others are found in any case.
                let found = if word.chars().all(char::is_uppercase) {
                    line.split(|c: char| !c.is_alphanumeric())
                        .any(|token| token == word)
                } else {
                    lower.contains(word)
                };
                if found {
                    findings.push(format!("{path}:{number}: `{word}`"));
                }
            }
            for word in local.iter().filter(|word| begins_path(line, word)) {
                findings.push(format!(
                    "{path}:{number}: `{word}` is a path of one machine"
                ));
            }
        }
    }
    expect_nothing("no open ends", &findings);
}

/// Whether `line` has an absolute path that begins with `dir`, not just a path with it inside.
fn begins_path(line: &str, dir: &str) -> bool {
    line.match_indices(dir)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "}.*_-".contains(c)))
}

/// Goal: one job a file. Tests at its end do not count.
#[test]
fn no_rust_file_is_too_long() {
    let mut findings = Vec::new();
    for path in files().iter().filter(|path| path.ends_with(".rs")) {
        let source = read(path);
        let lines = source
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count();
        if lines > LINES_MAX {
            findings.push(format!("{path}: {lines} lines"));
        }
    }
    expect_nothing(
        &format!("a Rust file has at most {LINES_MAX} lines"),
        &findings,
    );
}

/// Goal: every dependency's licence is one that deny.toml allows.
#[test]
fn every_licence_is_allowed() {
    let allowed = licence::allowed(&read("deny.toml"));
    assert!(
        allowed.contains("Apache-2.0"),
        "deny.toml allows {allowed:?}"
    );
    let mut findings = Vec::new();
    for manifest in [
        "Cargo.toml",
        "ebpf/probes/Cargo.toml",
        "fuzz/Cargo.toml",
        "bench/candle/Cargo.toml",
    ] {
        for (package, expression) in licence::packages(&root().join(manifest)) {
            match licence::holds(&expression, &|name| allowed.contains(name)) {
                Ok(true) => {}
                Ok(false) => findings.push(format!("{package}: {expression} is not allowed")),
                Err(error) => findings.push(format!("{package}: `{expression}`: {error}")),
            }
        }
    }
    expect_nothing("licences are as deny.toml allows", &findings);
}

/// Goal: no document tells people to type what does not exist.
#[test]
fn documents_name_verbs_that_exist() {
    let main = read("xtask/src/main.rs");
    let verbs: BTreeSet<_> = main
        .split_once("enum Verb {")
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .expect("xtask/src/main.rs has no `enum Verb`")
        .0
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| {
            line.split(['(', ',', ' '])
                .next()
                .unwrap_or_default()
                .to_lowercase()
        })
        .chain(["help".to_owned(), "verb".to_owned()])
        .collect();
    assert!(verbs.contains("test"), "{verbs:?}");
    let mut findings = Vec::new();
    for path in files()
        .iter()
        .filter(|path| path.ends_with(".md") || path.ends_with(".toml"))
    {
        for (number, line) in (1..).zip(read(path).lines()) {
            for rest in line.split("cargo xtask ").skip(1) {
                let verb: String = rest
                    .chars()
                    .take_while(|c| c.is_ascii_alphabetic() || *c == '-')
                    .collect();
                if !verb.is_empty() && !verbs.contains(&verb.to_lowercase()) {
                    findings.push(format!(
                        "{path}:{number}: `cargo xtask {verb}` does not exist"
                    ));
                }
            }
        }
    }
    expect_nothing("documents are true", &findings);
}

/// Goal: systemd understands the shipped units, and finds them little exposed.
#[test]
fn shipped_units_are_sound() {
    /// Ten times the exposure that `systemd-analyze security` may find; 10.0 is a plain service.
    const EXPOSURE_MAX: u32 = 25;

    if !Path::new("/usr/bin/systemd-analyze").exists() {
        println!("skipped: shipped units are not checked, because systemd-analyze is missing");
        return;
    }
    let units: Vec<_> = files()
        .into_iter()
        .filter(|path| path.ends_with(".service"))
        .collect();
    assert!(units.len() >= 3, "{units:?}");
    let mut findings = Vec::new();
    for unit in &units {
        let analyze = |arguments: &[&str]| {
            let output = Command::new("systemd-analyze")
                .current_dir(root())
                .args(arguments)
                .arg(format!("./{unit}"))
                .output()
                .unwrap();
            let text = [output.stdout, output.stderr].concat();
            (
                output.status.success(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        };
        let (_, said) = analyze(&["verify", "--man=no"]);
        let complaints = said.lines().filter(|line| {
            // It also looks at what the unit needs and at this machine's own units.
            let name = unit.rsplit('/').next().unwrap();
            line.contains(&name.replace("@.", "@")) || line.contains(name)
        });
        // The programs are installed on a host, not where this test runs.
        findings.extend(
            complaints
                .filter(|line| !line.contains("is not executable"))
                .map(str::to_owned),
        );
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        let (low, said) = analyze(&["security", "--offline=true", &threshold]);
        if !low {
            let last = said.lines().last().unwrap_or_default();
            findings.push(format!("{unit}: exposed beyond {EXPOSURE_MAX}: {last}"));
        }
    }
    expect_nothing("units are sound and hardened", &findings);
}
