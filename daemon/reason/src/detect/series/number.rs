//! Two functions of one row's arithmetic, fast and the same on every machine.
//!
//! The C library's versions differ between hosts in the last bit, and a replay must not.

/// Logarithm to base 2 of a positive, normal number; error below 1e-6.
///
/// ln m = 2 artanh((m - 1) / (m + 1)), with m within a factor of the square root of 2 around 1.
pub(super) fn log2(number: f32) -> f32 {
    /// Bits of the square root of one half.
    const ROOT_HALF: u32 = 0x3f35_04f3;
    const EXPONENT: u32 = 0xff80_0000;
    let exponent = number.to_bits().wrapping_sub(ROOT_HALF) & EXPONENT;
    let mantissa = f32::from_bits(number.to_bits().wrapping_sub(exponent));
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let series = t * (2.0 + t2 * (2.0 / 3.0 + t2 * (2.0 / 5.0 + t2 * (2.0 / 7.0))));
    whole(exponent) + series * std::f32::consts::LOG2_E
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an exponent has 9 bits with its sign"
)]
fn whole(exponent: u32) -> f32 {
    (exponent.cast_signed() >> 23) as f32
}

/// Cube root of a number that is not negative; error below 1e-5 of it.
///
/// A third of the exponent as the guess, then Newton's steps.
pub(super) fn cube_root(number: f32) -> f32 {
    if number < 1e-30 {
        return 0.0;
    }
    let mut root = f32::from_bits(number.to_bits() / 3 + 0x2a51_37a0);
    for _ in 0..2 {
        root -= (root - number / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_library() {
        let mut number = 1e-9_f32;
        while number < 1e9 {
            assert!((log2(number) - number.log2()).abs() < 4e-6, "{number}");
            let root = number.cbrt();
            assert!((cube_root(number) - root).abs() < 1e-5 * root, "{number}");
            number *= 1.013;
        }
    }
}
