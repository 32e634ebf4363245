//! Taking back what did not help: in order, once, never over somebody else's change, and through any
//! death of the daemon.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod host;

use std::collections::BTreeSet;

use host::{Answer, CAP, Host, web};
use hostmedic_model::{
    command::Command,
    incident::IncidentStatus,
    outcome::Verification,
    playbook::Phase,
    property::{Property, Setting},
    record::{Body, Record},
    time::{At, BootId, Span},
};
use hostmedic_reason::{pipeline::State, policy::Policy};
use proptest::prelude::*;

const WEIGHT: Property = Property::CpuWeight;
const TASKS: Property = Property::TasksMax;

/// As it was before anything was done.
fn assert_as_before(host: &Host) {
    assert_eq!(host.set[&WEIGHT], Setting::NONE, "{}", host.told());
    assert_eq!(host.set[&TASKS], Setting(4915), "{}", host.told());
}

/// A unit that was capped, just before it is verified.
fn capped() -> Host {
    let mut host = Host::new(CAP);
    host.crash_unit();
    host.pass(2);
    assert_eq!(host.calls(), ["1.1", "1.2"]);
    assert_eq!(host.set[&WEIGHT], Setting(20));
    assert_eq!(host.set[&TASKS], Setting(110));
    host
}

#[test]
fn what_helped_stays() {
    let mut host = capped();
    host.memory_used = 0.2;
    host.pass(60);
    assert_eq!(host.status(), IncidentStatus::Resolved);
    assert_eq!(host.calls(), ["1.1", "1.2"]);
    assert_eq!(host.set[&TASKS], Setting(110));
}

/// Goal: every inverse is an intent with an outcome of its own, last step first.
#[test]
fn what_did_not_help_is_taken_back_last_first() {
    let mut host = capped();
    host.pass(60);
    assert_eq!(host.calls(), ["1.1", "1.2", "1.2.undo", "1.1.undo"]);
    assert_as_before(&host);
    assert!(host.is_handed_over());
    let told = host.told();
    assert!(told.contains("cap did not help (unchanged)"), "{told}");
    let back = "; taken back: set TasksMax=4915 (was TasksMax=110) of web.service, \
                set CPUWeight= (was CPUWeight=20) of web.service";
    assert!(told.ends_with(back), "{told}");
    let outcomes = host.outcomes();
    let words: Vec<_> = outcomes.iter().map(|it| it.verification).collect();
    use Verification::{Resolved, Unchanged};
    assert_eq!(words, [Unchanged, Resolved, Resolved]);
    assert_eq!(outcomes[0].undoing.len(), 2);
    // Each undoing was decided on, with every guard that counts then.
    let decisions = host.disk.iter().filter(|record| {
        matches!(&record.body, Body::Decision(decision) if decision.reason.starts_with("take back"))
    });
    assert_eq!(decisions.count(), 2);
    host.pass(3600);
    assert_eq!(host.calls().len(), 4, "nothing more is done");
}

#[test]
fn what_somebody_changed_meanwhile_is_theirs() {
    let mut host = capped();
    host.set.insert(TASKS, Setting(7));
    host.pass(60);
    assert_eq!(host.calls(), ["1.1", "1.2", "1.1.undo"]);
    assert_eq!(host.set[&TASKS], Setting(7));
    assert_eq!(host.set[&WEIGHT], Setting::NONE);
    let told = host.told();
    let left = "not taken back: set TasksMax=110 (was TasksMax=4915) of web.service: somebody \
                changed it meanwhile, it is TasksMax=7";
    assert!(told.contains(left), "{told}");
}

#[test]
fn what_somebody_took_back_already_is_not_touched() {
    let mut host = capped();
    host.set.insert(TASKS, Setting(4915));
    host.pass(60);
    assert_eq!(host.calls(), ["1.1", "1.2", "1.1.undo"]);
    assert!(
        host.told()
            .contains("TasksMax=4915 of web.service (it was so already)")
    );
}

/// Goal: a pause stops it, people hear what stays, and the end of the pause changes nothing.
#[test]
fn a_pause_hands_over_at_once() {
    let mut host = capped();
    host.pause();
    host.pass(60);
    assert!(host.is_handed_over());
    let told = host.told();
    assert!(told.contains("not taken back: set TasksMax=110"), "{told}");
    assert!(told.contains("(paused: hands off (by ann))"), "{told}");
    host.ask(Command::Resume);
    host.pass(3600);
    assert_eq!(host.calls(), ["1.1", "1.2"]);
    assert_eq!(host.set[&TASKS], Setting(110));
    assert!(!host.disobeyed);
}

/// Goal: a pause between two steps is no failure of the second: what the first one did is verified.
#[test]
fn a_pause_between_steps_is_no_failure() {
    let mut host = Host::new(CAP);
    host.pauses_after_call = true;
    host.memory_used = 0.2;
    host.crash_unit();
    host.pass(60);
    assert_eq!(host.calls(), ["1.1"]);
    assert_eq!(host.status(), IncidentStatus::Resolved, "{}", host.told());
    assert_eq!(host.set[&WEIGHT], Setting(20));
    let outcomes = host.outcomes();
    let check = outcomes[0].checks.last().unwrap();
    assert!(check.observed.contains("paused: hands off"), "{check:?}");
}

#[test]
fn an_inhibit_of_the_unit_hands_over_at_once() {
    let mut host = capped();
    host.ask(Command::Inhibit {
        unit: Some(web()),
        span: Span::minutes(1),
        reason: "migration".into(),
    });
    host.pass(120);
    assert_eq!(host.calls(), ["1.1", "1.2"]);
    assert!(host.told().contains("migration"), "{}", host.told());
}

#[test]
fn a_backup_is_waited_for_but_not_for_ever() {
    let mut host = capped();
    host.backup = true;
    host.pass(60);
    assert_eq!(host.status(), IncidentStatus::Undoing);
    assert_eq!(host.calls(), ["1.1", "1.2"]);
    host.backup = false;
    host.pass(60);
    assert_as_before(&host);

    let mut host = capped();
    host.backup = true;
    host.pass(20 * 60);
    assert!(host.is_handed_over());
    assert_eq!(host.calls(), ["1.1", "1.2"]);
    let told = host.told();
    assert!(told.contains("not taken back: set TasksMax=110"), "{told}");
    assert!(told.contains("db-backup.service"), "{told}");
}

#[test]
fn a_refused_step_has_those_before_it_taken_back() {
    let mut host = Host::new(CAP);
    host.answers = vec![Answer::Done, Answer::Refused];
    host.crash_unit();
    host.pass(1);
    assert_eq!(host.calls(), ["1.1", "1.2", "1.1.undo"]);
    assert_as_before(&host);
    assert!(host.told().contains("taken back: set CPUWeight="));
}

#[test]
fn a_refused_inverse_is_told_and_the_rest_goes_on() {
    let mut host = capped();
    host.answers = vec![Answer::Refused];
    host.pass(60);
    assert_eq!(host.calls(), ["1.1", "1.2", "1.2.undo", "1.1.undo"]);
    assert_eq!(host.set[&TASKS], Setting(110));
    assert_eq!(host.set[&WEIGHT], Setting::NONE);
    let told = host.told();
    assert!(told.contains("polkit says no"), "{told}");
    assert!(told.contains("; taken back: set CPUWeight="), "{told}");
}

/// Goal: nobody knows how a call ended; the look does.
#[test]
fn an_unheard_end_is_looked_at() {
    for (answer, undone) in [(Answer::DoneUnheard, true), (Answer::LostUnheard, false)] {
        let mut host = Host::new(CAP);
        host.answers = vec![Answer::Done, answer];
        host.crash_unit();
        host.pass(60);
        let calls = host.calls();
        assert_eq!(calls.contains(&"1.2.undo".to_owned()), undone, "{calls:?}");
        assert!(calls.contains(&"1.1.undo".to_owned()), "{calls:?}");
        assert_as_before(&host);
    }
    // The same of the inverse: once, whatever came of it.
    for answer in [Answer::DoneUnheard, Answer::LostUnheard] {
        let mut host = capped();
        host.answers = vec![answer];
        host.pass(120);
        assert_eq!(host.calls(), ["1.1", "1.2", "1.2.undo", "1.1.undo"]);
        let is_back = host.set[&TASKS] == Setting(4915);
        assert_eq!(is_back, answer == Answer::DoneUnheard);
        let expected = if is_back {
            "; taken back: set TasksMax=4915"
        } else {
            "; not taken back: set TasksMax=4915"
        };
        assert!(host.told().contains(expected), "{}", host.told());
    }
}

#[test]
fn what_is_in_place_already_is_nobodys_to_set_or_take_back() {
    let mut host = Host::new(CAP);
    host.set.insert(WEIGHT, Setting(20));
    host.crash_unit();
    host.pass(60);
    // The first step would change nothing, so the second is the first that is carried out.
    assert_eq!(host.calls(), ["1.1", "1.1.undo"]);
    assert_eq!(host.set[&WEIGHT], Setting(20));
    assert_eq!(host.set[&TASKS], Setting(4915));

    let mut host = Host::new(CAP);
    host.set.insert(WEIGHT, Setting(20));
    host.set.insert(TASKS, Setting(110));
    host.crash_unit();
    host.pass(60);
    assert_eq!(host.calls(), Vec::<String>::new());
    assert!(host.is_handed_over());
    let told = host.told();
    assert!(told.contains("there is nothing to change"), "{told}");
}

/// Goal: after a restart in another phase, or without the playbook, a machine takes nothing back.
#[test]
fn without_leave_to_act_people_are_told_what_stays() {
    let mut host = capped();
    host.phase = Phase::Observe;
    host.start();
    host.pass(60);
    assert_eq!(host.calls(), ["1.1", "1.2"]);
    assert!(host.is_handed_over());
    let told = host.told();
    assert!(told.contains("not taken back: set TasksMax=110"), "{told}");
}

/// Goal: whatever effect was the last one before a death, all is taken back, and nothing twice.
#[test]
fn no_death_leaves_it_half_way_or_does_it_twice() {
    let mut whole = Host::new(CAP);
    let from = whole.carried_out;
    whole.crash_unit();
    whole.pass(120);
    let to = whole.carried_out;
    assert!(to - from > 20, "{}", to - from);
    let mut tried = 0;
    for at in from..to {
        let mut host = Host::new(CAP);
        host.dies_after = Some(at);
        host.crash_unit();
        host.pass(300);
        assert_eq!(host.dies_after, None, "it never came to {at}");
        if host.state.incidents(true).is_empty() {
            // It died before the incident was on disk.
            assert!(host.acts.is_empty());
            continue;
        }
        check_after_death(&host);
        tried += usize::from(host.calls().contains(&"1.1".to_owned()));
        assert_as_before_but_for_a_call_that_was_due(&host);
    }
    assert!(tried > 15, "only {tried} deaths came after the first call");
}

/// Goal: whichever record the disk refuses, and how often, all is taken back or people are told.
#[test]
fn no_refusal_of_the_disk_leaves_it_half_way() {
    let mut whole = Host::new(CAP);
    let from = whole.carried_out;
    whole.crash_unit();
    whole.pass(120);
    for at in from..whole.carried_out {
        for refusals in [1, 3] {
            let mut host = Host::new(CAP);
            host.disk_refuses = Some((at, refusals));
            host.crash_unit();
            host.pass(600);
            assert_eq!(host.disk_refuses, None, "it never came to {at}");
            check_after_death(&host);
            assert_as_before(&host);
        }
    }
}

/// A call whose intent was the last thing on disk is not made again, so its step stays, and people
/// are told so.
fn assert_as_before_but_for_a_call_that_was_due(host: &Host) {
    let told = host.told();
    for (property, setting) in [(WEIGHT, Setting::NONE), (TASKS, Setting(4915))] {
        let undo = format!("; not taken back: set {}", property.assignment(setting));
        let is_back = host.set[&property] == setting;
        assert!(is_back || told.contains(&undo), "{property}: {told}");
    }
}

/// What holds whatever happened.
fn check_after_death(host: &Host) {
    let calls: BTreeSet<_> = host.calls().into_iter().collect();
    assert_eq!(
        calls.len(),
        host.acts.len(),
        "done twice: {:?}",
        host.calls()
    );
    let intents = host.disk.iter().filter_map(|record| match &record.body {
        Body::Intent(intent) => Some(intent.id.clone()),
        _ => None,
    });
    let mut seen = BTreeSet::new();
    for id in intents {
        assert!(seen.insert(id.clone()), "{id} was meant twice");
    }
    for act in &host.acts {
        assert!(seen.contains(&act.id), "{} was not recorded", act.id);
    }
    let status = host.status();
    assert!(
        matches!(
            status,
            IncidentStatus::Escalated | IncidentStatus::Resolved | IncidentStatus::Closed
        ),
        "{status:?} hangs"
    );
    assert!(!host.disobeyed);
    recalls_the_same(&host.disk);
}

/// Every prefix of the chain means the same each time it is read.
fn recalls_the_same(disk: &[Record]) {
    let recalled = |disk: &[Record]| {
        let playbook = hostmedic_reason::playbook::parse("cap.yaml", CAP).unwrap();
        let boot = BootId("b".into());
        let mut state = State::new("host".into(), boot, Policy::default(), vec![playbook]);
        let now = disk.last().map_or(At::default(), |record| record.at);
        state.recall(disk, now);
        let effects = state.begin();
        format!("{effects:?} {:?}", state.incidents(true))
    };
    assert_eq!(recalled(disk), recalled(disk));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whoever dies, changes, pauses or loses an answer: what others set is never overwritten (the
    /// host itself checks that), nothing is done twice or while paused, and nothing hangs.
    #[test]
    fn nothing_is_overwritten_repeated_or_left_hanging(
        deaths in prop::collection::vec(0_usize..60, 0..4),
        answers in prop::collection::vec(
            prop_oneof![
                4 => Just(Answer::Done),
                1 => Just(Answer::Refused),
                1 => Just(Answer::DoneUnheard),
                1 => Just(Answer::LostUnheard),
            ],
            0..5,
        ),
        refusal in prop::option::of((0_usize..100, 1_u32..4)),
        disturbances in prop::collection::vec((0_u64..30, 0_u8..6), 0..5),
    ) {
        let mut host = Host::new(CAP);
        host.answers = answers;
        host.disk_refuses = refusal.map(|(after, count)| (host.carried_out + after, count));
        host.crash_unit();
        let mut deaths = deaths.into_iter();
        for second in 0..30 {
            if host.dies_after.is_none() {
                host.dies_after = deaths.next().map(|after| host.carried_out + after);
            }
            for (at, what) in &disturbances {
                if *at == second {
                    disturb(&mut host, *what);
                }
            }
            host.pass(1);
        }
        host.dies_after = None;
        host.backup = false;
        host.pass(20 * 60);
        check_after_death(&host);
    }
}

fn disturb(host: &mut Host, what: u8) {
    match what {
        0 => _ = host.set.insert(TASKS, Setting(7)),
        1 => _ = host.set.insert(WEIGHT, Setting::NONE),
        2 => host.pause(),
        3 => host.ask(Command::Resume),
        4 => host.backup = !host.backup,
        _ => host.memory_used = 0.2,
    }
}
