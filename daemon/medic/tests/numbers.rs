//! Baselines, anomalies, replays and matches of incidents, from the real binary against a made-up
//! daemon.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::fs;

use hostmedic_model::{
    anomaly::Anomaly,
    view::{BaselineList, SeriesView},
};
use hostmedic_serve::testing;
use support::Scene;

const OK: u8 = 0;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 5;

/// Before the story begins.
const NIGHT: &str = "--since '2026-08-14 02:00:00'";

#[test]
fn what_is_normal_in_text_and_json() {
    let scene = Scene::new();
    scene
        .medic("baseline")
        .code(OK)
        .says("disk_used_ratio of mount /var")
        .says("62.0 % ± 1.0 %")
        .says("warming, 25");
    let json = scene.medic("baseline --json").code(OK).json();
    let list: BaselineList = serde_json::from_value(json).unwrap();
    assert_eq!(list, testing::baselines());
    scene
        .medic("baseline disk_used")
        .code(OK)
        .says("at this hour of the week")
        .says("20160 samples");
    let json = scene.medic("baseline disk_used --json").code(OK).json();
    let view: SeriesView = serde_json::from_value(json).unwrap();
    assert_eq!(view, testing::series());
    scene.medic("baseline _").code(USAGE).complains("2 series");
    scene
        .medic("baseline nonsense")
        .code(NOT_FOUND)
        .complains("`medic baseline` lists");
}

#[test]
fn a_series_is_drawn_in_the_terminal_and_as_a_file() {
    let scene = Scene::new();
    scene
        .medic("baseline disk_used --plot")
        .code(OK)
        .says("\n! 2026-08-14 02:46:33");
    let file = scene.dir.path().join("var.svg");
    let args = format!("baseline disk_used --out {}", file.display());
    scene.medic(&args).code(OK).complains("wrote");
    assert!(fs::read_to_string(&file).unwrap().contains("<polyline"));
    let file = scene.dir.path().join("var.png");
    let args = format!("baseline disk_used --plot --out {}", file.display());
    scene.medic(&args).code(OK).complains("wrote");
    assert!(fs::read(&file).unwrap().starts_with(b"\x89PNG"));
    for other in ["x.jpg", "x"] {
        scene
            .medic(&format!("baseline disk_used --out {other}"))
            .code(USAGE)
            .complains(".svg or .png");
    }
}

#[test]
fn anomalies_are_listed_and_drawn() {
    let scene = Scene::new();
    scene
        .medic(&format!("anomalies {NIGHT}"))
        .code(OK)
        .says("critical")
        .says("disk_used_ratio of mount /var is 73.4 %");
    scene
        .medic(&format!("anomalies {NIGHT} --plot"))
        .code(OK)
        .says("\n! ");
    let file = scene.dir.path().join("night.png");
    let args = format!("anomalies {NIGHT} --plot --out {}", file.display());
    scene.medic(&args).code(OK).complains("wrote");
    assert!(fs::read(&file).unwrap().starts_with(b"\x89PNG"));
    scene
        .medic("anomalies --out night.gif")
        .code(USAGE)
        .complains(".svg or .png");
    let json = scene.medic(&format!("anomalies --json {NIGHT}")).json();
    let found: Vec<Anomaly> = serde_json::from_value(json).unwrap();
    assert_eq!(found, testing::series().anomalies);
    scene
        .medic("anomalies --since '2026-08-15 00:00:00'")
        .code(OK)
        .says("no anomalies");
}

#[test]
fn kept_events_are_replayed_from_the_daemon_and_from_a_file_alike() {
    let scene = Scene::new();
    let live = scene.medic(&format!("replay --json {NIGHT}")).code(OK);
    assert!(live.out.contains("incident_opened"), "{}", live.out);
    let events = scene.medic(&format!("events --json {NIGHT}")).code(OK);
    let file = scene.dir.path().join("events.jsonl");
    fs::write(&file, &events.out).unwrap();
    let again = scene.medic(&format!("replay --json {}", file.display()));
    assert_eq!(again.code(OK).out, live.out);
    scene
        .medic(&format!("replay {}", file.display()))
        .code(OK)
        .says("opened");
    scene.medic("replay").code(USAGE);
}

#[test]
fn an_incident_is_matched_by_the_daemons_own_words() {
    let scene = Scene::new();
    let library = scene.dir.path().join("library");
    fs::create_dir(&library).unwrap();
    fs::write(
        library.join("oom.yaml"),
        "name: oom\ndescribe: The kernel killed a service for lack of memory.\n",
    )
    .unwrap();
    let ask = |id: &str| {
        let library = library.display();
        scene.medic(&format!(
            "playbook match --incident {id} --library {library}"
        ))
    };
    let held = ask(testing::HELD);
    assert!(held.out.contains("oom"), "{} {}", held.out, held.err);
    ask(testing::RESOLVED)
        .code(NOT_FOUND)
        .complains("was not compared");
    ask("inc_of_nobody").code(NOT_FOUND);
}
