//! Share of the time in which tasks of the host waited: pressure stall information as a number.
//!
//! `psi` wakes us when it is bad; this is what is usual. Source: Documentation/accounting/psi.rst.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use hostmedic_model::{sample::Measure, subject::Subject};

use super::{Taken, rise::Rises};

/// Resource as its file is called, and what its share is called.
pub(super) const OF: [(&str, Measure); 3] = [
    ("memory", Measure::MemoryPressureSomeRatio),
    ("cpu", Measure::CpuPressureSomeRatio),
    ("io", Measure::IoPressureSomeRatio),
];

/// The host's totals of the last round.
#[derive(Debug)]
pub(super) struct Stalls(Rises<usize>);

impl Stalls {
    pub(super) const fn new() -> Self {
        Self(Rises::new())
    }

    /// Samples the host. A kernel without PSI has no such files, and nothing to tell.
    pub(super) fn sample(&mut self, window: Option<Duration>, taken: &mut Taken) {
        let mut now = BTreeMap::new();
        for (place, (file, _)) in OF.iter().enumerate() {
            let text = fs::read_to_string(Path::new("/proc/pressure").join(file));
            if let Some(us) = text.ok().as_deref().and_then(some_us) {
                now.insert(place, us);
            }
        }
        let places: Vec<_> = now.keys().copied().collect();
        let rose: BTreeMap<_, _> = self.0.round(now).into_iter().collect();
        let Some(window) = window else {
            return;
        };
        for place in places {
            // What did not rise is a true zero here: the kernel counts all the time.
            let us = rose.get(&place).copied().unwrap_or(0);
            let share = us as f64 / window.as_micros() as f64;
            taken.sample(Subject::Host, OF[place].1, share.min(1.0));
        }
    }
}

/// Microseconds that some task waited since boot: `total=` of the line `some`.
pub(super) fn some_us(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let total = line
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_some_is_read() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7217\nfull avg10=0.00 total=9\n";
        assert_eq!(some_us(text), Some(7217));
        assert_eq!(some_us("full avg10=0.00 total=9\n"), None);
        assert_eq!(some_us("some total=x\n"), None);
    }
}
