//! Whether a detector blames the metrics that took part in an event.

use super::{
    Said,
    score::to_f64,
    set::{Cause, Host, Set},
};

/// Metrics that a row names to a reader who sees no numbers.
const NAMED: usize = 10;

/// A way to make one order of the metrics out of an event's rows: what each metric counts for, given
/// the blame and the score of each row.
struct Reading {
    name: &'static str,
    weights: fn(&[&[f32]], &[f64]) -> Vec<f32>,
}

const READINGS: [Reading; 4] = [
    Reading {
        name: "sum over the rows",
        weights: |rows, _| over(rows, |sum, blame| sum + blame),
    },
    Reading {
        name: "its largest row",
        weights: |rows, _| over(rows, f32::max),
    },
    Reading {
        name: "row of the highest score",
        weights: at_highest,
    },
    Reading {
        name: "names in each row",
        weights: |rows, _| votes(rows),
    },
];

/// Prints, for each reading, how often the first blamed metric is right, and how many of an event's
/// metrics are among as many blamed ones ("`HitRate`@100%").
pub(super) fn keep(name: &str, sets: &[Set], said: &[Vec<Said>]) {
    for (set, said) in sets.iter().zip(said) {
        let events: usize = set.hosts.iter().map(|host| host.causes.len()).sum();
        if events == 0 || said.iter().any(|said| said.blame.is_empty()) {
            continue;
        }
        let figures: Vec<String> = READINGS
            .iter()
            .map(|reading| {
                let (first, hits) = right(reading, &set.hosts, said);
                let (first, hits) = (first / to_f64(events), hits / to_f64(events));
                format!("{} {first:.3} / {hits:.3}", reading.name)
            })
            .collect();
        println!(
            "| {name} | {} | blame of {events} events, top-1 / HitRate@100%: {} | | | | | | | | | |",
            set.name,
            figures.join(", "),
        );
    }
}

/// Events whose first blamed metric took part, and the sum of the shares that were found.
fn right(reading: &Reading, hosts: &[Host], said: &[Said]) -> (f64, f64) {
    let (mut first, mut hits) = (0.0, 0.0);
    for (host, said) in hosts.iter().zip(said) {
        for cause in &host.causes {
            let order = order(reading, host.test.columns, said, cause);
            let wanted = cause.metrics.len();
            let right = |most: usize| {
                let named = order.iter().take(most);
                to_f64(
                    named
                        .filter(|metric| cause.metrics.contains(metric))
                        .count(),
                )
            };
            first += right(1);
            hits += right(wanted) / to_f64(wanted.max(1));
        }
    }
    (first, hits)
}

/// Metrics by what they count for in the event, heaviest first.
fn order(reading: &Reading, columns: usize, said: &Said, cause: &Cause) -> Vec<usize> {
    let rows: Vec<&[f32]> = said.blame.chunks_exact(columns).collect();
    let last = (cause.last + 1).min(rows.len());
    let first = cause.first.min(last);
    by_weight(&(reading.weights)(
        &rows[first..last],
        &said.scores[first..last],
    ))
}

/// Places of `weights`, heaviest first; equal ones stay as they are.
fn by_weight(weights: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|one, other| weights[*other].total_cmp(&weights[*one]));
    order
}

fn over(rows: &[&[f32]], join: fn(f32, f32) -> f32) -> Vec<f32> {
    let mut joined = vec![0.0; rows.first().map_or(0, |row| row.len())];
    for row in rows {
        for (joined, blame) in joined.iter_mut().zip(*row) {
            *joined = join(*joined, *blame);
        }
    }
    joined
}

/// The first of the rows with the highest score.
fn at_highest(rows: &[&[f32]], scores: &[f64]) -> Vec<f32> {
    let rows = rows.iter().zip(scores);
    let highest = rows.reduce(|best, row| if row.1 > best.1 { row } else { best });
    highest.map_or_else(Vec::new, |(row, _)| row.to_vec())
}

/// Each row names its first metrics, and a name is worth one by its place.
fn votes(rows: &[&[f32]]) -> Vec<f32> {
    let mut votes = vec![0.0; rows.first().map_or(0, |row| row.len())];
    for row in rows {
        let named = by_weight(row).into_iter().take(NAMED);
        for (place, metric) in (1_u8..).zip(named.filter(|metric| row[*metric] > 0.0)) {
            votes[metric] += 1.0 / f32::from(place);
        }
    }
    votes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row in which metric 0 is far ahead, three in which metric 1 is a little ahead of 2; the
    /// last has the highest score.
    #[test]
    fn readings_differ() {
        let rows: [&[f32]; 4] = [
            &[5.0, 0.0, 0.0],
            &[0.0, 2.0, 1.0],
            &[0.0, 2.0, 1.0],
            &[0.0, 2.0, 3.0],
        ];
        let firsts = READINGS.map(|reading| {
            by_weight(&(reading.weights)(&rows, &[0.1, 0.2, 0.3, 0.4]))
                .first()
                .copied()
        });
        assert_eq!(firsts, [Some(1), Some(0), Some(2), Some(1)]);
    }

    #[test]
    fn no_row_names_nobody() {
        for reading in &READINGS {
            assert!(by_weight(&(reading.weights)(&[], &[])).is_empty());
        }
    }
}
