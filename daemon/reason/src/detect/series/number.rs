//! Logarithms, fast and the same on every machine.
//!
//! The C library's differs between hosts in the last bit, and a replay must not.

/// Logarithms to base 2 of positive, normal numbers; error below 1e-6.
///
/// ln m = 2 artanh((m - 1) / (m + 1)), with m within a factor of the square root of 2 around 1.
pub(super) fn log2<const N: usize>(numbers: [f32; N]) -> [f32; N] {
    /// Bits of the square root of one half.
    const ROOT_HALF: u32 = 0x3f35_04f3;
    const EXPONENT: u32 = 0xff80_0000;
    numbers.map(|number| {
        let exponent = number.to_bits().wrapping_sub(ROOT_HALF) & EXPONENT;
        let mantissa = f32::from_bits(number.to_bits().wrapping_sub(exponent));
        let t = (mantissa - 1.0) / (mantissa + 1.0);
        let t2 = t * t;
        let series = t * (2.0 + t2 * (2.0 / 3.0 + t2 * (2.0 / 5.0 + t2 * (2.0 / 7.0))));
        whole(exponent) + series * std::f32::consts::LOG2_E
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an exponent has 9 bits with its sign"
)]
fn whole(exponent: u32) -> f32 {
    (exponent.cast_signed() >> 23) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_library() {
        let mut number = 1e-9_f32;
        while number < 1e9 {
            let [own] = log2([number]);
            assert!((own - number.log2()).abs() < 4e-6, "{number}");
            number *= 1.013;
        }
    }
}
