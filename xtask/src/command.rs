//! Running other programs: shown before, bounded in time, stopped on Ctrl-C, errors that say
//! what to do.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead as _, BufReader},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Set once Ctrl-C (or SIGTERM) came; every wait looks at it.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Process groups of running children, to be stopped with us.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Turns Ctrl-C into an error at the next wait, so that everything is taken down in order.
pub(crate) fn watch_for_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            return;
        }
        eprintln!("\ninterrupted: cleaning up");
        for group in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = killpg(Pid::from_raw(*group), Signal::SIGTERM);
        }
    })
    .context("cannot watch for Ctrl-C")
}

/// Fails once Ctrl-C came.
pub(crate) fn check_interrupt() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::SeqCst), "interrupted");
    Ok(())
}

/// `cargo`, free of what the cargo that runs us put into the environment: a nested cargo would
/// take it for the user's wish and build with other flags than a direct one.
pub(crate) fn cargo() -> Command {
    without_outer_cargo("cargo")
}

/// A program with the same care as [`cargo`].
pub(crate) fn without_outer_cargo(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let inherited = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if inherited.iter().any(|prefix| name.starts_with(prefix))
            || matches!(
                name,
                "CARGO" | "RUSTC" | "RUSTDOC" | "RUSTUP_TOOLCHAIN" | "OUT_DIR"
            )
        {
            command.env_remove(name);
        }
    }
    if let Some(paths) = env::var_os("LD_LIBRARY_PATH") {
        // cargo run puts the target directory and the toolchain's libraries in front.
        let kept: Vec<_> = env::split_paths(&paths)
            .filter(|path| {
                let path = path.to_string_lossy();
                !path.contains("/debug") && !path.contains("/toolchains/")
            })
            .collect();
        match env::join_paths(&kept) {
            Ok(kept) if !kept.is_empty() => command.env("LD_LIBRARY_PATH", kept),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    command
}

/// Whether a program is on the PATH.
pub(crate) fn exists(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|paths| {
        env::split_paths(&paths)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .any(|dir| dir.join(program).is_file())
    })
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    let mut child = spawn(command)?;
    let status = wait(&mut child, None)?;
    ensure!(status.success(), "`{line}` ended with {}", words_of(status));
    Ok(())
}

/// Runs a command and gives its standard output, trimmed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}` ended with {}: {}",
        words_of(output.status),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command, passes each line of both its outputs to `line` and then shows it.
///
/// # Errors
/// Fails if it cannot be run, or is stopped because it took longer than `limit`.
pub(crate) fn run_lines(
    command: &mut Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let text = shown(command);
    // One pipe for both, so that lines keep their order.
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command
        .stdout(writer.try_clone().context("cannot share a pipe")?)
        .stderr(writer);
    let mut child = spawn(command)?;
    // The command holds the pipe's other end; without it the reader sees the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (lines, received) = std::sync::mpsc::channel();
    let reading = thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while matches!(reader.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if lines.send(text).is_err() {
                return;
            }
            bytes.clear();
        }
    });
    let started = Instant::now();
    let status = loop {
        while let Ok(text) = received.recv_timeout(Duration::from_millis(100)) {
            println!("{text}");
            line(&text);
        }
        match wait(&mut child, Some(Duration::ZERO)) {
            Ok(status) => break Ok(status),
            Err(error) if check_interrupt().is_err() => break Err(error),
            Err(_) if started.elapsed() > limit => {
                stop(&mut child);
                break Err(anyhow::anyhow!(
                    "`{text}` took longer than {limit:?} and was stopped"
                ));
            }
            Err(_) => {}
        }
    };
    // A grandchild that outlives the child may hold the pipe; do not wait for it.
    for _ in 0..20 {
        while let Ok(text) = received.try_recv() {
            println!("{text}");
            line(&text);
        }
        if reading.is_finished() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    status
}

/// Starts a command in a process group of its own, to be stopped as one.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    check_interrupt()?;
    let line = shown(command);
    let child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run `{line}`"))?;
    if let Ok(group) = i32::try_from(child.id()) {
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(group);
    }
    Ok(child)
}

/// Waits for a child, at most `limit`.
pub(crate) fn wait(child: &mut Child, limit: Option<Duration>) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            forget(child);
            check_interrupt()?;
            return Ok(status);
        }
        if check_interrupt().is_err() {
            stop(child);
            bail!("interrupted");
        }
        if limit.is_some_and(|limit| started.elapsed() >= limit) {
            bail!("still running");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a child and its group: first asked, then killed.
pub(crate) fn stop(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let group = Pid::from_raw(group);
        let _ = killpg(group, Signal::SIGTERM);
        for _ in 0..100 {
            if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = killpg(group, Signal::SIGKILL);
    }
    let _ = child.wait();
    forget(child);
}

fn forget(child: &Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&group);
    }
}

fn words_of(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
