//! Lines of logs become kinds of lines: what they have in common is a template, the rest differs.
//!
//! Lines are taken one by one; when a window ends there is one [`LogLines`] for each unit and
//! template. Everything is bounded: units, templates of a unit, lines of a unit that are read in a
//! window, and what is told of a window. What is over is counted. No secret comes in: a line is
//! cleaned before anything of it is kept.

pub mod entry;
mod mask;
mod miner;

use hostmedic_model::{
    signal::{LogLines, LogPriority},
    subject::UnitName,
};

use self::miner::Miner;
use crate::notice::Table;

/// Units whose templates are kept: those that write warnings are few.
const UNITS_MAX: usize = 256;
/// Lines of one unit that are read in one window; further ones are only counted.
const READ_MAX: u64 = 200;
/// What is told of one window, and of one unit in it.
const TOLD_MAX: usize = 64;
const TOLD_PER_UNIT_MAX: usize = 8;

/// What lines of a unit come to within a window.
#[derive(Clone, Debug, Default)]
struct Unit {
    miner: Miner,
    /// The newest window in which it wrote.
    window: u64,
    /// Lines in that window.
    lines: u64,
    /// Of these, lines that were only counted.
    only_counted: u64,
}

/// What was not kept or not told, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineLosses {
    /// Units whose templates were forgotten for want of room.
    pub units: u64,
    /// Templates that were forgotten for want of room.
    pub templates: u64,
    /// Lines of units of which nothing was told in their window.
    pub untold: u64,
}

/// The kinds of lines of every unit.
#[derive(Clone, Debug)]
pub struct Lines {
    units: Table<UnitName, Unit>,
    window: u64,
    losses: LineLosses,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            units: Table::new(UNITS_MAX),
            // A unit that was never heard is in no window.
            window: 1,
            losses: LineLosses::default(),
        }
    }
}

impl Lines {
    /// Takes a line of `unit` in. `text` may be anything; only its first line counts.
    pub fn take(&mut self, unit: &UnitName, priority: LogPriority, text: &str) {
        let window = self.window;
        let unit = self.units.touch(unit, window, Unit::default);
        if unit.window != window {
            unit.window = window;
            unit.lines = 0;
            unit.only_counted = 0;
        }
        unit.lines += 1;
        if unit.lines > READ_MAX || !unit.miner.learn(&mask::words(text), priority, window) {
            unit.only_counted += 1;
        }
    }

    /// Ends the window: what each unit wrote in it, the units in turn, the worst of each first.
    pub fn close(&mut self) -> Vec<(UnitName, LogLines)> {
        let window = self.window;
        let mut ranked = Vec::new();
        for (name, unit) in self.units.iter_mut() {
            if unit.window != window {
                continue;
            }
            let mut found = unit.miner.of_window(window);
            found.sort_by(|a, b| (b.priority, b.count, a.id).cmp(&(a.priority, a.count, b.id)));
            found.truncate(TOLD_PER_UNIT_MAX);
            ranked.extend(found.into_iter().enumerate().map(|(rank, lines)| {
                let order = (rank, std::cmp::Reverse((lines.priority, lines.count)));
                (order, name.clone(), lines)
            }));
        }
        ranked.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        ranked.truncate(TOLD_MAX);
        let mut told: Vec<_> = ranked
            .into_iter()
            .map(|(_, name, lines)| (name, lines))
            .collect();
        self.count_left_out(&mut told);
        self.window += 1;
        told
    }

    /// Notes on the first fact of each unit how many of its lines no fact tells of.
    fn count_left_out(&mut self, told: &mut [(UnitName, LogLines)]) {
        for (name, unit) in self.units.iter_mut() {
            if unit.window != self.window {
                continue;
            }
            let mut of_unit: Vec<_> = told
                .iter_mut()
                .filter(|(told, _)| told == name)
                .map(|(_, lines)| lines)
                .collect();
            let counted: u64 = of_unit.iter().map(|lines| lines.count).sum();
            let left_out = unit.lines.saturating_sub(counted);
            match of_unit.first_mut() {
                Some(first) => first.left_out = left_out,
                None => self.losses.untold += left_out,
            }
        }
    }

    /// What was lost so far.
    pub fn losses(&mut self) -> LineLosses {
        LineLosses {
            units: self.units.forgotten(),
            templates: self
                .units
                .iter_mut()
                .map(|(_, unit)| unit.miner.forgotten())
                .sum(),
            ..self.losses
        }
    }
}

#[cfg(test)]
mod tests;
