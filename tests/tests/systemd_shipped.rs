//! The files in `systemd/`, installed in a real system: accounts, directories, the polkit list,
//! the action.
//!
//! What is installed here is what a package installs; nothing is adapted but the list that its
//! owner is told to edit.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use hostmedic_tests::nspawn::{Nspawn, Options};

/// Shipped file and its place on a host.
const FILES: [(&str, &str); 7] = [
    ("medicd.service", "usr/lib/systemd/system/medicd.service"),
    (
        "run-hostmedic\\x2dbpf.mount",
        "usr/lib/systemd/system/run-hostmedic\\x2dbpf.mount",
    ),
    (
        "medic-collector.service",
        "usr/lib/systemd/system/medic-collector.service",
    ),
    (
        "hostmedic-journal-vacuum@.service",
        "usr/lib/systemd/system/hostmedic-journal-vacuum@.service",
    ),
    ("hostmedic.sysusers", "usr/lib/sysusers.d/hostmedic.conf"),
    ("hostmedic.tmpfiles", "usr/lib/tmpfiles.d/hostmedic.conf"),
    (
        "50-hostmedic.rules",
        "etc/polkit-1/rules.d/50-hostmedic.rules",
    ),
];

const SLEEPER: &str = "[Service]\nExecStart=/usr/bin/sleep infinity\n";

fn shipped(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(dir.join("systemd").join(name)).unwrap()
}

/// A system with everything installed; its owner lists `web.service` and `app-*.service`, and lets
/// `app-one.service` be stopped, and `other.service`, which is not on the first list.
fn installed() -> Nspawn {
    let mut options = Options::default();
    for (name, place) in FILES {
        let listed = [
            ("// \"web.service\",", "\"web.service\", \"app-*.service\","),
            (
                "// \"batch.service\",",
                "\"app-one.service\", \"other.service\",",
            ),
        ];
        let mut text = shipped(name);
        for (shipped, edited) in listed {
            text = text.replacen(shipped, edited, 1);
        }
        options.files.push((place.into(), text));
    }
    for name in ["web.service", "app-one.service", "other.service"] {
        let place = format!("etc/systemd/system/{name}");
        options.files.push((place.into(), SLEEPER.to_owned()));
    }
    let system = Nspawn::boot(&options).unwrap();
    system
        .sh("systemd-sysusers && systemd-tmpfiles --create && systemctl restart polkit.service")
        .unwrap();
    system
}

/// Asks systemd for something over D-Bus as `user`, without a terminal to authenticate on.
fn ask(system: &Nspawn, user: &str, method: &str, arguments: &str) -> Result<(), String> {
    let manager = "org.freedesktop.systemd1 /org/freedesktop/systemd1 \
                   org.freedesktop.systemd1.Manager";
    system
        .sh(&format!(
            "runuser -u {user} -- busctl call {manager} {method} {arguments}"
        ))
        .map(drop)
        .map_err(|error| format!("{error:#}"))
}

/// Goal: the daemon's account may do what the list says, verb by verb and unit by unit, and
/// nothing else; other accounts gain nothing by it.
#[test]
fn the_polkit_list_is_the_limit() {
    let system = installed();
    let restart = |unit: &str| {
        ask(
            &system,
            "hostmedic",
            "RestartUnit",
            &format!("ss {unit} replace"),
        )
    };
    restart("web.service").unwrap();
    restart("app-one.service").unwrap();
    ask(&system, "hostmedic", "ResetFailedUnit", "s web.service").unwrap();
    let set_weight = |unit: &str| {
        let arguments = format!("'sba(sv)' {unit} true 1 CPUWeight t 20");
        ask(&system, "hostmedic", "SetUnitProperties", &arguments)
    };
    set_weight("web.service").unwrap();
    // Stopping takes both lists.
    ask(
        &system,
        "hostmedic",
        "StopUnit",
        "ss app-one.service replace",
    )
    .unwrap();
    ask(
        &system,
        "hostmedic",
        "StartUnit",
        "ss hostmedic-journal-vacuum@host.service replace",
    )
    .unwrap();

    let denied = [
        restart("other.service"),
        set_weight("other.service"),
        ask(&system, "hostmedic", "FreezeUnit", "s app-one.service"),
        restart("dbus.service"),
        // Ends in the listed name without being it.
        ask(
            &system,
            "hostmedic",
            "StartUnit",
            "ss app-one.timer replace",
        ),
        // A listed unit, but a verb that is not listed.
        ask(&system, "hostmedic", "StopUnit", "ss web.service replace"),
        ask(&system, "hostmedic", "StopUnit", "ss other.service replace"),
        ask(&system, "hostmedic", "KillUnit", "ssi web.service all 9"),
        // An action is started, never restarted.
        restart("hostmedic-journal-vacuum@host.service"),
        ask(&system, "hostmedic", "Reload", ""),
        ask(&system, "hostmedic", "PowerOff", ""),
        ask(
            &system,
            "hostmedic",
            "MaskUnitFiles",
            "asbb 1 web.service true true",
        ),
        ask(
            &system,
            "hostmedic-collector",
            "RestartUnit",
            "ss web.service replace",
        ),
    ];
    for (number, answer) in denied.into_iter().enumerate() {
        let error = answer.expect_err(&format!("call {number} of the denied was let through"));
        assert!(
            error.contains("Access denied")
                || error.contains("Permission denied")
                || error.contains("interactive authentication")
                || error.contains("Interactive authentication"),
            "call {number} failed for another reason: {error}"
        );
    }
}

/// Goal: as shipped, before its owner has edited it, the list lets no service be changed.
#[test]
fn the_lists_are_empty_as_shipped() {
    let rules = shipped("50-hostmedic.rules");
    for name in ["var units = [", "var stoppable = ["] {
        let list = rules
            .split_once(name)
            .and_then(|(_, rest)| rest.split_once("];"))
            .unwrap()
            .0;
        let entries: Vec<_> = list
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with("//"))
            .collect();
        assert_eq!(entries, [""; 0], "{name}");
    }
}

/// Goal: the shipped action really shrinks a journal, with the few rights it has.
#[test]
fn the_vacuum_action_shrinks_the_journal() {
    let system = installed();
    system
        .sh("mkdir -p /var/log/journal && systemctl restart systemd-journald && journalctl --flush")
        .unwrap();
    // Archived files are what a vacuum may remove.
    for _ in 0..4 {
        system
            .sh(
                "head -c 6000000 /dev/urandom | base64 -w 4000 | systemd-cat -t filler; \
                 journalctl --sync; journalctl --rotate",
            )
            .unwrap();
    }
    let archived = || -> u32 {
        let count = "find /var/log/journal -name '*@*.journal' | wc -l";
        system.sh(count).unwrap().parse().unwrap()
    };
    let before = archived();
    assert!(before >= 3, "only {before} archived files");
    system
        .write_file(
            "/etc/systemd/system/hostmedic-journal-vacuum@.service.d/size.conf",
            "[Service]\nEnvironment=VACUUM_SIZE=1M\n",
            0o644,
        )
        .unwrap();
    system.sh("systemctl daemon-reload").unwrap();
    let unit = "hostmedic-journal-vacuum@host.service";
    let started = system.sh(&format!("systemctl start {unit}"));
    let said = system
        .sh(&format!("journalctl --no-pager -o cat -u {unit}"))
        .unwrap();
    started.unwrap_or_else(|error| panic!("{error:#}\n{said}"));
    let after = archived();
    assert!(
        after < before,
        "{before} archived files before, {after} after:\n{said}"
    );
}

/// Goal: accounts and directories are as the units expect them.
#[test]
fn accounts_and_directories_are_made() {
    let system = installed();
    for line in [
        "id -u hostmedic",
        "id -u hostmedic-collector",
        "getent group hostmedic-read",
        "getent group hostmedic-operator",
        "test \"$(stat -c '%U:%G %a' /etc/hostmedic/collector)\" = 'root:hostmedic 750'",
        // A login is no use of these accounts.
        "getent passwd hostmedic | grep -q nologin",
    ] {
        system.sh(line).unwrap();
    }
}
