//! Writes numbers into the probes' instructions in the place of their words
//! (`hostmedic_abi::frozen_word`), before the kernel's verifier sees them.

use std::{collections::HashMap, ops::Range};

use hostmedic_abi::{FIELD_MARK, FROZEN_MARK, frozen_word};
use object::{Endianness, Object as _, ObjectSection as _, SectionKind, read::elf::ElfFile64};
use zerocopy::IntoBytes as _;

use super::error::ProbeError;

/// `BPF_LD | BPF_DW | BPF_IMM`: sets a register to the 64 bits that stand in the second halves of this
/// instruction and of the next (Documentation/bpf/standardization/instruction-set.rst, *64-bit
/// immediate instructions*).
const LOAD_WORD: u8 = 0x18;
/// `BPF_ALU64 | BPF_ADD | BPF_X`: adds a register to another one.
const ADD_REGISTER: u8 = 0x0f;
/// `BPF_LDX | BPF_DW | BPF_MEM`: loads the word at a register and the offset in the instruction.
const LOAD_FIELD: u8 = 0x79;
/// `BPF_JMP | BPF_JA` to the next instruction, which the verifier takes out (`opt_remove_nops` of
/// kernel/bpf/verifier.c).
const NOTHING: [u8; INSTRUCTION_BYTES] = [0x05, 0, 0, 0, 0, 0, 0, 0];
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
    let (mut rest, _) = program.as_chunks_mut::<INSTRUCTION_BYTES>();
    while let [first, after @ ..] = rest {
        rest = after;
        if first[0] != LOAD_WORD {
            continue;
        }
        let [second, after @ ..] = rest else {
            return Err(bad("an instruction is cut off".to_owned()));
        };
        let half = |of: &[u8; INSTRUCTION_BYTES]| u32::from_le_bytes([of[4], of[5], of[6], of[7]]);
        let (hash, mark) = (half(first), half(second));
        if [FROZEN_MARK, FIELD_MARK].contains(&mark) {
            let word = u64::from(FROZEN_MARK) << 32 | u64::from(hash);
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
            if mark == FIELD_MARK {
                freeze_field(first, second, after, number)?;
            }
        }
        rest = after;
    }
    Ok(())
}

/// Writes the offset of a field into the instruction that loads it, if it has room for it, and nothing
/// into the place of those that put base and offset together.
fn freeze_field(
    first: &mut [u8; INSTRUCTION_BYTES],
    second: &mut [u8; INSTRUCTION_BYTES],
    after: &mut [[u8; INSTRUCTION_BYTES]],
    offset: u64,
) -> Result<(), ProbeError> {
    // The low half of the second byte is the register that is written, the high half the one that is
    // read.
    let field = first[1] & 0xf;
    let [add, load, ..] = after else {
        return Err(bad("the load of a field is cut off".to_owned()));
    };
    let base = add[1] >> 4;
    let is_field = add[0] == ADD_REGISTER
        && add[1] & 0xf == field
        && base != field
        && *load == [LOAD_FIELD, field << 4 | field, 0, 0, 0, 0, 0, 0];
    if !is_field {
        return Err(bad("a field is not loaded as was agreed".to_owned()));
    }
    if let Ok(offset) = i16::try_from(offset) {
        load[1] = base << 4 | field;
        load[2..4].copy_from_slice(&offset.to_le_bytes());
        (*first, *second, *add) = (NOTHING, NOTHING, NOTHING);
    }
    Ok(())
}

fn bad(why: String) -> ProbeError {
    ProbeError::Object { why }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use hostmedic_abi::field_word;

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

    /// The load of a field into register 3 from `base`, as `Frozen::field_of` of the probes has it.
    fn field(base: u8, word: u64) -> Vec<u8> {
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        let register = [LOAD_WORD, 3, 0, 0, a, b, c, d, 0, 0, 0, 0, e, f, g, h];
        let add = [ADD_REGISTER, base << 4 | 3, 0, 0, 0, 0, 0, 0];
        let load = [LOAD_FIELD, 0x33, 0, 0, 0, 0, 0, 0];
        [&register[..], &add, &load].concat()
    }

    fn freeze_tgid(program: &mut [u8], offset: u64) -> Result<(), ProbeError> {
        let mut numbers = Numbers::default();
        numbers.set("OFF_TASK_TGID", offset);
        freeze_program(program, &numbers, Unknown::IsWrong)
    }

    #[test]
    fn the_offset_of_a_field_goes_into_its_load() {
        let word = field_word(frozen_word("OFF_TASK_TGID"));
        let (before, after) = (program(7), program(9));
        let mut frozen = [before.clone(), field(6, word), after.clone()].concat();
        freeze_tgid(&mut frozen, 0x0948).unwrap();
        let load = [LOAD_FIELD, 0x63, 0x48, 0x09, 0, 0, 0, 0];
        let folded = [&before[..], &NOTHING, &NOTHING, &NOTHING, &load, &after].concat();
        assert_eq!(frozen, folded);
    }

    #[test]
    fn an_offset_without_room_in_the_load_is_added() {
        let word = field_word(frozen_word("OFF_TASK_TGID"));
        for offset in [0x8000, 0xffff_ffff] {
            let mut frozen = field(6, word);
            freeze_tgid(&mut frozen, offset).unwrap();
            assert_eq!(frozen, field(6, offset));
        }
    }

    #[test]
    fn a_field_that_is_loaded_in_another_way_is_an_error() {
        let word = field_word(frozen_word("OFF_TASK_TGID"));
        let right = field(6, word);
        assert!(freeze_tgid(&mut right.clone(), 8).is_ok());
        for at in [16, 17, 24, 25, 26, 28] {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            // Another base is as good.
            let is_base = at == 17 && wrong[at] & 0xf == 3;
            assert_eq!(freeze_tgid(&mut wrong, 8).is_ok(), is_base, "byte {at}");
        }
        let mut own_base = field(3, word);
        assert!(freeze_tgid(&mut own_base, 8).is_err());
        for bytes in [16, 24] {
            assert!(freeze_tgid(&mut right[..bytes].to_vec(), 8).is_err());
        }
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
                if pair[0] == LOAD_WORD && [FROZEN_MARK, FIELD_MARK].contains(&high) {
                    found.insert(u64::from(FROZEN_MARK) << 32 | u64::from(low));
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
