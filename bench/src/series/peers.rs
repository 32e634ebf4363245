//! What people use today for one series, written anew here from its description.
//!
//! Each reads row by row, as the shipped detector does, at the interval of the set.

mod grafana;
mod netdata;
mod sigma;

/// A detector to compare with.
pub trait Peer {
    /// Takes one row; `None` is a gap. Larger is more anomalous.
    fn observe(&mut self, wall_s: i64, value: Option<f64>) -> f32;

    /// Bytes held for this series.
    fn bytes(&self) -> usize;
}

/// A peer's name, where its own rule puts the threshold, and how to make one for an interval in
/// seconds.
pub struct Kind {
    pub name: &'static str,
    pub rule: f32,
    pub new: fn(u32) -> Box<dyn Peer>,
}

/// All peers, in the order of the table.
pub const KINDS: [Kind; 6] = [
    Kind {
        name: "3-sigma over 7 days",
        rule: 3.0,
        new: |interval_s| Box::new(sigma::Sigma::new(interval_s)),
    },
    Kind {
        name: "static: first day's range + 50 %",
        rule: 0.5,
        new: |interval_s| Box::new(Static::new(interval_s)),
    },
    Kind {
        name: "Netdata-like vote of 18 models",
        rule: 0.99,
        new: |interval_s| Box::new(netdata::Vote::new(interval_s)),
    },
    Kind {
        name: "Grafana-like adaptive bands",
        rule: 1.0,
        new: |interval_s| Box::new(grafana::Bands::new(interval_s)),
    },
    Kind {
        name: "random",
        rule: 0.9975,
        new: |_| Box::new(Random(1)),
    },
    Kind {
        name: "nothing",
        rule: 0.5,
        new: |_| Box::new(Nothing),
    },
];

/// Rows of `seconds`, at least one.
fn rows(seconds: u32, interval_s: u32) -> usize {
    usize::try_from(seconds / interval_s.max(1))
        .unwrap_or(usize::MAX)
        .max(1)
}

/// How far past the range of the first day, in units of that range.
struct Static {
    learning: usize,
    low: f64,
    high: f64,
}

impl Static {
    fn new(interval_s: u32) -> Self {
        Self {
            learning: rows(86_400, interval_s).max(100),
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        }
    }
}

impl Peer for Static {
    fn observe(&mut self, _: i64, value: Option<f64>) -> f32 {
        let Some(value) = value else { return 0.0 };
        if self.learning > 0 {
            self.learning -= 1;
            self.low = self.low.min(value);
            self.high = self.high.max(value);
            return 0.0;
        }
        let past = (value - self.high).max(self.low - value).max(0.0);
        let range = self.high - self.low;
        to_f32(past / range.max(1e-9 * self.high.abs()).max(1e-12))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Blind to the data: a fixed sequence (xorshift).
struct Random(u64);

impl Peer for Random {
    fn observe(&mut self, wall_s: i64, _: Option<f64>) -> f32 {
        let mut bits = wall_s.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.0;
        for shift in [12, 25, 27] {
            bits ^= bits >> shift;
            bits = bits.wrapping_mul(0x2545_F491_4F6C_DD1D);
        }
        self.0 = bits | 1;
        f32::from(u16::try_from(bits >> 48).unwrap_or_default()) / 65_536.0
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Never says anything: what an empty report is worth.
struct Nothing;

impl Peer for Nothing {
    fn observe(&mut self, _: i64, _: Option<f64>) -> f32 {
        0.0
    }

    fn bytes(&self) -> usize {
        0
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a score needs no more")]
fn to_f32(number: f64) -> f32 {
    number as f32
}

#[expect(clippy::cast_precision_loss, reason = "rows in memory are few")]
fn to_f64(number: usize) -> f64 {
    number as f64
}
