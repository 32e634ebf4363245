//! A mount that really becomes read-only is told, and one that always was is not.
//!
//! Needs root: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, path::Path};

use hostmedic_model::{
    signal::{Fact, MountReadOnly, Signal},
    subject::Subject,
};
use hostmedic_observe::{
    host::{HostSignals, PressureOptions, WatchOptions},
    subject::Subjects,
};
use hostmedic_tests::host::wait_for;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tokio::sync::mpsc::{Receiver, channel, error::TryRecvError};

const NONE: Option<&str> = None;

struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(point: &'a Path, flags: MsFlags) -> Self {
        fs::create_dir(point).unwrap();
        mount(Some("tmpfs"), point, Some("tmpfs"), flags, Some("size=1M")).unwrap();
        Self(point)
    }

    fn bind(from: &Path, point: &'a Path) -> Self {
        fs::create_dir(point).unwrap();
        mount(Some(from), point, NONE, MsFlags::MS_BIND, NONE).unwrap();
        Self(point)
    }

    fn remount(&self, flags: MsFlags) {
        mount(NONE, self.0, NONE, MsFlags::MS_REMOUNT | flags, NONE).unwrap();
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        umount2(self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

/// The next change of a mount below `dir`.
fn next(signals: &mut Receiver<Signal>, dir: &Path) -> (String, MountReadOnly) {
    wait_for("the change of a mount", || {
        loop {
            let signal = match signals.try_recv() {
                Ok(signal) => signal,
                Err(TryRecvError::Empty) => return None,
                Err(error) => panic!("{error}"),
            };
            if let (Subject::Mount(point), Fact::MountReadOnly(fact)) =
                (signal.subject, signal.fact)
                && Path::new(&point).starts_with(dir)
            {
                return Some((point, fact));
            }
        }
    })
}

/// Goal: the kernel's own wake-up brings each change, once, with the right extent.
/// Method: tmpfs with a space in its name and a bind mount of it, in the daemon's namespace.
#[test]
fn a_remount_is_told_with_its_extent() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, bound, sealed) = (
        dir.path().join("a b"),
        dir.path().join("bound mount"),
        dir.path().join("sealed"),
    );
    let own = Mounted::tmpfs(&whole, MsFlags::empty());
    let bind = Mounted::bind(&whole, &bound);

    let mut host = HostSignals::new(Subjects::new());
    let (queue, mut signals) = channel(16);
    let options = WatchOptions {
        pressure: PressureOptions {
            host: Vec::new(),
            units: Vec::new(),
            ..PressureOptions::default()
        },
        ..WatchOptions::default()
    };
    host.watch(options, queue).unwrap();

    let _sealed = Mounted::tmpfs(&sealed, MsFlags::MS_RDONLY);
    bind.remount(MsFlags::MS_BIND | MsFlags::MS_RDONLY);
    let (point, fact) = next(&mut signals, dir.path());
    assert_eq!(
        (point.as_str(), fact.whole),
        (bound.to_str().unwrap(), false)
    );

    own.remount(MsFlags::MS_RDONLY);
    let (point, fact) = next(&mut signals, dir.path());
    assert_eq!(
        (point.as_str(), fact.whole),
        (whole.to_str().unwrap(), true)
    );
    assert_eq!(fact.filesystem, "tmpfs");
    assert_eq!(fact.device.major, 0, "{fact:?}");
    assert_eq!(host.dropped(), 0);
}
