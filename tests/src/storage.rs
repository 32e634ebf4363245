//! Disks and file systems that a test makes and breaks; all are taken down when dropped, also by
//! a panic.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use nix::sys::stat::{major, minor};

/// Runs a program and gives its standard output, trimmed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = attempt(program, arguments);
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?} ended with {}: {stdout} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

/// Runs a program that may fail.
pub fn attempt(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    // Its errors are read, in English.
    command.args(arguments).env("LC_ALL", "C");
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|e| panic!("cannot run {program}: {e}"))
}

/// Loads a module where it is one and not there yet.
pub fn need_module(module: &str) {
    if !Path::new("/sys/module").join(module).exists() {
        // Built in without parameters it has no directory, and modprobe may not exist.
        let _ = Command::new("modprobe")
            .args(["--quiet", module])
            .stderr(Stdio::null())
            .status();
    }
}

/// Tries something that the kernel refuses while it is busy, for a second.
fn patiently(program: &str, arguments: &[&str]) {
    for _ in 0..20 {
        if attempt(program, arguments).status.success() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    eprintln!("cannot clean up: {program} {arguments:?}");
}

/// A mounted file system.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts `source` at the new directory `point`.
    pub fn new(kind: &str, options: &str, source: &str, point: &Path) -> Self {
        fs::create_dir(point).unwrap();
        let to = point.to_str().unwrap();
        run("mount", &["-t", kind, "-o", options, source, to]);
        Self(point.to_owned())
    }

    /// A tmpfs of `mib` MiB.
    pub fn tmpfs(mib: u32, point: &Path) -> Self {
        Self::new("tmpfs", &format!("size={mib}m"), "hostmedic-test", point)
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file until there is no room left.
    pub fn fill(&self) {
        let mut file = File::create(self.0.join("filling")).unwrap();
        for block in [vec![1; 1 << 16], vec![1; 1 << 12]] {
            while file.write_all(&block).is_ok() {}
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        patiently("umount", &[self.0.to_str().unwrap()]);
    }
}

/// A block device over a file.
pub struct Loop(PathBuf);

impl Loop {
    /// Over `file`; `direct` goes around the page cache below.
    pub fn new(file: &Path, direct: bool) -> Self {
        need_module("loop");
        let below = if direct { "on" } else { "off" };
        let below = format!("--direct-io={below}");
        let file = file.to_str().unwrap();
        Self(run("losetup", &["--find", "--show", &below, file]).into())
    }

    /// Over a new file of `mib` MiB that takes no room yet.
    pub fn sparse(file: &Path, mib: u64) -> Self {
        File::create(file).unwrap().set_len(mib << 20).unwrap();
        Self::new(file, false)
    }

    /// Its path in `/dev`.
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.path().strip_prefix("/dev/").unwrap()
    }

    /// Major and minor number.
    pub fn numbers(&self) -> (u32, u32) {
        numbers_of(&self.0)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        patiently("losetup", &["--detach", self.path()]);
    }
}

/// Major and minor number of the device that the special file `path` stands for.
pub fn numbers_of(path: &Path) -> (u32, u32) {
    let number = fs::metadata(path).unwrap().rdev();
    (
        major(number).try_into().unwrap(),
        minor(number).try_into().unwrap(),
    )
}

/// Reads or writes one block of 4096 bytes of a device with dd(1), around the page cache.
pub fn direct_block(device: &str, block: u64, writes: bool) -> Output {
    let device = |side| format!("{side}={device}");
    let at = if writes { "seek" } else { "skip" };
    let at = format!("{at}={block}");
    let words = match writes {
        true => ["if=/dev/zero", &device("of"), "oflag=direct"].map(str::to_owned),
        false => [&device("if"), "of=/dev/null", "iflag=direct"].map(str::to_owned),
    };
    let mut arguments = vec!["bs=4096", "count=1", at.as_str()];
    arguments.extend(words.iter().map(String::as_str));
    attempt("dd", &arguments)
}

/// The word of errno(3) that a program which failed gave as its reason.
pub fn reason(output: &Output) -> &'static str {
    let said = String::from_utf8_lossy(&output.stderr);
    let words = [
        ("No space left on device", "ENOSPC"),
        ("Input/output error", "EIO"),
    ];
    let found = words.iter().find(|(text, _)| said.contains(text));
    found.unwrap_or_else(|| panic!("another reason: {said}")).1
}

/// A file of the kernel's with another value, until dropped.
pub struct Setting {
    path: PathBuf,
    before: String,
}

impl Setting {
    /// Writes `value`; `None` if there is no such file.
    pub fn change(path: &str, value: &str) -> Option<Self> {
        let before = fs::read_to_string(path).ok()?;
        fs::write(path, value).unwrap_or_else(|e| panic!("cannot write {path}: {e}"));
        Some(Self {
            path: path.into(),
            before,
        })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, self.before.trim()) {
            eprintln!("cannot restore {:?}: {error}", self.path);
        }
    }
}

/// A frozen file system: who writes waits, and cannot be killed.
pub struct Frozen(PathBuf);

impl Frozen {
    /// Freezes what is mounted at `point`.
    pub fn new(point: &Path) -> Self {
        run("fsfreeze", &["--freeze", point.to_str().unwrap()]);
        Self(point.to_owned())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        patiently("fsfreeze", &["--unfreeze", self.0.to_str().unwrap()]);
    }
}
