//! What a playbook has learned from incidents, without training: bounded, and to be taken back.
//!
//! A lesson belongs to one incident. Who takes the incident's lesson back leaves no trace of it, and
//! an old lesson goes when a new one comes: a playbook that has become good is not held to a bad
//! year, and nobody can move it far with one flood of incidents.

use hostmedic_model::vector::Vector;

use super::{confidence::Record, dense::Packed};

/// How many lessons of one playbook count.
pub(crate) const LESSONS_MAX: usize = 32;

/// What an incident taught about the playbook that was matched to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An operator said that it was the right one.
    Right,
    /// Verification says that it helped.
    Helped,
    /// Verification says that it did not help, or made it worse.
    Failed,
    /// An operator said that it was the wrong one.
    Wrong,
}

#[derive(Clone)]
struct Lesson {
    incident: String,
    verdict: Verdict,
    vector: Packed,
}

/// The lessons of one playbook, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Learned(Vec<Lesson>);

impl Learned {
    /// Adds a lesson; another of the same incident is replaced.
    pub(crate) fn add(&mut self, incident: &str, vector: &Vector, verdict: Verdict) {
        self.remove(incident);
        if self.0.len() >= LESSONS_MAX {
            self.0.remove(0);
        }
        self.0.push(Lesson {
            incident: incident.to_owned(),
            verdict,
            vector: Packed::new(vector),
        });
    }

    /// Takes a lesson back. Whether there was one.
    pub(crate) fn remove(&mut self, incident: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|lesson| lesson.incident != incident);
        self.0.len() < before
    }

    /// The meanings of incidents that it was right for. One it was right for but did not help with
    /// is among them only if an operator said so.
    pub(crate) fn confirmed(&self) -> impl Iterator<Item = &Packed> + Clone {
        self.0
            .iter()
            .filter(|lesson| matches!(lesson.verdict, Verdict::Right | Verdict::Helped))
            .map(|lesson| &lesson.vector)
    }

    /// How often it helped and how often not.
    pub(crate) fn record(&self) -> Record {
        let count = |verdicts: &[Verdict]| {
            let counted = self
                .0
                .iter()
                .filter(|lesson| verdicts.contains(&lesson.verdict));
            counted.count() as u32
        };
        Record {
            helped: count(&[Verdict::Helped]),
            failed: count(&[Verdict::Failed, Verdict::Wrong]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_taken_back_leaves_no_trace() {
        let mut learned = Learned::default();
        learned.add("i1", &Vector::zero(), Verdict::Helped);
        learned.add("i2", &Vector::zero(), Verdict::Wrong);
        assert_eq!(
            learned.record(),
            Record {
                helped: 1,
                failed: 1
            }
        );
        assert!(learned.remove("i2") && !learned.remove("i2"));
        assert_eq!(
            learned.record(),
            Record {
                helped: 1,
                failed: 0
            }
        );
        assert_eq!(learned.confirmed().count(), 1);
    }

    #[test]
    fn a_later_verdict_replaces_the_earlier_and_old_ones_go() {
        let mut learned = Learned::default();
        for incident in 0..100 {
            learned.add(&incident.to_string(), &Vector::zero(), Verdict::Failed);
            learned.add(&incident.to_string(), &Vector::zero(), Verdict::Right);
        }
        assert_eq!(learned.record(), Record::default());
        assert_eq!(learned.confirmed().count(), LESSONS_MAX);
    }
}
