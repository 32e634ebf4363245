//! What a text means, as a direction: what the embedding makes and the matcher compares.

/// How many numbers a [`Vector`] has; all-MiniLM-L6-v2 gives this many.
pub const DIMENSIONS: usize = 384;

/// The meaning of a text: a direction of length one, or all zeros for a text without words.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Box<[f32; DIMENSIONS]>);

impl Vector {
    /// The direction of `values`. Values that have none, or that are no numbers, become zeros.
    pub fn direction_of(values: &[f32; DIMENSIONS]) -> Self {
        let length = dot(values, values).sqrt();
        // Below this a direction would be made of rounding errors; NaN is not above it either.
        let scale = if length > 1e-9 && length.is_finite() {
            1.0 / length
        } else {
            return Self::zero();
        };
        Self(Box::new(values.map(|value| value * scale)))
    }

    /// Takes `values` as they are if they are a direction already, or all zeros; else nothing.
    /// What was a vector comes back with the same bits.
    pub fn of_unit(values: &[f32; DIMENSIONS]) -> Option<Self> {
        let is_unit = (dot(values, values) - 1.0).abs() < 1e-4;
        (is_unit || *values == [0.0; DIMENSIONS]).then(|| Self(Box::new(*values)))
    }

    /// The vector of a text without words: like nothing, not even itself.
    pub fn zero() -> Self {
        Self(Box::new([0.0; DIMENSIONS]))
    }

    /// The numbers.
    pub fn values(&self) -> &[f32; DIMENSIONS] {
        &self.0
    }

    /// How alike two texts are: the cosine of the angle between them, -1 to 1.
    pub fn cosine(&self, other: &Self) -> f32 {
        dot(&self.0, &other.0).clamp(-1.0, 1.0)
    }

    /// The direction in the middle of `vectors`; zeros when there are none.
    pub fn centroid<'a>(vectors: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = [0.0; DIMENSIONS];
        for vector in vectors {
            for (sum, value) in sum.iter_mut().zip(vector.0.iter()) {
                *sum += value;
            }
        }
        Self::direction_of(&sum)
    }
}

/// Sixteen sums side by side, so that the order of the additions, and with it the last digit, is
/// the same on every processor.
fn dot(a: &[f32; DIMENSIONS], b: &[f32; DIMENSIONS]) -> f32 {
    let mut sums = [0.0; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_has_length_one_and_nothing_has_none() {
        let vector = Vector::direction_of(&[3.0; DIMENSIONS]);
        assert!((vector.cosine(&vector) - 1.0).abs() < 1e-6);
        for bad in [0.0, f32::NAN, f32::INFINITY, 1e38] {
            assert_eq!(Vector::direction_of(&[bad; DIMENSIONS]), Vector::zero());
        }
        assert_eq!(Vector::zero().cosine(&vector), 0.0);
        assert_eq!(Vector::of_unit(vector.values()).as_ref(), Some(&vector));
        assert_eq!(Vector::of_unit(&[0.0; DIMENSIONS]), Some(Vector::zero()));
        assert_eq!(Vector::of_unit(&[3.0; DIMENSIONS]), None);
    }

    #[test]
    fn the_centroid_lies_between() {
        let mut one = [0.0; DIMENSIONS];
        let mut other = [0.0; DIMENSIONS];
        one[0] = 1.0;
        other[1] = 1.0;
        let one = Vector::direction_of(&one);
        let other = Vector::direction_of(&other);
        let middle = Vector::centroid([&one, &other]);
        assert!((middle.cosine(&one) - middle.cosine(&other)).abs() < 1e-6);
        assert_eq!(Vector::centroid([]), Vector::zero());
    }
}
