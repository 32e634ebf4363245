//! Reads the playbook directory, the incidents that none of it is for, and the host's own drop-ins. One
//! bad file stops the start: half a library is not what was reviewed.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hostmedic_model::playbook::Playbook;
use hostmedic_reason::playbook::{self, FILE_BYTES_MAX, dropin, unmatched};

use crate::config::ConfigError;

/// What the directory holds.
pub(crate) struct Read {
    pub(crate) playbooks: Vec<Playbook>,
    /// Incidents that none of them is for.
    pub(crate) unmatched: Vec<String>,
}

/// Reads every `*.yaml` directly in `dir`, by name, and tightens each by `local/NAME.d/*.yaml`; and what
/// none of them is for.
pub(crate) fn read(dir: &Path, local: &Path) -> Result<Read, ConfigError> {
    let mut playbooks = Vec::new();
    for path in yaml_files(dir)? {
        let text = text_of(&path, FILE_BYTES_MAX)?;
        playbooks.push(playbook::parse(&path.display().to_string(), &text)?);
    }
    if playbooks.is_empty() {
        return Err(ConfigError::Wrong {
            path: dir.to_owned(),
            reason: "holds no playbook (*.yaml)".to_owned(),
        });
    }
    tighten(&mut playbooks, local)?;
    let path = dir.join(unmatched::FILE);
    let unmatched = if path.exists() {
        let text = text_of(&path, unmatched::FILE_BYTES_MAX)?;
        unmatched::parse(&path.display().to_string(), &text)?
    } else {
        Vec::new()
    };
    Ok(Read {
        playbooks,
        unmatched,
    })
}

/// Applies the drop-ins below `local`, which need not exist. One for a playbook that does not exist
/// is an error: somebody believes that it is in force.
fn tighten(playbooks: &mut [Playbook], local: &Path) -> Result<(), ConfigError> {
    if !local.exists() {
        return Ok(());
    }
    for dir in entries(local)? {
        let name = dir.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(|name| name.strip_suffix(".d")) else {
            continue;
        };
        let Some(playbook) = playbooks.iter_mut().find(|known| known.name == name) else {
            let reason = format!("there is no playbook {name} that this could tighten");
            return Err(ConfigError::Wrong { path: dir, reason });
        };
        for path in yaml_files(&dir)? {
            let text = text_of(&path, FILE_BYTES_MAX)?;
            *playbook = dropin::apply(playbook, &path.display().to_string(), &text)?;
        }
    }
    Ok(())
}

fn yaml_files(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut paths = entries(dir)?;
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    Ok(paths)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| unreadable(dir, source))? {
        paths.push(entry.map_err(|source| unreadable(dir, source))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The text of one file, which nobody but its owner may have written.
fn text_of(path: &Path, bytes_max: usize) -> Result<String, ConfigError> {
    let wrong = |reason| ConfigError::Wrong {
        path: path.to_owned(),
        reason,
    };
    let found = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if found.len() > bytes_max as u64 {
        let reason = format!("{} bytes are too many; at most {bytes_max}", found.len());
        return Err(wrong(reason));
    }
    if found.mode() & 0o022 != 0 {
        let reason = "others than its owner may write it; chmod 0644".to_owned();
        return Err(wrong(reason));
    }
    fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: std::io::Error) -> ConfigError {
    ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn library() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let name = "unit-failed-restart.yaml";
        let text = include_str!("../../../playbooks/unit-failed-restart.yaml");
        fs::create_dir_all(dir.path().join("local/unit-failed-restart.d")).unwrap();
        write(&dir.path().join(name), text);
        dir
    }

    /// Writes a file as a package would, whatever the umask is.
    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn wrong(dir: &Path, local: &Path) -> String {
        match read(dir, local) {
            Ok(_) => panic!("{} was read", dir.display()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_no_playbook_is_for_is_read_where_it_is() {
        let dir = library();
        let nowhere = Path::new("/nowhere");
        assert!(read(dir.path(), nowhere).unwrap().unmatched.is_empty());
        let path = dir.path().join("unmatched.jsonl");
        write(&path, "{\"text\": \"the printer has no paper any more\"}\n");
        let found = read(dir.path(), nowhere).unwrap().unmatched;
        assert_eq!(found, ["the printer has no paper any more"]);
        write(&path, "the printer has no paper any more\n");
        let error = wrong(dir.path(), nowhere);
        assert!(error.contains("unmatched.jsonl:1:"), "{error}");
    }

    #[test]
    fn drop_ins_tighten_and_a_stray_one_is_an_error() {
        let dir = library();
        let local = dir.path().join("local");
        let calm = read(dir.path(), &local).unwrap().playbooks;
        let dropin = "apiVersion: v1\nkind: PlaybookDropIn\nlimits: { cooldown: 1h }\n";
        write(&local.join("unit-failed-restart.d/10-calm.yaml"), dropin);
        let calmer = read(dir.path(), &local).unwrap().playbooks;
        assert!(calmer[0].limits.cooldown > calm[0].limits.cooldown);
        fs::create_dir(local.join("no-such-playbook.d")).unwrap();
        let error = wrong(dir.path(), &local);
        assert!(error.contains("no-such-playbook"), "{error}");
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let dir = library();
        let path = dir.path().join("unit-failed-restart.yaml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        let error = wrong(dir.path(), Path::new("/nowhere"));
        assert!(error.contains("chmod 0644"), "{error}");
    }
}
