//! Tests of the BTF reader: a file written by hand, the running kernel's, and damaged ones.

use proptest::prelude::*;

use super::*;

/// Writes BTF the way the compiler does, a type at a time.
#[derive(Default)]
struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn name(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len();
        self.strings.extend(text.bytes().chain([0]));
        u32::try_from(at).unwrap()
    }

    fn add(&mut self, name: &str, kind: u32, parts: u32, size: u32, body: &[u32]) {
        let name = self.name(name);
        for value in [name, kind << 24 | parts, size].iter().chain(body) {
            self.types.extend(value.to_le_bytes());
        }
    }

    fn finish(self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut out = vec![0x9f, 0xeb, 1, 0];
        for value in [24, 0, types, types, strings] {
            out.extend(u32::to_le_bytes(value));
        }
        [out, self.types, self.strings].concat()
    }
}

/// `struct s { int a; union { int b; struct { int c, d; }; }; }` and a tracepoint that takes
/// `(void *, const struct s *, bool)`.
fn sample() -> Vec<u8> {
    let mut w = Writer::default();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| w.name(name));
    w.add("int", KIND_INT, 0, 4, &[32]); // 1
    w.add("", KIND_STRUCT, 2, 8, &[c, 1, 0, d, 1, 32]); // 2
    w.add("", KIND_UNION, 2, 8, &[b, 1, 0, 0, 2, 0]); // 3
    w.add("s", KIND_STRUCT, 2, 12, &[a, 1, 0, 0, 3, 32]); // 4
    w.add("", 10, 0, 4, &[]); // 5: const struct s
    w.add("", KIND_PTR, 0, 5, &[]); // 6
    w.add("_Bool", KIND_INT, 0, 1, &[INT_IS_BOOL << 24 | 8]); // 7
    w.add("bool", KIND_TYPEDEF, 0, 7, &[]); // 8
    w.add("", KIND_PTR, 0, 0, &[]); // 9: void *
    w.add("", KIND_FUNC_PROTO, 3, 0, &[0, 9, 0, 6, 0, 8]); // 10
    w.add("", KIND_PTR, 0, 10, &[]); // 11
    w.add("btf_trace_t", KIND_TYPEDEF, 0, 11, &[]); // 12
    w.finish()
}

#[test]
fn members_of_anonymous_members_are_found() {
    let btf = Btf::parse(sample()).unwrap();
    for (member, offset) in [("a", 0), ("b", 4), ("c", 4), ("d", 8)] {
        assert_eq!(btf.member_offset("s", member), Ok(offset), "{member}");
    }
    assert!(btf.member_offset("s", "e").is_err());
    assert!(btf.member_offset("t", "a").is_err());
}

#[test]
fn tracepoint_arguments_are_told_by_type() {
    let btf = Btf::parse(sample()).unwrap();
    let expected = vec![
        Argument::Structure("s".to_owned()),
        Argument::Integer {
            bytes: 1,
            truth: true,
        },
    ];
    assert_eq!(btf.tracepoint("t"), Ok(expected));
    assert!(btf.tracepoint("u").is_err());
}

#[test]
fn a_chain_of_qualifiers_that_never_ends_is_an_error() {
    let mut w = Writer::default();
    let member = w.name("m");
    w.add("loop", KIND_TYPEDEF, 0, 1, &[]);
    w.add("s", KIND_STRUCT, 1, 4, &[0, 1, 0]);
    w.add("r", KIND_STRUCT, 1, 4, &[0, 3, 0]);
    let _ = member;
    let btf = Btf::parse(w.finish()).unwrap();
    assert!(btf.member_offset("s", "m").is_err());
    assert!(btf.member_offset("r", "m").is_err());
}

#[test]
fn the_running_kernel_is_readable() {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let btf = Btf::parse(bytes).unwrap();
    assert!(btf.member_offset("task_struct", "tgid").unwrap() > 0);
    let arguments = btf.tracepoint("sched_process_exec").unwrap();
    assert_eq!(
        arguments.first(),
        Some(&Argument::Structure("task_struct".to_owned()))
    );
    assert_eq!(arguments.len(), 3);
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(btf) = Btf::parse(bytes) {
            let _ = (btf.member_offset("s", "a"), btf.tracepoint("t"));
        }
    }

    #[test]
    fn a_damaged_file_ends_in_an_answer(
        hits in proptest::collection::vec((0_usize..600, any::<u8>()), 1..8),
        cut in 0_usize..600,
    ) {
        let mut bytes = sample();
        for (at, value) in hits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.max(24));
        if let Ok(btf) = Btf::parse(bytes) {
            let _ = (btf.member_offset("s", "d"), btf.tracepoint("t"));
        }
    }
}
