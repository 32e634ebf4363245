//! The parts that every page is made of: colour, tables, times, sizes, and text that cannot
//! harm the reader's terminal.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// Colour is wanted and can be seen.
    pub(crate) colour: bool,
}

/// What a piece of text means to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Beside the point.
    Dim,
    /// A heading.
    Head,
}

impl Style {
    /// Text in the colour of its meaning.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Head => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text without anything that a terminal would obey. Journal lines and process names are written
/// by those that are being watched.
pub(crate) fn clean(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' {
            safe.push(' ');
        } else if c.is_control() || is_bidi(c) {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Characters that turn the direction of the text after them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `2026-08-14 02:17:03Z`.
pub(crate) fn utc(wall_ms: i64) -> String {
    utc_with(wall_ms, |moment| {
        humantime::format_rfc3339_seconds(moment).to_string()
    })
}

/// `2026-08-14 02:17:03.412Z`.
pub(crate) fn utc_ms(wall_ms: i64) -> String {
    utc_with(wall_ms, |moment| {
        humantime::format_rfc3339_millis(moment).to_string()
    })
}

/// The last moment of the year 9999: beyond it RFC 3339 has no form.
const WALL_MS_MAX: u64 = 253_402_300_799_999;

fn utc_with(wall_ms: i64, format: impl FnOnce(SystemTime) -> String) -> String {
    match u64::try_from(wall_ms) {
        Ok(ms) if ms <= WALL_MS_MAX => {
            format(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)).replace('T', " ")
        }
        // A clock that wrong is shown as it is.
        _ => format!("unix {wall_ms} ms"),
    }
}

/// The two largest units: `3d 4h`, `29m 20s`, `12.4s`, `412ms`.
pub(crate) fn span(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit} {small}{small_unit}")
        }
    };
    if days > 0 {
        two(days, "d", hours, "h")
    } else if hours > 0 {
        two(hours, "h", minutes, "m")
    } else if minutes > 0 {
        two(minutes, "m", secs % 60, "s")
    } else if secs > 0 {
        let tenths = duration.as_millis() % 1000 / 100;
        if tenths == 0 {
            format!("{secs}s")
        } else {
            format!("{secs}.{tenths}s")
        }
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// `22.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `0.13 %`.
pub(crate) fn percent(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

/// The first 12 digits of a hash: enough to compare by eye.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// `1 timer`, `2 timers`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

/// Rows whose columns stand under each other. The last column is not padded.
#[derive(Debug, Default)]
pub(crate) struct Table {
    indent: usize,
    rows: Vec<Vec<(String, Option<Tone>)>>,
}

impl Table {
    /// A table with a heading.
    pub(crate) fn with_head(heads: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(
            heads
                .iter()
                .map(|head| ((*head).to_owned(), Some(Tone::Dim))),
        );
        table
    }

    /// A table moved to the right.
    pub(crate) fn indented(indent: usize) -> Self {
        Self {
            indent,
            ..Self::default()
        }
    }

    /// Adds a row; its text is cleaned.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = (String, Option<Tone>)>) {
        let cells = cells.into_iter().map(|(text, tone)| (clean(&text), tone));
        self.rows.push(cells.collect());
    }

    /// Adds a row without tones.
    pub(crate) fn plain<const N: usize>(&mut self, cells: [String; N]) {
        self.row(cells.map(|cell| (cell, None)));
    }

    /// The table as lines.
    pub(crate) fn render(&self, style: Style) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .map(|(text, _)| text.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut lines = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (column, (text, tone)) in row.iter().enumerate() {
                line += &tone.map_or_else(|| text.clone(), |tone| style.paint(tone, text));
                if column + 1 < row.len() {
                    line += &" ".repeat(widths[column] - text.chars().count() + 2);
                }
            }
            lines += line.trim_end();
            lines.push('\n');
        }
        lines
    }
}

/// Every line of `text` moved to the right.
pub(crate) fn indent(text: &str, by: usize) -> String {
    text.lines()
        .map(|line| format!("{}{line}\n", " ".repeat(by)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_not_obeyed() {
        assert_eq!(clean("a\x1b[2Jb\tc\u{9b}31m"), "a\\u{1b}[2Jb c\\u{9b}31m");
        assert_eq!(clean("line\nbreak"), "line\\u{a}break");
        assert_eq!(clean("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(clean("grüße 你好"), "grüße 你好");
    }

    #[test]
    fn times_are_utc_and_bad_clocks_are_shown() {
        assert_eq!(utc(1_786_673_823_412), "2026-08-14 02:17:03Z");
        assert_eq!(utc_ms(1_786_673_823_412), "2026-08-14 02:17:03.412Z");
        assert_eq!(utc_ms(0), "1970-01-01 00:00:00.000Z");
        assert_eq!(utc(-5), "unix -5 ms");
        assert_eq!(utc(i64::MAX), format!("unix {} ms", i64::MAX));
    }

    #[test]
    fn spans_have_two_units() {
        for (ms, expected) in [
            (0, "0ms"),
            (412, "412ms"),
            (10_000, "10s"),
            (12_440, "12.4s"),
            (60_000, "1m"),
            (1_760_000, "29m 20s"),
            (7_200_000, "2h"),
            (5_460_000, "1h 31m"),
            (273_600_000, "3d 4h"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), expected);
        }
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(23_592_960), "22.5 MiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn columns_stand_under_each_other_with_and_without_colour() {
        let mut table = Table::with_head(&["UNIT", "STATE"]);
        table.row([
            ("web.service".to_owned(), None),
            ("failed".to_owned(), Some(Tone::Bad)),
        ]);
        table.plain(["é".to_owned(), "ok".to_owned()]);
        assert_eq!(
            table.render(Style::default()),
            "UNIT         STATE\nweb.service  failed\né            ok\n"
        );
        assert_eq!(
            table.render(Style { colour: true }),
            "\x1b[2mUNIT\x1b[0m         \x1b[2mSTATE\x1b[0m\n\
             web.service  \x1b[31mfailed\x1b[0m\né            ok\n"
        );
    }
}
