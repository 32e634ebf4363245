//! `medic top`: one picture of the host, drawn into a buffer of any size. Pure, like every page:
//! who shows it, and when, is `commands/top.rs`'s business.

mod panes;

use hostmedic_model::view::{Probes, Top};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style as Look},
};

use self::panes::Pane;
use super::{
    probes::share,
    text::{Style, Tone, clean, size, utc},
};

/// Smallest terminal that shows anything.
const SMALLEST: (u16, u16) = (40, 10);
/// From this width on, whole sentences fit.
const ONE_COLUMN: u16 = 80;
/// From this width on, panes stand in two columns.
const TWO_COLUMNS: u16 = 110;
/// Lines a pane needs to say anything: its name, the columns' names and a row.
const PANE_MIN: u16 = 3;

/// What is known; either half may be missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen {
    /// The newest picture.
    pub(crate) top: Option<Top>,
    /// The newest account of the hooks.
    pub(crate) probes: Option<Probes>,
    /// Why there is nothing newer.
    pub(crate) trouble: Option<String>,
    /// For the terminal.
    pub(crate) style: Style,
}

/// A line in pieces, each with what it means.
pub(crate) type Line = Vec<(String, Option<Tone>)>;

/// Draws `screen` into the whole of `area`.
pub(crate) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let mut pen = Pen {
        buffer,
        style: screen.style,
    };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        let words = format!(
            "medic top needs {width}x{height}, this is {}x{}",
            area.width, area.height
        );
        pen.line(area, 0, &[(words, Some(Tone::Warn))]);
        return;
    }
    pen.line(area, 0, &head(screen));
    let foot = foot(screen, area.width);
    let foot_rows = foot.len() as u16;
    for (row, line) in (area.height - foot_rows..).zip(&foot) {
        pen.line(area, row, line);
    }
    let body = Rect {
        y: area.y + 1,
        height: area.height - foot_rows - 1,
        ..area
    };
    let panes = screen.top.as_ref().map(panes::all).unwrap_or_default();
    if body.width >= TWO_COLUMNS {
        // Units and drops left, disks right: each side in its order of urgency.
        let half = body.width / 2;
        let (left, right) = panes.split_at(panes.len() / 2);
        let side = |x, width| Rect { x, width, ..body };
        pen.column(side(body.x, half - 3), left);
        pen.column(side(body.x + half, body.width - half), right);
    } else {
        pen.column(body, &panes);
    }
}

/// Rows that show everything in `width` columns.
pub(crate) fn rows_wanted(screen: &Screen, width: u16) -> u16 {
    let wanted: Vec<u16> = screen
        .top
        .as_ref()
        .map(panes::all)
        .unwrap_or_default()
        .iter()
        .map(Pane::rows_wanted)
        .collect();
    let body = if width >= TWO_COLUMNS {
        let (left, right) = wanted.split_at(wanted.len() / 2);
        left.iter().sum::<u16>().max(right.iter().sum())
    } else {
        wanted.iter().sum()
    };
    (body + foot(screen, width).len() as u16 + 1).max(SMALLEST.1)
}

/// The same picture as text.
pub(crate) fn plain(screen: &Screen, width: u16) -> String {
    let area = Rect::new(0, 0, width, rows_wanted(screen, width));
    let mut buffer = Buffer::empty(area);
    draw(screen, area, &mut buffer);
    text(&buffer)
}

/// What a buffer shows.
pub(crate) fn text(buffer: &Buffer) -> String {
    let rows = buffer
        .content()
        .chunks(usize::from(buffer.area.width).max(1));
    rows.map(|row| {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    })
    .collect()
}

fn head(screen: &Screen) -> Line {
    let mut line = vec![
        ("medic top".to_owned(), Some(Tone::Head)),
        (", q leaves ".to_owned(), Some(Tone::Dim)),
    ];
    match &screen.top {
        Some(top) => {
            line.push((utc(top.at.wall_ms), None));
            line.push((format!("  over {:.1} s", top.over_s), Some(Tone::Dim)));
        }
        None => line.push(("nothing yet".to_owned(), Some(Tone::Dim))),
    }
    line
}

/// What was lost, what it costs and, if so, why the picture is old.
fn foot(screen: &Screen, width: u16) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(trouble) = &screen.trouble {
        let words = format!("NO NEW PICTURE: {}", clean(trouble));
        lines.push(vec![(words, Some(Tone::Bad))]);
    }
    let Some(probes) = &screen.probes else {
        let words = "loss and own cost: not known yet".to_owned();
        lines.push(vec![(words, Some(Tone::Dim))]);
        return lines;
    };
    let lost: u64 = (probes.hooks.iter())
        .map(|row| row.counters.lost())
        .fold(0, u64::saturating_add);
    let queues = &probes.queues;
    let after = queues.undecodable + queues.queue_full + queues.not_stored;
    let loss_tone = (lost + after > 0).then_some(Tone::Warn);
    let cpu: f64 = probes.hooks.iter().map(|row| row.cpu_ratio).sum();
    let cost_tone = (cpu > probes.budget.all_ratio).then_some(Tone::Bad);
    let (cpu, maps, rss) = (share(cpu), size(probes.map_bytes), size(probes.rss_bytes));
    if width < ONE_COLUMN {
        lines.push(vec![
            (format!("lost {lost}+{after}"), loss_tone),
            (format!(", hooks {cpu}, RSS {rss}"), cost_tone),
        ]);
        return lines;
    }
    let loss = format!("lost: {lost} in the kernel, {after} after it");
    let cost = format!("own cost: hooks {cpu} of a core, {maps} in maps, {rss} resident");
    if width < TWO_COLUMNS {
        lines.push(vec![(loss, loss_tone)]);
        lines.push(vec![(cost, cost_tone)]);
    } else {
        lines.push(vec![(loss + "; ", loss_tone), (cost, cost_tone)]);
    }
    lines
}

/// Puts lines into a buffer.
struct Pen<'a> {
    buffer: &'a mut Buffer,
    style: Style,
}

impl Pen<'_> {
    /// Panes below each other. Where there is no room for all, the last ones shrink to one line
    /// that counts what it hides.
    fn column(&mut self, area: Rect, panes: &[Pane]) {
        let mut left = area.height;
        let mut row = 0;
        for (n, pane) in panes.iter().enumerate() {
            // What the panes after this one need at least: a line each.
            let after = (panes.len() - n - 1) as u16;
            let room = left.saturating_sub(after);
            let rows = if room < PANE_MIN {
                room.min(1)
            } else {
                // Later panes get their minimum first, if they can have it.
                let fair = left.saturating_sub(after * PANE_MIN).max(PANE_MIN);
                pane.rows_wanted().min(fair.min(room))
            };
            let part = Rect {
                y: area.y + row,
                height: rows,
                ..area
            };
            for (line_row, line) in pane.lines(part.width, rows).iter().enumerate() {
                self.line(part, line_row as u16, line);
            }
            row += rows;
            left -= rows;
        }
    }

    /// One line, cut at the area's edge.
    fn line(&mut self, area: Rect, row: u16, pieces: &[(String, Option<Tone>)]) {
        let mut x = area.x;
        let y = area.y + row;
        for (text, tone) in pieces {
            let width = usize::from(area.right().saturating_sub(x));
            let look = self.look(*tone);
            (x, _) = self.buffer.set_stringn(x, y, text, width, look);
        }
    }

    /// Sixteen colours at most: that is what every terminal has.
    fn look(&self, tone: Option<Tone>) -> Look {
        let Some(tone) = tone.filter(|_| self.style.colour) else {
            return Look::new();
        };
        match tone {
            Tone::Good => Look::new().fg(Color::Green),
            Tone::Warn => Look::new().fg(Color::Yellow),
            Tone::Bad => Look::new().fg(Color::Red),
            Tone::Dim => Look::new().add_modifier(Modifier::DIM),
            Tone::Head => Look::new().add_modifier(Modifier::BOLD),
        }
    }
}

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
