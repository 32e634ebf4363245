//! Machine checks. Fields are named as in arch/x86/include/uapi/asm/mce.h.

use super::{Arguments, peek};
use crate::frozen::frozen;

frozen! {
    OFF_MCE_STATUS: u32;
    OFF_MCE_CPU: u32;
    OFF_MCE_BANK: u32;
}

/// `MCI_STATUS_UC`: the hardware could not correct it.
const STATUS_UNCORRECTED: u64 = 1 << 61;

/// A `struct mce` at an untyped address.
#[derive(Clone, Copy)]
pub struct MachineCheck(u64);

impl MachineCheck {
    /// The one that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Self {
        Self(ctx.number(0))
    }

    /// Whether the hardware corrected it.
    #[inline(always)]
    pub fn is_corrected(self) -> bool {
        peek::<u64>(self.0, u64::from(OFF_MCE_STATUS.load())) & STATUS_UNCORRECTED == 0
    }

    /// CPU in the upper half, bank in the lower.
    #[inline(always)]
    pub fn place(self) -> u64 {
        let cpu: u32 = peek(self.0, u64::from(OFF_MCE_CPU.load()));
        let bank: u8 = peek(self.0, u64::from(OFF_MCE_BANK.load()));
        u64::from(cpu) << 32 | u64::from(bank)
    }
}
