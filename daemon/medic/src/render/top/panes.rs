//! What `medic top` shows, pane by pane: rows of a name and numbers, busiest first.

use std::time::Duration;

use hostmedic_model::{
    signal::DropPlace,
    view::{Top, TopDevice, TopDrop, TopUnit},
};

use super::Line;
use crate::render::text::{Tone, clean, span, utc};

/// Width of a column of numbers, with the space before it.
const NUMBER: usize = 9;
/// Least width of a row's name.
const NAME_MIN: usize = 18;

/// A table with a name.
pub(super) struct Pane {
    name: &'static str,
    /// Name of the first column.
    what: &'static str,
    /// Names of the columns of numbers, most telling first: those at the end give way.
    heads: &'static [&'static str],
    rows: Vec<Row>,
    /// What to say when there are no rows.
    empty: String,
}

struct Row {
    name: String,
    numbers: Vec<String>,
    tone: Option<Tone>,
}

/// Every pane, in the order in which they are looked at: events and drops, devices and errors.
pub(super) fn all(top: &Top) -> Vec<Pane> {
    let pane = |name, what, heads, rows: Vec<Row>, empty: &str| Pane {
        name,
        what,
        heads,
        rows,
        empty: clean(empty),
    };
    vec![
        pane(
            "EVENTS PER SECOND",
            "UNIT",
            &["EXEC", "SIGNAL", "DROP", "RETRANS", "RESET", "FORK", "EXIT"],
            top.units.iter().map(unit).collect(),
            "nothing happens",
        ),
        pane(
            "DROPPED PACKETS",
            "REASON",
            &["PER S", "PACKETS"],
            top.drops.iter().map(drop_row).collect(),
            "none",
        ),
        pane(
            "DEVICES",
            "DEVICE",
            &["P99", "P50", "MAX", "REQ/S"],
            top.devices.iter().map(device).collect(),
            top.devices_absent.as_deref().unwrap_or("no requests"),
        ),
        pane(
            "DISK ERRORS",
            "ERROR",
            &[],
            (top.disk_errors.iter())
                .map(|signal| Row {
                    name: clean(&format!(
                        "{}  {}: {}",
                        utc(signal.at.wall_ms),
                        signal.subject,
                        signal.fact
                    )),
                    numbers: Vec::new(),
                    tone: Some(Tone::Bad),
                })
                .collect(),
            "none",
        ),
    ]
}

fn unit(unit: &TopUnit) -> Row {
    let rates = [
        unit.execs_per_s,
        unit.signals_per_s,
        unit.drops_per_s,
        unit.retransmits_per_s,
        unit.resets_per_s,
        unit.forks_per_s,
        unit.exits_per_s,
    ];
    Row {
        name: clean(&unit.subject.to_string()),
        numbers: rates.into_iter().map(rate).collect(),
        tone: (unit.signals_per_s > 0.0).then_some(Tone::Warn),
    }
}

fn drop_row(drop: &TopDrop) -> Row {
    let place = match drop.place {
        DropPlace::Kernel => "",
        DropPlace::Receive => "receive ",
        DropPlace::Transmit => "transmit ",
        DropPlace::Backlog => "backlog ",
    };
    let interface = drop
        .interface
        .as_ref()
        .map_or_else(String::new, |interface| format!(" {interface}"));
    Row {
        name: clean(&format!(
            "{place}{}{interface}, {}, {}",
            drop.reason, drop.subject, drop.port
        )),
        numbers: vec![rate(drop.per_s), drop.packets.to_string()],
        tone: None,
    }
}

fn device(device: &TopDevice) -> Row {
    let time = |us: u64| span(Duration::from_micros(us)).replace(' ', "");
    let time = |us: u64| {
        if us < 1000 {
            format!("{us}us")
        } else {
            time(us)
        }
    };
    Row {
        name: clean(&device.device.to_string()),
        numbers: vec![
            time(device.p99_us),
            time(device.p50_us),
            time(device.max_us),
            rate(device.requests_per_s),
        ],
        tone: None,
    }
}

/// `12.4`; nothing is a dot, so that what happens stands out.
fn rate(per_s: f64) -> String {
    if per_s == 0.0 {
        ".".to_owned()
    } else if per_s < 1000.0 {
        format!("{per_s:.1}")
    } else {
        format!("{per_s:.0}")
    }
}

impl Pane {
    /// Rows that show everything, with one that is left free below.
    pub(super) fn rows_wanted(&self) -> u16 {
        let rows = u16::try_from(self.rows.len()).unwrap_or(u16::MAX - 3);
        // Without columns of numbers there is nothing to name; an empty pane is one line.
        match (rows, self.heads.len()) {
            (0, _) => 2,
            (rows, 0) => rows + 2,
            (rows, _) => rows + 3,
        }
    }

    /// The pane in `height` lines of `width`.
    pub(super) fn lines(&self, width: u16, height: u16) -> Vec<Line> {
        let (width, height) = (usize::from(width), usize::from(height));
        if height == 0 {
            return Vec::new();
        }
        let name = |more: String| -> Line {
            vec![
                (self.name.to_owned(), Some(Tone::Head)),
                (more, Some(Tone::Dim)),
            ]
        };
        if self.rows.is_empty() {
            return vec![name(format!("  {}", self.empty))];
        }
        let heads = usize::from(!self.heads.is_empty());
        let room = height.saturating_sub(1 + heads);
        let hidden = self.rows.len().saturating_sub(room);
        let mut lines = vec![name(match hidden {
            0 => String::new(),
            hidden if room == 0 => format!("  {hidden}"),
            hidden => format!("  and {hidden} more"),
        })];
        if height == 1 {
            return lines;
        }
        let shown = self
            .heads
            .len()
            .min(width.saturating_sub(NAME_MIN) / NUMBER);
        let columns = |name: &str, numbers: &[String], tone| -> Line {
            let name_width = width - shown * NUMBER;
            let cut: String = name.chars().take(name_width).collect();
            let numbers = numbers.iter().take(shown);
            let numbers = numbers.map(|number| format!("{number:>NUMBER$}"));
            vec![
                (format!("{cut:<name_width$}"), tone),
                (numbers.collect(), tone),
            ]
        };
        if heads == 1 {
            let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
            lines.push(columns(self.what, &heads, Some(Tone::Dim)));
        }
        let rows = self.rows.iter().take(room);
        lines.extend(rows.map(|row| columns(&row.name, &row.numbers, row.tone)));
        lines
    }
}
