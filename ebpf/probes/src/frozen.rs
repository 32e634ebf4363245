//! Numbers that the daemon writes into the instructions before it loads the program
//! (`hostmedic_abi::frozen_word`).
//!
//! A global would do as well for the verifier, which knows what frozen ones hold; but the program
//! would still fetch it from its map each time, and a line that is in no cache costs as much as all
//! the rest of a small hook.

use core::{arch::asm, marker::PhantomData};

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

load_as!(u8, u32, u64);

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
