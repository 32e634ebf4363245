//! Files of the unit's cgroup, as they were: memory, CPU, I/O.

use std::path::Path;

use hostmedic_model::{capture::CaptureKind, subject::UnitName};
use hostmedic_observe::subject::v2_root;

use super::{
    found::{self, Found},
    scene::Scene,
};

/// Bytes kept of one cgroup file.
const FILE_BYTES_MAX: usize = 4096;
/// Where each v1 controller may be mounted; it has its own tree.
const V1: &str = "/sys/fs/cgroup";

/// Files of one controller worth keeping.
struct Controller {
    name: &'static str,
    v2: &'static [&'static str],
    /// Directories of v1 and their files.
    v1: &'static [(&'static str, &'static [&'static str])],
}

const MEMORY: Controller = Controller {
    name: "memory",
    v2: &[
        "memory.current",
        "memory.peak",
        "memory.max",
        "memory.high",
        "memory.events",
    ],
    v1: &[(
        "memory",
        &[
            "memory.usage_in_bytes",
            "memory.max_usage_in_bytes",
            "memory.limit_in_bytes",
            "memory.failcnt",
            "memory.oom_control",
        ],
    )],
};
const CPU: Controller = Controller {
    name: "CPU",
    v2: &[
        "cpu.stat",
        "cpu.max",
        "cpu.weight",
        "cpu.pressure",
        "cpuset.cpus.effective",
    ],
    v1: &[
        (
            "cpu",
            &[
                "cpu.stat",
                "cpu.shares",
                "cpu.cfs_quota_us",
                "cpu.cfs_period_us",
            ],
        ),
        ("cpuacct", &["cpuacct.usage", "cpuacct.stat"]),
    ],
};
const IO: Controller = Controller {
    name: "I/O",
    v2: &["io.stat", "io.max", "io.weight", "io.pressure"],
    v1: &[(
        "blkio",
        &[
            "blkio.throttle.io_service_bytes",
            "blkio.throttle.io_serviced",
            "blkio.throttle.read_bps_device",
            "blkio.throttle.write_bps_device",
            "blkio.weight",
        ],
    )],
};

/// The memory files by their names.
pub(super) fn memory(scene: &Scene) -> Found {
    let mut found = Found::default();
    let whose = (&scene.ended, &scene.ended_cgroup);
    read(&MEMORY, whose, &mut found, |found, name, text| {
        found
            .files
            .insert(name.to_owned(), text.trim_end().to_owned());
    });
    found
}

/// The CPU or I/O files, one line for each of theirs.
pub(super) fn lines(kind: CaptureKind, scene: &Scene) -> Found {
    let controller = match kind {
        CaptureKind::CgroupCpu => CPU,
        _ => IO,
    };
    let mut found = Found::default();
    let whose = (&scene.unit, &scene.cgroup);
    read(&controller, whose, &mut found, |found, name, text| {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        found
            .lines
            .extend(lines.map(|line| format!("{name}: {line}")));
    });
    found
}

fn read(
    controller: &Controller,
    (unit, cgroup): (&UnitName, &Option<String>),
    found: &mut Found,
    mut keep: impl FnMut(&mut Found, &str, &str),
) {
    let Some(path) = cgroup else {
        return found.lacks(format!("none was seen for {unit}"));
    };
    let below = |root: &Path| root.join(path.trim_start_matches('/'));
    let v2 = v2_root().map(|root| (below(&root), controller.v2));
    let v1 = controller.v1.iter();
    let v1 = v1.map(|(dir, names)| (below(&Path::new(V1).join(dir)), *names));
    let mut kept = 0;
    for (dir, names) in v2.into_iter().chain(v1) {
        for name in names {
            if let Ok(text) = found::text(&dir.join(name), FILE_BYTES_MAX) {
                kept += 1;
                keep(found, name, &text);
            }
        }
    }
    if kept == 0 {
        let name = controller.name;
        found.lacks(format!(
            "{path} has no {name} files (gone, or not accounted)"
        ));
    }
}
