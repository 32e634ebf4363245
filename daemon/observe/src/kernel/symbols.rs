//! Names of places in the kernel's code, for kernels that drop packets without giving a reason.

use std::fs;

/// Upper half of an address in the kernel's text, on the 64-bit architectures that have one text
/// segment there (x86-64, `Documentation/arch/x86/x86_64/mm.rst`).
const TEXT: u64 = 0xffff_ffff_0000_0000;

/// Functions by the lower half of their address, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols(Vec<(u32, Box<str>)>);

impl Symbols {
    /// Reads /proc/kallsyms; empty where the kernel hides addresses (`kernel.kptr_restrict`).
    pub(crate) fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/kallsyms").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut found: Vec<(u32, Box<str>)> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let address = u64::from_str_radix(words.next()?, 16).ok()?;
                let is_code = matches!(words.next()?, "t" | "T" | "w" | "W");
                let low = u32::try_from(address.checked_sub(TEXT)?).ok()?;
                is_code.then(|| words.next().map(|name| (low, name.into())))?
            })
            .collect();
        found.sort_unstable();
        Self(found)
    }

    /// The function that the address with this lower half lies in.
    pub(crate) fn at(&self, low: u32) -> String {
        let after = self.0.partition_point(|(address, _)| *address <= low);
        match after.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some((_, name)) => format!("at:{name}"),
            None => format!("at:{low:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let symbols = Symbols::parse(
            "ffffffff81000000 T _stext\nffffffff81000100 t tcp_v4_rcv\n\
             ffffffff81000180 D data\n0000000000000000 T hidden\nx\n",
        );
        assert_eq!(symbols.at(0x8100_0134), "at:tcp_v4_rcv");
        assert_eq!(symbols.at(0x8100_00ff), "at:_stext");
        assert_eq!(symbols.at(0x1), "at:0x1");
        assert_eq!(Symbols::parse("").at(7), "at:0x7");
    }
}
