//! A series over time with its band and its anomalies: in the terminal, or as a picture in a file.

mod file;

use std::ops::Range;

use hostmedic_model::view::SeriesView;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    symbols::Marker,
    widgets::{Axis, Chart, Dataset, GraphType, Widget as _},
};

pub(crate) use self::file::{Format, MOST as IN_ONE_FILE_MAX, bytes};
use super::{evidence::number, text::utc};

/// Size of the picture in the terminal, in characters.
const COLUMNS: u16 = 100;
const LINES: u16 = 24;
/// The band reaches so many spreads to either side.
const BAND_SPREADS: f64 = 3.0;

/// Everything that is drawn, in plain numbers.
struct Picture {
    points: Vec<(f64, f64)>,
    marks: Vec<(f64, f64)>,
    band: [f64; 2],
    x: Range<f64>,
    y: Range<f64>,
}

impl Picture {
    /// `None` while there is nothing to draw.
    fn of(view: &SeriesView) -> Option<Self> {
        let at = |wall_ms: i64| wall_ms as f64 / 1000.0;
        let points: Vec<_> = view
            .points
            .iter()
            .map(|point| (at(point.wall_ms), point.value))
            .collect();
        let (first, last) = (points.first()?.0, points.last()?.0);
        let marks: Vec<_> = view
            .anomalies
            .iter()
            .map(|anomaly| (at(anomaly.at.wall_ms), anomaly.observed))
            .filter(|(when, _)| *when >= first)
            .collect();
        let around = BAND_SPREADS * view.baseline.spread;
        let band = [view.baseline.mean - around, view.baseline.mean + around];
        let values = points.iter().chain(&marks).map(|(_, value)| *value);
        let (low, high) = values
            .chain(band)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        // A flat line needs some room, too.
        let margin = ((high - low) * 0.05).max(low.abs() * 1e-3).max(1e-9);
        Some(Self {
            points,
            marks,
            band,
            x: first..last.max(first + 1.0),
            y: low - margin..high + margin,
        })
    }
}

/// What to say instead of a picture of nothing.
const EMPTY: &str = "no samples since the daemon started\n";

/// The picture as lines of text: dots are samples, two lines the band of three spreads, `!` an
/// anomaly.
pub(crate) fn text(view: &SeriesView) -> String {
    let Some(picture) = Picture::of(view) else {
        return EMPTY.to_owned();
    };
    let edges = picture
        .band
        .map(|level| [(picture.x.start, level), (picture.x.end, level)]);
    let line = |data, marker, kind| {
        Dataset::default()
            .marker(marker)
            .graph_type(kind)
            .data(data)
    };
    let mut sets: Vec<_> = edges
        .iter()
        .map(|edge| line(&edge[..], Marker::Dot, GraphType::Line))
        .collect();
    sets.push(line(&picture.points, Marker::Braille, GraphType::Line));
    let measure = view.baseline.series.measure;
    let wall = |s: f64| utc((s * 1000.0) as i64);
    let chart = Chart::new(sets)
        .x_axis(
            Axis::default()
                .bounds([picture.x.start, picture.x.end])
                .labels([wall(picture.x.start), wall(picture.x.end)]),
        )
        .y_axis(
            Axis::default()
                .bounds([picture.y.start, picture.y.end])
                .labels([picture.y.start, picture.y.end].map(|level| number(measure, level))),
        );
    let area = Rect::new(0, 0, COLUMNS, LINES);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    let mut text = format!("{}\n{}", view.baseline.series, super::top::text(&buffer));
    for (when, value) in &picture.marks {
        text += &format!("! {} {}\n", wall(*when), number(measure, *value));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn a_series_is_drawn_with_its_band_and_its_marks() {
        let view = testing::series();
        let text = text(&view);
        let series = view.baseline.series.to_string();
        assert!(text.starts_with(&series), "{text}");
        let is_braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        assert!(
            text.contains("\n! ") && text.chars().any(is_braille),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_no_picture() {
        let view = SeriesView {
            points: Vec::new(),
            ..testing::series()
        };
        assert_eq!(text(&view), EMPTY);
    }
}
