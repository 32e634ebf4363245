//! When tasks of a unit or of the host waited too long for memory, disk or CPU.
//!
//! The kernel wakes us: a trigger (`some 150000 1000000` and poll(2) for `POLLPRI`) costs nothing
//! while there is no pressure. Source: Documentation/accounting/psi.rst. A trigger needs
//! `CAP_SYS_RESOURCE` and a kernel thread for each cgroup; since Linux 6.4 whoever may write the
//! file may have one whose window is a multiple of two seconds, which is why the defaults use such
//! windows. Where the kernel refuses, the total is read once a window instead and that is said.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use hostmedic_model::{
    signal::{Fact, Pressure, PressureOf, Signal},
    subject::Subject,
    time::At,
};
use nix::libc::O_NONBLOCK;

/// How much waiting in how much time is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// What the tasks wait for.
    pub of: PressureOf,
    /// Whether all of them must wait at once, not only some.
    pub is_full: bool,
    /// Time spent waiting, in microseconds ...
    pub stalled_us: u64,
    /// ... within a window of this length; the kernel takes at most 10 s.
    pub window_us: u64,
}

/// What is watched for pressure.
#[derive(Clone, Debug)]
pub struct PressureOptions {
    /// Thresholds of the host as a whole.
    pub host: Vec<Threshold>,
    /// Thresholds of each unit.
    pub units: Vec<Threshold>,
    /// Units watched at most; each costs a kernel thread.
    pub units_max: usize,
    /// One subject is told of one resource at most this often.
    pub quiet: Duration,
}

impl Default for PressureOptions {
    /// Memory: a tenth of the time in which *nothing* moved. systemd asks services to give memory
    /// back at the same share of `some` (`DefaultMemoryPressureThresholdSec=`, 200 ms in 2 s);
    /// systemd-oomd kills at 60 % of `full` over 30 s, so this comes well before. Disk: half of
    /// the time in which nothing moved; a backup alone keeps some task waiting. CPU: nine tenths,
    /// because on a busy host some task always waits a little; for the host there is no `full`.
    fn default() -> Self {
        let threshold = |of, is_full, stalled_us| Threshold {
            of,
            is_full,
            stalled_us,
            window_us: 2_000_000,
        };
        let memory = threshold(PressureOf::Memory, true, 200_000);
        Self {
            host: vec![
                memory,
                threshold(PressureOf::Io, true, 1_000_000),
                threshold(PressureOf::Cpu, false, 1_800_000),
            ],
            units: vec![memory],
            units_max: 128,
            quiet: Duration::from_secs(10),
        }
    }
}

impl Threshold {
    /// What is written to the pressure file.
    fn trigger(self) -> String {
        let who = if self.is_full { "full" } else { "some" };
        format!("{who} {} {}", self.stalled_us, self.window_us)
    }

    /// The pressure file's name, without what a cgroup appends.
    pub(super) fn file(self) -> &'static str {
        match self.of {
            PressureOf::Memory => "memory",
            PressureOf::Io => "io",
            PressureOf::Cpu => "cpu",
        }
    }

    /// Whether `stalled_us` within `window_us` is at least the threshold's share.
    fn is_met(self, stalled_us: u64, window_us: u64) -> bool {
        let product = |one: u64, two: u64| u128::from(one) * u128::from(two);
        stalled_us > 0 && product(stalled_us, self.window_us) >= product(self.stalled_us, window_us)
    }
}

/// One threshold of one subject.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) subject: Subject,
    threshold: Threshold,
    how: How,
}

#[derive(Debug)]
enum How {
    /// The kernel wakes us through this file.
    Triggered(File),
    /// We read the total from this path; the last reading was at that moment.
    Polled(PathBuf, Option<(At, u64)>),
}

impl Watched {
    /// Sets a trigger on `path`; or if the kernel refuses but lets us read, polls, and says why.
    ///
    /// # Errors
    /// Says why there is neither.
    pub(super) fn open(
        subject: Subject,
        threshold: Threshold,
        path: &Path,
    ) -> Result<(Self, Option<String>), String> {
        let (how, refused) = match trigger(path, threshold) {
            Ok(file) => (How::Triggered(file), None),
            Err(error) => {
                let reason = refusal(&error);
                match read_total(path, threshold) {
                    Ok(_) => (How::Polled(path.to_owned(), None), Some(reason)),
                    Err(_) => return Err(reason),
                }
            }
        };
        let watched = Self {
            subject,
            threshold,
            how,
        };
        Ok((watched, refused))
    }

    /// The file to poll for `POLLPRI`. `POLLERR` on it means that the cgroup is gone.
    pub(super) fn trigger(&self) -> Option<&File> {
        match &self.how {
            How::Triggered(file) => Some(file),
            How::Polled(..) => None,
        }
    }

    /// The signal of a trigger that fired.
    pub(super) fn fired(&self, at: At) -> Signal {
        self.signal(at, self.threshold.stalled_us, self.threshold.window_us)
    }

    /// Reads the total if there is no trigger and a window has passed.
    ///
    /// # Errors
    /// Fails if the file is gone.
    pub(super) fn look(&mut self, at: At) -> io::Result<Option<Signal>> {
        let How::Polled(path, last) = &mut self.how else {
            return Ok(None);
        };
        let window = Duration::from_micros(self.threshold.window_us);
        if last.is_some_and(|(then, _)| at.since(then) < window) {
            return Ok(None);
        }
        let total_us = read_total(path, self.threshold)?;
        let Some((then, total_before_us)) = last.replace((at, total_us)) else {
            return Ok(None);
        };
        let window_us = u64::try_from(at.since(then).as_micros()).unwrap_or(u64::MAX);
        let stalled_us = total_us.saturating_sub(total_before_us);
        let is_met = self.threshold.is_met(stalled_us, window_us);
        Ok(is_met.then(|| self.signal(at, stalled_us, window_us)))
    }

    fn signal(&self, at: At, stalled_us: u64, window_us: u64) -> Signal {
        Signal {
            at,
            subject: self.subject.clone(),
            fact: Fact::Pressure(Pressure {
                of: self.threshold.of,
                full: self.threshold.is_full,
                stalled_us,
                window_us,
            }),
        }
    }
}

/// Lets one signal of a subject and resource through in each span.
#[derive(Debug)]
pub(super) struct Quiet {
    span: Duration,
    last: BTreeMap<(Subject, PressureOf), At>,
}

impl Quiet {
    pub(super) const fn new(span: Duration) -> Self {
        Self {
            span,
            last: BTreeMap::new(),
        }
    }

    /// Whether `signal` may be told.
    pub(super) fn lets(&mut self, signal: &Signal) -> bool {
        let Fact::Pressure(pressure) = &signal.fact else {
            return true;
        };
        // What is past its span no longer matters, so this stays as small as the watched are many.
        self.last
            .retain(|_, then| signal.at.since(*then) < self.span);
        let key = (signal.subject.clone(), pressure.of);
        if self.last.contains_key(&key) {
            return false;
        }
        self.last.insert(key, signal.at);
        true
    }
}

fn trigger(path: &Path, threshold: Threshold) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).custom_flags(O_NONBLOCK);
    let mut file = options.open(path)?;
    // The kernel reads the whole trigger from one write, and cuts off its last byte.
    file.write_all(format!("{}\0", threshold.trigger()).as_bytes())?;
    Ok(file)
}

/// Why the kernel refused a trigger, and what would help.
fn refusal(error: &io::Error) -> String {
    use io::ErrorKind::{
        InvalidInput, NotFound, PermissionDenied, ReadOnlyFilesystem, Unsupported,
    };
    match error.kind() {
        NotFound | Unsupported => {
            "the kernel keeps no pressure stall information; boot with psi=1 (CONFIG_PSI)"
                .to_owned()
        }
        PermissionDenied => format!(
            "{error}; a trigger needs CAP_SYS_RESOURCE, or from Linux 6.4 on a window of 2 s, 4 s, \
             ... and a file that may be written"
        ),
        ReadOnlyFilesystem => format!(
            "{error}; ProtectControlGroups= of the daemon's own unit makes the cgroup tree so"
        ),
        InvalidInput => format!(
            "{error}; without CAP_SYS_RESOURCE the window must be a multiple of 2 s, and never \
             longer than 10 s"
        ),
        _ => error.to_string(),
    }
}

fn read_total(path: &Path, threshold: Threshold) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    total_us(&text, threshold.is_full).ok_or_else(|| {
        let reason = format!("{} has no such total", path.display());
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// `total=` of the line `full` or `some`, in microseconds.
fn total_us(text: &str, is_full: bool) -> Option<u64> {
    let who = if is_full { "full " } else { "some " };
    let rest = text.lines().find_map(|line| line.strip_prefix(who))?;
    let mut fields = rest.split_ascii_whitespace();
    fields.find_map(|field| field.strip_prefix("total=")?.parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MEMORY: Threshold = Threshold {
        of: PressureOf::Memory,
        is_full: true,
        stalled_us: 200_000,
        window_us: 2_000_000,
    };

    fn at(ms: u64) -> At {
        At::default().plus(Duration::from_millis(ms))
    }

    fn text(full_us: u64) -> String {
        format!(
            "some avg10=0.12 avg60=0.00 avg300=0.00 total=99\n\
             full avg10=0.00 avg60=0.00 avg300=0.00 total={full_us}\n"
        )
    }

    #[test]
    fn a_trigger_is_written_as_the_kernel_reads_it() {
        assert_eq!(MEMORY.trigger(), "full 200000 2000000");
    }

    #[test]
    fn defaults_are_windows_that_anyone_may_watch() {
        let options = PressureOptions::default();
        for threshold in options.host.iter().chain(&options.units) {
            assert_eq!(threshold.window_us % 2_000_000, 0, "{threshold:?}");
            assert!(threshold.window_us <= 10_000_000 && threshold.stalled_us > 0);
            assert!(threshold.stalled_us < threshold.window_us);
        }
    }

    /// A plain file takes the write as a trigger would, so polling is built by hand.
    #[test]
    fn without_a_trigger_the_total_is_compared_with_the_window_that_passed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut watched = Watched {
            subject: Subject::Host,
            threshold: MEMORY,
            how: How::Polled(file.path().to_owned(), None),
        };
        let mut look = |ms, total_us| {
            fs::write(file.path(), text(total_us)).unwrap();
            let signal = watched.look(at(ms)).unwrap()?;
            let Fact::Pressure(pressure) = signal.fact else {
                panic!()
            };
            Some((pressure.stalled_us, pressure.window_us))
        };
        assert_eq!(look(0, 5_000_000), None);
        assert_eq!(look(1000, 9_000_000), None, "the window has not passed");
        assert_eq!(look(2000, 5_199_999), None);
        assert_eq!(look(6000, 5_600_000), Some((400_001, 4_000_000)));
        assert_eq!(look(8000, 0), None, "a reset is no rise");
        assert_eq!(look(10_000, 0), None);
        drop(file);
        assert!(watched.look(at(20_000)).is_err());
    }

    #[test]
    fn a_subject_is_told_of_a_resource_once_a_span() {
        let mut quiet = Quiet::new(Duration::from_secs(10));
        let mut lets = |ms, of| {
            let fact = Fact::Pressure(Pressure {
                of,
                full: true,
                stalled_us: 1,
                window_us: 2,
            });
            quiet.lets(&Signal {
                at: at(ms),
                subject: Subject::Host,
                fact,
            })
        };
        assert!(lets(0, PressureOf::Memory));
        assert!(!lets(9999, PressureOf::Memory));
        assert!(lets(9999, PressureOf::Io));
        assert!(lets(10_000, PressureOf::Memory));
    }

    #[test]
    fn a_kernel_without_it_says_what_to_do() {
        let error = Watched::open(Subject::Host, MEMORY, Path::new("/nowhere/memory"));
        assert!(error.unwrap_err().contains("psi=1"));
    }

    proptest! {
        #[test]
        fn any_text_ends_in_an_answer(text in "((some|full) (avg10=[0-9.]{0,5} )?(total=-?[0-9]{0,22})?\n?){0,4}") {
            total_us(&text, true);
            total_us(&text, false);
        }

        #[test]
        fn a_total_is_read_back(us in any::<u64>()) {
            prop_assert_eq!(total_us(&text(us), true), Some(us));
            prop_assert_eq!(total_us(&text(us), false), Some(99));
        }

        #[test]
        fn no_waiting_is_never_pressure(window in any::<u64>()) {
            prop_assert!(!MEMORY.is_met(0, window));
        }
    }
}
