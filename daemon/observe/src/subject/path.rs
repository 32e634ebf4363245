//! From a cgroup's path to its unit, by systemd's own rules: pure.

use hostmedic_model::subject::UnitName;

/// The unit that a cgroup belongs to, as the system's own systemd sees it; `None` if no part
/// of the path is a unit.
///
/// The first part that is a unit but no slice decides: below it the unit's own processes (or
/// another systemd, in a container or `user@.service`) may build what they like. Parts before
/// it need not be slices, because a container's tree hangs below `/payload`. A path of slices
/// alone belongs to the last one. Source: `cg_path_get_unit()` of systemd, which also removes
/// the underscore that escapes names such as `cpu.service`.
pub fn unit_of(path: &str) -> Option<UnitName> {
    let mut slice = None;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let Ok(unit) = UnitName::new(part.strip_prefix('_').unwrap_or(part)) else {
            continue;
        };
        if !unit.as_str().ends_with(".slice") {
            return Some(unit);
        }
        slice = Some(unit);
    }
    slice
}

/// The path in `/proc/PID/cgroup` that systemd puts units into: the v2 line, or where the v2
/// tree is not systemd's, the line of its own v1 tree (`name=systemd`).
pub fn path_in_proc(text: &str) -> Option<&str> {
    let of = |prefix: &str| {
        text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.strip_prefix(prefix)
        })
    };
    let v2 = of(":");
    match v2 {
        Some(path) if unit_of(path).is_some() => Some(path),
        _ => of("name=systemd:").or(v2),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn paths_give_the_unit_systemd_would_name() {
        for (path, expected) in [
            ("/system.slice/web.service", Some("web.service")),
            ("/system.slice/web.service/worker/3", Some("web.service")),
            ("/payload/system.slice/web.service", Some("web.service")),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                Some("getty@tty1.service"),
            ),
            ("/system.slice/_cpu.service", Some("cpu.service")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service",
                Some("user@1000.service"),
            ),
            (
                "/user.slice/user-0.slice/session-1.scope",
                Some("session-1.scope"),
            ),
            (
                "/machine.slice/machine-a.scope/payload/system.slice/b.service",
                Some("machine-a.scope"),
            ),
            (
                "/system.slice/dev-disk-by\\x2duuid-a.swap",
                Some("dev-disk-by\\x2duuid-a.swap"),
            ),
            ("/init.scope", Some("init.scope")),
            ("/system.slice", Some("system.slice")),
            ("/docker/0123456789", None),
            ("/", None),
            ("", None),
        ] {
            let found = unit_of(path).map(String::from);
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn proc_line_is_v2_unless_systemd_is_elsewhere() {
        let pure = "0::/system.slice/a.service\n";
        let hybrid =
            "2:memory:/x\n1:name=systemd:/system.slice/a.service\n0::/system.slice/a.service\n";
        let legacy = "2:memory:/x\n1:name=systemd:/system.slice/a.service\n0::/\n";
        let colon = "1:name=systemd:/system.slice/a.service/x:y\n0::/\n";
        assert_eq!(path_in_proc(pure), Some("/system.slice/a.service"));
        assert_eq!(path_in_proc(hybrid), Some("/system.slice/a.service"));
        assert_eq!(path_in_proc(legacy), Some("/system.slice/a.service"));
        assert_eq!(path_in_proc(colon), Some("/system.slice/a.service/x:y"));
        assert_eq!(path_in_proc("0::/\n"), Some("/"));
        assert_eq!(path_in_proc(""), None);
    }
}
