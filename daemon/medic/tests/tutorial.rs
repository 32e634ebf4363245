//! Goal: the tutorial's commands do what the page says.
//! Method: each command of `docs/playbook-tutorial.md` is run in an empty directory; each line of output
//! that the page shows must be in what was printed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path, process::Command};

/// A command and the lines that the page shows after it.
struct Said {
    command: String,
    shows: Vec<String>,
}

fn page() -> Vec<Said> {
    let page = include_str!("../../../docs/playbook-tutorial.md");
    let mut list: Vec<Said> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            let last = list.last_mut();
            if let Some(command) = line.strip_prefix("$ ") {
                list.push(Said {
                    command: command.to_owned(),
                    shows: Vec::new(),
                });
            } else if let Some(more) = line.strip_prefix("> ") {
                let command = &mut last.unwrap().command;
                *command = format!("{command}\n{more}");
            } else {
                last.unwrap().shows.push(line.to_owned());
            }
        }
    }
    list
}

#[test]
fn every_command_prints_what_the_page_shows() {
    let dir = tempfile::tempdir().unwrap();
    let medic = Path::new(env!("CARGO_BIN_EXE_medic"));
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(medic, bin.join("medic")).unwrap();
    let here = dir.path().join("here");
    fs::create_dir(&here).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let list = page();
    assert!(
        list.len() >= 12,
        "only {} commands: has the page changed?",
        list.len()
    );
    for said in list {
        let out = Command::new("sh")
            .args(["-c", &said.command])
            .current_dir(&here)
            .env("PATH", &path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned()
            + &String::from_utf8_lossy(&out.stderr);
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let printed = squeeze(&text);
        for line in &said.shows {
            assert!(
                printed.contains(&squeeze(line)),
                "{}: no `{line}` in\n{text}",
                said.command
            );
        }
    }
}
