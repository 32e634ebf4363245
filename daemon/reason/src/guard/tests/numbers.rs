//! Pre-checks on numbers, on what was not heard, and on the unit and who touched it: what is old, absent or
//! may have gone unheard is never a pass.

use hostmedic_model::{
    loss::{HookCounters, QueueCounters},
    playbook::{Need, Otherwise, PreCheck},
    sample::{Measure, Sample, Series},
    signal::{OomKill, Signal, SignalKind},
};

use super::*;

fn ago(s: u64) -> At {
    At {
        boot_ns: NOW.boot_ns - s * 1_000_000_000,
        ..NOW
    }
}

/// A scene whose playbook asks for this beforehand.
fn asking(needs: Need) -> Scene {
    let mut scene = scene();
    scene.playbook.pre_checks = vec![PreCheck {
        name: "asked".to_owned(),
        needs,
        otherwise: Otherwise::Wait,
        reason: "the test".to_owned(),
    }];
    scene.facts.begin(ago(7200));
    scene
}

fn measured(mut scene: Scene, subject: Subject, at: At, value: f64) -> Scene {
    let series = Series {
        subject,
        measure: Measure::MemoryUsedRatio,
    };
    scene.facts.learn_sample(&Sample { at, series, value });
    scene
}

fn limit(of_host: bool, is_below: bool) -> Need {
    let (measure, limit) = (Measure::MemoryUsedRatio, 0.5);
    if is_below {
        Need::Below {
            of_host,
            measure,
            limit,
        }
    } else {
        Need::Above {
            of_host,
            measure,
            limit,
        }
    }
}

#[test]
fn only_a_number_of_now_passes() {
    let target = || Subject::Unit(name("web.service"));
    for (is_below, well, ill) in [(true, 0.4, 0.6), (false, 0.6, 0.4)] {
        let on_host = || asking(limit(true, is_below));
        assert_eq!(
            objections(&measured(on_host(), Subject::Host, ago(90), well)),
            []
        );
        let says = if is_below { "not below" } else { "not above" };
        for (scene, says) in [
            (on_host(), "there is no"),
            (measured(on_host(), target(), NOW, well), "there is no"),
            (
                measured(on_host(), Subject::Host, ago(91), well),
                "91 s old",
            ),
            (measured(on_host(), Subject::Host, NOW, ill), says),
            (measured(on_host(), Subject::Host, NOW, 0.5), says),
        ] {
            check(&scene, "pre_checks", Stance::Wait, says);
        }
        let of_target = asking(limit(false, is_below));
        assert_eq!(objections(&measured(of_target, target(), NOW, well)), []);
    }
}

#[test]
fn only_silence_that_was_listened_to_passes() {
    let quiet = || {
        asking(Need::NoSignal {
            kind: SignalKind::OomKill,
            within: Span::minutes(10),
        })
    };
    let hook = |ring_full| HookCounters {
        hook: "oom_victim".to_owned(),
        ring_full,
        ..HookCounters::default()
    };
    let counted = |at, hooks: &[HookCounters]| {
        let mut scene = quiet();
        scene.facts.count(hooks, &QueueCounters::default(), at);
        scene
    };
    assert_eq!(objections(&quiet()), []);
    assert_eq!(objections(&counted(NOW, &[hook(0)])), []);
    assert_eq!(objections(&counted(ago(600), &[hook(1)])), []);
    check(
        &counted(ago(599), &[hook(1)]),
        "pre_checks",
        Stance::Wait,
        "not known",
    );
    check(
        &counted(NOW, &[]),
        "pre_checks",
        Stance::Wait,
        "no hook tells",
    );
    let mut young = quiet();
    young.facts.begin(ago(599));
    check(&young, "pre_checks", Stance::Wait, "599 s only");
    let mut heard = quiet();
    heard.facts.learn_signal(&Signal {
        at: ago(600),
        subject: Subject::Unit(name("web.service")),
        fact: Fact::OomKill(OomKill::default()),
    });
    check(&heard, "pre_checks", Stance::Wait, "1 OomKill within");
}

#[test]
fn a_hand_on_the_unit_is_felt_for_a_while() {
    let state = |active, result: &str, run: &str, n_restarts| UnitState {
        active,
        sub: "x".into(),
        result: result.into(),
        invocation_id: Some(run.into()),
        n_restarts,
    };
    let told = |states: &[(u64, UnitState)]| {
        let mut scene = asking(Need::Quiet(Span::minutes(10)));
        for (s, state) in states {
            scene
                .facts
                .learn_state(&name("web.service"), state, ago(*s));
        }
        scene
    };
    use ActiveState::{Activating, Active, Failed, Inactive, Reloading};
    let up = || (3600, state(Active, "success", "1", 0));
    assert_eq!(objections(&told(&[up()])), []);
    // It fell over by itself, and systemd brought it up: nobody's hand.
    let by_itself = [
        up(),
        (60, state(Activating, "exit-code", "1", 1)),
        (50, state(Active, "success", "2", 1)),
        (40, state(Failed, "exit-code", "2", 1)),
    ];
    assert_eq!(objections(&told(&by_itself)), []);
    for (state, s) in [
        (state(Active, "success", "2", 0), 599),
        (state(Inactive, "success", "1", 0), 599),
        (state(Reloading, "success", "1", 0), 599),
    ] {
        let hand = told(&[up(), (s, state.clone())]);
        check(&hand, "pre_checks", Stance::Wait, "somebody");
        let long_ago = told(&[up(), (600, state)]);
        assert_eq!(objections(&long_ago), []);
    }
    let unknown = told(&[]);
    check(&unknown, "pre_checks", Stance::Wait, "nothing was heard");
    let young = told(&[(599, state(Active, "success", "1", 0))]);
    check(&young, "pre_checks", Stance::Wait, "599 s only");
}

#[test]
fn a_frozen_unit_is_left_alone() {
    let in_state = |freezer: &str| {
        let mut scene = asking(Need::NotFrozen);
        if let Ok(unit) = &mut scene.unit {
            unit.vitals.freezer = freezer.to_owned();
        }
        scene
    };
    for free in ["running", ""] {
        assert_eq!(objections(&in_state(free)), [], "{free}");
    }
    for held in ["freezing", "frozen", "thawing", "frozen-by-parent"] {
        check(&in_state(held), "pre_checks", Stance::Wait, held);
    }
}
