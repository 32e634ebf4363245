//! Chance, seeded: which faults happen, and when.

/// Probabilities of each fault, per occasion.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) disk: f64,
    pub(crate) bus: f64,
    pub(crate) lost_answer: f64,
    pub(crate) crash: f64,
    pub(crate) reboot: f64,
    pub(crate) clock_jump: f64,
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, seeded, good enough to choose faults.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are enough for a probability"
    )]
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) / ((1_u64 << 53) as f64) < probability
    }
}
