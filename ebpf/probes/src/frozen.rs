//! Numbers that the daemon writes into the instructions before it loads the program
//! (`hostmedic_abi::frozen_word`).
//!
//! A global would do as well for the verifier, which knows what frozen ones hold; but the program
//! would still fetch it from its map each time, and a line that is in no cache costs as much as all
//! the rest of a small hook.

use core::{arch::asm, marker::PhantomData};

use hostmedic_abi::field_word;

/// A number of which only the word is known here.
pub struct Frozen<T, const WORD: u64>(PhantomData<T>);

impl<T, const WORD: u64> Frozen<T, WORD> {
    /// The number that will stand in the word's place.
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// The number as it stands in the instruction.
    #[inline(always)]
    pub fn word(&self) -> u64 {
        let number;
        // SAFETY: one instruction that sets a register. The compiler must not know the value, for it
        // is another one by the time the program runs.
        // Not `pure`, which would keep it for its next use: to set it again costs less than a register
        // over calls, or a place on the stack.
        unsafe {
            asm!(
                "{number} = {word} ll",
                number = out(reg) number,
                word = const WORD,
                options(nomem, nostack, preserves_flags),
            );
        }
        number
    }
}

/// Kinds of numbers that fit into an instruction.
macro_rules! load_as {
    ($($kind:ty),+) => {
        $(impl<const WORD: u64> Frozen<$kind, WORD> {
            /// The number.
            #[inline(always)]
            pub fn load(&self) -> $kind {
                self.word() as $kind
            }
        })+
    };
}

load_as!(u32, u64);

impl<const WORD: u64> Frozen<bool, WORD> {
    /// Whether it is another number than zero.
    #[inline(always)]
    pub fn load(&self) -> bool {
        self.word() != 0
    }
}

impl<const WORD: u64> Frozen<u32, WORD> {
    /// The eight bytes at this offset from `base`, as one load where the daemon can write the offset into
    /// it: most of what a hook does is such loads, and each instruction less is one less to fetch.
    ///
    /// # Safety
    /// As `base.byte_add(offset).cast::<u64>().read_volatile()`.
    #[inline(always)]
    pub unsafe fn field_of(&self, base: *const u8) -> u64 {
        let field;
        // SAFETY: reads what the caller says may be read. The register of the result is set first, so
        // it is not the one of `base`; the daemon relies on both (`field_word`).
        unsafe {
            asm!(
                "{field} = {word} ll",
                "{field} += {base}",
                "{field} = *(u64 *)({field} + 0)",
                base = in(reg) base,
                field = out(reg) field,
                word = const field_word(WORD),
                options(readonly, nostack, preserves_flags),
            );
        }
        field
    }
}

/// Declares such numbers by name.
macro_rules! frozen {
    ($($(#[$doc:meta])* $name:ident: $kind:ty;)+) => {
        $(
            $(#[$doc])*
            static $name: $crate::frozen::Frozen<$kind, { hostmedic_abi::frozen_word(stringify!($name)) }> =
                $crate::frozen::Frozen::new();
        )+
    };
}
pub(crate) use frozen;
