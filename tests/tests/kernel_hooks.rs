//! Every hook that this kernel offers is captured, in bounded memory, and says so.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use hostmedic_model::loss::Coverage;
use hostmedic_observe::kernel::{MAP_BYTES_MAX, Options};
use hostmedic_tests::kernel::Capture;

/// Goal: no hook is absent without a reason that a look at the kernel confirms.
#[test]
fn every_hook_is_there_or_rightly_absent() {
    let capture = Capture::start(&Options {
        disk_latency: true,
        ..Options::default()
    });
    for report in &capture.reports {
        println!(
            "{:20} {:40} {:?} {}",
            report.hook, report.attach_point, report.coverage, report.reason
        );
    }
    let refused: Vec<_> = capture
        .reports
        .iter()
        .filter(|report| report.coverage == Coverage::Absent && report.reason.contains("verifier"))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    println!(
        "maps: {} bytes, planned {}",
        capture.probes().map_bytes().unwrap(),
        capture.probes().map_bytes_planned()
    );
    assert!(capture.probes().map_bytes().unwrap() <= MAP_BYTES_MAX);
}
