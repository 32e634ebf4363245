//! What the machines of `cargo xtask vm` and the tests inside them agree on.

/// Memory that the kernel leaves alone, so that a test can lay registers of a device there.
///
/// Between the kernel and the image at the top; a multiple of its length, as the window of a
/// memory controller must be (Intel 3200 datasheet, MCHBAR).
pub const SPARE_MEMORY: u64 = 0x4000_0000;

/// Its length in bytes.
pub const SPARE_MEMORY_BYTES: u64 = 64 << 10;
