//! Unit states as they change on a real systemd, also across the loss of the bus.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{sync::Arc, time::Duration};

use hostmedic_model::{
    calendar::CalendarReading,
    signal::{Fact, Signal},
    subject::Subject,
    time::Span,
    unit::{ActiveState, UnitState},
};
use hostmedic_observe::{
    bus::{
        self,
        calendar::CalendarConfig,
        units::{BusStatus, UnitWatch, WatchCounters},
    },
    host::clock::now,
    subject::Subjects,
};
use hostmedic_tests::nspawn::Nspawn;
use support::{boot, connect, eventually, inspect, start, unit};
use tokio::sync::{mpsc, watch};

struct Watched {
    signals: mpsc::Receiver<Signal>,
    status: watch::Receiver<BusStatus>,
    subjects: Subjects,
}

/// Starts a watch and waits until it has read every unit.
async fn watch(machine: &Nspawn) -> Watched {
    let (signals, received) = mpsc::channel(256);
    let (status, seen) = watch::channel(BusStatus::Connecting);
    let subjects = Subjects::below(&machine.cgroup_below());
    let watch = UnitWatch {
        address: Some(machine.bus_address()),
        subjects: subjects.clone(),
        cgroup_below: machine.cgroup_below(),
        signals,
        status,
        counters: Arc::new(WatchCounters::default()),
    };
    // On a thread of its own: tests block, and the watch must not stand still with them.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(watch.run());
    });
    let mut watched = Watched {
        signals: received,
        status: seen,
        subjects,
    };
    watched.until(|status| *status == BusStatus::Watching).await;
    watched
}

impl Watched {
    async fn until(&mut self, wanted: impl FnMut(&BusStatus) -> bool) {
        let wait = self.status.wait_for(wanted);
        tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .unwrap()
            .unwrap();
    }

    /// The next fact about a unit.
    async fn fact(&mut self, name: &str) -> Fact {
        let subject = Subject::Unit(unit(name));
        let next = async {
            loop {
                let signal = self.signals.recv().await.unwrap();
                if signal.subject == subject {
                    return signal.fact;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), next)
            .await
            .unwrap()
    }

    /// The next state of a unit that `wanted` takes.
    async fn state(&mut self, name: &str, mut wanted: impl FnMut(&UnitState) -> bool) -> Signal {
        let subject = Subject::Unit(unit(name));
        let next = async {
            loop {
                let signal = self.signals.recv().await.unwrap();
                if signal.subject == subject
                    && matches!(&signal.fact, Fact::UnitState(state) if wanted(state))
                {
                    return signal;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), next)
            .await
            .unwrap()
    }
}

fn state_of(signal: &Signal) -> &UnitState {
    match &signal.fact {
        Fact::UnitState(state) => state,
        other => panic!("{other:?}"),
    }
}

/// Goal: a crash is told with its result, and about when it happened.
#[tokio::test]
async fn a_crash_is_told_with_its_result() {
    let machine = boot();
    let mut watched = watch(&machine).await;
    start(
        &machine,
        "victim.service",
        "[Service]\nExecStart=sleep infinity\n",
    );
    let up = watched
        .state("victim.service", |s| s.active == ActiveState::Active)
        .await;
    let before = now();
    let killed = machine.main_pid("victim.service").unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(killed).unwrap()),
        nix::sys::signal::Signal::SIGSEGV,
    )
    .unwrap();
    let failed = watched
        .state("victim.service", |s| s.active == ActiveState::Failed)
        .await;
    let received = now();
    let state = state_of(&failed);
    // Whether a core was dumped depends on the machine.
    assert!(
        ["signal", "core-dump"].contains(&state.result.as_str()),
        "{state:?}"
    );
    assert_eq!(state.invocation_id, state_of(&up).invocation_id);
    assert!(
        failed.at >= before && failed.at <= received,
        "{before:?} {:?} {received:?}",
        failed.at
    );
    eprintln!("kill to signal in hand: {:?}", received.since(before));
    eprintln!(
        "systemd's own moment to signal in hand: {:?}",
        received.since(failed.at)
    );
}

/// Goal: each end of a unit by systemd's watchdog is told once, and whether it reports and runs can be
/// read. Method: a service that never reports is restarted once; another one reports, and is frozen.
#[tokio::test]
async fn a_unit_that_stops_to_report_is_told() {
    let machine = boot();
    let mut watched = watch(&machine).await;
    let silent = "[Unit]\nStartLimitBurst=2\n[Service]\nWatchdogSec=1\nRestart=on-watchdog\n\
                  ExecStart=sleep infinity\n";
    start(&machine, "silent.service", silent);
    let (mut ends, mut newest) = (0, None);
    // The third start is one too many: then it stays down.
    let is_over = |state: &UnitState| state.active == ActiveState::Failed && state.n_restarts > 0;
    while !newest.as_ref().is_some_and(is_over) {
        match watched.fact("silent.service").await {
            Fact::UnitWatchdog => {
                assert_eq!(newest.as_ref().unwrap().result, "watchdog");
                ends += 1;
            }
            Fact::UnitState(state) => newest = Some(state),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ends, 2, "{newest:?}");

    let dutiful = "[Service]\nType=notify\nNotifyAccess=all\nWatchdogSec=30\nExecStart=sh -c \
                   'systemd-notify --ready; sleep 1; systemd-notify WATCHDOG=1; sleep infinity'\n";
    start(&machine, "dutiful.service", dutiful);
    let ended = now();
    let conn = connect(&machine).await;
    eventually("the service to report", async || {
        let watchdog = inspect(&conn, "dutiful.service").await.vitals.watchdog?;
        assert_eq!(watchdog.timeout, Span::secs(30));
        (watchdog.reported > ended).then_some(())
    })
    .await;
    let freezer = async || inspect(&conn, "dutiful.service").await.vitals.freezer;
    assert_eq!(freezer().await, "running");
    // It takes pure cgroup v2, which a container has only where its host has.
    if let Err(error) = machine.sh("systemctl freeze dutiful.service") {
        let refused = format!("{error:#}");
        assert!(refused.contains("does not support freezing"), "{refused}");
        eprintln!("not frozen: {refused}");
        return;
    }
    assert_eq!(freezer().await, "frozen");
    machine.sh("systemctl thaw dutiful.service").unwrap();
    assert_eq!(freezer().await, "running");
}

/// Goal: a unit that had failed before we came is told at once, with its real moment.
#[tokio::test]
async fn a_unit_that_failed_before_is_told() {
    let machine = boot();
    machine
        .write_unit(
            "failed-before.service",
            "[Service]\nType=oneshot\nExecStart=sh -c 'exit 3'\n",
        )
        .unwrap();
    machine
        .sh("systemctl start failed-before.service; true")
        .unwrap();
    let before = now();
    let mut watched = watch(&machine).await;
    let told = watched.state("failed-before.service", |_| true).await;
    let state = state_of(&told);
    assert_eq!(
        (state.active, state.result.as_str()),
        (ActiveState::Failed, "exit-code")
    );
    assert!(told.at < before, "it failed before we looked");
}

/// Goal: the same state is not told twice, whatever else changes; a reload of systemd, which
/// makes every unit anew, is no news either.
#[tokio::test]
async fn only_news_is_told() {
    let machine = boot();
    let mut watched = watch(&machine).await;
    start(
        &machine,
        "steady.service",
        "[Service]\nExecStart=sleep infinity\n",
    );
    watched
        .state("steady.service", |s| s.active == ActiveState::Active)
        .await;
    machine
        .sh("systemctl set-property --runtime steady.service CPUWeight=50")
        .unwrap();
    machine.sh("systemctl daemon-reload").unwrap();
    machine
        .sh("systemctl kill --signal=KILL steady.service")
        .unwrap();
    let next = watched.fact("steady.service").await;
    let Fact::UnitState(state) = &next else {
        panic!("{next:?}")
    };
    assert_eq!(
        (state.active, state.result.as_str()),
        (ActiveState::Failed, "signal")
    );
    machine.sh("systemctl reset-failed steady.service").unwrap();
    // Nothing refers to it any more, so systemd forgets it, and with it its state.
    loop {
        match watched.fact("steady.service").await {
            Fact::UnitRemoved => break,
            Fact::UnitState(state) => assert_eq!(state.active, ActiveState::Inactive),
            other => panic!("{other:?}"),
        }
    }
}

/// Goal: the cgroup of a unit that is gone is still attributed to it.
#[tokio::test]
async fn a_cgroup_is_attributed_after_its_unit_is_gone() {
    let machine = boot();
    use std::os::unix::fs::MetadataExt as _;
    let mut watched = watch(&machine).await;
    start(
        &machine,
        "brief.service",
        "[Service]\nExecStart=sleep infinity\n",
    );
    watched
        .state("brief.service", |s| s.active == ActiveState::Active)
        .await;
    let id = std::fs::metadata(machine.unit_cgroup("brief.service").unwrap())
        .unwrap()
        .ino();
    machine.sh("systemctl stop brief.service; rm /etc/systemd/system/brief.service; systemctl daemon-reload").unwrap();
    let subject = watched.subjects.of(id, None, now());
    assert_eq!(subject, Subject::Unit(unit("brief.service")));
    assert_eq!(
        watched.subjects.counters().walks,
        0,
        "it was noted when it started"
    );
}

/// Goal: pitfall 18. When the bus dies, what changed meanwhile is told after reconnecting, and
/// a calendar that cannot be read says so.
#[tokio::test]
async fn what_changed_while_the_bus_was_lost_is_told() {
    let machine = boot();
    let mut watched = watch(&machine).await;
    let conn = bus::connect(Some(&machine.bus_address())).await.unwrap();
    machine
        .write_unit("survivor.service", "[Service]\nExecStart=sleep infinity\n")
        .unwrap();
    machine.sh("systemctl start survivor.service").unwrap();
    watched
        .state("survivor.service", |s| s.active == ActiveState::Active)
        .await;
    let pid = machine.main_pid("survivor.service").unwrap();

    machine
        .sh("systemctl stop dbus.socket dbus.service")
        .unwrap();
    watched
        .until(|status| matches!(status, BusStatus::Lost { .. }))
        .await;
    let reading = bus::calendar::read(&conn, &CalendarConfig::default()).await;
    assert!(
        matches!(reading, CalendarReading::Unreadable { .. }),
        "{reading:?}"
    );

    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    eventually("the survivor to fail", async || {
        let state = machine
            .sh("systemctl show -P ActiveState survivor.service")
            .unwrap();
        (state == "failed").then_some(())
    })
    .await;
    machine
        .sh("systemctl start dbus.socket dbus.service")
        .unwrap();
    watched.until(|status| *status == BusStatus::Watching).await;
    let told = watched
        .state("survivor.service", |s| s.active == ActiveState::Failed)
        .await;
    assert_eq!(state_of(&told).result, "signal");
}

/// Goal: a bus that takes the question and never answers makes the calendar unreadable in time.
/// Method: PID 1 is stopped.
#[tokio::test]
async fn a_silent_systemd_makes_the_calendar_unreadable() {
    let machine = boot();
    let conn = bus::connect(Some(&machine.bus_address())).await.unwrap();
    let leader = nix::unistd::Pid::from_raw(i32::try_from(machine.leader()).unwrap());
    nix::sys::signal::kill(leader, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let reading = bus::calendar::read(&conn, &CalendarConfig::default()).await;
    let CalendarReading::Unreadable { reason, .. } = reading else {
        panic!("{reading:?}")
    };
    assert!(reason.contains("no answer within 2s"), "{reason}");
}
