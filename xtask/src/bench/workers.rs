//! Where the kernel's unbound workers run while disk loads are measured.
//!
//! A loop device's requests are served by such a worker. Left to the scheduler it now shares the
//! reader's CPU and now wakes an idle one, and in a virtual machine the second takes four times as
//! long: what is measured would be where it happened to run.

use std::fs;

use anyhow::{Context as _, Result};

/// CPUs of unbound workers, as a mask (Documentation/core-api/workqueue.rst).
const FILE: &str = "/sys/devices/virtual/workqueue/cpumask";

/// Unbound workers run beside the loads; put back when dropped.
pub(super) struct Workers {
    before: String,
}

impl Workers {
    /// From now on they run on `cpu` only.
    ///
    /// # Errors
    /// When the kernel does not let them be moved.
    pub(super) fn move_to(cpu: usize) -> Result<Self> {
        let before = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
        fs::write(FILE, mask(cpu)).with_context(|| format!("cannot write {FILE}"))?;
        Ok(Self {
            before: before.trim().to_owned(),
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Err(error) = fs::write(FILE, &self.before) {
            println!("bench: write {} to {FILE} yourself: {error}", self.before);
        }
    }
}

/// One CPU as `bitmap_parse` of lib/bitmap-str.c takes it: words of 32 bits, the highest first.
fn mask(cpu: usize) -> String {
    let zeros = ",00000000".repeat(cpu / 32);
    format!("{:x}{zeros}", 1_u32 << (cpu % 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_words_of_32_bits() {
        assert_eq!(mask(0), "1");
        assert_eq!(mask(5), "20");
        assert_eq!(mask(33), "2,00000000");
        assert_eq!(mask(95), "80000000,00000000,00000000");
    }
}
