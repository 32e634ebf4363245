//! `medic playbook lint`: reads playbooks as the daemon would, and says where they are wrong.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    exit::{Exit, Failed},
    out::Out,
    render::text::{Tone, clean, count},
};

/// Checks every file; the exit code tells whether all were right.
pub(crate) fn lint(out: &Out, paths: &[PathBuf]) -> Result<Exit, Failed> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    let mut wrong = 0;
    let mut results = Vec::new();
    let mut text = String::new();
    for file in &files {
        let name = file.display().to_string();
        let error = check(file)?;
        wrong += usize::from(error.is_some());
        match &error {
            None => text += &format!("{} {}\n", out.style.paint(Tone::Good, "ok"), clean(&name)),
            Some(error) => {
                let word = out.style.paint(Tone::Bad, "error");
                text += &format!("{word} {}\n", clean(error));
            }
        }
        results.push(json!({"file": name, "ok": error.is_none(), "error": error}));
    }
    text += &format!("{}, {wrong} wrong\n", count(files.len(), "playbook"));
    out.answer(&results, |_| text)?;
    Ok(if wrong == 0 { Exit::Ok } else { Exit::Finding })
}

/// The error of one playbook, as `file:line:column: message`.
fn check(file: &Path) -> Result<Option<String>, Failed> {
    let text = fs::read(file).map_err(|error| unreadable(file, &error))?;
    let name = file.display().to_string();
    let Ok(text) = String::from_utf8(text) else {
        return Ok(Some(format!("{name}:1:1: the file is not UTF-8")));
    };
    let parsed = hostmedic_reason::playbook::parse(&name, &text);
    Ok(parsed.err().map(|error| error.to_string()))
}

/// A file itself, or the playbooks right below a directory, by name. A directory without any is
/// an error: an empty selection is a mistake, not a success.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !found.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries: io::Result<Vec<_>> = fs::read_dir(path).and_then(Iterator::collect);
    let mut below: Vec<PathBuf> = entries
        .map_err(|error| unreadable(path, &error))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|kind| kind == "yaml") && file.is_file())
        .collect();
    if below.is_empty() {
        return Err(Failed::new(
            Exit::NotFound,
            "not_found",
            format!("there is no playbook (*.yaml) in {}", path.display()),
            "name another directory or a file",
        ));
    }
    below.sort();
    files.append(&mut below);
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Failed {
    let (exit, code) = match error.kind() {
        io::ErrorKind::NotFound => (Exit::NotFound, "not_found"),
        io::ErrorKind::PermissionDenied => (Exit::NotPermitted, "forbidden"),
        _ => (Exit::Internal, "internal"),
    };
    Failed::new(
        exit,
        code,
        format!("cannot read {}: {error}", path.display()),
        "",
    )
}
