//! What each scene showed, for people and for programs.

use hostmedic_model::view::IncidentDetail;
use serde_json::{Value, json};

use crate::demo::timeline::Stages;

/// How many scenes there are; a scene that could not be played differs, too.
const SCENES: usize = 4;

/// One thing that a scene was to show.
#[derive(Clone, Debug)]
struct Check {
    what: String,
    holds: bool,
    seen: String,
}

/// One scene: what was to be seen, and what was.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    number: usize,
    title: String,
    checks: Vec<Check>,
    stages: Option<Stages>,
    incident: Option<IncidentDetail>,
}

impl Scene {
    /// Begins a scene and says so.
    pub(crate) fn begin(number: usize, title: &str) -> Self {
        println!("\nscene {number}: {title}");
        Self {
            number,
            title: title.to_owned(),
            checks: Vec::new(),
            stages: None,
            incident: None,
        }
    }

    /// Notes whether `what` is so; `seen` says what was there instead or besides.
    pub(crate) fn expect(&mut self, what: impl Into<String>, holds: bool, seen: impl Into<String>) {
        let (what, seen) = (what.into(), seen.into());
        let word = if holds { "ok " } else { "NOT" };
        let besides = if seen.is_empty() {
            String::new()
        } else {
            format!(" ({seen})")
        };
        println!("  {word} {what}{besides}");
        self.checks.push(Check { what, holds, seen });
    }

    /// Keeps the incident that the scene was about.
    pub(crate) fn about(&mut self, incident: IncidentDetail, stages: Option<Stages>) {
        self.incident = Some(incident);
        self.stages = stages;
    }

    fn as_expected(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.holds)
    }
}

/// All scenes that were played.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    scenes: Vec<Scene>,
}

impl Report {
    /// Ends a scene.
    pub(crate) fn add(&mut self, scene: Scene) {
        if !scene.as_expected() {
            println!("  scene {} was NOT as expected", scene.number);
        }
        self.scenes.push(scene);
    }

    /// Whether every scene was played and showed what it was to show.
    pub(crate) fn all_as_expected(&self) -> bool {
        self.count() == SCENES
    }

    /// The demo's last line.
    pub(crate) fn last_line(&self) -> String {
        format!("demo: {} of {SCENES} scenes as expected", self.count())
    }

    fn count(&self) -> usize {
        self.scenes
            .iter()
            .filter(|scene| scene.as_expected())
            .count()
    }

    /// Everything, for `--json`.
    pub(crate) fn json(&self) -> Value {
        let scenes = self.scenes.iter().map(|scene| {
            json!({
                "scene": scene.number,
                "title": scene.title,
                "as_expected": scene.as_expected(),
                "checks": scene.checks.iter().map(|check| json!({
                    "check": check.what, "holds": check.holds, "seen": check.seen,
                })).collect::<Vec<_>>(),
                "stages_ms": scene.stages.as_ref().map(Stages::json),
                "incident": scene.incident,
            })
        });
        json!({ "scenes": scenes.collect::<Vec<_>>(), "as_expected": self.all_as_expected() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(number: usize, holds: &[bool]) -> Scene {
        let mut scene = Scene::begin(number, "a scene");
        for holds in holds {
            scene.expect("something", *holds, "");
        }
        scene
    }

    #[test]
    fn one_check_that_fails_spoils_its_scene() {
        let mut report = Report::default();
        for number in 1..=3 {
            report.add(scene(number, &[true, true]));
        }
        report.add(scene(4, &[true, false]));
        assert_eq!(report.last_line(), "demo: 3 of 4 scenes as expected");
        assert!(!report.all_as_expected());
    }

    #[test]
    fn a_scene_that_showed_nothing_or_was_not_played_is_not_as_expected() {
        let mut report = Report::default();
        for number in 1..=3 {
            report.add(scene(number, &[true]));
        }
        assert!(!report.all_as_expected());
        report.add(scene(4, &[]));
        assert!(!report.all_as_expected());
    }
}
