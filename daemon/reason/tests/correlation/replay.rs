//! Any events: the same effects at a replay, and a tree of incidents.

use hostmedic_model::{
    incident::Incident,
    sample::Measure,
    signal::{Fact, NetCounter, NetCounterKind},
    subject::Subject,
};
use proptest::prelude::*;

use crate::host::*;

/// What can happen, to any of a few units and mounts.
#[derive(Clone, Debug)]
enum Event {
    Starts(u8),
    Fails(u8),
    Oom(u8),
    ReadOnly,
    Drops(u16),
    Load(u8),
    Pass(u16),
    ClockSet(i32),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0_u8..30).prop_map(Event::Starts),
        (0_u8..30).prop_map(Event::Fails),
        (0_u8..30).prop_map(Event::Oom),
        Just(Event::ReadOnly),
        (0_u16..5000).prop_map(Event::Drops),
        (0_u8..100).prop_map(Event::Load),
        (1_u16..200).prop_map(Event::Pass),
        (-100_000_i32..100_000).prop_map(Event::ClockSet),
    ];
    prop::collection::vec(event, 1..120)
}

fn play(events: &[Event]) -> Host {
    let mut host = Host::new();
    for event in events {
        let name = |n: &u8| format!("app{n}.service");
        match event {
            Event::Starts(n) => host.starts(&name(n)),
            Event::Fails(n) => host.fails(&name(n)),
            Event::Oom(n) => host.oom(&name(n)),
            Event::ReadOnly => host.var_turns_read_only(),
            Event::Drops(count) => {
                let fact = Fact::NetCounter(NetCounter {
                    counter: NetCounterKind::ListenDrop,
                    count: u64::from(*count),
                });
                host.tell(Subject::Host, fact);
            }
            Event::Load(load) => {
                host.measures(Subject::Host, Measure::LoadPerCpu, f64::from(*load));
            }
            Event::Pass(seconds) => host.pass(u64::from(*seconds)),
            Event::ClockSet(ms) => host.now.wall_ms += i64::from(*ms),
        }
    }
    host
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Goal: the same wakes give the same effects, so the same incidents under the same names.
    #[test]
    fn a_replay_gives_the_same_effects(events in events()) {
        let (first, second) = (play(&events), play(&events));
        prop_assert_eq!(first.effects, second.effects);
    }

    /// Goal: parents make a tree, a subject has one open incident (and the host a storm's beside
    /// it), and a restart of the daemon forgets none of it.
    #[test]
    fn incidents_stay_a_tree_that_outlives_a_restart(events in events()) {
        let host = play(&events);
        let all = host.all();
        for incident in &all {
            prop_assert!(incident.evidence.len() <= 64);
            let mut above = incident.parent.as_ref();
            let mut steps = 0;
            while let Some(parent) = above {
                steps += 1;
                prop_assert!(steps <= 4, "{} is too deep", incident.id);
                above = host.state.incident(parent).and_then(|parent| parent.parent.as_ref());
            }
            let open = |other: &&Incident| {
                other.subject == incident.subject && !other.status.is_over()
            };
            prop_assert!(all.iter().filter(open).count() <= 2);
        }
        prop_assert_eq!(parents(&host.recalled().incidents(true)), parents(&all));
    }
}
