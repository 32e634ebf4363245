//! Where the host's time comes from, and how far the sources are apart.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    aside::aside,
    found::{self, Found, ago},
    program::{Failed, output},
    scene::Scene,
};

/// Devices told of one kind.
const DEVICES_MAX: usize = 8;
const TIMESYNCD: &str = "systemd-timesyncd";
/// Written by systemd-timesyncd at each synchronisation.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Lines kept of chronyc.
const CHRONY_LINES_MAX: usize = 40;

/// The kernel's source, the hardware clock, and what the time daemon says.
pub(super) async fn sources(scene: Arc<Scene>) -> Found {
    let files = move || {
        let mut found = Found::default();
        hardware(Path::new("/sys"), SystemTime::now(), &mut found);
        if let Ok(marker) = fs::metadata(scene.below_root(SYNCHRONISED)) {
            let age = ago(marker.modified());
            found.line(format!("{TIMESYNCD} synchronised {age}"));
        }
        found
    };
    let mut found = aside(files).await;
    let speaks = found.lines.iter().any(|line| line.starts_with(TIMESYNCD));
    let mut absent = false;
    // Numbers instead of names: looking them up would wait for the network. Both at once: each may wait.
    let (tracking, sources) = tokio::join!(
        output("chronyc", ["-n", "tracking"]),
        output("chronyc", ["-n", "sources"])
    );
    for report in [tracking, sources] {
        match report {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text);
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                let lines = lines.take(CHRONY_LINES_MAX);
                found
                    .lines
                    .extend(lines.map(|line| format!("chrony: {line}")));
            }
            Err(Failed::Absent) => absent = true,
            Err(failed) => found.lacks(failed.say("chronyc")),
        }
    }
    if absent && !speaks {
        found.lacks("a time daemon's word: neither systemd-timesyncd nor chrony speaks here");
    }
    found
}

fn hardware(sys: &Path, now: SystemTime, found: &mut Found) {
    let clocks = sys.join("devices/system/clocksource/clocksource0");
    let of = |name: &str| found::word(&clocks.join(name)).unwrap_or_else(|| "unknown".to_owned());
    found.line(format!(
        "kernel clock {}, of {}",
        of("current_clocksource"),
        of("available_clocksource")
    ));
    for device in devices(&sys.join("class/rtc")) {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        let since =
            found::word(&device.join("since_epoch")).and_then(|text| text.parse::<i64>().ok());
        match (since, now.duration_since(UNIX_EPOCH)) {
            (Some(own), Ok(now)) => {
                let offset = i128::from(now.as_secs()) - i128::from(own);
                found.line(format!("{name}: system clock is {offset} s ahead of it"));
            }
            _ => found.lacks(format!("time of {name}")),
        }
    }
    for device in devices(&sys.join("class/ptp")) {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        let clock = found::word(&device.join("clock_name")).unwrap_or_default();
        found.line(format!("{name}: PTP clock {clock}"));
    }
}

fn devices(class: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let mut devices: Vec<_> = entries
        .map(|entry| entry.path())
        .take(DEVICES_MAX)
        .collect();
    devices.sort();
    devices
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_hardware_clock_is_compared() {
        let dir = tempfile::tempdir().unwrap();
        let rtc = dir.path().join("class/rtc/rtc0");
        fs::create_dir_all(&rtc).unwrap();
        fs::create_dir_all(dir.path().join("class/rtc/rtc1")).unwrap();
        fs::write(rtc.join("since_epoch"), "1000\n").unwrap();
        let mut found = Found::default();
        hardware(
            dir.path(),
            UNIX_EPOCH + Duration::from_secs(940),
            &mut found,
        );
        assert_eq!(
            found.lines,
            [
                "kernel clock unknown, of unknown",
                "rtc0: system clock is -60 s ahead of it",
            ]
        );
        assert_eq!(found.missing, ["time of rtc1"]);
        fs::write(rtc.join("since_epoch"), [0xff, 0xfe]).unwrap();
        hardware(dir.path(), UNIX_EPOCH, &mut found);
        assert_eq!(found.missing.len(), 3);
    }
}
