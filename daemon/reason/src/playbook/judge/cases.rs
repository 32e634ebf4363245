//! The playbook's own cases: well-formed, and enough for and against.

use hostmedic_model::subject::UnitName;

use super::Judge;
use crate::{
    guard,
    playbook::{
        case::{Case, Event},
        placed::Placed,
        registry::{measures, nearest, signals, states},
        wire::Document,
    },
};

/// Cases that show it at work, and as many that show it not acting.
const EACH_MIN: usize = 2;

impl Judge<'_> {
    pub(super) fn cases(&mut self, document: &Document) {
        let acts = document.steps.is_some();
        for case in &document.tests {
            self.case(case);
        }
        let matching = document
            .tests
            .iter()
            .filter(|case| case.must_match(acts))
            .count();
        let against = document.tests.len() - matching;
        if matching < EACH_MIN || against < EACH_MIN {
            let place = document
                .tests
                .first()
                .map_or(document.describe.place, |case| case.place);
            self.findings.warning(
                "few-tests",
                place,
                format!(
                    "{matching} of {} tests must match and {against} must not act; the library wants {EACH_MIN} each",
                    document.tests.len()
                ),
                "a playbook that does not say when it must not act is not ready",
            );
        }
    }

    fn case(&mut self, case: &Placed<Case>) {
        let given = &case.given;
        self.sentence("name", &case.name, 5);
        if let Err(why) = given.about.subject() {
            self.findings.error("target", given.about.place, why);
        }
        if let Some(policy) = &given.restart_policy
            && !states::RESTART.contains(&policy.value.as_str())
        {
            let help = nearest(states::RESTART.iter().copied(), policy).map_or_else(
                || format!("it can be: {}", states::RESTART.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            let message = format!("there is no `Restart={}`", policy.value);
            self.findings
                .error_help("unknown-word", policy.place, message, help);
        }
        let related = given.running.iter().flat_map(|activity| &activity.related);
        for unit in given.dependents.iter().chain(related) {
            if let Err(error) = UnitName::new(unit.value.as_str()) {
                self.findings
                    .error("wrong-name", unit.place, error.to_string());
            }
        }
        for (name, value) in &given.host.0 {
            if let Some(entry) = self.entry("measure", measures::ALL, name, name.place) {
                self.number(value, entry.unit);
            }
        }
        let mut last = None;
        for event in &given.events.value {
            if last.is_some_and(|last| event.at.0 < last) {
                self.findings
                    .error("order", event.at.place, "events stand in the order of time");
            }
            last = Some(event.at.0);
            self.event(event);
        }
        if let Some(guard) = &case.expect.guard
            && !guard::names().any(|name| name == guard.value)
        {
            let help = nearest(guard::names(), guard).map_or_else(
                || {
                    format!(
                        "it can be: {}",
                        guard::names().collect::<Vec<_>>().join(", ")
                    )
                },
                |meant| format!("did you mean `{meant}`?"),
            );
            let message = format!("there is no guard `{}`", guard.value);
            self.findings
                .error_help("unknown-word", guard.place, message, help);
        }
        self.flag(&case.expect.matches);
        if case.expect.matches.value && case.expect.decision.is_none() {
            self.findings.error(
                "expect",
                case.expect.place,
                "where it matches, something is decided: `decision` is missing",
            );
        }
    }

    fn event(&mut self, event: &Placed<Event>) {
        if let Some((key, _)) = event.fields.0.first()
            && event.signal.is_none()
        {
            let message = "`where` means something beside `signal` only";
            self.findings.error("condition", key.place, message);
        }
        match (&event.signal, &event.state, &event.measure) {
            (Some(name), None, None) => {
                let entry = self.entry("signal", signals::ALL, name, name.place);
                // What an example need not say, a trigger may have to ask.
                if let Some(entry) = entry
                    && !event.fields.0.is_empty()
                {
                    let what = format!("signal {}", entry.name);
                    self.slots(&what, entry.fields, &event.fields, name.place);
                }
                if entry.is_some_and(|entry| entry.name == signals::STATE || entry.counts_starts())
                {
                    self.findings.error_help(
                        "condition",
                        name.place,
                        "states are given with `state`",
                        "`state: {active: failed, sub: failed, result: exit-code}`",
                    );
                }
            }
            (None, Some(_), None) => {}
            (None, None, Some(name)) => {
                let entry = self.entry("measure", measures::ALL, name, name.place);
                match (&event.value.value.as_ref(), entry) {
                    (Some(value), Some(entry)) => _ = self.number(value, entry.unit),
                    (None, _) => self.findings.error(
                        "missing-key",
                        name.place,
                        "a measure needs its `value`",
                    ),
                    _ => {}
                }
            }
            _ => self.findings.error(
                "condition",
                event.place,
                "an event has exactly one of `signal`, `state` and `measure`",
            ),
        }
    }
}
