//! What systemd says: its jobs, and which files a unit is made of.
//!
//! Of files only paths, sizes, ages and hashes are kept: a unit file may have secrets in it.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use hostmedic_model::subject::UnitName;
use hostmedic_observe::bus::{self, SYSTEMD, UNIT, name::unit_path};
use sha2::{Digest as _, Sha256};
use zbus::{Connection, OwnedObjectPath, Proxy, proxy::CacheProperties};

use super::{
    aside::aside,
    found::{Found, ago, size},
    scene::Scene,
};

/// Jobs told.
const JOBS_MAX: usize = 200;
/// Files of one unit.
const FILES_MAX: usize = 64;
/// Bytes hashed of one file; a longer one is no unit file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// One row of `ListJobs`: number, unit, type, state, and the paths of job and unit.
type Job = (
    u32,
    String,
    String,
    String,
    OwnedObjectPath,
    OwnedObjectPath,
);

async fn connect(address: Option<&str>) -> Result<Connection, String> {
    bus::connect(address)
        .await
        .map_err(|error| error.to_string())
}

/// Jobs that run, then those that wait.
pub(super) async fn jobs(address: Option<String>) -> Found {
    Found::of(list(address.as_deref()).await)
}

async fn list(address: Option<&str>) -> Result<Vec<String>, String> {
    let conn = connect(address).await?;
    let say = |error: zbus::Error| format!("cannot list systemd's jobs: {error}");
    let manager = bus::manager(&conn).await.map_err(say)?;
    let mut jobs: Vec<Job> = manager.call("ListJobs", &()).await.map_err(say)?;
    jobs.sort_by_key(|(number, _, _, state, ..)| (state != "running", *number));
    let told = jobs.iter().take(JOBS_MAX);
    let told =
        told.map(|(number, unit, what, state, ..)| format!("{number} {what} {unit}: {state}"));
    let mut lines: Vec<_> = told.collect();
    if JOBS_MAX < jobs.len() {
        lines.push(format!("and {} more", jobs.len() - JOBS_MAX));
    }
    Ok(lines)
}

/// The files that the unit was loaded from, and whether they have changed since.
pub(super) async fn files(address: Option<String>, scene: Arc<Scene>) -> Found {
    let (paths, mut found) = match paths(address.as_deref(), &scene.unit).await {
        Ok(read) => read,
        Err(reason) => return Found::nothing(reason),
    };
    aside(move || {
        for (what, path) in paths.into_iter().take(FILES_MAX) {
            match hash(&scene.below_root(&path)) {
                Ok(told) => found.line(format!("{what} {path}: {told}")),
                Err(error) => found.lacks(format!("{path}: {error}")),
            }
        }
        found
    })
    .await
}

/// What each file is and where it lies, and what systemd says of them all.
async fn paths(
    address: Option<&str>,
    unit: &UnitName,
) -> Result<(Vec<(&'static str, String)>, Found), String> {
    let conn = connect(address).await?;
    let say = |error: zbus::Error| format!("cannot read the files of {unit} from systemd: {error}");
    let proxy: Proxy<'_> = zbus::proxy::Builder::new(&conn)
        .destination(SYSTEMD)
        .path(unit_path(unit))
        .interface(UNIT)
        .cache_properties(CacheProperties::No)
        .build()
        .await
        .map_err(say)?;
    let text = async |name: &str| proxy.get_property::<String>(name).await.map_err(say);
    let mut paths = Vec::new();
    for (what, property) in [("unit file", "FragmentPath"), ("source", "SourcePath")] {
        let path = text(property).await?;
        if !path.is_empty() {
            paths.push((what, path));
        }
    }
    let drop_ins: Vec<String> = proxy.get_property("DropInPaths").await.map_err(say)?;
    paths.extend(drop_ins.into_iter().map(|path| ("drop-in", path)));
    let stale: bool = proxy.get_property("NeedDaemonReload").await.map_err(say)?;
    let mut found = Found::default();
    found.line(format!(
        "{unit}: {}, {}{}",
        text("LoadState").await?,
        match text("UnitFileState").await? {
            state if state.is_empty() => "not to be enabled".to_owned(),
            state => state,
        },
        match stale {
            true => ", changed on disk since it was loaded",
            false => "",
        }
    ));
    Ok((paths, found))
}

/// Size, age and SHA-256 of a file.
fn hash(path: &Path) -> std::io::Result<String> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok("no regular file: masked".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| FILE_BYTES_MAX < len) {
        return Ok(format!("{}, too large for a hash", size(meta.len())));
    }
    let digest = Sha256::digest(&bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let age = ago(meta.modified());
    Ok(format!("{}, changed {age}, sha256 {hex}", size(meta.len())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_hash_and_not_by_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.service");
        std::fs::write(&path, "[Service]\nEnvironment=TOKEN=hunter2\n").unwrap();
        let told = hash(&path).unwrap();
        assert!(told.starts_with("36 B, changed 0"), "{told}");
        assert!(!told.contains("hunter2"));
        let sum = told.split_once("sha256 ").unwrap().1;
        assert_eq!(sum.len(), 64);
        File::create(&path)
            .unwrap()
            .set_len(FILE_BYTES_MAX + 1)
            .unwrap();
        assert_eq!(hash(&path).unwrap(), "1.0 MiB, too large for a hash");
        assert_eq!(
            hash(Path::new("/dev/null")).unwrap(),
            "no regular file: masked"
        );
        assert!(hash(Path::new("/nonexistent")).is_err());
    }

    #[tokio::test]
    async fn a_bus_that_is_not_there_is_named() {
        let nowhere = Some("unix:path=/nonexistent/bus".to_owned());
        let found = jobs(nowhere).await;
        assert!(
            found.lines.is_empty() && found.missing.len() == 1,
            "{found:?}"
        );
    }
}
