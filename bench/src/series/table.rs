//! The tables of the series bench, as Markdown.

use std::{fs, io::Write, path::Path};

use anyhow::Context;

use super::{
    Said,
    events::{Froc, Outcome, Scored},
    nab::{self, PROFILES},
    read::{Labelled, Part, Set},
};

/// Counts the sets, explains the columns and starts the table of ranked scores.
pub(super) fn heading(series: &[Labelled]) {
    for (set, name) in [(Set::Nab, "NAB"), (Set::Ms, "MS")] {
        for part in [Part::Fit, Part::Check] {
            let of: Vec<_> = members(series, set, Some(part)).collect();
            let events: usize = of.iter().map(|(_, one)| one.events.len()).sum();
            println!("{name} {part:?}: {} series, {events} events", of.len());
        }
    }
    println!();
    println!(
        "NAB: standard / low-FP / low-FN. MS: mean recall over 0..1 false alarms a series-day."
    );
    println!();
    println!(
        "| detector | NAB fit | NAB check at fit's threshold | NAB check, own best | NAB all dev | \
         MS fit | MS check | MS all dev |"
    );
    println!("|---|---|---|---|---|---|---|---|");
}

/// One detector's row: scores ranked, thresholds chosen on the fit part or on the part itself.
pub(super) fn row(name: &str, series: &[Labelled], said: &[Said]) {
    let fit = nab_files(series, said, Some(Part::Fit));
    let check = nab_files(series, said, Some(Part::Check));
    let all = nab_files(series, said, None);
    println!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} |",
        nab_scores(&fit, &fit),
        nab_scores(&check, &fit),
        nab_scores(&check, &check),
        nab_scores(&all, &all),
        froc(series, said, Some(Part::Fit)),
        froc(series, said, Some(Part::Check)),
        froc(series, said, None),
    );
}

/// Starts the table of what each detector's own rule does.
pub(super) fn own_rule_heading() {
    println!();
    println!("Each at its own fixed rule, all development files, a notification an hour at most:");
    println!();
    println!(
        "| detector | NAB standard / low-FP / low-FN | NAB windows found | notifications outside \
         a day | MS recall | MS false alarms a day | MS event F1 |"
    );
    println!("|---|---|---|---|---|---|---|");
}

/// One detector's row at its own rule.
pub(super) fn own_rule(name: &str, series: &[Labelled], said: &[Said]) {
    let pulses: Vec<Said> = said.iter().map(pulses).collect();
    let files = nab_files(series, &pulses, None);
    let scores = PROFILES.map(|profile| {
        format!(
            "{:.1}",
            nab::score(&files.iter().collect::<Vec<_>>(), 0.5, profile)
        )
    });
    let on_nab = outcome(series, said, Set::Nab);
    let on_ms = outcome(series, said, Set::Ms);
    println!(
        "| {name} | {} | {} of {} | {:.2} | {:.2} | {:.2} | {:.2} |",
        scores.join(" / "),
        on_nab.caught,
        on_nab.events,
        on_nab.false_per_day(),
        on_ms.recall(),
        on_ms.false_per_day(),
        on_ms.f1(),
    );
}

/// The shipped detector file by file, at its default threshold: losing cases are not hidden.
pub(super) fn files(series: &[Labelled], said: &[Said]) {
    println!();
    println!("hostmedic by file, at the default threshold:");
    println!();
    println!("| file | part | events found | notifications outside | days |");
    println!("|---|---|---|---|---|");
    for (one, said) in series.iter().zip(said) {
        let outcome = Scored::new(one, &said.scores).outcome(&after_learning(one, said));
        println!(
            "| {} | {:?} | {} of {} | {} | {:.0} |",
            one.name, one.part, outcome.caught, outcome.events, outcome.false_alarms, outcome.days
        );
    }
}

/// Writes scores so that the reference scorers can read them.
pub(super) fn dump(folder: &Path, series: &[Labelled], said: &[Said]) -> anyhow::Result<()> {
    for (one, said) in series.iter().zip(said) {
        let path = folder.join(&one.name);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            let mut file = std::io::BufWriter::new(fs::File::create(&path)?);
            writeln!(file, "timestamp,value,anomaly_score,label")?;
            for (row, ((wall_s, value), score)) in one.rows.iter().zip(&said.scores).enumerate() {
                let at = jiff::Timestamp::from_second(*wall_s).unwrap_or_default();
                let at = at.strftime("%Y-%m-%d %H:%M:%S");
                let value = value.unwrap_or_default();
                let label = one
                    .events
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&row));
                writeln!(file, "{at},{value},{score},{}", u8::from(label))?;
            }
            file.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn members(
    series: &[Labelled],
    set: Set,
    part: Option<Part>,
) -> impl Iterator<Item = (usize, &Labelled)> {
    series
        .iter()
        .enumerate()
        .filter(move |(_, one)| one.set == set && part.is_none_or(|part| one.part == part))
}

fn nab_files(series: &[Labelled], said: &[Said], part: Option<Part>) -> Vec<nab::File> {
    members(series, Set::Nab, part)
        .map(|(place, one)| nab::File::new(one, &said[place].scores))
        .collect()
}

fn nab_scores(files: &[nab::File], thresholds_from: &[nab::File]) -> String {
    let files: Vec<_> = files.iter().collect();
    let from: Vec<_> = thresholds_from.iter().collect();
    PROFILES
        .map(|profile| {
            let threshold = nab::best_threshold(&from, profile);
            format!("{:.1}", nab::score(&files, threshold, profile))
        })
        .join(" / ")
}

fn froc(series: &[Labelled], said: &[Said], part: Option<Part>) -> String {
    let scored: Vec<_> = members(series, Set::Ms, part)
        .map(|(place, one)| Scored::new(one, &said[place].scores))
        .collect();
    let froc = Froc::new(&scored.iter().collect::<Vec<_>>());
    format!("{:.3} (best F1 {:.2})", froc.area(), froc.best_f1())
}

fn outcome(series: &[Labelled], said: &[Said], set: Set) -> Outcome {
    let mut sum = Outcome::default();
    for (place, one) in members(series, set, None) {
        let scored = Scored::new(one, &said[place].scores);
        sum.add(scored.outcome(&after_learning(one, &said[place])));
    }
    sum
}

/// Notifications in the scored rows, counted from the first of them.
fn after_learning(series: &Labelled, said: &Said) -> Vec<usize> {
    said.notified
        .iter()
        .filter_map(|row| row.checked_sub(series.scored_from))
        .collect()
}

/// 1 at rows with a notification, 0 elsewhere.
fn pulses(said: &Said) -> Said {
    let mut scores = vec![0.0; said.scores.len()];
    for row in &said.notified {
        scores[*row] = 1.0;
    }
    Said {
        scores,
        notified: said.notified.clone(),
    }
}
