//! The real binary against a made-up daemon on a real socket: text, JSON and exit codes.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::{
    fs,
    io::{self, BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use hostmedic_model::{
    command::Command as Asked,
    record::{Body, Record},
    time::Span,
    view::{IncidentDetail, Status, Why},
};
use hostmedic_serve::{
    Access,
    testing::{self, Fault, HELD, RESOLVED, WAITING},
};
use medic::Exit;
use serde_json::json;
use support::{Ended, Scene, command, medic};

const OK: u8 = 0;
const FINDING: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const NOT_PERMITTED: u8 = 4;
const NOT_FOUND: u8 = 5;
const REFUSED: u8 = 6;

#[test]
fn exit_codes_are_those_of_the_table() {
    for (exit, code) in [
        (Exit::Ok, OK),
        (Exit::Finding, FINDING),
        (Exit::Usage, USAGE),
        (Exit::Unreachable, UNREACHABLE),
        (Exit::NotPermitted, NOT_PERMITTED),
        (Exit::NotFound, NOT_FOUND),
        (Exit::Refused, REFUSED),
    ] {
        assert_eq!(exit.code(), code);
    }
    let scene = Scene::new();
    let help = scene.medic("--help").code(OK);
    for (_, code, meaning) in medic::EXITS {
        assert!(help.out.contains(&format!("{code:>2}  ")), "{}", help.out);
        let start = meaning.split([':', ';']).next().unwrap();
        assert!(help.out.contains(start), "{start}: {}", help.out);
    }
}

#[test]
fn questions_are_answered_in_text() {
    let scene = Scene::new();
    for (args, says) in [
        ("status", "web-07: hostmedic 0.1.0"),
        ("incidents", HELD),
        ("incidents --all", RESOLVED),
        (
            &format!("incident {RESOLVED}"),
            "VERIFICATION +10689ms resolved",
        ),
        (
            &format!("why {HELD}"),
            "hold: calendar: backup db-backup.service runs",
        ),
        ("inhibit --list", "mail.service"),
        ("playbook list", "unit-oom-dead"),
        ("audit show", "db.service was killed for lack of memory"),
        ("audit show --from 4 --limit 1", "decision"),
    ] {
        let ended = scene.medic(args).code(OK).says(says);
        assert!(!ended.out.contains('\u{1b}'), "colour on a pipe: {ended:?}");
        assert_eq!(ended.err, "", "{args}");
    }
    let open = scene.medic("incidents").code(OK);
    assert!(!open.out.contains(RESOLVED), "{}", open.out);
    let one = scene.medic("audit show --from 4 --limit 1").code(OK);
    assert_eq!(one.out.lines().count(), 1, "{}", one.out);
}

#[test]
fn questions_are_answered_in_json() {
    let scene = Scene::new();
    let json = |args: &str| scene.medic(&format!("--json {args}")).code(OK).json();
    let status: Status = serde_json::from_value(json("status")).unwrap();
    assert_eq!(status, testing::status());
    let detail: IncidentDetail =
        serde_json::from_value(json(&format!("incident {RESOLVED}"))).unwrap();
    assert_eq!(detail.timeline.len(), 8);
    let why: Why = serde_json::from_value(json(&format!("why {WAITING}"))).unwrap();
    assert!(why.proposal.is_some());
    assert_eq!(json("incidents").as_array().unwrap().len(), 2);
    assert_eq!(json("incidents --all").as_array().unwrap().len(), 3);
    assert_eq!(json("inhibit --list")[0]["id"], 7);
    assert_eq!(json("playbook list")[2]["name"], "crash-loop");

    // Records come one a line.
    let audit = scene.medic("audit show --json").code(OK);
    let records: Vec<Record> = audit
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records, testing::records());
}

#[test]
fn commands_reach_the_daemon_and_are_bound() {
    let scene = Scene::new();
    let binding = testing::status().proposals[0].binding.clone();
    scene
        .medic(&format!("approve {WAITING} --binding 00000000"))
        .code(REFUSED)
        .complains("it has changed since");
    scene
        .medic(&format!("approve {WAITING} --binding 7b1d"))
        .code(USAGE);
    assert!(scene.server.daemon.commands().is_empty());
    scene
        .medic(&format!("approve {WAITING} --binding {}", &binding[..12]))
        .code(OK)
        .says("approved: start hostmedic-journal-vacuum@var.service");
    scene
        .medic(&format!("approve {WAITING}"))
        .code(NOT_FOUND)
        .complains("no proposal");
    scene
        .medic("inhibit --unit db.service --for 90m --reason 'a restore'")
        .code(OK)
        .says("1h 30m");
    scene.medic("inhibit --for 1h --reason all").code(OK);
    scene
        .medic("inhibit --lift 7")
        .code(OK)
        .says("inhibit 7 is lifted");
    scene
        .medic("pause --reason 'let me look'")
        .code(OK)
        .says("paused");
    scene
        .medic("status")
        .code(OK)
        .says("PAUSED: nothing is done until `medic resume`: let me look");
    let resumed = scene.medic("resume --json").code(OK);
    assert_eq!(resumed.json(), json!({"answer": "resumed"}));

    let asked: Vec<Asked> = scene
        .server
        .daemon
        .commands()
        .into_iter()
        .map(|command| command.command)
        .collect();
    let incident = hostmedic_model::incident::IncidentId(WAITING.to_owned());
    assert_eq!(
        asked[0],
        Asked::Approve {
            incident,
            binding: Some(binding)
        }
    );
    assert!(
        matches!(&asked[1], Asked::Inhibit { unit: Some(_), span, .. } if *span == Span::minutes(90))
    );
    assert!(matches!(&asked[2], Asked::Inhibit { unit: None, .. }));
    assert_eq!(asked[3], Asked::LiftInhibit { id: 7 });
    assert_eq!(asked.len(), 6);
}

#[test]
fn rejection_carries_its_reason() {
    let scene = Scene::new();
    scene
        .medic(&format!("reject {WAITING} --reason 'wrong disk'"))
        .code(OK)
        .says("rejected");
    let asked = scene.server.daemon.commands().remove(0).command;
    assert!(matches!(asked, Asked::Reject { reason, .. } if reason == "wrong disk"));
}

#[test]
fn each_no_has_its_exit_code() {
    let scene = Scene::new();
    for (args, code, complains) in [
        ("frobnicate", USAGE, "unrecognized subcommand"),
        ("pause", USAGE, "--reason"),
        ("pause --reason ' '", USAGE, "key `reason` is empty"),
        (
            "incident inc_nope",
            NOT_FOUND,
            "there is no incident inc_nope",
        ),
        ("why ../../etc", NOT_FOUND, "there is no incident ../../etc"),
        ("inhibit --lift 99", NOT_FOUND, "there is no inhibit 99"),
        ("resume", REFUSED, "hostmedic is not paused"),
        ("playbook lint /nowhere", NOT_FOUND, "/nowhere"),
    ] {
        let ended = scene.medic(args).code(code).complains(complains);
        assert_eq!(ended.out, "", "{args}");
    }
    let ended = scene.medic("--json incident inc_nope").code(NOT_FOUND);
    let error: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
}

#[test]
fn faults_of_the_daemon_have_theirs() {
    let scene = Scene::new();
    scene.server.daemon.fail(Some(Fault::Unavailable));
    scene
        .medic("status")
        .code(UNREACHABLE)
        .complains("the core's queue is full");
    scene.server.daemon.fail(Some(Fault::Unreadable));
    scene
        .medic("audit show")
        .code(70)
        .complains("block checksum mismatch");
}

#[test]
fn dead_daemon_is_told_from_a_missing_one() {
    let mut scene = Scene::new();
    scene.server.stop();
    scene
        .medic("status")
        .code(UNREACHABLE)
        .complains("systemctl status medicd");
    // Left behind by a killed daemon: the file is there, nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&scene.server.socket).unwrap());
    scene
        .medic("status")
        .code(UNREACHABLE)
        .complains("nobody listens")
        .complains("journalctl -u medicd");
}

#[test]
fn pause_works_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().display();
    let socket = dir.path().join("none.sock");
    let run = |args: &str| medic(&socket, &format!("{args} --state {state}"));
    run("pause --reason 'disk is dying'")
        .code(OK)
        .says("systemctl stop medicd");
    let file = dir.path().join("paused");
    assert_eq!(fs::read_to_string(&file).unwrap(), "disk is dying\n");
    run("resume").code(OK).says("the pause file is removed");
    assert!(!file.exists());
    run("resume").code(OK).says("there is no pause file");
    let nowhere = medic(
        &socket,
        &format!("pause --reason x --state {state}/nowhere"),
    );
    nowhere
        .code(NOT_FOUND)
        .complains("nowhere/paused")
        .complains("--state");
}

#[test]
fn watch_prints_each_record_until_the_daemon_stops() {
    for as_json in [false, true] {
        let mut scene = Scene::new();
        let args = if as_json { "watch --json" } else { "watch" };
        let mut child = command(&scene.server.socket, args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while scene.server.daemon.watchers() == 0 {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        scene.server.daemon.append(Body::Stopped {
            reason: "for a test".to_owned(),
        });
        let line = lines.next().unwrap().unwrap();
        if as_json {
            let record: Record = serde_json::from_str(&line).unwrap();
            assert_eq!(
                record.body,
                Body::Stopped {
                    reason: "for a test".to_owned()
                }
            );
        } else {
            assert!(line.contains("stopped     for a test"), "{line}");
        }
        scene.server.stop();
        let ended = Ended::from(child.wait_with_output().unwrap()).code(UNREACHABLE);
        assert!(ended.err.contains("ended the watch"), "{ended:?}");
    }
}

#[test]
fn closed_pipe_is_no_failure() {
    let scene = Scene::new();
    let mut child = command(&scene.server.socket, "audit show")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = Ended::from(child.wait_with_output().unwrap()).code(OK);
    assert_eq!(ended.err, "");
}

#[test]
fn completions_know_the_words() {
    let scene = Scene::new();
    for shell in ["bash", "zsh", "fish"] {
        scene
            .medic(&format!("completions {shell}"))
            .code(OK)
            .says("inhibit");
    }
}

#[test]
fn lint_names_file_line_and_column() {
    let scene = Scene::new();
    let bad = scene.dir.path().join("bad.yaml");
    fs::write(&bad, "apiVersion: v1\nname: bad\nversoin: 1\n").unwrap();
    let place = format!("{}:3:1", bad.display());
    let one = scene.medic(&format!("playbook lint {}", bad.display()));
    one.code(FINDING)
        .says(&place)
        .says("versoin")
        .says("1 playbook, 1 wrong");
    let all = scene.medic(&format!(
        "playbook lint --json {}",
        scene.dir.path().display()
    ));
    assert_eq!(all.code(FINDING).json()[0]["ok"], false);
    let empty = tempfile::tempdir().unwrap();
    let none = scene.medic(&format!("playbook lint {}", empty.path().display()));
    none.code(NOT_FOUND).complains("there is no playbook");
}

/// Runs a copy of the binary as `nobody`, in one more group: the build directory may be closed
/// to that user.
fn as_nobody(scene: &Scene, gid: u32, args: &str) -> Ended {
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let binary = scene.dir.path().join("medic");
    if !binary.exists() {
        fs::copy(env!("CARGO_BIN_EXE_medic"), &binary).unwrap();
    }
    open(scene.dir.path());
    open(&binary);
    let mut command = Command::new(binary);
    command
        .args(args.split_whitespace())
        .env("HOSTMEDIC_SOCKET", &scene.server.socket)
        .uid(65534)
        .gid(gid)
        .current_dir("/");
    loop {
        match command.output() {
            // Another test began a process while the copy was open here, and that process has not
            // closed it yet.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => thread::yield_now(),
            ended => return Ended::from(ended.unwrap()),
        }
    }
}

/// Goal: the kernel's word about the peer decides, for a process that really is somebody else.
#[test]
fn groups_of_a_real_unprivileged_process_decide() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can run a process as somebody else");
        return;
    }
    let gid = |name: &str| {
        nix::unistd::Group::from_name(name)
            .unwrap()
            .unwrap()
            .gid
            .as_raw()
    };
    // Groups that every Debian has; `nobody` is in neither.
    let scene = Scene::with(Access {
        reader_group: "games".to_owned(),
        operator_group: "daemon".to_owned(),
    });
    as_nobody(&scene, 65534, "status")
        .code(NOT_PERMITTED)
        .complains("user nobody (uid 65534) may not read hostmedic")
        .complains("join group games");
    as_nobody(&scene, gid("games"), "status")
        .code(OK)
        .says("web-07");
    as_nobody(&scene, gid("games"), "pause --reason x")
        .code(NOT_PERMITTED)
        .complains("may not command")
        .complains("join group daemon");
    assert!(scene.server.daemon.commands().is_empty());
    as_nobody(&scene, gid("daemon"), "pause --reason x").code(OK);
    let by = scene.server.daemon.commands().remove(0).by;
    assert_eq!((by.uid, by.name.as_str()), (65534, "nobody"));
}
