//! Mean and standard deviation over seven days, for the deviation people know: sigma.

use serde::{Deserialize, Serialize};

use crate::bits;

const DAY_S: i64 = 86_400;
/// Closed days kept.
const DAYS: usize = 7;
/// Rows before it says anything.
const ROWS_MIN: f32 = 24.0;
/// Time before it says anything.
const WARM_S: i64 = DAY_S;

/// Count, mean and sum of squared deviations of each of seven days and of the current one.
///
/// Welford 1962 within a day, Chan, Golub and `LeVeque` 1983 to merge days.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Week {
    day: i64,
    next: u8,
    #[serde(with = "bits")]
    counts: [f32; DAYS],
    #[serde(with = "bits")]
    means: [f32; DAYS],
    #[serde(with = "bits")]
    squares: [f32; DAYS],
    /// Count, mean and squares of the current day.
    #[serde(with = "bits")]
    current: [f32; 3],
    /// The same of all closed days together.
    #[serde(with = "bits")]
    closed: [f32; 3],
}

impl Week {
    /// |value - mean| / standard deviation, the current row excluded; 0 in the first day.
    ///
    /// `floor` stands in for a standard deviation below it, so a constant series never divides by
    /// zero.
    pub(super) fn sigma(&self, elapsed_s: i64, value: f32, floor: f32) -> f32 {
        let [count, mean, squares] = merge(self.closed, self.current);
        if elapsed_s < WARM_S || count < ROWS_MIN {
            return 0.0;
        }
        let spread = (squares / count).max(0.0).sqrt();
        (value - mean).abs() / spread.max(floor)
    }

    /// Adds a value, and lets a day that is over take the place of the oldest.
    pub(super) fn learn(&mut self, elapsed_s: i64, value: f32) {
        let day = elapsed_s / DAY_S;
        if day != self.day {
            self.close(day);
        }
        let [count, mean, squares] = &mut self.current;
        *count += 1.0;
        let delta = value - *mean;
        *mean += delta / *count;
        *squares += delta * (value - *mean);
    }

    /// Whether arithmetic on it stays in bounds.
    pub(super) fn is_sound(&self) -> bool {
        (0..=i64::MAX / DAY_S).contains(&self.day) && usize::from(self.next) < DAYS
    }

    fn close(&mut self, day: i64) {
        let empty_days = usize::try_from((day - self.day).clamp(1, 7)).unwrap_or(DAYS);
        let mut done = self.current;
        for _ in 0..empty_days {
            let place = usize::from(self.next) % DAYS;
            [self.counts[place], self.means[place], self.squares[place]] = done;
            self.next = (self.next + 1) % 7;
            done = [0.0; 3];
        }
        self.day = day;
        self.current = [0.0; 3];
        self.closed = [0.0; 3];
        for place in 0..DAYS {
            let day = [self.counts[place], self.means[place], self.squares[place]];
            self.closed = merge(self.closed, day);
        }
    }
}

pub(crate) fn merge(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    let count = a[0] + b[0];
    if a[0] <= 0.0 {
        return b;
    }
    if b[0] <= 0.0 {
        return a;
    }
    let delta = b[1] - a[1];
    let share = b[0] / count;
    [
        count,
        a[1] + delta * share,
        a[2] + b[2] + delta * delta * a[0] * share,
    ]
}
