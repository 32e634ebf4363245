//! The templates of one unit, found line by line: a small Drain (He et al., 2017).
//!
//! A line belongs to a template of as many words with the same first word if it fits all of its
//! words, or most of them; then the words that differ become `(any)`. What was not seen for longest
//! makes room.

use hostmedic_model::signal::{LogLines, LogPriority};
use sha2::{Digest as _, Sha256};

/// Templates of one unit.
pub(super) const TEMPLATES_MAX: usize = 64;
/// Share of the words that must be the same, of those of a template that are not `(any)`. Drain
/// takes 0.4 to 0.5; but here kinds that differ matter more than few templates. With it a template
/// never consists of `(any)` only.
const SAME_MIN: f64 = 0.7;
/// What stands for a word that differs.
const ANY: &str = "(any)";

/// One template.
#[derive(Clone, Debug)]
struct Template {
    id: u64,
    words: Vec<String>,
    /// The newest window in which it was seen, and what was seen of it there.
    window: u64,
    count: u64,
    priority: LogPriority,
}

impl Template {
    /// How many of its words a line has; `None` if it cannot be of this kind.
    fn same(&self, line: &[String]) -> Option<usize> {
        if self.words.len() != line.len() || self.words.first() != line.first() {
            return None;
        }
        let (mut same, mut free) = (0, 0);
        for (word, of_line) in self.words.iter().zip(line) {
            same += usize::from(word == of_line);
            free += usize::from(word == ANY && of_line != ANY);
        }
        let fits = same + free == line.len();
        let alike = same as f64 >= SAME_MIN * line.len() as f64;
        (fits || alike).then_some(if fits { line.len() } else { same })
    }
}

/// The templates of one unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Miner {
    templates: Vec<Template>,
    forgotten: u64,
}

impl Miner {
    /// Counts a line in `window`; false if there is room for no more kinds in this window.
    pub(super) fn learn(&mut self, line: &[String], priority: LogPriority, window: u64) -> bool {
        // Of equally near ones the first; the order is that of their coming, so it is always the same.
        let mut nearest: Option<(usize, &mut Template)> = None;
        for template in &mut self.templates {
            if let Some(same) = template.same(line)
                && nearest.as_ref().is_none_or(|(most, _)| same > *most)
            {
                nearest = Some((same, template));
            }
        }
        if let Some((_, template)) = nearest {
            for (word, of_line) in template.words.iter_mut().zip(line) {
                if word != of_line {
                    ANY.clone_into(word);
                }
            }
            if template.window != window {
                template.window = window;
                template.count = 0;
                template.priority = priority;
            }
            template.count += 1;
            template.priority = template.priority.max(priority);
            return true;
        }
        if self.templates.len() >= TEMPLATES_MAX && !self.make_room(window) {
            return false;
        }
        self.templates.push(Template {
            id: id_of(line),
            words: line.to_vec(),
            window,
            count: 1,
            priority,
        });
        true
    }

    /// Forgets the template that was not seen for longest; not one of this window.
    fn make_room(&mut self, window: u64) -> bool {
        let oldest = self
            .templates
            .iter()
            .enumerate()
            .filter(|(_, template)| template.window != window)
            .min_by_key(|(_, template)| template.window);
        let Some((at, _)) = oldest else {
            return false;
        };
        self.templates.remove(at);
        self.forgotten += 1;
        true
    }

    /// What was seen in `window`.
    pub(super) fn of_window(&self, window: u64) -> Vec<LogLines> {
        let seen = self
            .templates
            .iter()
            .filter(|template| template.window == window);
        seen.map(|template| LogLines {
            template: template.words.join(" "),
            id: template.id,
            count: template.count,
            priority: template.priority,
            left_out: 0,
        })
        .collect()
    }

    /// Templates that were forgotten for want of room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.templates.len()
    }
}

/// A name for a template, from the line that made it.
fn id_of(line: &[String]) -> u64 {
    let hash = Sha256::digest(line.join(" ").as_bytes());
    let first: Vec<u8> = hash.iter().copied().take(8).collect();
    first
        .into_iter()
        .fold(0, |id, byte| id << 8 | u64::from(byte))
}
