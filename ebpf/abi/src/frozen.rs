//! Numbers that the daemon writes into the probes' instructions before it loads them.
//!
//! Each stands in the object as a word that no program would have by chance: a mark, and the hash of
//! the number's name. A number in the instruction itself is in no map, so that no run has to fetch
//! one more line into its cache.

/// High half of each such word.
pub const FROZEN_MARK: u32 = 0x6d65_6469;

/// The same, of an offset that is only added to the base of one load, by the two instructions that
/// follow: the daemon may write it into the load itself.
pub const FIELD_MARK: u32 = 0x6d65_6466;

/// The word that stands for the number `name`: [`FROZEN_MARK`], and the name's FNV-1a hash (Fowler,
/// Noll and Vo; 32 bits).
pub const fn frozen_word(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let (mut hash, mut at) = (0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    marked(FROZEN_MARK, hash)
}

/// The word of the same number with [`FIELD_MARK`].
pub const fn field_word(word: u64) -> u64 {
    marked(FIELD_MARK, word as u32)
}

const fn marked(mark: u32, hash: u32) -> u64 {
    ((mark as u64) << 32) | hash as u64
}
