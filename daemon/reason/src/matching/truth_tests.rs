//! Each condition where it holds, where it does not, and where nobody can tell; groups by the laws of
//! three values; `for` against a model that looks at every moment.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use hostmedic_model::{
    loss::{HookCounters, QueueCounters},
    sample::Sample,
    signal::{OomKill, Pressure, PressureOf},
    subject::UnitName,
    unit::{ActiveState, UnitState},
};
use proptest::prelude::*;

use super::*;

const MEASURE: Measure = Measure::MemoryUsedRatio;

fn at(s: u64) -> At {
    At::default().plus(Duration::from_secs(s))
}

fn web() -> UnitName {
    UnitName::new("web.service").unwrap()
}

fn unit() -> Subject {
    Subject::Unit(web())
}

fn above(limit: f64) -> Condition {
    let measure = MEASURE;
    Condition::Above { measure, limit }
}

fn lasting(condition: Condition, s: u64) -> Condition {
    Condition::Held {
        condition: Box::new(condition),
        span: Span::secs(s),
    }
}

fn active() -> Condition {
    Condition::UnitState {
        active: vec![ActiveState::Active],
        result: Vec::new(),
        result_not: Vec::new(),
        restart_policy: Vec::new(),
    }
}

fn oom(at_least: u32, within: u64, only: Option<SignalFilter>) -> Condition {
    Condition::Signal {
        kind: SignalKind::OomKill,
        at_least,
        within: Span::secs(within),
        only,
    }
}

/// Facts that follow what these conditions ask a `for` of.
fn facts(conditions: &[Condition]) -> Facts {
    let mut facts = Facts::default();
    let text = include_str!("../../../../playbooks/unit-failed-restart.yaml");
    let mut playbook = crate::playbook::parse("unit-failed-restart.yaml", text).unwrap();
    playbook.trigger = conditions.to_vec();
    facts.follow(&[playbook]);
    facts.begin(at(0));
    facts
}

fn sample(s: u64, value: f64) -> Sample {
    let series = Series {
        subject: unit(),
        measure: MEASURE,
    };
    Sample {
        at: at(s),
        series,
        value,
    }
}

fn state(active: ActiveState, run: u32) -> UnitState {
    UnitState {
        active,
        sub: "running".to_owned(),
        result: "success".to_owned(),
        invocation_id: Some(format!("{run:032x}")),
        n_restarts: 0,
    }
}

fn kill(s: u64, scope: OomScope) -> Signal {
    let kill = OomKill {
        scope,
        ..OomKill::default()
    };
    Signal {
        at: at(s),
        subject: unit(),
        fact: Fact::OomKill(kill),
    }
}

#[track_caller]
fn check(condition: &Condition, facts: &Facts, now: u64, expected: Truth) {
    let found = truth(condition, &unit(), facts, at(now));
    assert_eq!(found, expected, "{condition:?} at {now} s");
}

#[test]
fn an_old_number_is_no_word_on_now() {
    let mut facts = facts(&[]);
    check(&above(0.5), &facts, 1, Truth::Unknown);
    facts.learn_sample(&sample(10, 0.9));
    check(&above(0.5), &facts, 100, Truth::Yes);
    check(&above(0.95), &facts, 100, Truth::No);
    check(&above(0.5), &facts, 101, Truth::Unknown);
    check(&above(0.95), &facts, 101, Truth::Unknown);
    // Where numbers come every two minutes, one of three minutes ago is the newest there can be.
    facts.learn_sample(&sample(130, 0.9));
    check(&above(0.5), &facts, 130 + 360, Truth::Yes);
    check(&above(0.5), &facts, 130 + 361, Truth::Unknown);
}

#[test]
fn a_number_must_have_been_so_all_the_time() {
    let condition = lasting(above(0.5), 60);
    let mut facts = facts(std::slice::from_ref(&condition));
    facts.learn_sample(&sample(10, 0.1));
    for s in [20, 50, 79] {
        facts.learn_sample(&sample(s, 0.9));
    }
    check(&condition, &facts, 79, Truth::No);
    // Time without a new number adds nothing.
    check(&condition, &facts, 90, Truth::No);
    facts.learn_sample(&sample(80, 0.9));
    check(&condition, &facts, 80, Truth::Yes);
    facts.learn_sample(&sample(85, 0.4));
    check(&condition, &facts, 85, Truth::No);
    facts.learn_sample(&sample(90, 0.9));
    check(&condition, &facts, 149, Truth::No);
    // A pause in which nobody looked: it may have been so for longer, or for no time at all.
    facts.learn_sample(&sample(400, 0.9));
    check(&condition, &facts, 400, Truth::Unknown);
    facts.learn_sample(&sample(460, 0.9));
    check(&condition, &facts, 460, Truth::Yes);
}

#[test]
fn a_state_must_have_been_so_all_the_time() {
    let condition = lasting(active(), 30);
    let mut facts = facts(std::slice::from_ref(&condition));
    check(&condition, &facts, 1, Truth::Unknown);
    facts.learn_state(&web(), &state(ActiveState::Active, 1), at(10));
    check(&condition, &facts, 20, Truth::Unknown);
    check(&condition, &facts, 40, Truth::Yes);
    // The same state, of another run: in between it was down.
    facts.learn_state(&web(), &state(ActiveState::Active, 2), at(50));
    check(&condition, &facts, 60, Truth::No);
    check(&condition, &facts, 80, Truth::Yes);
    facts.learn_state(&web(), &state(ActiveState::Failed, 2), at(90));
    check(&condition, &facts, 200, Truth::No);
    facts.forget_unit(&web());
    check(&condition, &facts, 200, Truth::Unknown);
}

#[test]
fn what_may_have_gone_unheard_is_not_absent() {
    let mut facts = facts(&[]);
    // Before we listened there may have been one.
    check(&oom(1, 60, None), &facts, 30, Truth::Unknown);
    check(&oom(1, 60, None), &facts, 60, Truth::No);
    let lossy = HookCounters {
        hook: "oom_victim".to_owned(),
        ring_full: 1,
        ..HookCounters::default()
    };
    facts.count(&[lossy], &QueueCounters::default(), at(100));
    check(&oom(1, 60, None), &facts, 110, Truth::Unknown);
    check(&oom(1, 60, None), &facts, 160, Truth::No);
    // One that was heard is one, whatever else was lost.
    facts.learn_signal(&kill(105, OomScope::Global));
    check(&oom(1, 60, None), &facts, 110, Truth::Yes);
    // So many that the first are forgotten: of another sort there may have been more.
    for s in 0..40 {
        facts.learn_signal(&kill(200 + s, OomScope::Global));
    }
    let of_unit = Some(SignalFilter::OomOfHost(false));
    check(&oom(1, 60, of_unit.clone()), &facts, 240, Truth::Unknown);
    check(&oom(1, 20, of_unit), &facts, 240, Truth::No);
}

#[test]
fn a_filter_passes_what_says_so_and_doubts_what_does_not_say() {
    let mut facts = facts(&[]);
    facts.learn_signal(&kill(100, OomScope::Unknown));
    for of_host in [true, false] {
        let only = Some(SignalFilter::OomOfHost(of_host));
        check(&oom(1, 60, only), &facts, 101, Truth::Unknown);
    }
    facts.learn_signal(&kill(101, OomScope::Global));
    let only = |of_host| Some(SignalFilter::OomOfHost(of_host));
    check(&oom(1, 60, only(true)), &facts, 101, Truth::Yes);
    check(&oom(2, 60, only(false)), &facts, 101, Truth::No);
    facts.learn_signal(&Signal {
        at: at(101),
        subject: unit(),
        fact: Fact::Pressure(Pressure {
            of: PressureOf::Io,
            full: false,
            stalled_us: 1,
            window_us: 2,
        }),
    });
    let pressure = |of| Condition::Signal {
        kind: SignalKind::Pressure,
        at_least: 1,
        within: Span::secs(60),
        only: Some(SignalFilter::PressureOf(of)),
    };
    check(
        &pressure(vec![PressureOf::Cpu, PressureOf::Io]),
        &facts,
        101,
        Truth::Yes,
    );
    check(&pressure(vec![PressureOf::Cpu]), &facts, 101, Truth::No);
}

#[test]
fn not_restarted_within_the_hour_must_be_known() {
    let not_restarted = Condition::None(vec![Condition::Starts {
        at_least: 1,
        within: Span::minutes(60),
    }]);
    let mut facts = facts(&[]);
    check(&not_restarted, &facts, 9000, Truth::Unknown);
    facts.learn_state(&web(), &state(ActiveState::Active, 1), at(10));
    check(&not_restarted, &facts, 3600, Truth::Unknown);
    check(&not_restarted, &facts, 3610, Truth::Yes);
    facts.learn_state(&web(), &state(ActiveState::Active, 2), at(4000));
    check(&not_restarted, &facts, 7600, Truth::No);
    check(&not_restarted, &facts, 7601, Truth::Yes);
}

/// Conditions with a truth that is known: yes, no, unknown.
fn leaf() -> impl Strategy<Value = (Condition, Truth)> {
    prop_oneof![
        Just((above(0.5), Truth::Yes)),
        Just((above(0.95), Truth::No)),
        Just((Condition::Unseen("x".to_owned()), Truth::Unknown)),
    ]
}

/// Groups of them, and what each comes to by hand.
fn tree() -> impl Strategy<Value = (Condition, Truth)> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        (prop::collection::vec(inner, 1..4), 0..3).prop_map(|(members, kind)| {
            let (conditions, truths): (Vec<_>, Vec<_>) = members.into_iter().unzip();
            let count = |of| truths.iter().filter(|truth| **truth == of).count();
            let (yes, no) = (count(Truth::Yes), count(Truth::No));
            let whole = truths.len();
            let by_hand = |yes: bool, no: bool| match (yes, no) {
                (true, _) => Truth::Yes,
                (_, true) => Truth::No,
                _ => Truth::Unknown,
            };
            match kind {
                0 => (Condition::All(conditions), by_hand(yes == whole, no > 0)),
                1 => (Condition::Any(conditions), by_hand(yes > 0, no == whole)),
                _ => (Condition::None(conditions), by_hand(no == whole, yes > 0)),
            }
        })
    })
}

proptest! {
    /// Goal: groups within groups come to what the laws of three values say.
    #[test]
    fn groups_come_to_what_their_members_say((condition, expected) in tree()) {
        let mut facts = facts(&[]);
        facts.learn_sample(&sample(10, 0.9));
        prop_assert_eq!(truth(&condition, &unit(), &facts, at(11)), expected);
    }

    /// Goal: whatever is learned of what was unknown, an answer that was given stays.
    /// Method: each unknown leaf becomes one that holds, or one that does not.
    #[test]
    fn an_answer_does_not_rest_on_what_is_unknown((condition, expected) in tree(), holds in any::<bool>()) {
        let known = if holds { above(0.5) } else { above(0.95) };
        let mut facts = facts(&[]);
        facts.learn_sample(&sample(10, 0.9));
        let found = truth(&replaced(&condition, &known), &unit(), &facts, at(11));
        prop_assert!(expected == Truth::Unknown || found == expected);
        prop_assert_ne!(found, Truth::Unknown);
    }

    /// Goal: `for` holds only if every number of the span was so and none was missing.
    /// Method: numbers at random distances, against a model that looks at all of them.
    #[test]
    fn a_for_rests_on_every_number_of_its_span(steps in prop::collection::vec((1_u64..120, any::<bool>()), 1..40)) {
        let condition = lasting(above(0.5), 60);
        let mut facts = facts(std::slice::from_ref(&condition));
        let mut now = 100;
        let mut seen: Vec<(u64, bool)> = Vec::new();
        for (gap, is_above) in steps {
            now += gap;
            facts.learn_sample(&sample(now, if is_above { 0.9 } else { 0.1 }));
            seen.push((now, is_above));
            if truth(&condition, &unit(), &facts, at(now)) == Truth::Yes {
                let within = seen.iter().filter(|(s, _)| now - s <= 60);
                prop_assert!(within.clone().all(|(_, is_above)| *is_above));
                prop_assert!(seen.iter().any(|(s, is_above)| now - s >= 60 && *is_above));
            }
        }
    }
}

/// The condition with `known` in place of what is not seen.
fn replaced(condition: &Condition, known: &Condition) -> Condition {
    let each = |group: &[Condition]| group.iter().map(|it| replaced(it, known)).collect();
    match condition {
        Condition::Unseen(_) => known.clone(),
        Condition::All(group) => Condition::All(each(group)),
        Condition::Any(group) => Condition::Any(each(group)),
        Condition::None(group) => Condition::None(each(group)),
        other => other.clone(),
    }
}
