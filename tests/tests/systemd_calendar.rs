//! The calendar against real timers, services and logind.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use hostmedic_model::calendar::{Activity, Calendar, CalendarReading, Purpose};
use hostmedic_observe::{
    bus::calendar::{CalendarConfig, read},
    host::clock::now,
};
use support::{boot, connect, eventually, start, unit};
use zbus::Connection;

async fn calendar(conn: &Connection) -> Calendar {
    match read(conn, &CalendarConfig::default()).await {
        CalendarReading::Readable(calendar) => calendar,
        CalendarReading::Unreadable { reason, .. } => panic!("{reason}"),
    }
}

async fn running(conn: &Connection, name: &str) -> Option<Activity> {
    calendar(conn)
        .await
        .running
        .into_iter()
        .find(|activity| activity.name == name)
}

const ONESHOT: &str = "[Service]\nType=oneshot\nExecStart=sleep infinity\n";

/// Goal: a backup that its timer started is seen while it runs, with the timer and what it
/// works on; and no longer when it is over.
#[tokio::test]
async fn a_timers_oneshot_is_seen_while_it_runs() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(
        &machine,
        "database.service",
        "[Service]\nExecStart=sleep infinity\n",
    );
    let nightly = format!("[Unit]\nDescription=Copy it away\nAfter=database.service\n{ONESHOT}");
    machine
        .write_unit("nightly-backup.service", &nightly)
        .unwrap();
    assert_eq!(running(&conn, "nightly-backup.service").await, None);

    start(
        &machine,
        "nightly-backup.timer",
        "[Timer]\nOnActiveSec=1ms\nAccuracySec=1ms\n",
    );
    let activity = eventually("the timer's backup", async || {
        running(&conn, "nightly-backup.service").await
    });
    let activity = activity.await;
    assert_eq!(activity.began_by, "nightly-backup.timer");
    assert_eq!(activity.purpose, Purpose::Backup);
    assert_eq!(activity.related, [unit("database.service")]);

    machine.sh("systemctl stop nightly-backup.service").unwrap();
    assert_eq!(running(&conn, "nightly-backup.service").await, None);
}

/// Goal: a backup that an operator began counts like a timer's; other work does not.
#[tokio::test]
async fn a_backup_without_timer_is_seen() {
    let machine = boot();
    let conn = connect(&machine).await;
    for name in ["manual-backup.service", "manual-report.service"] {
        machine.write_unit(name, ONESHOT).unwrap();
        machine
            .sh(&format!("systemctl start --no-block {name}"))
            .unwrap();
    }
    let backup = eventually("the backup", async || {
        running(&conn, "manual-backup.service").await
    });
    assert_eq!(backup.await.began_by, "unit");
    assert_eq!(running(&conn, "manual-report.service").await, None);
    machine
        .sh("systemctl stop manual-backup.service manual-report.service")
        .unwrap();
}

/// Goal: a daemon that was up before its timer fired is no scheduled work.
#[tokio::test]
async fn a_daemon_with_a_timer_is_no_scheduled_work() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(
        &machine,
        "refreshed.service",
        "[Service]\nExecStart=sleep infinity\n",
    );
    start(
        &machine,
        "refreshed.timer",
        "[Timer]\nOnActiveSec=1ms\nAccuracySec=1ms\n",
    );
    eventually("the timer to fire", async || {
        let fired = support::show(&machine, "refreshed.timer", "LastTriggerUSecMonotonic");
        (fired != "0").then_some(())
    })
    .await;
    assert_eq!(running(&conn, "refreshed.service").await, None);
}

/// Goal: what is due within a day is told with its moment, monotonic and calendar timers alike.
#[tokio::test]
async fn due_timers_are_told() {
    let machine = boot();
    let conn = connect(&machine).await;
    for name in [
        "soon-backup.service",
        "daily-backup.service",
        "rare-backup.service",
    ] {
        machine.write_unit(name, ONESHOT).unwrap();
    }
    start(
        &machine,
        "soon-backup.timer",
        "[Timer]\nOnActiveSec=1h\nAccuracySec=1ms\n",
    );
    start(
        &machine,
        "daily-backup.timer",
        "[Timer]\nOnCalendar=daily\n",
    );
    start(&machine, "rare-backup.timer", "[Timer]\nOnActiveSec=30d\n");
    let began = std::time::Instant::now();
    let due = calendar(&conn).await.due;
    eprintln!("reading the calendar took {:?}", began.elapsed());
    let find = |name: &str| due.iter().find(|due| due.timer == unit(name));
    let soon = find("soon-backup.timer").unwrap();
    let in_ms = soon.at_wall_ms - now().wall_ms;
    assert!(
        (50 * 60_000..=60 * 60_000).contains(&in_ms),
        "in {in_ms} ms"
    );
    assert_eq!(
        (&soon.unit, soon.purpose),
        (&unit("soon-backup.service"), Purpose::Backup)
    );
    let in_ms = find("daily-backup.timer").unwrap().at_wall_ms - now().wall_ms;
    assert!((0..=24 * 3_600_000).contains(&in_ms), "in {in_ms} ms");
    assert_eq!(find("rare-backup.timer"), None);
}

/// Goal: the configuration relates what no dependency does.
#[tokio::test]
async fn configuration_says_what_a_backup_protects() {
    let machine = boot();
    let conn = connect(&machine).await;
    machine
        .write_unit("offsite-backup.service", ONESHOT)
        .unwrap();
    machine
        .sh("systemctl start --no-block offsite-backup.service")
        .unwrap();
    let config = CalendarConfig {
        protects: [(unit("offsite-backup.service"), vec![unit("shop.service")])].into(),
        ..CalendarConfig::default()
    };
    let activity = eventually("the backup", async || match read(&conn, &config).await {
        CalendarReading::Readable(calendar) => calendar
            .running
            .into_iter()
            .find(|a| a.name == "offsite-backup.service"),
        unreadable @ CalendarReading::Unreadable { .. } => panic!("{unreadable:?}"),
    });
    assert_eq!(activity.await.related, [unit("shop.service")]);
    machine.sh("systemctl stop offsite-backup.service").unwrap();
}

/// Goal: an operator's dump in a terminal is seen though no unit knows of it.
#[tokio::test]
async fn a_backup_program_is_seen() {
    let machine = boot();
    let conn = connect(&machine).await;
    let script = "#!/bin/sh\nsleep infinity & wait\n";
    machine
        .write_file("/usr/local/bin/pg_dump", script, 0o755)
        .unwrap();
    start(
        &machine,
        "terminal.service",
        "[Service]\nExecStart=/usr/local/bin/pg_dump shop\n",
    );
    let activity = eventually("the program", async || {
        let running = calendar(&conn).await.running;
        running
            .into_iter()
            .find(|a| a.name == "pg_dump" && a.related == [unit("terminal.service")])
    })
    .await;
    assert_eq!(
        (activity.began_by.as_str(), activity.purpose),
        ("exec", Purpose::Backup)
    );
    assert!(activity.pid.is_some());
    machine.sh("systemctl stop terminal.service").unwrap();
}

/// Goal: logind's inhibitors are told; no logind on the bus means there can be none.
#[tokio::test]
async fn inhibitors_are_told_and_absent_logind_means_none() {
    let machine = boot();
    let conn = connect(&machine).await;
    machine
        .sh("systemctl start systemd-logind.service")
        .unwrap();
    start(
        &machine,
        "holder.service",
        "[Service]\nExecStart=systemd-inhibit --what=shutdown --who=tester --why=because sleep infinity\n",
    );
    let held = eventually("the inhibitor", async || {
        calendar(&conn)
            .await
            .inhibitors
            .into_iter()
            .find(|held| held.who == "tester")
    })
    .await;
    let told = (held.what.as_str(), held.why.as_str(), held.mode.as_str());
    assert_eq!(told, ("shutdown", "because", "block"));

    machine.sh("systemctl stop holder.service").unwrap();
    machine
        .sh("systemctl mask --runtime --now systemd-logind.service")
        .unwrap();
    assert_eq!(calendar(&conn).await.inhibitors, []);
    machine
        .sh("systemctl unmask --runtime systemd-logind.service")
        .unwrap();
}
