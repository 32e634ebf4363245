//! The socket file: made whole before anybody can see it, taken over only from the dead.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    os::unix::net::UnixStream as StdUnixStream,
    path::{Path, PathBuf},
};

use nix::unistd::{Group, chown};
use tokio::net::UnixListener;

/// Where the socket is and who may connect to it.
///
/// The file's mode only keeps strangers from taking connections; what a peer may do is decided
/// by its credentials at each request.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// Path of the socket, at most 107 bytes (unix(7)). Its directory must exist.
    pub path: PathBuf,
    /// Mode of the file.
    pub mode: u32,
    /// Group of the file; `None` leaves it to the directory and the daemon's own group.
    pub group: Option<String>,
}

impl SocketOptions {
    /// Owner and group may connect.
    pub const MODE: u32 = 0o660;

    /// A socket at `path` with [`Self::MODE`] and the daemon's own group.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            mode: Self::MODE,
            group: None,
        }
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error("cannot listen on {path}: another medicd answers there; see `systemctl status medicd`")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else is in the way, and is left alone.
    #[error("cannot listen on {path}: a file that is no socket is there; move it away")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The group of the file does not exist.
    #[error(
        "cannot give {path} to group {group}: this host has no such group; see systemd/sysusers"
    )]
    NoSuchGroup {
        /// The path.
        path: PathBuf,
        /// The group.
        group: String,
    },
    /// The system said no.
    #[error("cannot {tried} {path}")]
    Io {
        /// What was tried.
        tried: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SocketError {
    fn io(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            tried,
            path,
            source,
        }
    }
}

/// A listening socket; its file goes away with it, if it is still this one's.
#[derive(Debug)]
pub struct BoundSocket {
    /// Listens.
    pub(crate) listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl BoundSocket {
    /// Listens at `options.path`.
    ///
    /// A file left by a dead daemon is replaced; a live one is not. The socket gets its mode and
    /// group under another name and is then renamed, so nobody meets it half made.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind(options: &SocketOptions) -> Result<Self, SocketError> {
        let path = &options.path;
        check_free(path)?;
        let mut staged = path.clone().into_os_string();
        staged.push(format!(".{}", std::process::id()));
        let staged = PathBuf::from(staged);
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SocketError::io("remove", &staged)(error));
            }
            _ => {}
        }
        let listener =
            UnixListener::bind(&staged).map_err(SocketError::io("listen on", &staged))?;
        let finished = finish(&staged, options);
        if finished.is_err() {
            // The error that stopped us tells more than one about the leftover would.
            let _ = fs::remove_file(&staged);
        }
        let inode = finished?;
        Ok(Self {
            listener,
            path: path.clone(),
            inode,
        })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "Could not remove the socket.");
        }
    }
}

/// Sets mode and group, then gives the socket its name. Returns its inode.
fn finish(staged: &Path, options: &SocketOptions) -> Result<u64, SocketError> {
    let path = &options.path;
    if let Some(name) = &options.group {
        let group = Group::from_name(name)
            .map_err(|error| SocketError::io("look up the group of", path)(error.into()))?
            .ok_or_else(|| SocketError::NoSuchGroup {
                path: path.clone(),
                group: name.clone(),
            })?;
        chown(staged, None, Some(group.gid))
            .map_err(|error| SocketError::io("change the group of", path)(error.into()))?;
    }
    fs::set_permissions(staged, fs::Permissions::from_mode(options.mode))
        .map_err(SocketError::io("change the mode of", path))?;
    let file = fs::symlink_metadata(staged).map_err(SocketError::io("look at", staged))?;
    fs::rename(staged, path).map_err(SocketError::io("name the socket", path))?;
    Ok(file.ino())
}

/// Whether the path may be taken: nothing there, or a socket that nobody listens on.
fn check_free(path: &Path) -> Result<(), SocketError> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketError::io("look at", path)(error)),
    };
    if !file.file_type().is_socket() {
        return Err(SocketError::NotASocket {
            path: path.to_owned(),
        });
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse {
            path: path.to_owned(),
        }),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(SocketError::io("try whether anybody answers on", path)(
            error,
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    #[tokio::test]
    async fn socket_has_its_mode_and_goes_with_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("medicd.sock");
        let bound = BoundSocket::bind(&SocketOptions::at(&path)).unwrap();
        let mode = fs::metadata(bound.path()).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o660);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn living_daemon_keeps_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let options = SocketOptions::at(dir.path().join("medicd.sock"));
        let first = BoundSocket::bind(&options).unwrap();
        let second = BoundSocket::bind(&options).unwrap_err();
        assert!(matches!(second, SocketError::InUse { .. }), "{second}");
        StdUnixStream::connect(first.path()).unwrap();
    }

    #[tokio::test]
    async fn dead_daemons_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("medicd.sock");
        // std leaves the file behind, as a killed daemon does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let bound = BoundSocket::bind(&SocketOptions::at(&path)).unwrap();
        StdUnixStream::connect(bound.path()).unwrap();
    }

    #[tokio::test]
    async fn other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("medicd.sock");
        fs::write(&path, "precious").unwrap();
        let error = BoundSocket::bind(&SocketOptions::at(&path)).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn missing_group_and_directory_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = SocketOptions::at(dir.path().join("medicd.sock"));
        options.group = Some("no-such-group-here".to_owned());
        let error = BoundSocket::bind(&options).unwrap_err().to_string();
        assert!(error.contains("no-such-group-here"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let options = SocketOptions::at(dir.path().join("missing/medicd.sock"));
        let error = BoundSocket::bind(&options).unwrap_err().to_string();
        assert!(error.contains("missing/medicd.sock"), "{error}");
    }

    /// A socket that another daemon has put there meanwhile is not ours to remove.
    #[tokio::test]
    async fn successor_keeps_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("medicd.sock");
        let first = BoundSocket::bind(&SocketOptions::at(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        let second = BoundSocket::bind(&SocketOptions::at(&path)).unwrap();
        drop(first);
        StdUnixStream::connect(second.path()).unwrap();
    }
}
