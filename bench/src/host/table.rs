//! Prints figures by set and by half: what variants were chosen on, what checked them, and all.

use super::{
    Said,
    score::{self, Found, Scored, to_f64},
    set::Set,
};

/// Hosts to choose on, hosts to check with, and both.
const PARTS: [(&str, Option<bool>); 3] =
    [("fit", Some(true)), ("check", Some(false)), ("all", None)];

/// Says what is measured, and prints the head of the table.
pub(super) fn heading(sets: &[Set]) {
    println!();
    for set in sets {
        let rows: usize = set.hosts.iter().map(|host| host.test.rows).sum();
        let events: usize = set.hosts.iter().map(|host| host.events.len()).sum();
        let fit: Vec<&str> = set
            .hosts
            .iter()
            .filter(|host| host.fit)
            .map(|host| host.name.as_str())
            .collect();
        println!(
            "{}: {} hosts, {:.0} host-days, {events} events; fit: {}",
            set.name,
            set.hosts.len(),
            to_f64(rows) * step(set) / 86400.0,
            fit.join(" "),
        );
    }
    println!();
    println!(
        "| detector | set | part | FROC | recall at 1/day | 1/week | 1/month | event F1 | delay min | own rule: recall | false/host-day | precision |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
}

/// Prints one detector's rows. `rule` is its own threshold, where it does not notify by itself.
pub(super) fn rows(name: &str, sets: &[Set], said: &[Vec<Said>], rule: Option<f64>) {
    for (set, said) in sets.iter().zip(said) {
        for (part, fit) in PARTS {
            let chosen: Vec<_> = set
                .hosts
                .iter()
                .zip(said)
                .filter(|(host, _)| fit.is_none_or(|fit| host.fit == fit))
                .collect();
            let scored: Vec<Scored<'_>> = chosen
                .iter()
                .map(|(host, said)| Scored {
                    scores: &said.scores,
                    events: &host.events,
                })
                .collect();
            let ranked = score::ranked(&scored, step(set));
            // A notification is a score of its own: 1 where it goes out, 0 elsewhere.
            let marks: Option<Vec<Vec<f64>>> = chosen.iter().map(|(_, said)| marks(said)).collect();
            let own = match (marks, rule) {
                (Some(marks), _) => {
                    let scored: Vec<Scored<'_>> = chosen
                        .iter()
                        .zip(&marks)
                        .map(|((host, _), scores)| Scored {
                            scores,
                            events: &host.events,
                        })
                        .collect();
                    Some(score::at(&scored, step(set), 1.0))
                }
                (None, Some(rule)) => Some(score::at(&scored, step(set), rule)),
                (None, None) => None,
            };
            println!(
                "| {name} | {} | {part} | {:.3} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {} |",
                set.name,
                ranked.froc,
                ranked.recall_1_a_day,
                ranked.recall_1_a_week,
                ranked.recall_1_a_month,
                ranked.event_f1,
                ranked.delay_min,
                own.map_or("| | ".to_owned(), |own| owned(&own)),
            );
        }
    }
}

fn owned(found: &Found) -> String {
    let right = to_f64(found.caught);
    let all = right + to_f64(found.false_alarms);
    format!(
        "{:.2} | {:.2} | {:.3}",
        found.recall(),
        found.rate(),
        if all > 0.0 { right / all } else { 0.0 }
    )
}

fn marks(said: &Said) -> Option<Vec<f64>> {
    let mut marks = vec![0.0; said.scores.len()];
    for row in said.notified.as_ref()? {
        marks[*row] = 1.0;
    }
    Some(marks)
}

#[expect(clippy::cast_precision_loss, reason = "seconds between rows")]
fn step(set: &Set) -> f64 {
    set.step_s as f64
}
