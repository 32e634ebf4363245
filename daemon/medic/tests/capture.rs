//! What `medic` shows of the capture layer, from the real binary against a made-up daemon.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use hostmedic_model::{
    signal::{Fact, Signal},
    subject::Subject,
    time::At,
    view::{EventRow, HookCoverage, Probes, Top},
};
use hostmedic_serve::testing::{self, Fault};
use medic::Exit;
use serde_json::Value;
use support::{Scene, command};

const OK: u8 = 0;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const NOT_FOUND: u8 = 5;
const CANNOT_SAY: u8 = 7;

/// Before the story begins.
const NIGHT: &str = "--since '2026-08-14 02:00:00'";

#[test]
fn probes_in_text_and_json() {
    let scene = Scene::new();
    scene
        .medic("probes")
        .code(OK)
        .says("tp_btf/mark_victim")
        .says("the layout attestation failed")
        .says("22.5 MiB resident");
    scene.medic("probes --ledger").code(OK).says("UNEXPLAINED");
    let json = scene.medic("probes --json").code(OK).json();
    assert_eq!(
        serde_json::from_value::<Probes>(json).unwrap(),
        testing::probes()
    );
}

fn rows(out: &str) -> Vec<EventRow> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn events_are_filtered_and_come_one_a_line() {
    let scene = Scene::new();
    let ask = |args: &str| {
        let ended = scene
            .medic(&format!("events --json {NIGHT} {args}"))
            .code(OK);
        let seqs: Vec<u64> = rows(&ended.out).iter().map(|row| row.seq).collect();
        seqs
    };
    assert_eq!(ask(""), [101, 102, 103, 104, 105, 106]);
    assert_eq!(ask("--limit 2"), [105, 106]);
    assert_eq!(ask("--unit web.service"), [101, 102, 103, 106]);
    assert_eq!(ask("--kind oom_kill --kind block_error"), [101, 105]);
    assert_eq!(ask("--kind oom_kill,block_error"), [101, 105]);
    assert_eq!(ask("--until '2026-08-14 02:17:04'"), [101, 102, 103]);
    let all = scene.medic(&format!("events {NIGHT}")).code(OK);
    assert_eq!(all.out.lines().count(), 6);
    assert!(
        all.out
            .contains("read of 4096 bytes at sector 2048 of sdb failed: EIO")
    );
    assert!(
        all.err
            .contains("events are kept since 2026-08-14 02:17:03Z")
    );
    scene.medic("events --kind nonsense").code(USAGE);
    scene.medic("events --unit web").code(USAGE);
}

/// Goal: a span of more events than one answer holds comes whole and in order.
#[test]
fn many_events_come_page_by_page() {
    let scene = Scene::new();
    for n in 0..2500 {
        scene.server.daemon.happen(event(n));
    }
    let ended = scene.medic(&format!("events --json {NIGHT}")).code(OK);
    let seqs: Vec<u64> = rows(&ended.out).iter().map(|row| row.seq).collect();
    assert_eq!(seqs, (101..=106 + 2500).collect::<Vec<_>>());
}

fn event(n: u64) -> Signal {
    Signal {
        at: At {
            boot_ns: n,
            wall_ms: testing::at(1_760_000 + n).wall_ms,
        },
        subject: Subject::Host,
        fact: Fact::UnitRemoved,
    }
}

#[test]
fn follow_prints_each_new_event_until_the_daemon_stops() {
    let mut scene = Scene::new();
    let args = format!("events --json --follow {NIGHT} --kind unit_removed,block_error");
    let mut child = command(&scene.server.socket, &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> u64 {
        let line = lines.next().unwrap().unwrap();
        rows(&line)[0].seq
    };
    assert_eq!(next(), 105);
    scene.server.daemon.happen(event(1));
    assert_eq!(next(), 107);
    scene.server.daemon.happen(event(2));
    assert_eq!(next(), 108);
    scene.server.stop();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(i32::from(UNREACHABLE)));
}

#[test]
fn coverage_ends_with_a_code_of_its_own_when_it_cannot_say() {
    assert_eq!(Exit::CannotSay.code(), CANNOT_SAY);
    let scene = Scene::new();
    scene
        .medic(&format!("coverage {NIGHT}"))
        .code(OK)
        .says("covered without a gap, 2 seen, 0 lost");
    scene
        .medic(&format!("coverage --hook process_exit {NIGHT}"))
        .code(CANNOT_SAY)
        .says("the hook was not there");
    let json = scene
        .medic(&format!(
            "coverage --json --hook process_exec {NIGHT} --until '2026-08-14 02:30:00'"
        ))
        .code(CANNOT_SAY)
        .json();
    let found: HookCoverage = serde_json::from_value(json).unwrap();
    assert_eq!((found.proven, found.lost), (false, 17));
    scene
        .medic(&format!("coverage --hook 'no such' {NIGHT}"))
        .code(NOT_FOUND)
        .complains("the audit chain knows no hook no such");
    scene
        .medic(&format!("coverage {NIGHT} --until '2026-08-13 00:00:00'"))
        .code(USAGE)
        .complains("is not before until");
}

#[test]
fn one_picture_for_scripts() {
    let scene = Scene::new();
    for args in ["top --once", "top"] {
        let ended = scene
            .medic(args)
            .code(OK)
            .says("NETFILTER_DROP")
            .says("nvme0n1");
        assert!(!ended.out.contains('\u{1b}'), "{}", ended.out);
    }
    let json: Value = scene.medic("top --json").code(OK).json();
    let top: Top = serde_json::from_value(json["top"].clone()).unwrap();
    assert_eq!(top, testing::top());
    scene.server.daemon.fail(Some(Fault::Unavailable));
    scene.medic("top --once").code(UNREACHABLE);
}
