//! The text matcher inside the loop: what is asked and when, what a lost answer costs, what a
//! ranking may hold back, and what outcomes and operators teach.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod advice;
mod desk;

use hostmedic_model::{
    command::Judgement,
    decision::{Stance, Verdict},
    incident::IncidentId,
    matched::MatchRoute,
    outcome::Verification,
    record::Body,
    signal::{Fact, LogLines, LogPriority, OomKill, OomVerdict},
    unit::ActiveState,
    vector::Vector,
};

use self::desk::{Desk, embed, library, unit_state};
use hostmedic_reason::matching::{catalogue::Catalogue, entry::Entry, library::Library};

/// A meaning that is like nothing.
fn nothing(_: &str) -> Result<Vector, String> {
    Ok(Vector::zero())
}

fn meaning(text: &str) -> Result<Vector, String> {
    Ok(embed(text))
}

#[test]
fn without_a_catalogue_nothing_is_asked_and_structure_alone_acts() {
    let mut desk = Desk::new(None);
    desk.kill(OomVerdict::Killed);
    assert!(desk.asked.is_empty() && desk.matched().is_empty());
    assert_eq!(desk.acts, 1);
    let (stance, reason) = desk.guard("confidence");
    assert_eq!(stance, Stance::Pass);
    assert!(
        reason.starts_with("no text matcher: structure alone"),
        "{reason}"
    );
}

#[test]
fn a_ranking_comes_before_the_decision_and_is_recorded_with_its_parts() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    assert_eq!(
        (desk.acts, desk.asked.len()),
        (0, 1),
        "it waits for the answer"
    );
    desk.answer(meaning);
    assert_eq!(desk.acts, 1, "{:#?}", desk.decisions());
    let place = |wanted: fn(&Body) -> bool| desk.records.iter().position(wanted).unwrap();
    let decided = place(|body| matches!(body, Body::Decision(_)));
    assert!(place(|body| matches!(body, Body::Matched(_))) < decided);
    let newest = desk.matched().pop().unwrap();
    let first = &newest.candidates[0];
    assert_eq!(first.playbook, "unit-oom-killed");
    assert!(
        first.trigger_fired && first.evidence_shift > 0.0,
        "{first:#?}"
    );
    assert!(first.evidence.contradicted.is_empty(), "{first:#?}");
    assert!(
        newest.text.contains("killed process java"),
        "{}",
        newest.text
    );
    // What cannot be about a unit is not among them.
    assert!(
        newest
            .candidates
            .iter()
            .all(|near| near.playbook != "disk-full-journal")
    );
}

#[test]
fn what_the_unit_wrote_before_it_failed_is_in_the_text() {
    let write = |desk: &mut Desk, id, priority, template: &str| {
        desk.tell(Fact::LogLines(LogLines {
            template: template.to_owned(),
            id,
            count: 1,
            priority,
            left_out: 0,
        }));
    };
    let mut desk = Desk::with_texts();
    write(&mut desk, 1, LogPriority::Error, "heap is full");
    write(&mut desk, 2, LogPriority::Warning, "slow");
    assert!(desk.asked.is_empty(), "lines alone are no incident");
    desk.kill(OomVerdict::Killed);
    let (_, text) = desk.asked.last().unwrap().clone();
    assert!(text.contains("its log has \"heap is full\""), "{text}");
}

#[test]
fn a_lost_answer_costs_two_seconds_and_never_the_act() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.pass(2);
    assert_eq!(desk.acts, 0);
    desk.pass(1);
    assert_eq!(desk.acts, 1);
    assert!(
        desk.guard("confidence")
            .1
            .contains("was not read within 2 s")
    );
    // It is too late to say anything about this text that would be acted on.
    let before = desk.decisions().len();
    desk.answer(nothing);
    assert_eq!((desk.acts, desk.decisions().len()), (1, before));
}

#[test]
fn a_failed_answer_is_said_and_recorded() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.answer(|_| Err("the model is damaged".into()));
    assert_eq!(desk.acts, 1);
    let newest = desk.matched().pop().unwrap();
    assert_eq!(newest.problem.as_deref(), Some("the model is damaged"));
    assert_eq!(newest.route, MatchRoute::None);
    assert!(!newest.text.is_empty());
}

#[test]
fn a_text_that_speaks_against_it_holds_the_act_back() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.answer(|_| Ok(embed("the clock of the kitchen is five minutes late")));
    assert_eq!(desk.acts, 0);
    let decision = desk.decisions().pop().unwrap();
    assert_eq!(decision.verdict, Verdict::Hold, "{}", decision.reason);
    assert!(
        decision.reason.starts_with("confidence: "),
        "{}",
        decision.reason
    );
}

#[test]
fn contradicted_evidence_never_acts() {
    for texts in [Desk::with_texts(), Desk::new(None)] {
        let mut desk = texts;
        desk.kill(OomVerdict::AlreadyExiting);
        desk.answer(meaning);
        assert_eq!(desk.acts, 0);
        let (stance, reason) = desk.guard("evidence");
        assert_eq!(stance, Stance::Wait, "{reason}");
        assert!(reason.contains("killed nobody"), "{reason}");
    }
}

#[test]
fn where_no_trigger_holds_people_are_told_what_is_near() {
    let mut desk = Desk::with_texts();
    desk.tell(Fact::OomKill(OomKill {
        comm: "java".into(),
        ..OomKill::default()
    }));
    desk.answer(meaning);
    desk.pass(15);
    let decision = desk.decisions().pop().unwrap();
    assert_eq!(decision.verdict, Verdict::Hold);
    assert!(decision.playbook.is_none());
    let told = decision
        .reason
        .contains("no playbook's trigger holds; nearest by its text: unit-oom");
    let none = decision
        .reason
        .contains("neither by its trigger nor by its text");
    assert!(told || none, "{}", decision.reason);
}

#[test]
fn repeats_are_not_read_again_and_what_is_asked_and_recorded_is_bounded() {
    let mut desk = Desk::with_texts();
    desk.tell(Fact::OomKill(OomKill::default()));
    desk.answer(nothing);
    for pid in 1..50 {
        desk.tell(Fact::OomKill(OomKill {
            pid,
            ..OomKill::default()
        }));
        desk.pass(1);
    }
    assert!(desk.asked.is_empty(), "{:?}", desk.asked);
    // Each result is something new.
    let mut asked = 0;
    for number in 0..40 {
        desk.tell_state(unit_state(
            ActiveState::Failed,
            &format!("result-{}", "x".repeat(number)),
            "01",
        ));
        asked += desk.asked.len();
        desk.answer(nothing);
        desk.pass(40);
    }
    assert!((3..=8).contains(&asked), "{asked}");
    for one in desk.matched() {
        let of_one = desk.matched().into_iter();
        let count = of_one
            .filter(|other| other.incident == one.incident)
            .count();
        assert!(count <= 4, "{count}");
    }
}

#[test]
fn outcomes_teach_and_come_back_from_the_chain() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.answer(meaning);
    desk.pass(30);
    let helped = desk.records.iter().any(
        |body| matches!(body, Body::Outcome(outcome) if outcome.verification == Verification::Resolved),
    );
    assert!(helped, "{:#?}", desk.records.last());
    let record_of = |desk: &Desk| {
        let catalogue = desk.state.catalogue().unwrap();
        let text = "a service was killed";
        let vector = embed(text);
        let query = hostmedic_reason::matching::catalogue::Query::plain(text, &vector);
        let scored = catalogue.scored(&query);
        let found = scored
            .iter()
            .find(|found| found.playbook == "unit-oom-killed");
        found.unwrap().record
    };
    assert_eq!(record_of(&desk).helped, 1);

    let entries: Vec<_> = library().iter().map(Entry::from).collect();
    let catalogue = Catalogue::build(&Library::from(entries), embed);
    let mut again = Desk::recalling(Some(catalogue), &desk.chain());
    assert_eq!(record_of(&again).helped, 0, "its text has to be read again");
    again.answer(meaning);
    assert_eq!(record_of(&again).helped, 1);

    // An operator knows better, and can take it back.
    let incident = desk.matched()[0].incident.clone();
    assert!(again.judge(&incident, Judgement::Wrong).is_ok());
    assert_eq!(record_of(&again).helped, 0, "the last word counts");
    again.pass(1);
    again.answer(meaning);
    assert_eq!((record_of(&again).helped, record_of(&again).failed), (0, 1));
    assert!(again.judge(&incident, Judgement::Forget).is_ok());
    assert!(again.judge(&incident, Judgement::Forget).is_err());
    assert_eq!(record_of(&again).failed, 0);
    let stranger = IncidentId("inc_x".into());
    assert!(again.judge(&stranger, Judgement::Right).is_err());
}
