//! The one place that reads clocks: both of a moment's, and the identity of the boot.
//!
//! Two places would differ in which clock they read, and moments of different clocks compare
//! wrongly after the first suspend.

use std::{fs, time::Duration};

use hostmedic_model::time::{At, BootId};
use nix::time::{ClockId, clock_gettime};

/// This moment on `CLOCK_BOOTTIME` and on the wall clock; `clock_gettime`(2).
pub fn now() -> At {
    let boot_ns = u64::try_from(read(ClockId::CLOCK_BOOTTIME).as_nanos()).unwrap_or(u64::MAX);
    let wall_ms = i64::try_from(read(ClockId::CLOCK_REALTIME).as_millis()).unwrap_or(i64::MAX);
    At { boot_ns, wall_ms }
}

/// The moment `mono_usec` of `CLOCK_MONOTONIC`, which systemd's `...Monotonic` properties use.
///
/// That clock stands still while the host is suspended, so for a moment before the last
/// suspend the answer is too late by its length: never too early.
pub fn at_monotonic(mono_usec: u64) -> At {
    let now = now();
    let ago = read(ClockId::CLOCK_MONOTONIC).saturating_sub(Duration::from_micros(mono_usec));
    let ago_ns = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
    let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    At {
        boot_ns: now.boot_ns.saturating_sub(ago_ns),
        wall_ms: now.wall_ms.saturating_sub(ago_ms),
    }
}

/// How far `mono_usec` of `CLOCK_MONOTONIC` lies ahead; zero if it is past.
pub fn until_monotonic(mono_usec: u64) -> Duration {
    Duration::from_micros(mono_usec).saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// CPU time that this process has used, in user and kernel mode, on all threads.
pub fn cpu_time() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Identity of this boot, from `/proc/sys/kernel/random/boot_id`.
///
/// # Errors
/// Fails if /proc is not mounted.
pub fn boot_id() -> std::io::Result<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BootId(text.trim().to_owned()))
}

/// Linux has had these clocks since 2.6.39; a failure would mean another kernel, and zero then
/// makes every guard that compares moments hold.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn clocks_agree_on_a_moment_just_past() {
        let before = now();
        let mono = u64::try_from(read(ClockId::CLOCK_MONOTONIC).as_micros()).unwrap();
        let back = at_monotonic(mono);
        assert!(
            back.boot_ns + 1_000_000_000 > before.boot_ns,
            "{back:?} {before:?}"
        );
        assert!(until_monotonic(mono + 60_000_000) > Duration::from_secs(50));
        assert_eq!(until_monotonic(0), Duration::ZERO);
    }

    #[test]
    fn boot_id_is_the_kernels() {
        let id = boot_id().unwrap().0;
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(boot_id().unwrap().0, id);
    }
}
