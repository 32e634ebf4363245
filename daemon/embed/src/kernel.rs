//! The one loop that takes nearly all the time: whole numbers times whole numbers, in tiles.
//!
//! A tile is sixteen rows of a matrix by [`TILE_ROWS`] rows of activations. All kernels give the
//! same sums exactly; they differ only in what the processor must have.

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Rows of a matrix in a tile.
pub(crate) const TILE_OUT: usize = 16;
/// Rows of activations in a tile.
pub(crate) const TILE_ROWS: usize = 8;

/// Four neighbouring numbers of each row of a tile, -127 to 127.
pub(crate) type Quads = [[i8; 4]; TILE_ROWS];
/// The products' sums: per row of activations, per row of the matrix.
pub(crate) type Sums = [[i32; TILE_OUT]; TILE_ROWS];

/// Which way the loop is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust, on any processor.
    Scalar,
    /// 32 products at once, on x86-64 processors since 2013.
    Avx2,
    /// 64 products and their sums at once, on x86-64 processors with AVX-512 VNNI.
    Vnni,
}

impl Kernel {
    /// Every kernel, slowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Vnni];

    /// The fastest that this processor has.
    pub fn best() -> Self {
        let here = Self::ALL.into_iter().rev().find(|kernel| kernel.is_here());
        here.unwrap_or(Self::Scalar)
    }

    /// Whether this processor has it.
    pub fn is_here(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => x86::Vnni::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Vnni => false,
        }
    }
}

/// A way to run the loop.
pub(crate) trait Tiles: Copy {
    /// Multiplies a tile. `activations` and `weights` have the same length; `totals` are the sums
    /// of each row of activations, which some kernels need.
    fn dot(self, activations: &[Quads], totals: &[i32; TILE_ROWS], weights: &[[u8; 64]]) -> Sums;
}

/// The loop in plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Tiles for Scalar {
    #[inline(always)]
    fn dot(self, activations: &[Quads], _: &[i32; TILE_ROWS], weights: &[[u8; 64]]) -> Sums {
        let mut sums = [[0; TILE_OUT]; TILE_ROWS];
        for (quads, weights) in activations.iter().zip(weights) {
            let weights = weights.map(|weight| i32::from(weight.cast_signed()));
            for (sums, quad) in sums.iter_mut().zip(quads) {
                let quad = quad.map(i32::from);
                for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
                    for (weight, value) in weights.iter().zip(&quad) {
                        *sum += weight * value;
                    }
                }
            }
        }
        sums
    }
}
