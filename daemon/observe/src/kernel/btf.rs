//! Reads the kernel's description of its own types: where a field is, what a tracepoint passes.
//!
//! rustc emits no CO-RE relocations and aya keeps its parsed members private, so the probes'
//! offsets come from here. The input is the kernel's, but a truncated or foreign file must end
//! in an error that says so: every access is checked. Format: Documentation/bpf/btf.rst.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

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
    /// A value of the enumeration of that name.
    Enumeration(String),
    /// Anything else.
    Other,
}

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Bytes from the structure's beginning.
    pub(crate) offset: u32,
    /// Whether it is a pointer.
    pub(crate) is_pointer: bool,
    /// Its type.
    id: u32,
}

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;
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
///
/// A module's file continues the kernel's: its types are numbered on, and so are its strings. So
/// it can be put on top for a while ([`Btf::push_module`]).
pub(crate) struct Btf {
    bytes: Vec<u8>,
    /// Byte offset of each type's record; index 0 is `void`.
    records: Vec<u32>,
    /// Where the kernel's strings lie in `bytes`.
    strings: Range<usize>,
    /// Where the module's do.
    module_strings: Range<usize>,
    /// Length of `bytes` and `records` without the module.
    base: (usize, usize),
    /// Structures, typedefs and enumerations by the hash of kind and name.
    index: HashMap<u64, Vec<u32>>,
}

impl Btf {
    /// Finds the types in `bytes`.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let mut btf = Self {
            bytes,
            records: vec![0],
            strings: 0..0,
            module_strings: 0..0,
            base: (0, 0),
            index: HashMap::new(),
        };
        btf.strings = btf.read_file(0)?;
        btf.base = (btf.bytes.len(), btf.records.len());
        btf.index_from(1);
        Ok(btf)
    }

    /// Puts a module's types on top.
    pub(crate) fn push_module(&mut self, module: &[u8]) -> Result<(), BtfError> {
        self.pop_module();
        self.bytes.extend_from_slice(module);
        match self.read_file(self.base.0) {
            Ok(strings) => {
                self.module_strings = strings;
                self.index_from(self.base.1);
                Ok(())
            }
            Err(error) => {
                self.pop_module();
                Err(error)
            }
        }
    }

    /// Takes the module's types off again.
    pub(crate) fn pop_module(&mut self) {
        self.bytes.truncate(self.base.0);
        self.records.truncate(self.base.1);
        self.module_strings = 0..0;
        let kernel = self.base.1;
        self.index.retain(|_, ids| {
            ids.retain(|id| (*id as usize) < kernel);
            !ids.is_empty()
        });
    }

    /// Reads the file that begins at `start`; says where its strings are.
    fn read_file(&mut self, start: usize) -> Result<Range<usize>, BtfError> {
        let bytes = &self.bytes;
        let magic = bytes.get(start..).and_then(|rest| rest.first_chunk());
        let header_len = word(bytes, start + 4)? as usize;
        if magic.map(|magic| u16::from_le_bytes(*magic)) != Some(MAGIC) {
            return Err(BtfError::NotBtf);
        }
        let section = |at: usize| -> Result<Range<usize>, BtfError> {
            let begin = start
                .saturating_add(header_len)
                .saturating_add(word(bytes, start + at)? as usize);
            let end = begin.saturating_add(word(bytes, start + at + 4)? as usize);
            if end > bytes.len() {
                Err(BtfError::Malformed { at: start + at })
            } else {
                Ok(begin..end)
            }
        };
        let (types, strings) = (section(8)?, section(16)?);
        let mut at = types.start;
        while at < types.end {
            let record = self.record_at(at)?;
            self.records
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
        if at == types.end {
            Ok(strings)
        } else {
            Err(BtfError::Malformed { at })
        }
    }

    fn index_from(&mut self, first: usize) {
        let mut found = Vec::new();
        for (id, &at) in self.records.iter().enumerate().skip(first) {
            if let Ok(record) = self.record_at(at as usize)
                && INDEXED.contains(&record.kind)
                && let Some(name) = self.name(record.name)
                && let Ok(id) = u32::try_from(id)
            {
                found.push((key_of(record.kind, name), id));
            }
        }
        for (key, id) in found {
            self.index.entry(key).or_default().push(id);
        }
    }

    /// Byte offset of the member at `path` in `structure`, also inside its anonymous members. A
    /// dot in the path goes into a member that is a structure itself.
    pub(crate) fn member_offset(&self, structure: &str, path: &str) -> Result<u32, BtfError> {
        Ok(self.member(structure, path)?.offset)
    }

    /// The member at `path` in `structure`.
    pub(crate) fn member(&self, structure: &str, path: &str) -> Result<Member, BtfError> {
        let missing = || BtfError::Missing {
            what: format!("`struct {structure}` with a member `{path}`"),
        };
        for id in self.named(structure, KIND_STRUCT) {
            if let Some(member) = self.member_of(id, path)? {
                return Ok(member);
            }
        }
        Err(missing())
    }

    fn member_of(&self, id: u32, path: &str) -> Result<Option<Member>, BtfError> {
        let mut budget = STRUCTURES_MAX;
        let mut at = Member {
            offset: 0,
            is_pointer: false,
            id,
        };
        for name in path.split('.') {
            let Some((bits, id)) = self.member_bits(at.id, name, &mut budget)? else {
                return Ok(None);
            };
            if bits % 8 != 0 {
                return Ok(None);
            }
            at.offset = at.offset.saturating_add(bits / 8);
            at.id = id;
        }
        at.is_pointer = self
            .unqualified(at.id)?
            .is_some_and(|record| record.kind == KIND_PTR);
        Ok(Some(at))
    }

    /// Size of `structure` in bytes.
    pub(crate) fn size_of(&self, structure: &str) -> Result<u32, BtfError> {
        match self.named(structure, KIND_STRUCT).next() {
            Some(id) => Ok(self.record(id)?.size_or_target),
            None => Err(BtfError::Missing {
                what: format!("`struct {structure}`"),
            }),
        }
    }

    /// Names and values of an enumeration of 32 bits; of several of that name, the longest.
    pub(crate) fn enumeration(&self, name: &str) -> Result<Vec<(String, u32)>, BtfError> {
        let mut longest = Vec::new();
        for id in self.named(name, KIND_ENUM) {
            let record = self.record(id)?;
            let values: Result<Vec<_>, BtfError> = (0..record.parts)
                .map(|part| {
                    let at = record.body + 8 * part;
                    let name = self.name(word(&self.bytes, at)?).unwrap_or_default();
                    Ok((name.to_owned(), word(&self.bytes, at + 4)?))
                })
                .collect();
            let values = values?;
            if values.len() > longest.len() {
                longest = values;
            }
        }
        if longest.is_empty() {
            return Err(BtfError::Missing {
                what: format!("`enum {name}`"),
            });
        }
        Ok(longest)
    }

    /// What the function takes, if the compiler has kept it as one.
    pub(crate) fn function(&self, name: &str) -> Result<Vec<Argument>, BtfError> {
        let missing = || BtfError::Missing {
            what: format!("function `{name}`"),
        };
        let is_it =
            |record: &Record| record.kind == KIND_FUNC && self.name(record.name) == Some(name);
        let function = self
            .records
            .iter()
            .skip(1)
            .filter_map(|&at| self.record_at(at as usize).ok())
            .find(is_it)
            .ok_or_else(missing)?;
        self.arguments(self.record(function.size_or_target)?, 0)
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
        self.arguments(prototype, 1)
    }

    fn arguments(&self, prototype: Record, first: usize) -> Result<Vec<Argument>, BtfError> {
        (first..prototype.parts)
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
            KIND_ENUM => Ok(Argument::Enumeration(
                self.name(record.name).unwrap_or_default().to_owned(),
            )),
            _ => Ok(Argument::Other),
        }
    }

    /// Bits from the beginning of type `id` to `member`, and the member's type.
    fn member_bits(
        &self,
        id: u32,
        member: &str,
        budget: &mut u32,
    ) -> Result<Option<(u32, u32)>, BtfError> {
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
            let of_type = word(&self.bytes, at + 4)?;
            if name == Some(member) {
                let is_bitfield = record.bitfields && raw >> 24 != 0;
                return Ok((!is_bitfield).then_some((bits, of_type)));
            }
            if name == Some("")
                && let Some((inner, id)) = self.member_bits(of_type, member, budget)?
            {
                return Ok(bits.checked_add(inner).map(|bits| (bits, id)));
            }
        }
        Ok(None)
    }

    /// Ids of the types of that name and kind, which must be one of [`INDEXED`].
    fn named<'a>(&'a self, name: &'a str, kind: u32) -> impl Iterator<Item = u32> + 'a {
        let ids = self.index.get(&key_of(kind, name));
        let is_it = move |id: &u32| {
            self.record(*id)
                .is_ok_and(|record| record.kind == kind && self.name(record.name) == Some(name))
        };
        ids.into_iter().flatten().copied().filter(is_it)
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
        let offset = offset as usize;
        let (strings, at) = match offset.checked_sub(self.strings.len()) {
            Some(at) if !self.module_strings.is_empty() => (&self.module_strings, at),
            _ => (&self.strings, offset),
        };
        let rest = self.bytes.get(strings.clone())?.get(at..)?;
        let len = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(rest.get(..len)?).ok()
    }
}

/// Kinds that are looked up by name.
const INDEXED: [u32; 3] = [KIND_STRUCT, KIND_TYPEDEF, KIND_ENUM];

fn key_of(kind: u32, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, name).hash(&mut hasher);
    hasher.finish()
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
