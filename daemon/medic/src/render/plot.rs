//! A series over time with its band and its anomalies: in the terminal, or as SVG.

use std::ops::Range;

use hostmedic_model::view::SeriesView;
use plotters::prelude::*;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    symbols::Marker,
    widgets::{Axis, Chart, Dataset, GraphType, Widget as _},
};

use super::{evidence::number, text::utc};

/// Size of the picture in the terminal, in characters.
const COLUMNS: u16 = 100;
const LINES: u16 = 24;
/// Size of the SVG, in pixels.
const PIXELS: (u32, u32) = (960, 420);
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

/// The picture as an SVG document.
///
/// # Errors
/// What the drawing library says.
pub(crate) fn svg(view: &SeriesView) -> Result<String, String> {
    let Some(picture) = Picture::of(view) else {
        return Err(EMPTY.trim_end().to_owned());
    };
    let mut text = String::new();
    draw(view, &picture, &mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(
    view: &SeriesView,
    picture: &Picture,
    text: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, PIXELS).into_drawing_area();
    root.fill(&WHITE)?;
    let measure = view.baseline.series.measure;
    let mut chart = ChartBuilder::on(&root)
        .caption(view.baseline.series.to_string(), ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(80)
        .build_cartesian_2d(picture.x.clone(), picture.y.clone())?;
    chart
        .configure_mesh()
        .x_labels(5)
        .x_label_formatter(&|s| utc((*s * 1000.0) as i64))
        .y_label_formatter(&|value| number(measure, *value))
        .draw()?;
    let [low, high] = picture.band;
    let corners = [(picture.x.start, low), (picture.x.end, high)];
    chart.draw_series([Rectangle::new(corners, GREEN.mix(0.15).filled())])?;
    chart.draw_series(LineSeries::new(picture.points.iter().copied(), &BLUE))?;
    chart.draw_series(
        picture
            .marks
            .iter()
            .map(|mark| Circle::new(*mark, 4, RED.filled())),
    )?;
    root.present()?;
    Ok(())
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
        let svg = svg(&view).unwrap();
        assert!(svg.contains("<svg") && svg.contains("<polyline") && svg.contains("<circle"));
        assert!(svg.contains(&series));
    }

    #[test]
    fn nothing_is_no_picture() {
        let view = SeriesView {
            points: Vec::new(),
            ..testing::series()
        };
        assert_eq!(text(&view), EMPTY);
        assert!(svg(&view).is_err());
    }
}
