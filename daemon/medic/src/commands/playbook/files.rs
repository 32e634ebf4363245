//! Playbook files: which ones are meant, and what is in them.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use hostmedic_reason::playbook::{self, Checked, FILE_BYTES_MAX, unmatched};

use crate::exit::{Exit, Failed};

/// A file that was read.
pub(in crate::commands) struct File {
    /// As the user wrote it.
    pub(in crate::commands) name: String,
    /// Its text; what is not UTF-8 is replaced.
    pub(in crate::commands) text: String,
    /// What was found.
    pub(super) checked: Checked,
}

/// Reads and checks one file.
pub(in crate::commands) fn read(path: &Path) -> Result<File, Failed> {
    let (name, text) = text_of(path, FILE_BYTES_MAX)?;
    let checked = playbook::check(&name, &text);
    Ok(File {
        name,
        text,
        checked,
    })
}

/// Reads and checks the incidents that no playbook in a directory is for, where it has such a file.
pub(super) fn unmatched_in(dir: &Path) -> Result<Option<File>, Failed> {
    let path = dir.join(unmatched::FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let (name, text) = text_of(&path, unmatched::FILE_BYTES_MAX)?;
    let checked = Checked {
        playbook: None,
        document: None,
        findings: unmatched::check(&text).1,
    };
    Ok(Some(File {
        name,
        text,
        checked,
    }))
}

/// The name and the text of a file.
fn text_of(path: &Path, bytes_max: usize) -> Result<(String, String), Failed> {
    let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to be told that it is too much.
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX) + 1;
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((path.display().to_string(), text))
}

/// A playbook by its file, or by its name in the library.
pub(super) fn named(word: &str, library: &Path) -> Result<File, Failed> {
    let path = Path::new(word);
    if path.is_file() {
        return read(path);
    }
    let path = library.join(format!("{word}.yaml"));
    if word.contains('/') || !path.is_file() {
        return Err(Failed::new(
            Exit::NotFound,
            "not_found",
            format!("there is no playbook and no word `{word}`"),
            format!(
                "`medic playbook ls --dir {}` lists the library",
                library.display()
            ),
        ));
    }
    read(&path)
}

/// Files themselves, and the playbooks right below directories, by name. A directory without any
/// is an error: an empty selection is a mistake, not a success.
pub(in crate::commands) fn collect(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    for path in paths {
        let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if !found.is_dir() {
            files.push(path.clone());
            continue;
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
    }
    Ok(files)
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
