//! The loop with what x86-64 processors offer: the only unsafe code outside the probes.
//!
//! A kernel is a value that exists only where its instructions do, so that nobody can call one on
//! a processor that would stop at it.
#![expect(
    unsafe_code,
    reason = "instructions that not every processor has, and loads into vector registers"
)]

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256,
    _mm256_sign_epi8, _mm256_storeu_si256, _mm512_dpbusd_epi32, _mm512_loadu_si512,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::{Quads, Sums, TILE_OUT, TILE_ROWS, Tiles};
use crate::{
    file::Weights,
    transformer::{self, Mean},
};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, where it is true.
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Runs the whole transformer with AVX2 in reach of the compiler.
    pub(crate) fn run(self, weights: &Weights<'_>, texts: &[&[u16]]) -> Vec<Mean> {
        #[target_feature(enable = "avx2")]
        fn inner(kernel: Avx2, weights: &Weights<'_>, texts: &[&[u16]]) -> Vec<Mean> {
            transformer::forward(weights, texts, kernel)
        }
        // SAFETY: `self` exists only where `detect` has found AVX2.
        unsafe { inner(self, weights, texts) }
    }
}

impl Tiles for Avx2 {
    #[inline(always)]
    fn dot(self, activations: &[Quads], _: &[i32; TILE_ROWS], weights: &[[u8; 64]]) -> Sums {
        // SAFETY: `self` exists only where `detect` has found AVX2.
        unsafe { dot_avx2(activations, weights) }
    }
}

/// Proof that the processor has AVX-512 with VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Vnni(());

impl Vnni {
    /// The proof, where it is true.
    pub(crate) fn detect() -> Option<Self> {
        let here = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        here.then_some(Self(()))
    }

    /// Runs the whole transformer with AVX-512 in reach of the compiler.
    pub(crate) fn run(self, weights: &Weights<'_>, texts: &[&[u16]]) -> Vec<Mean> {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        fn inner(kernel: Vnni, weights: &Weights<'_>, texts: &[&[u16]]) -> Vec<Mean> {
            transformer::forward(weights, texts, kernel)
        }
        // SAFETY: `self` exists only where `detect` has found all four features.
        unsafe { inner(self, weights, texts) }
    }
}

impl Tiles for Vnni {
    #[inline(always)]
    fn dot(self, activations: &[Quads], totals: &[i32; TILE_ROWS], weights: &[[u8; 64]]) -> Sums {
        // SAFETY: `self` exists only where `detect` has found all four features.
        unsafe { dot_vnni(activations, totals, weights) }
    }
}

/// Rows of activations whose sums fit into the sixteen registers of AVX2 together.
const HALF: usize = TILE_ROWS / 2;

/// `maddubs` multiplies unsigned by signed: the sign of the weight moves to the activation. Two
/// products are at most 2 * 127 * 127 and fit into its 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn dot_avx2(activations: &[Quads], weights: &[[u8; 64]]) -> Sums {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[0; TILE_OUT]; TILE_ROWS];
    for half in 0..2 {
        let mut registers = [[_mm256_setzero_si256(); 2]; HALF];
        for (quads, weights) in activations.iter().zip(weights) {
            let weights = [load_avx2(weights, 0), load_avx2(weights, 1)];
            let sizes = [_mm256_abs_epi8(weights[0]), _mm256_abs_epi8(weights[1])];
            for (row, registers) in registers.iter_mut().enumerate() {
                let quad = i32::from_le_bytes(quads[half * HALF + row].map(i8::cast_unsigned));
                let quad = _mm256_set1_epi32(quad);
                for (part, register) in registers.iter_mut().enumerate() {
                    let signed = _mm256_sign_epi8(quad, weights[part]);
                    let pairs = _mm256_maddubs_epi16(sizes[part], signed);
                    *register = _mm256_add_epi32(*register, _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        for (row, registers) in registers.iter().enumerate() {
            let sums = &mut sums[half * HALF + row];
            for (register, sums) in registers.iter().zip(sums.as_chunks_mut::<8>().0) {
                // SAFETY: `sums` is 32 bytes; the store needs no alignment.
                unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), *register) };
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_avx2(bytes: &[u8; 64], half: usize) -> __m256i {
    let half = &bytes.as_chunks::<32>().0[half];
    // SAFETY: `half` is 32 bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
}

/// `dpbusd` multiplies unsigned by signed too: 128 is added to each weight, and 128 times the
/// row's total is taken off the sum.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dot_vnni(activations: &[Quads], totals: &[i32; TILE_ROWS], weights: &[[u8; 64]]) -> Sums {
    let offset = _mm512_set1_epi8(i8::MIN);
    let mut registers = totals.map(|total| _mm512_set1_epi32(-128 * total));
    for (quads, weights) in activations.iter().zip(weights) {
        // Flipping the highest bit adds 128.
        let weights = _mm512_xor_si512(load_vnni(weights), offset);
        for (register, quad) in registers.iter_mut().zip(quads) {
            let quad = _mm512_set1_epi32(i32::from_le_bytes(quad.map(i8::cast_unsigned)));
            *register = _mm512_dpbusd_epi32(*register, weights, quad);
        }
    }
    let mut sums = [[0; TILE_OUT]; TILE_ROWS];
    for (register, sums) in registers.iter().zip(&mut sums) {
        // SAFETY: `sums` is 64 bytes; the store needs no alignment.
        unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *register) };
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_vnni(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: `bytes` is 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
