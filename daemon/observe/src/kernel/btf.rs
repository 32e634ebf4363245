//! Reads the kernel's description of its own types: where a field is, what a tracepoint passes.
//!
//! rustc emits no CO-RE relocations and aya keeps its parsed members private, so the probes'
//! offsets come from here. The input is the kernel's, but a truncated or foreign file must end
//! in an error that says so: every access is checked. Format: Documentation/bpf/btf.rst.

use thiserror::Error;

/// Why the types could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum BtfError {
    /// The magic number is another, or the byte order is.
    #[error("not BTF in this machine's byte order")]
    NotBtf,
    /// Something points outside the file.
    #[error("BTF is cut off or points outside itself at byte {at}")]
    Malformed {
        /// Where.
        at: usize,
    },
    /// No such type, or not with that member.
    #[error("this kernel's BTF has no {what}")]
    Missing {
        /// What was looked for.
        what: String,
    },
}

/// What a tracepoint passes in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// A pointer to the structure of that name.
    Structure(String),
    /// A number or truth value of that many bytes.
    Integer {
        /// Its size.
        bytes: u32,
        /// Whether it is a `bool`.
        truth: bool,
    },
    /// Anything else.
    Other,
}

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;
const INT_IS_BOOL: u32 = 4;

/// Chains of qualifiers are never longer than this.
const QUALIFIERS_MAX: usize = 32;
/// Structures looked into for one member, at most; ends the search in a file that loops.
const STRUCTURES_MAX: u32 = 4096;

/// A type's record: its name, kind, number of parts, size or target, and where the parts begin.
#[derive(Clone, Copy)]
struct Record {
    name: u32,
    kind: u32,
    parts: usize,
    /// Whether member offsets carry a bit-field size.
    bitfields: bool,
    size_or_target: u32,
    body: usize,
}

/// A parsed BTF file. About 8 MB on a distribution's kernel: drop it after use.
pub(crate) struct Btf {
    bytes: Vec<u8>,
    /// Byte offset of each type's record; index 0 is `void`.
    records: Vec<u32>,
    strings: usize,
    strings_end: usize,
}

impl Btf {
    /// Finds the types in `bytes`.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let header_len = word(&bytes, 4)? as usize;
        if bytes.first_chunk().map(|magic| u16::from_le_bytes(*magic)) != Some(MAGIC) {
            return Err(BtfError::NotBtf);
        }
        let section = |at: usize| -> Result<(usize, usize), BtfError> {
            let start = header_len.saturating_add(word(&bytes, at)? as usize);
            let end = start.saturating_add(word(&bytes, at + 4)? as usize);
            if end > bytes.len() {
                Err(BtfError::Malformed { at })
            } else {
                Ok((start, end))
            }
        };
        let (types, types_end) = section(8)?;
        let (strings, strings_end) = section(16)?;
        let mut btf = Self {
            bytes,
            records: vec![0],
            strings,
            strings_end,
        };
        let mut at = types;
        while at < types_end {
            let record = btf.record_at(at)?;
            btf.records
                .push(u32::try_from(at).map_err(|_| BtfError::Malformed { at })?);
            let body_len = match record.kind {
                KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
                KIND_ARRAY => 12,
                KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * record.parts,
                KIND_ENUM | KIND_FUNC_PROTO => 8 * record.parts,
                2..=19 => 0,
                _ => return Err(BtfError::Malformed { at }),
            };
            at = record.body + body_len;
        }
        if at == types_end {
            Ok(btf)
        } else {
            Err(BtfError::Malformed { at })
        }
    }

    /// Byte offset of `member` in `structure`, also inside its anonymous members.
    pub(crate) fn member_offset(&self, structure: &str, member: &str) -> Result<u32, BtfError> {
        let mut budget = STRUCTURES_MAX;
        for id in self.named(structure, KIND_STRUCT) {
            if let Some(bits) = self.member_bits(id, member, &mut budget)?
                && bits % 8 == 0
            {
                return Ok(bits / 8);
            }
        }
        Err(BtfError::Missing {
            what: format!("`struct {structure}` with a member `{member}`"),
        })
    }

    /// What the tracepoint passes, without the leading private pointer.
    ///
    /// Source: `btf_trace_<name>` is a pointer to the probe's prototype (`include/trace/bpf_probe.h`).
    pub(crate) fn tracepoint(&self, name: &str) -> Result<Vec<Argument>, BtfError> {
        let missing = || BtfError::Missing {
            what: format!("tracepoint `{name}`"),
        };
        let id = self
            .named(&format!("btf_trace_{name}"), KIND_TYPEDEF)
            .next()
            .ok_or_else(missing)?;
        let pointer = self.record(self.record(id)?.size_or_target)?;
        let prototype = self.record(pointer.size_or_target)?;
        if pointer.kind != KIND_PTR || prototype.kind != KIND_FUNC_PROTO {
            return Err(missing());
        }
        (1..prototype.parts)
            .map(|part| self.argument(word(&self.bytes, prototype.body + 8 * part + 4)?))
            .collect()
    }

    fn argument(&self, id: u32) -> Result<Argument, BtfError> {
        let Some(record) = self.unqualified(id)? else {
            return Ok(Argument::Other);
        };
        match record.kind {
            KIND_INT => Ok(Argument::Integer {
                bytes: record.size_or_target,
                truth: (word(&self.bytes, record.body)? >> 24) & INT_IS_BOOL != 0,
            }),
            KIND_PTR => match self.unqualified(record.size_or_target)? {
                Some(target) if target.kind == KIND_STRUCT => Ok(Argument::Structure(
                    self.name(target.name).unwrap_or_default().to_owned(),
                )),
                _ => Ok(Argument::Other),
            },
            _ => Ok(Argument::Other),
        }
    }

    fn member_bits(
        &self,
        id: u32,
        member: &str,
        budget: &mut u32,
    ) -> Result<Option<u32>, BtfError> {
        let Some(record) = self.unqualified(id)? else {
            return Ok(None);
        };
        if !matches!(record.kind, KIND_STRUCT | KIND_UNION) || *budget == 0 {
            return Ok(None);
        }
        *budget -= 1;
        for part in 0..record.parts {
            let at = record.body + 12 * part;
            let raw = word(&self.bytes, at + 8)?;
            let bits = if record.bitfields {
                raw & 0x00ff_ffff
            } else {
                raw
            };
            let name = self.name(word(&self.bytes, at)?);
            if name == Some(member) {
                let is_bitfield = record.bitfields && raw >> 24 != 0;
                return Ok((!is_bitfield).then_some(bits));
            }
            if name == Some("")
                && let Some(inner) = self.member_bits(word(&self.bytes, at + 4)?, member, budget)?
            {
                return Ok(bits.checked_add(inner));
            }
        }
        Ok(None)
    }

    /// Ids of the types of that name and kind.
    fn named<'a>(&'a self, name: &'a str, kind: u32) -> impl Iterator<Item = u32> + 'a {
        self.records
            .iter()
            .enumerate()
            .skip(1)
            .filter_map(move |(id, &at)| {
                let record = self.record_at(at as usize).ok()?;
                let is_it = record.kind == kind && self.name(record.name) == Some(name);
                if is_it { u32::try_from(id).ok() } else { None }
            })
    }

    /// The type behind typedefs and qualifiers; `None` is `void`.
    fn unqualified(&self, mut id: u32) -> Result<Option<Record>, BtfError> {
        for _ in 0..QUALIFIERS_MAX {
            if id == 0 {
                return Ok(None);
            }
            let record = self.record(id)?;
            match record.kind {
                KIND_TYPEDEF..=11 | KIND_TYPE_TAG => id = record.size_or_target,
                _ => return Ok(Some(record)),
            }
        }
        Err(BtfError::Missing {
            what: format!("end to the chain of qualifiers of type {id}"),
        })
    }

    fn record(&self, id: u32) -> Result<Record, BtfError> {
        match self.records.get(id as usize) {
            Some(&at) if id != 0 => self.record_at(at as usize),
            _ => Err(BtfError::Missing {
                what: format!("type {id}"),
            }),
        }
    }

    fn record_at(&self, at: usize) -> Result<Record, BtfError> {
        let info = word(&self.bytes, at.saturating_add(4))?;
        Ok(Record {
            name: word(&self.bytes, at)?,
            kind: (info >> 24) & 0x1f,
            parts: (info & 0xffff) as usize,
            bitfields: info >> 31 == 1,
            size_or_target: word(&self.bytes, at.saturating_add(8))?,
            body: at.saturating_add(12),
        })
    }

    fn name(&self, offset: u32) -> Option<&str> {
        let strings = self.bytes.get(self.strings..self.strings_end)?;
        let rest = strings.get(offset as usize..)?;
        let len = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(rest.get(..len)?).ok()
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map(|chunk| u32::from_le_bytes(*chunk))
        .ok_or(BtfError::Malformed { at })
}

#[cfg(test)]
#[path = "btf_tests.rs"]
mod tests;
