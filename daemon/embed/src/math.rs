//! The few functions of real numbers that the transformer needs, so written that a compiler can
//! do sixteen at once and that the result is the same however many it does.

use std::array;

/// Numbers that are summed side by side.
pub(crate) const LANES: usize = 16;

/// The sum of `values`, in sixteen partial sums.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The largest of `values`, whose number is a multiple of [`LANES`]; none of them is NaN.
#[inline(always)]
pub(crate) fn most(values: &[f32]) -> f32 {
    most_by(values, f32::MIN, |value| value)
}

/// The largest absolute value, likewise.
#[inline(always)]
pub(crate) fn peak(values: &[f32]) -> f32 {
    most_by(values, 0.0, f32::abs)
}

/// `f32::max` looks for NaN first, which takes longer than all the rest.
#[inline(always)]
fn most_by(values: &[f32], least: f32, of: impl Fn(f32) -> f32) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [least; LANES];
    for chunk in values.as_chunks::<LANES>().0 {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(of(*value), *lane);
        }
    }
    lanes.into_iter().fold(least, larger)
}

/// Added to a number between -2^22 and 2^22, it leaves the nearest whole number, ties to even, in
/// the sum's lowest bits. Rust's own conversions look after what is out of range, one by one.
const SHIFT: f32 = 12_582_912.0;

/// To the nearest whole number, ties to even, for |x| < 2^22.
#[inline(always)]
pub(crate) fn round(x: f32) -> i32 {
    let shifted = (x + SHIFT).to_bits();
    shifted.wrapping_sub(SHIFT.to_bits()).cast_signed()
}

/// e^x for x <= 0, relative error below 5e-6; what lies below e^-87 is e^-87.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const EXPONENT: u32 = 23;
    let x = if x > -87.0 { x } else { -87.0 };
    let power = x * std::f32::consts::LOG2_E;
    let shifted = power + SHIFT;
    let f = (power - (shifted - SHIFT)) * std::f32::consts::LN_2;
    // The Taylor series of e^f to the fifth power; |f| <= 0.35.
    let series =
        1.0 + f * (1.0 + f * (0.5 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0)))));
    // Two to the whole power: that is its exponent.
    let scale = (shifted.to_bits() << EXPONENT).wrapping_add(1.0_f32.to_bits());
    series * f32::from_bits(scale)
}

/// x times the chance that a normal variable lies below it. Source: Abramowitz and Stegun 7.1.26
/// for the error function, absolute error below 2e-7.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let z = (x * std::f32::consts::FRAC_1_SQRT_2).abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t
        * (0.254_829_6
            + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    let error_function = 1.0 - series * exp(-z * z);
    0.5 * x * (1.0 + error_function.copysign(x))
}

/// Shifts and scales `row` to mean zero and variance one, then by `gain` and `bias`.
#[inline(always)]
pub(crate) fn normalise(row: &mut [f32], gain: &[f32], bias: &[f32]) {
    let count = row.len() as f32;
    let mean = sum(row) / count;
    for value in row.iter_mut() {
        *value -= mean;
    }
    let (chunks, _) = row.as_chunks::<LANES>();
    let mut squares = [0.0; LANES];
    for chunk in chunks {
        for (square, value) in squares.iter_mut().zip(chunk) {
            *square += value * value;
        }
    }
    let variance = squares.iter().sum::<f32>() / count;
    let scale = 1.0 / (variance + 1e-12).sqrt();
    let chunks = row.as_chunks_mut::<LANES>().0.iter_mut();
    let changes = gain
        .as_chunks::<LANES>()
        .0
        .iter()
        .zip(bias.as_chunks::<LANES>().0);
    for (values, (gain, bias)) in chunks.zip(changes) {
        *values = array::from_fn(|at| values[at] * scale * gain[at] + bias[at]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_near_the_true_one() {
        for step in 0..8700 {
            let x = -step as f32 / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 5e-6, "exp({x}) = {found}");
        }
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn gelu_is_near_the_true_one() {
        // Values of x * Phi(x).
        for (x, expected) in [
            (0.0, 0.0),
            (1.0, 0.841_344_7),
            (-1.0, -0.158_655_3),
            (3.0, 2.995_950_3),
            (-40.0, 0.0),
        ] {
            assert!((gelu(x) - expected).abs() < 1e-6, "gelu({x}) = {}", gelu(x));
        }
    }

    #[test]
    fn rounding_takes_ties_to_even() {
        assert_eq!(
            [0.5, 1.5, -2.5, 2.4, -126.6].map(round),
            [0, 2, -2, 2, -127]
        );
    }
}
