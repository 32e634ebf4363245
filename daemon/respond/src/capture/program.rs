//! Runs one of a few fixed programs where there is neither a file nor D-Bus to read. No shell, no
//! argument from outside but a unit's checked name and a directory of the configuration.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

/// How long a program may take. A step waits for this, so it is short.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Bytes kept of what it writes: the newest.
pub(super) const OUTPUT_BYTES_MAX: usize = 512 * 1024;

/// What `program` writes.
///
/// # Errors
/// Says why there is nothing: it is not there, failed, or took too long and was killed.
pub(super) async fn output<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Result<Vec<u8>, Failed> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match timeout(WAIT_MAX, run(program, command)).await {
        Ok(result) => result,
        Err(_) => Err(Failed::Otherwise(format!(
            "{program} took longer than {WAIT_MAX:?}"
        ))),
    }
}

/// Why a program gave nothing.
#[derive(Debug)]
pub(super) enum Failed {
    /// It is not installed.
    Absent,
    /// In words.
    Otherwise(String),
}

impl Failed {
    pub(super) fn say(self, program: &str) -> String {
        match self {
            Self::Absent => format!("{program} is not installed"),
            Self::Otherwise(reason) => reason,
        }
    }
}

async fn run(program: &str, mut command: Command) -> Result<Vec<u8>, Failed> {
    let otherwise = |what: &str, error| Failed::Otherwise(format!("{what} {program}: {error}"));
    // Dropped at the deadline, it is killed.
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
        match error.kind() == std::io::ErrorKind::NotFound {
            true => Failed::Absent,
            false => otherwise("cannot run", error),
        }
    })?;
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failed::Otherwise(format!("{program} has no output")));
    };
    let (text, said) = tokio::try_join!(newest(out), newest(err))
        .map_err(|error| otherwise("cannot read from", error))?;
    let status = child.wait().await;
    let status = status.map_err(|error| otherwise("cannot wait for", error))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        let reason = format!("{program} ended with {status}: {}", said.trim());
        return Err(Failed::Otherwise(reason));
    }
    Ok(text)
}

/// The last bytes of a stream.
async fn newest(mut stream: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        kept.extend(chunk.iter().take(count));
        if 2 * OUTPUT_BYTES_MAX < kept.len() {
            kept.drain(..kept.len() - OUTPUT_BYTES_MAX);
        }
    }
    kept.drain(..kept.len().saturating_sub(OUTPUT_BYTES_MAX));
    Ok(kept)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gives_its_output_or_a_reason() {
        assert_eq!(output("echo", ["a", "b"]).await.unwrap(), b"a b\n");
        let absent = output("no-such-program", [""; 0]).await.unwrap_err();
        assert_eq!(absent.say("x"), "x is not installed");
        let failed = output("ls", ["/nonexistent"]).await.unwrap_err();
        assert!(failed.say("ls").contains("ls ended with"));
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_and_named() {
        let began = std::time::Instant::now();
        let hung = output("sleep", ["61.5"]).await.unwrap_err();
        assert!(began.elapsed() < WAIT_MAX + Duration::from_secs(2));
        assert_eq!(hung.say("sleep"), "sleep took longer than 2s");
    }

    #[tokio::test]
    async fn of_an_endless_stream_the_newest_is_kept() {
        let mut long = vec![b'a'; 3 * OUTPUT_BYTES_MAX];
        long.push(b'z');
        let kept = newest(long.as_slice()).await.unwrap();
        assert_eq!(kept.len(), OUTPUT_BYTES_MAX);
        assert_eq!(kept.last(), Some(&b'z'));
    }
}
