//! The kernel side of hostmedic: one file = one program = one hook of the same name.
//!
//! One object serves every kernel from 5.10 on: offsets and abilities are constants that the
//! daemon writes into the instructions before loading (`frozen.rs`), so the verifier drops what a
//! kernel lacks. All `unsafe` is in `kernel.rs` (reading the kernel), `frozen.rs` (constants) and
//! `emit.rs`, `tally.rs`, `memory.rs` (maps).
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod attest;
mod block_error;
mod block_latency;
mod cgroup_attached;
mod cgroup_change;
mod cgroup_made;
mod cgroup_removed;
mod emit;
mod ext4_error;
mod frozen;
mod hung_task;
mod kernel;
mod machine_check;
mod memory;
mod memory_controller;
mod memory_page;
mod oom_scope;
mod oom_victim;
mod packet_drop;
mod pcie_error;
mod process_exec;
mod process_exit;
mod process_fork;
mod rcu_stall;
mod scsi_refused;
mod scsi_timeout;
mod signal_fatal;
mod tally;
mod tcp_flow;
mod tcp_reset_received;
mod tcp_reset_sent;
mod tcp_retransmit;
mod transmit_timeout;
mod unix_flow;
mod writeback_error;
mod xfs_shutdown;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
