//! Whether a detector blames the metrics that took part in an event.

use super::{
    Said,
    score::to_f64,
    set::{Cause, Host, Set},
};

/// Prints how often the first blamed metric is right, and how many of an event's metrics are among
/// as many blamed ones ("`HitRate`@100%"). Each metric counts with the sum of its blame in the event.
pub(super) fn keep(name: &str, sets: &[Set], said: &[Vec<Said>]) {
    for (set, said) in sets.iter().zip(said) {
        let mut first = 0.0;
        let mut hits = 0.0;
        let mut events = 0.0;
        for (host, said) in set.hosts.iter().zip(said) {
            if said.blame.is_empty() {
                return;
            }
            for cause in &host.causes {
                let order = order(host, said, cause);
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
                events += 1.0;
            }
        }
        if events > 0.0 {
            println!(
                "| {name} | {} | blame of {events} events: top-1 {:.2}, HitRate@100% {:.2} | | | | | | | | | |",
                set.name,
                first / events,
                hits / events,
            );
        }
    }
}

/// Metrics by the sum of their blame in the event, heaviest first.
fn order(host: &Host, said: &Said, cause: &Cause) -> Vec<usize> {
    let columns = host.test.columns;
    let mut sums = vec![0.0_f32; columns];
    let rows = said.blame.chunks_exact(columns);
    for row in rows.take(cause.last + 1).skip(cause.first) {
        for (sum, blame) in sums.iter_mut().zip(row) {
            *sum += *blame;
        }
    }
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by(|one, other| sums[*other].total_cmp(&sums[*one]));
    order
}
