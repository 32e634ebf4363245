//! The event scorer: what of the labelled events a score finds, at how many false alarms.
//!
//! One threshold serves all hosts. A notification goes out at a row at or above it when none went
//! out in the hour before, so a detector that is always on pages 24 times a day. An event is caught
//! when one goes out from five minutes before its start to its end; a notification that is in no
//! event, nor up to half an hour after one, is a false alarm. No point adjustment anywhere: with it
//! a random score looks like the state of the art (Kim et al., AAAI 2022).

/// Seconds without a second notification.
const QUIET_S: f64 = 3600.0;
/// Seconds before an event that still count as catching it.
const LEAD_S: f64 = 300.0;
/// Seconds after an event that are no false alarm.
const TAIL_S: f64 = 1800.0;
/// Thresholds that are tried, in equal steps of the logarithm of their row.
const THRESHOLDS: usize = 400;
/// Beyond this rate nobody listens.
const FALSE_ALARMS_MAX: f64 = 30.0;

/// One host's scores beside its events.
pub(crate) struct Scored<'a> {
    pub(crate) scores: &'a [f64],
    pub(crate) events: &'a [(usize, usize)],
}

/// What one threshold finds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) caught: usize,
    pub(crate) events: usize,
    pub(crate) false_alarms: usize,
    /// Rows from the start of each caught event to its notification.
    pub(crate) delays: Vec<usize>,
    pub(crate) host_days: f64,
}

/// The figures over all thresholds. Rates are false alarms per host-day.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranked {
    /// Mean recall over 0 to 1 false alarms per host-day.
    pub(crate) froc: f64,
    pub(crate) recall_1_a_day: f64,
    pub(crate) recall_1_a_week: f64,
    pub(crate) recall_1_a_month: f64,
    /// Best F1 over events.
    pub(crate) event_f1: f64,
    /// Median delay where F1 is best.
    pub(crate) delay_min: f64,
}

impl Found {
    pub(crate) fn recall(&self) -> f64 {
        ratio(self.caught, self.events)
    }

    pub(crate) fn rate(&self) -> f64 {
        if self.host_days > 0.0 {
            to_f64(self.false_alarms) / self.host_days
        } else {
            0.0
        }
    }

    pub(crate) fn f1(&self) -> f64 {
        ratio(
            2 * self.caught,
            self.caught + self.false_alarms + self.events,
        )
    }

    fn add(mut self, other: Self) -> Self {
        self.caught += other.caught;
        self.events += other.events;
        self.false_alarms += other.false_alarms;
        self.delays.extend(other.delays);
        self.host_days += other.host_days;
        self
    }
}

/// What `threshold` finds on all hosts.
pub(crate) fn at(hosts: &[Scored<'_>], step_s: f64, threshold: f64) -> Found {
    hosts
        .iter()
        .map(|host| judge(host, step_s, threshold))
        .fold(Found::default(), Found::add)
}

fn judge(host: &Scored<'_>, step_s: f64, threshold: f64) -> Found {
    let rows = |seconds: f64| (seconds / step_s).round_ties_even();
    let (quiet, lead, tail) = (rows(QUIET_S).max(1.0), rows(LEAD_S), rows(TAIL_S));
    let mut found = Found {
        events: host.events.len(),
        host_days: to_f64(host.scores.len()) * step_s / 86400.0,
        ..Found::default()
    };
    let mut caught = vec![false; host.events.len()];
    let mut last = f64::NEG_INFINITY;
    for (row, _) in host
        .scores
        .iter()
        .enumerate()
        .filter(|(_, score)| **score >= threshold)
    {
        if to_f64(row) - last < quiet {
            continue;
        }
        last = to_f64(row);
        let mut excused = false;
        for ((first, end), caught) in host.events.iter().zip(&mut caught) {
            if last < to_f64(*first) - lead || last > to_f64(*end) + tail {
                continue;
            }
            excused = true;
            if row <= *end && !*caught {
                *caught = true;
                found.delays.push(row.saturating_sub(*first));
            }
        }
        found.false_alarms += usize::from(!excused);
    }
    found.caught = found.delays.len();
    found
}

/// Sweeps the threshold over all hosts.
pub(crate) fn ranked(hosts: &[Scored<'_>], step_s: f64) -> Ranked {
    let found: Vec<Found> = thresholds(hosts)
        .into_iter()
        .map(|threshold| at(hosts, step_s, threshold))
        .scan(false, |over, found| {
            let before = *over;
            *over = found.rate() > FALSE_ALARMS_MAX;
            (!before).then_some(found)
        })
        .collect();
    let recall = |rate: f64| {
        found
            .iter()
            .filter(|found| found.rate() <= rate + 1e-12)
            .map(Found::recall)
            .fold(0.0, f64::max)
    };
    let best = found
        .iter()
        .fold(&Found::default(), |best, found| {
            if found.f1() > best.f1() { found } else { best }
        })
        .clone();
    Ranked {
        froc: (0..=200)
            .map(|step| recall(f64::from(step) / 200.0))
            .sum::<f64>()
            / 201.0,
        recall_1_a_day: recall(1.0),
        recall_1_a_week: recall(1.0 / 7.0),
        recall_1_a_month: recall(1.0 / 30.0),
        event_f1: best.f1(),
        delay_min: median(best.delays) * step_s / 60.0,
    }
}

/// Scores at rows in geometric steps from the highest, each once, falling.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and the number of rows"
)]
fn thresholds(hosts: &[Scored<'_>]) -> Vec<f64> {
    let mut all: Vec<f64> = hosts
        .iter()
        .flat_map(|host| host.scores)
        .copied()
        .filter(|score| score.is_finite())
        .collect();
    if all.is_empty() {
        return Vec::new();
    }
    all.sort_by(|one, other| other.total_cmp(one));
    let count = to_f64(all.len());
    let mut found: Vec<f64> = (0..THRESHOLDS)
        .map(|step| count.powf(to_f64(step) / to_f64(THRESHOLDS - 1)))
        // A power is off by a rounding error just below the integer that it should be.
        .map(|row| all[((row + 1e-9) as usize).clamp(1, all.len()) - 1])
        .collect();
    found.dedup();
    found
}

fn median(mut values: Vec<usize>) -> f64 {
    values.sort_unstable();
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => to_f64(values[count / 2]),
        count => (to_f64(values[count / 2 - 1]) + to_f64(values[count / 2])) / 2.0,
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        to_f64(part) / to_f64(whole)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub(crate) fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(on: &[usize], events: &[(usize, usize)]) -> Found {
        let mut scores = vec![0.0; 1440];
        for row in on {
            scores[*row] = 1.0;
        }
        judge(
            &Scored {
                scores: &scores,
                events,
            },
            60.0,
            0.5,
        )
    }

    #[test]
    fn without_a_score_nothing_is_found() {
        let scored = Scored {
            scores: &[f64::NAN; 3],
            events: &[(0, 1)],
        };
        let ranked = ranked(&[scored], 60.0);
        assert_eq!((ranked.froc, ranked.event_f1), (0.0, 0.0));
    }

    #[test]
    fn always_on_pages_24_times_a_day() {
        let all: Vec<usize> = (0..1440).collect();
        assert_eq!(found(&all, &[]).false_alarms, 24);
    }

    #[test]
    fn an_event_is_caught_from_five_minutes_before_to_its_end() {
        for (row, caught, false_alarms) in [
            (94, 0, 1),
            (95, 1, 0),
            (110, 1, 0),
            (111, 0, 0),
            (140, 0, 0),
            (141, 0, 1),
        ] {
            let found = found(&[row], &[(100, 110)]);
            assert_eq!(
                (found.caught, found.false_alarms),
                (caught, false_alarms),
                "{row}"
            );
        }
    }

    #[test]
    fn a_page_just_before_hides_the_event() {
        let found = found(&[50, 100], &[(100, 103)]);
        assert_eq!((found.caught, found.false_alarms), (0, 1));
    }
}
