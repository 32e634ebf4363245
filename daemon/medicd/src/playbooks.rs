//! Reads the playbook directory and the host's own drop-ins. One bad file stops the start: half a
//! library is not what was reviewed.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hostmedic_model::playbook::Playbook;
use hostmedic_reason::playbook::{self, FILE_BYTES_MAX, dropin};

use crate::config::ConfigError;

/// Reads every `*.yaml` directly in `dir`, by name, and tightens each by `local/NAME.d/*.yaml`.
pub(crate) fn read(dir: &Path, local: &Path) -> Result<Vec<Playbook>, ConfigError> {
    let mut playbooks = Vec::new();
    for path in yaml_files(dir)? {
        let text = text_of(&path)?;
        playbooks.push(playbook::parse(&path.display().to_string(), &text)?);
    }
    if playbooks.is_empty() {
        return Err(ConfigError::Wrong {
            path: dir.to_owned(),
            reason: "holds no playbook (*.yaml)".to_owned(),
        });
    }
    tighten(&mut playbooks, local)?;
    Ok(playbooks)
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
            let text = text_of(&path)?;
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
fn text_of(path: &Path) -> Result<String, ConfigError> {
    let wrong = |reason| ConfigError::Wrong {
        path: path.to_owned(),
        reason,
    };
    let found = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if found.len() > FILE_BYTES_MAX as u64 {
        let reason = format!(
            "{} bytes are no playbook; at most {FILE_BYTES_MAX}",
            found.len()
        );
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

    #[test]
    fn drop_ins_tighten_and_a_stray_one_is_an_error() {
        let dir = library();
        let local = dir.path().join("local");
        let calm = read(dir.path(), &local).unwrap();
        let dropin = "apiVersion: v1\nkind: PlaybookDropIn\nlimits: { cooldown: 1h }\n";
        write(&local.join("unit-failed-restart.d/10-calm.yaml"), dropin);
        let calmer = read(dir.path(), &local).unwrap();
        assert!(calmer[0].limits.cooldown > calm[0].limits.cooldown);
        fs::create_dir(local.join("no-such-playbook.d")).unwrap();
        let error = read(dir.path(), &local).unwrap_err().to_string();
        assert!(error.contains("no-such-playbook"), "{error}");
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let dir = library();
        let path = dir.path().join("unit-failed-restart.yaml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        let error = read(dir.path(), Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("chmod 0644"), "{error}");
    }
}
