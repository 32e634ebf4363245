//! The four scenes: what is done, and what must then be seen.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use hostmedic_model::{
    decision::{Decision, Stance, Verdict},
    incident::IncidentStatus,
    outcome::Verification,
    record::Body,
    view::IncidentDetail,
};

use crate::{
    command,
    demo::{
        report::{Report, Scene},
        stage::{Stage, now, wait_for},
        tamper,
        timeline::{self, Stages},
    },
};

/// How long an incident may take to its end: settling and verifying are part of it.
const TO_THE_END: Duration = Duration::from_secs(40);

/// How long a unit is watched to stay down.
const STAYS_DOWN: Duration = Duration::from_secs(4);

/// Plays all scenes. One that cannot be played to its end is one that differs; the next is
/// played all the same.
///
/// # Errors
/// Only if Ctrl-C came.
pub(crate) fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    type Act = fn(&Stage, &mut Scene) -> Result<()>;
    let scenes: [(&str, Act); 4] = [
        (
            "the kernel kills web.service for lack of memory; nothing else restarts it",
            restarted,
        ),
        ("the same kill hits db.service while its backup runs", held),
        ("web.service is killed again at once", escalated),
        (
            "the collector's copy verifies; then one byte of it is flipped",
            tamper::scene,
        ),
    ];
    for (number, (title, act)) in (1..).zip(scenes) {
        let mut scene = Scene::begin(number, title);
        if let Err(error) = act(stage, &mut scene) {
            command::check_interrupt()?;
            scene.expect(
                "the scene can be played to its end",
                false,
                format!("{error:#}"),
            );
            println!("{}", stage.what_medicd_said());
        }
        report.add(scene);
    }
    Ok(())
}

/// Scene 1: killed, restarted, verified, recorded, replicated.
fn restarted(stage: &Stage, scene: &mut Scene) -> Result<()> {
    let before = stage.property("web.service", "InvocationID")?;
    let since = now()?;
    let pid = stage.cage.starve(&stage.system, "web.service")?;
    let detail = stage.wait_for_incident(
        "web.service",
        since,
        "the incident to be resolved",
        TO_THE_END,
        |detail| detail.incident.status.is_over() || was_escalated(detail),
    )?;
    timeline::print(&detail);
    let stages = Stages::of(&detail);
    scene.expect(
        format!("the kernel's own event named process {pid} of web.service"),
        stages.is_some(),
        stages.as_ref().map(Stages::line).unwrap_or_default(),
    );
    let decision = decision_with(&detail, Verdict::Act);
    scene.expect(
        "playbook unit-oom-killed, and every guard passes",
        decision.is_some_and(|decision| {
            decision
                .playbook
                .as_ref()
                .is_some_and(|book| book.name == "unit-oom-killed")
                && decision
                    .guards
                    .iter()
                    .all(|guard| guard.stance == Stance::Pass)
        }),
        decision
            .map(|decision| format!("{} guards", decision.guards.len()))
            .unwrap_or_default(),
    );
    let after = stage.property("web.service", "InvocationID")?;
    let state = stage.property("web.service", "ActiveState")?;
    scene.expect(
        "systemd runs it again",
        state == "active" && after != before,
        format!("{state}, invocation {after}"),
    );
    scene.expect(
        "verification resolved it, on readings newer than the restart",
        verifications(&detail) == [Verification::Resolved]
            && detail.incident.status == IncidentStatus::Resolved,
        "",
    );
    scene.expect("it was restarted once", timeline::acts(&detail) == 1, "");
    let (last, waited) = replicated(stage, &detail)?;
    scene.expect(
        format!("its records up to {last} are signed, and acknowledged by the collector"),
        true,
        format!("{waited:.0} ms after they were asked for"),
    );
    scene.about(detail, stages);
    Ok(())
}

/// Scene 2, the backup story: held, with the reason named, and left alone.
fn held(stage: &Stage, scene: &mut Scene) -> Result<()> {
    stage.system.sh("systemctl start db-backup.timer")?;
    wait_for(
        "the timer to start the backup",
        Duration::from_secs(10),
        || Ok((stage.property("db-backup.service", "ActiveState")? == "activating").then_some(())),
    )?;
    let before = stage.property("db.service", "InvocationID")?;
    let since = now()?;
    stage.cage.starve(&stage.system, "db.service")?;
    let detail =
        stage.wait_for_incident("db.service", since, "a decision", TO_THE_END, |detail| {
            timeline::last_decision(detail).is_some()
        })?;
    timeline::print(&detail);
    let decision = timeline::last_decision(&detail);
    scene.expect(
        "it is held",
        decision.is_some_and(|decision| decision.verdict == Verdict::Hold),
        decision
            .map(|decision| decision.reason.clone())
            .unwrap_or_default(),
    );
    let calendar = decision.and_then(|decision| {
        decision
            .guards
            .iter()
            .find(|guard| guard.guard == "calendar")
    });
    scene.expect(
        "the guard `calendar` says why, and names the backup",
        calendar.is_some_and(|guard| {
            guard.stance == Stance::Wait && guard.reason.contains("db-backup.service")
        }),
        calendar
            .map(|guard| guard.reason.clone())
            .unwrap_or_default(),
    );
    let watched = Instant::now();
    let mut stayed_down = true;
    while watched.elapsed() < STAYS_DOWN {
        command::check_interrupt()?;
        let running = stage.property("db.service", "ActiveState")? == "active"
            || stage.property("db.service", "InvocationID")? != before;
        stayed_down &= !running;
        thread::sleep(Duration::from_millis(250));
    }
    let backup = stage.property("db-backup.service", "ActiveState")?;
    scene.expect(
        format!("no restart while the backup runs ({STAYS_DOWN:?} watched)"),
        stayed_down && backup == "activating",
        format!("backup {backup}, invocation of db.service unchanged: {stayed_down}"),
    );
    wait_for("the backup to end", Duration::from_secs(30), || {
        Ok((stage.property("db-backup.service", "ActiveState")? == "inactive").then_some(()))
    })?;
    let result = stage.property("db-backup.service", "Result")?;
    scene.expect("the backup ended well", result == "success", &result);
    let detail = afterwards(stage, &detail)?;
    scene.about(detail, None);
    Ok(())
}

/// What becomes of the held incident once the backup is over: shown, whatever it is.
fn afterwards(stage: &Stage, detail: &IncidentDetail) -> Result<IncidentDetail> {
    let shown = detail.timeline.len();
    let id = detail.incident.id.clone();
    let reconsidered = wait_for("the held incident", Duration::from_secs(25), || {
        let now = stage.incident(&id)?;
        let settled = now.incident.status.is_over() || was_escalated(&now);
        Ok(settled.then_some(now))
    });
    command::check_interrupt()?;
    let latest = reconsidered.or_else(|_| stage.incident(&id))?;
    println!("  after the backup:");
    let news = IncidentDetail {
        timeline: latest.timeline.iter().skip(shown).cloned().collect(),
        ..latest.clone()
    };
    timeline::print(&news);
    Ok(latest)
}

/// Scene 3: the second identical try is not made.
fn escalated(stage: &Stage, scene: &mut Scene) -> Result<()> {
    let since = now()?;
    let before = stage.property("web.service", "InvocationID")?;
    stage.cage.starve(&stage.system, "web.service")?;
    let detail = stage.wait_for_incident(
        "web.service",
        since,
        "the incident to be escalated",
        TO_THE_END,
        |detail| was_escalated(detail) || decision_with(detail, Verdict::Act).is_some(),
    )?;
    timeline::print(&detail);
    let decision = decision_with(&detail, Verdict::Escalate);
    scene.expect(
        "it is handed to people",
        decision.is_some() && was_escalated(&detail),
        decision
            .map(|decision| decision.reason.clone())
            .unwrap_or_default(),
    );
    let watched = Instant::now();
    let mut stayed_down = true;
    while watched.elapsed() < STAYS_DOWN {
        command::check_interrupt()?;
        stayed_down &= stage.property("web.service", "InvocationID")? == before
            && stage.property("web.service", "ActiveState")? != "active";
        thread::sleep(Duration::from_millis(250));
    }
    scene.expect(
        format!("it is not restarted in a loop ({STAYS_DOWN:?} watched)"),
        stayed_down && timeline::acts(&detail) == 0,
        "",
    );
    scene.about(detail, None);
    Ok(())
}

/// Waits until the collector has acknowledged the incident's last record.
fn replicated(stage: &Stage, detail: &IncidentDetail) -> Result<(u64, f64)> {
    let last = detail
        .timeline
        .iter()
        .map(|record| record.seq)
        .max()
        .unwrap_or(0);
    let asked = Instant::now();
    wait_for(
        "the collector to acknowledge the records",
        Duration::from_secs(15),
        || Ok((stage.status()?.replication.acknowledged_seq >= last).then_some(())),
    )?;
    Ok((last, asked.elapsed().as_secs_f64() * 1000.0))
}

fn decision_with(detail: &IncidentDetail, verdict: Verdict) -> Option<&Decision> {
    detail
        .timeline
        .iter()
        .rev()
        .find_map(|record| match &record.body {
            Body::Decision(decision) if decision.verdict == verdict => Some(decision),
            _ => None,
        })
}

fn verifications(detail: &IncidentDetail) -> Vec<Verification> {
    let outcomes = detail
        .timeline
        .iter()
        .filter_map(|record| match &record.body {
            Body::Outcome(outcome) => Some(outcome.verification),
            _ => None,
        });
    outcomes.collect()
}

fn was_escalated(detail: &IncidentDetail) -> bool {
    detail.incident.status == IncidentStatus::Escalated
        || detail.timeline.iter().any(|record| {
            matches!(
                record.body,
                Body::IncidentClosed {
                    status: IncidentStatus::Escalated,
                    ..
                }
            )
        })
}
