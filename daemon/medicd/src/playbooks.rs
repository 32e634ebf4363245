//! Reads the playbook directory. One bad file stops the start: half a library is not what was
//! reviewed.

use std::{fs, path::Path};

use hostmedic_model::playbook::Playbook;
use hostmedic_reason::playbook;

use crate::config::ConfigError;

/// Larger than any sane playbook.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads every `*.yaml` directly in `dir`, by name.
pub(crate) fn read(dir: &Path) -> Result<Vec<Playbook>, ConfigError> {
    let unreadable = |path: &Path, source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| unreadable(dir, source))? {
        let path = entry.map_err(|source| unreadable(dir, source))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut playbooks = Vec::new();
    for path in paths {
        let size = fs::metadata(&path)
            .map_err(|source| unreadable(&path, source))?
            .len();
        if size > FILE_BYTES_MAX {
            return Err(ConfigError::Wrong {
                path,
                reason: format!("{size} bytes are no playbook; at most {FILE_BYTES_MAX}"),
            });
        }
        let text = fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
        playbooks.push(playbook::parse(&path.display().to_string(), &text)?);
    }
    if playbooks.is_empty() {
        return Err(ConfigError::Wrong {
            path: dir.to_owned(),
            reason: "holds no playbook (*.yaml)".to_owned(),
        });
    }
    Ok(playbooks)
}
