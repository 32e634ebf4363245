//! Writes numbers into the probes' instructions in the place of their words
//! (`hostmedic_abi::frozen_word`), before the kernel's verifier sees them.

use std::{collections::HashMap, ops::Range};

use hostmedic_abi::{FROZEN_MARK, frozen_word};
use object::{Endianness, Object as _, ObjectSection as _, SectionKind, read::elf::ElfFile64};
use zerocopy::IntoBytes as _;

use super::error::ProbeError;

/// `BPF_LD | BPF_DW | BPF_IMM`: sets a register to the 64 bits that stand in the second halves of this
/// instruction and of the next (Documentation/bpf/standardization/instruction-set.rst, *64-bit
/// immediate instructions*).
const LOAD_WORD: u8 = 0x18;
/// Bytes of an instruction.
const INSTRUCTION_BYTES: usize = 8;

/// Numbers by their words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(HashMap<u64, u64>);

impl Numbers {
    /// Gives `name` a number, or another one than before.
    pub(crate) fn set(&mut self, name: &str, number: u64) {
        self.0.insert(frozen_word(name), number);
    }
}

/// What is done with words that have no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They become 0: no program that needs them is loaded yet.
    IsZero,
    /// Daemon and object do not fit together.
    IsWrong,
}

/// A copy of `object` with numbers in the place of their words. It is in words of eight bytes because
/// aya's parser wants it aligned; zeros fill the last one up.
///
/// # Errors
/// When it is no object, or has a word without a number.
pub(crate) fn freeze(
    object: &[u8],
    numbers: &Numbers,
    unknown: Unknown,
) -> Result<Vec<u64>, ProbeError> {
    let mut frozen = vec![0_u64; object.len().div_ceil(size_of::<u64>())];
    let bytes = frozen.as_mut_bytes();
    if let Some(same) = bytes.get_mut(..object.len()) {
        same.copy_from_slice(object);
    }
    for range in programs(bytes)? {
        if let Some(program) = bytes.get_mut(range) {
            freeze_program(program, numbers, unknown)?;
        }
    }
    Ok(frozen)
}

/// Where programs are in the object.
fn programs(object: &[u8]) -> Result<Vec<Range<usize>>, ProbeError> {
    let parsed = ElfFile64::<Endianness>::parse(object).map_err(|e| bad(e.to_string()))?;
    let texts = parsed
        .sections()
        .filter(|section| section.kind() == SectionKind::Text);
    let ranges = texts.filter_map(|section| section.file_range());
    ranges
        .map(|(start, bytes)| {
            let end = start.saturating_add(bytes);
            match (usize::try_from(start), usize::try_from(end)) {
                (Ok(start), Ok(end)) => Ok(start..end),
                _ => Err(bad("a section is too large".to_owned())),
            }
        })
        .collect()
}

fn freeze_program(
    program: &mut [u8],
    numbers: &Numbers,
    unknown: Unknown,
) -> Result<(), ProbeError> {
    let mut rest = program;
    while let Some((first, after)) = rest.split_first_chunk_mut::<INSTRUCTION_BYTES>() {
        rest = after;
        if first[0] != LOAD_WORD {
            continue;
        }
        let Some((second, after)) = rest.split_first_chunk_mut::<INSTRUCTION_BYTES>() else {
            return Err(bad("an instruction is cut off".to_owned()));
        };
        rest = after;
        let half = |of: &[u8; INSTRUCTION_BYTES]| u32::from_le_bytes([of[4], of[5], of[6], of[7]]);
        let (low, high) = (half(first), half(second));
        if high != FROZEN_MARK {
            continue;
        }
        let word = u64::from(high) << 32 | u64::from(low);
        let number = match (numbers.0.get(&word), unknown) {
            (Some(number), _) => *number,
            (None, Unknown::IsZero) => 0,
            (None, Unknown::IsWrong) => {
                return Err(bad(format!("nobody has a number for the word {word:#x}")));
            }
        };
        let [low @ .., _, _, _, _] = number.to_le_bytes();
        let [_, _, _, _, high @ ..] = number.to_le_bytes();
        first[4..].copy_from_slice(&low);
        second[4..].copy_from_slice(&high);
    }
    Ok(())
}

fn bad(why: String) -> ProbeError {
    ProbeError::Object { why }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::kernel::{attach::OBJECT, fields::FIELDS};

    /// One instruction that loads `word`, between two that load other numbers.
    fn program(word: u64) -> Vec<u8> {
        let load = |value: u64| {
            let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
            [LOAD_WORD, 1, 0, 0, a, b, c, d, 0, 0, 0, 0, e, f, g, h]
        };
        [load(7), load(word), load(u64::MAX)].concat()
    }

    #[test]
    fn a_word_becomes_its_number_and_nothing_else_changes() {
        let mut numbers = Numbers::default();
        numbers.set("OFF_TASK_TGID", 0x0102_0304_0506_0708);
        let mut frozen = program(frozen_word("OFF_TASK_TGID"));
        freeze_program(&mut frozen, &numbers, Unknown::IsWrong).unwrap();
        assert_eq!(frozen, program(0x0102_0304_0506_0708));
    }

    #[test]
    fn a_word_without_a_number_is_zero_only_where_that_is_asked_for() {
        let (numbers, word) = (Numbers::default(), frozen_word("NOBODY"));
        let mut frozen = program(word);
        let error = freeze_program(&mut frozen, &numbers, Unknown::IsWrong).unwrap_err();
        assert!(error.to_string().contains(&format!("{word:#x}")), "{error}");
        freeze_program(&mut frozen, &numbers, Unknown::IsZero).unwrap();
        assert_eq!(frozen, program(0));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let mut cut = program(frozen_word("OFF_TASK_TGID"));
        cut.truncate(24);
        assert!(freeze_program(&mut cut, &Numbers::default(), Unknown::IsZero).is_err());
        assert!(freeze(b"no object", &Numbers::default(), Unknown::IsZero).is_err());
    }

    #[test]
    fn the_object_has_a_word_for_every_field_and_no_two_are_the_same() {
        let mut found = HashSet::new();
        for range in programs(OBJECT).unwrap() {
            for pair in OBJECT[range].windows(16).step_by(INSTRUCTION_BYTES) {
                let low = u32::from_le_bytes(pair[4..8].try_into().unwrap());
                let high = u32::from_le_bytes(pair[12..16].try_into().unwrap());
                if pair[0] == LOAD_WORD && high == FROZEN_MARK {
                    found.insert(u64::from(high) << 32 | u64::from(low));
                }
            }
        }
        let words: HashSet<u64> = FIELDS.iter().map(|f| frozen_word(f.global)).collect();
        assert_eq!(words.len(), FIELDS.len());
        for field in &FIELDS {
            assert!(
                found.contains(&frozen_word(field.global)),
                "{}",
                field.global
            );
        }
        // The offsets, the name of the thread that attests, five numbers and the abilities.
        assert!(found.len() > words.len() + 7, "{}", found.len());
    }
}
