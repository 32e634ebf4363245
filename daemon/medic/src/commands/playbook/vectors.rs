//! The library as the matcher knows it, with the vectors of its texts kept in the user's cache folder:
//! making them takes seconds, reading them milliseconds.
//!
//! The cache only saves time. Where it cannot be read or written, or is damaged, the vectors are made
//! anew, and the answer is the same.

use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    num::NonZeroUsize,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process, thread,
};

use hostmedic_embed::{Cache, Model, SHIPPED_SHA256};
use hostmedic_reason::matching::{catalogue::Catalogue, library::Library};

/// With more vectors than this, 16 MB, those of other libraries go.
const VECTORS_MAX: usize = 10_000;
/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Learns the library, with what the user's cache folder has of it.
pub(super) fn catalogue(library: &Library) -> Catalogue {
    let folder = folder(|name| env::var_os(name).map(PathBuf::from)).filter(|dir| is_ours(dir));
    build(library, folder.map(|dir| dir.join("vectors")).as_deref())
}

fn build(library: &Library, path: Option<&Path>) -> Catalogue {
    let model = Model::shipped();
    let mut cache = path
        .and_then(kept)
        .unwrap_or_else(|| Cache::new(SHIPPED_SHA256));
    let before = cache.len();
    let texts = || library.texts();
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    cache.learn(texts(), threads, |new| model.embed_all(new));
    let catalogue = Catalogue::build(library, |text| cache.vector(text, |text| model.embed(text)));
    if cache.len() > before
        && let Some(path) = path
    {
        if cache.len() > VECTORS_MAX {
            cache.retain(texts());
        }
        // Nothing is lost but time.
        _ = keep(path, &cache.encode());
    }
    catalogue
}

/// hostmedic's folder in the user's cache folder (XDG Base Directory Specification); none where the
/// environment names neither it nor a home.
fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let home = || Some(variable("HOME")?.join(".cache"));
    // A relative path is to be taken for none.
    let dir = variable("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
    let dir = dir.or_else(home).filter(|dir| dir.is_absolute())?;
    Some(dir.join("hostmedic"))
}

/// Whether a folder, or what it is to be made in, belongs to who runs this: `sudo` may leave another
/// user's home in the environment, and in their folder everything may be a link to elsewhere.
fn is_ours(folder: &Path) -> bool {
    let owner = |path: &Path| fs::metadata(path).map(|found| found.uid()).ok();
    let stands = folder.ancestors().find_map(owner);
    stands.is_some() && stands == owner(Path::new("/proc/self"))
}

fn kept(path: &Path) -> Option<Cache> {
    let is_short = fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let bytes = is_short.then(|| fs::read(path).ok()).flatten()?;
    Cache::decode(&bytes, SHIPPED_SHA256).ok()
}

/// Writes beside and renames, so that another `medic` reads the old file or the new one.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension(process::id().to_string());
    let mut file = File::create_new(&beside)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_reason::matching::{
        catalogue::{Query, Ranked},
        entry::Entry,
    };

    use super::*;

    fn library() -> Library {
        let entry = |name: &str, summary: &str| Entry {
            name: name.to_owned(),
            summary: summary.to_owned(),
            ..Entry::default()
        };
        Library::from(vec![
            entry("oom", "The kernel killed a service because memory ran out."),
            entry("disk", "A disk reports read errors and may fail soon."),
        ])
    }

    fn asked(path: Option<&Path>) -> Ranked {
        let text = "out of memory, the process was killed";
        let vector = Model::shipped().embed_incident(text);
        build(&library(), path).rank(&Query::plain(text, &vector))
    }

    #[test]
    fn the_answer_is_the_same_with_without_and_with_a_damaged_cache() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not/there/yet/vectors");
        let without = asked(None);
        assert_eq!(without.matches[0].playbook, "oom");
        assert_eq!(asked(Some(&path)), without);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(asked(Some(&path)), without, "read");
        assert_eq!(
            fs::read(&path).unwrap(),
            bytes,
            "nothing new, nothing written"
        );
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(asked(Some(&path)), without, "damaged");
        assert_eq!(fs::read(&path).unwrap(), bytes, "made anew");
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
        // A folder stands where the file should be.
        assert_eq!(asked(Some(dir.path())), without);
    }

    #[test]
    fn the_folder_of_another_user_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_ours(dir.path()) && is_ours(&dir.path().join("to/be/made")));
        // Whoever runs this test, one of these belongs to somebody else or is not there.
        let nobody = dir.path().join("nobody");
        fs::create_dir(&nobody).unwrap();
        if std::os::unix::fs::chown(&nobody, Some(65_534), None).is_ok() {
            assert!(!is_ours(&nobody) && !is_ours(&nobody.join("x")));
        } else {
            assert!(!is_ours(Path::new("/")));
        }
    }

    #[test]
    fn the_cache_lies_where_the_user_wants_it() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            folder(|name| match name {
                "XDG_CACHE_HOME" => xdg.map(PathBuf::from),
                _ => home.map(PathBuf::from),
            })
        };
        let at = |path: &str| Some(PathBuf::from(path));
        assert_eq!(of(Some("/c"), Some("/u/a")), at("/c/hostmedic"));
        assert_eq!(of(None, Some("/u/a")), at("/u/a/.cache/hostmedic"));
        assert_eq!(of(Some("c"), Some("/v")), at("/v/.cache/hostmedic"));
        assert_eq!(of(Some(""), Some("")), None);
        assert_eq!(of(None, None), None);
    }
}
