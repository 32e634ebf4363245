//! How near the meaning of a text is to a playbook: to the nearest of its texts, and to their
//! middle.
//!
//! The nearest alone would let one odd sentence decide, the middle alone would lose what only one
//! text says; their mean was as good as the better of both on every variant measured.

use hostmedic_model::vector::{DIMENSIONS, Vector};

/// Finds the vectors nearest to another among many. Real: `hostmedic-index`; oracle: [`Scan`].
pub trait Nearest: Send + Sync {
    /// The keys of at most `count` vectors, nearest first. May miss some of the nearest.
    fn nearest(&self, vector: &Vector, count: usize) -> Vec<u32>;
}

/// Half the memory of a [`Vector`]; a cosine differs by less than 0.0001.
#[derive(Clone)]
pub(crate) struct Packed(Box<[i16; DIMENSIONS]>);

/// The value that stands for 1.0: no number of a direction is larger.
const ONE: f32 = 32767.0;

impl Packed {
    pub(crate) fn new(vector: &Vector) -> Self {
        Self(Box::new(
            vector.values().map(|value| (value * ONE).round() as i16),
        ))
    }

    pub(crate) fn unpack(&self) -> Vector {
        Vector::direction_of(&self.0.map(f32::from))
    }

    /// The cosine to `other`.
    pub(crate) fn cosine(&self, other: &Vector) -> f32 {
        let mut sums = [0.0; 16];
        let (own, other) = (
            self.0.as_chunks::<16>().0,
            other.values().as_chunks::<16>().0,
        );
        for (own, other) in own.iter().zip(other) {
            for (sum, (own, other)) in sums.iter_mut().zip(own.iter().zip(other)) {
                *sum += f32::from(*own) * other;
            }
        }
        (sums.iter().sum::<f32>() / ONE).clamp(-1.0, 1.0)
    }
}

/// How near a text is to a playbook; cosines, -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearness {
    /// To the nearest of its texts and of the incidents it was confirmed for.
    pub nearest: f32,
    /// To the middle of them.
    pub centroid: f32,
}

impl Nearness {
    /// The mean of both.
    pub fn mean(self) -> f32 {
        (self.nearest + self.centroid) / 2.0
    }
}

/// The meanings that stand for a playbook.
#[derive(Clone)]
pub(crate) struct Meanings {
    texts: Vec<Packed>,
    not_for: Vec<Packed>,
    centroid: Packed,
}

impl Meanings {
    pub(crate) fn new(texts: &[Vector], not_for: &[Vector]) -> Self {
        Self {
            texts: texts.iter().map(Packed::new).collect(),
            not_for: not_for.iter().map(Packed::new).collect(),
            centroid: Packed::new(&Vector::centroid(texts)),
        }
    }

    /// The vectors an index should hold for it.
    pub(crate) fn vectors(&self) -> impl Iterator<Item = Vector> {
        let all = self.texts.iter().chain([&self.centroid]);
        all.map(Packed::unpack)
    }

    /// Moves the middle towards `confirmed` incidents: together they count at most as much as
    /// the playbook's own texts, so that what people wrote can never be drowned.
    pub(crate) fn confirm<'a>(&mut self, confirmed: impl Iterator<Item = &'a Packed> + Clone) {
        let count = confirmed.clone().count();
        let share = self.texts.len() as f32 / count.max(self.texts.len()).max(1) as f32;
        let mut sum = [0.0; DIMENSIONS];
        let own = self.texts.iter().map(|text| (text, 1.0));
        for (vector, share) in own.chain(confirmed.map(|vector| (vector, share))) {
            for (sum, value) in sum.iter_mut().zip(vector.0.iter()) {
                *sum += f32::from(*value) * share;
            }
        }
        self.centroid = Packed::new(&Vector::direction_of(&sum));
    }

    /// How near `vector` is, the `confirmed` incidents counted like texts.
    pub(crate) fn nearness<'a>(
        &self,
        vector: &Vector,
        confirmed: impl Iterator<Item = &'a Packed>,
    ) -> Nearness {
        let texts = self.texts.iter().map(|text| text.cosine(vector));
        let confirmed = confirmed.map(|incident| incident.cosine(vector));
        Nearness {
            nearest: texts.chain(confirmed).fold(-1.0, f32::max),
            centroid: self.centroid.cosine(vector),
        }
    }

    /// How much nearer `vector` is to what the playbook is not for than to what it is for; 0 when
    /// it is not.
    pub(crate) fn excess_not_for(&self, vector: &Vector, nearness: Nearness) -> f32 {
        let not_for = self.not_for.iter().map(|text| text.cosine(vector));
        (not_for.fold(-1.0, f32::max) - nearness.nearest).max(0.0)
    }
}

/// Looks at every vector: what an index is held to.
#[derive(Default)]
pub struct Scan(Vec<(u32, Packed)>);

impl Scan {
    /// Keeps vectors under keys; several may have the same.
    pub fn build(vectors: impl IntoIterator<Item = (u32, Vector)>) -> Self {
        let packed = vectors.into_iter();
        Self(
            packed
                .map(|(key, vector)| (key, Packed::new(&vector)))
                .collect(),
        )
    }

    /// Keys with their cosines, nearest first, equal ones by key.
    pub fn ranked(&self, vector: &Vector, count: usize) -> Vec<(u32, f32)> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .map(|(key, packed)| (*key, packed.cosine(vector)))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(count);
        all
    }
}

impl Nearest for Scan {
    fn nearest(&self, vector: &Vector, count: usize) -> Vec<u32> {
        let ranked = self.ranked(vector, count);
        ranked.into_iter().map(|(key, _)| key).collect()
    }
}
