//! `medic detect`: the shipped detectors as a pipe. What is printed for a row depends on that row and
//! those before it, so a file that is cut short gives the same rows up to the cut.

mod rows;

use std::{
    io::{self, Write},
    time::Duration,
};

use hostmedic_reason::detect::{host::HostDetector, series::SeriesDetector};

use self::rows::{Row, Rows};
use crate::{
    cli::Detect,
    exit::{Exit, Failed},
};

/// Metrics that a row blames, at most.
const BLAMED_MAX: usize = 10;
/// Taken for the interval of a series of one row.
const INTERVAL: Duration = Duration::from_secs(300);

/// Reads standard input to its end.
pub(crate) fn run(wanted: &Detect) -> Result<Exit, Failed> {
    let (input, out) = (io::stdin().lock(), io::stdout().lock());
    let ended = match wanted {
        Detect::Series { interval } => series(Rows::of_series(input)?, *interval, out),
        Detect::Host { interval } => host(Rows::of_host(input)?, *interval, out),
    };
    match ended {
        // Whoever read it has seen enough.
        Err(Ended::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Err(Ended::Write(error)) => Err(Failed::internal(format!("cannot print a row: {error}"))),
        Err(Ended::Read(failed)) => Err(failed),
        Ok(()) => Ok(Exit::Ok),
    }
}

/// Why it ended before the input did.
enum Ended {
    Read(Failed),
    Write(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        Self::Read(failed)
    }
}

fn series(
    rows: Rows<impl io::Read>,
    interval: Option<Duration>,
    mut out: impl Write,
) -> Result<(), Ended> {
    writeln!(out, "timestamp,value,anomaly_score,notified")?;
    let mut rows = rows.peekable();
    let Some(first) = rows.next() else {
        return Ok(());
    };
    let first = first?;
    // Nothing can be said of a first row, whatever comes after it.
    let after = rows.peek().and_then(|row| row.as_ref().ok());
    let interval = interval
        .or_else(|| after.and_then(|after| between(&first, after)))
        .unwrap_or(INTERVAL);
    let mut detector = SeriesDetector::new(interval);
    for row in std::iter::once(Ok(first)).chain(rows) {
        let row = row?;
        let value = row.values.first().copied().flatten();
        let score = detector.observe(row.wall_s, value);
        let [timestamp, text] = row.printed;
        let (anomaly, notified) = (score.anomaly, u8::from(score.notify));
        writeln!(out, "{timestamp},{text},{anomaly},{notified}")?;
    }
    Ok(())
}

fn between(first: &Row, second: &Row) -> Option<Duration> {
    let seconds = second.wall_s.checked_sub(first.wall_s)?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

fn host(
    mut rows: Rows<impl io::Read>,
    interval: Duration,
    mut out: impl Write,
) -> Result<(), Ended> {
    writeln!(out, "score,notified,blame")?;
    rows.apart(interval);
    let names = rows.metrics().to_vec();
    let mut detector = HostDetector::new(names.len(), interval);
    for row in rows {
        let row = row?;
        let score = detector.observe(row.wall_s, &row.values);
        let blame: Vec<_> = detector
            .blame(BLAMED_MAX)
            .into_iter()
            .filter_map(|blame| names.get(blame.metric).map(String::as_str))
            .collect();
        let (anomaly, notified) = (score.anomaly, u8::from(score.notify));
        writeln!(out, "{anomaly},{notified},{}", blame.join(";"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::fmt::Write as _;

    use super::*;

    fn of_series(text: &str) -> String {
        let mut out = Vec::new();
        let rows = Rows::of_series(text.as_bytes()).unwrap();
        assert!(series(rows, None, &mut out).is_ok());
        String::from_utf8(out).unwrap()
    }

    fn of_host(text: &str) -> String {
        let mut out = Vec::new();
        let rows = Rows::of_host(text.as_bytes()).unwrap();
        assert!(host(rows, Duration::from_secs(60), &mut out).is_ok());
        String::from_utf8(out).unwrap()
    }

    /// Some days with a wave, noise, a gap and a jump.
    fn wave(rows: u32) -> String {
        let mut text = "timestamp,value\n".to_owned();
        for row in 0..rows {
            let noise = f64::from(row.wrapping_mul(2_654_435_761) >> 16 & 0xff) / 64.0;
            let value = 50.0 + 20.0 * (f64::from(row) / 45.0).sin() + noise;
            match row {
                700..710 => writeln!(text, "{},", 1_700_000_000 + row * 300).unwrap(),
                1500..1510 => writeln!(text, "{},400", 1_700_000_000 + row * 300).unwrap(),
                _ => writeln!(text, "{},{value:.3}", 1_700_000_000 + row * 300).unwrap(),
            }
        }
        text
    }

    #[test]
    fn a_series_that_is_cut_short_gives_the_same_rows() {
        let whole = wave(2000);
        let scored = of_series(&whole);
        assert!(
            scored.lines().any(|line| line.ends_with(",1")),
            "nothing notified"
        );
        for cut in [1, 2, 3, 700, 705, 1501, 1999] {
            let head: String = whole.split_inclusive('\n').take(cut + 1).collect();
            let expected: String = scored.split_inclusive('\n').take(cut + 1).collect();
            assert_eq!(of_series(&head), expected, "cut at row {cut}");
        }
    }

    #[test]
    fn a_host_that_is_cut_short_gives_the_same_rows() {
        let mut whole = "cpu,memory,\"disk, root\"\n".to_owned();
        for row in 0..4000_u32 {
            let noise = f64::from(row.wrapping_mul(2_654_435_761) >> 16 & 0xff) / 256.0;
            let disk = if row > 3000 { 90.0 } else { 10.0 + noise };
            writeln!(whole, "{},{},{disk}", 5.0 + noise, 7.0 - noise).unwrap();
        }
        let scored = of_host(&whole);
        for cut in [1, 2, 2999, 3002, 3999] {
            let head: String = whole.split_inclusive('\n').take(cut + 1).collect();
            let expected: String = scored.split_inclusive('\n').take(cut + 1).collect();
            assert_eq!(of_host(&head), expected, "cut at row {cut}");
        }
        let jump = scored.lines().nth(3002).unwrap();
        assert!(jump.contains("disk, root"), "{jump}");
    }
}
