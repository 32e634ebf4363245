//! The kernel side of hostmedic: one file = one program = one hook of the same name.
//!
//! One object serves every kernel from 5.10 on: offsets and abilities are constants that the
//! daemon freezes before loading (`kernel.rs`), so the verifier drops what a kernel lacks. All
//! `unsafe` is in `kernel.rs` (reading the kernel) and `emit.rs` (writing maps and rings).
#![no_std]
#![no_main]

mod attest;
mod emit;
mod kernel;
mod oom_victim;
mod process_exec;
mod process_exit;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
