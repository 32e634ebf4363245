//! `medic baseline` and `medic anomalies` as text.

use hostmedic_model::{
    anomaly::Anomaly,
    incident::Evidence,
    view::{BaselineList, BaselineView, Warmth},
};

use super::{
    evidence::{line, number, severity},
    text::{Style, Table, Tone, percent, utc},
};

/// Every series with what is normal for it.
pub(crate) fn list(list: &BaselineList, style: Style) -> String {
    if list.baselines.is_empty() {
        return "no series yet; the first come with the first samples\n".to_owned();
    }
    let heads = [
        "SERIES", "NOW", "NORMAL", "95 %", "99 %", "GROWTH/H", "LEARNED",
    ];
    let mut table = Table::with_head(&heads);
    for view in &list.baselines {
        let shown = |value| number(view.series.measure, value);
        let (learned, tone) = warmth(view.warmth);
        table.row([
            (view.series.to_string(), None),
            (shown(view.last), None),
            (
                format!("{} ± {}", shown(view.mean), shown(view.spread)),
                None,
            ),
            (shown(view.p95), None),
            (shown(view.p99), None),
            (growth(view), None),
            (learned, tone),
        ]);
    }
    let mut text = table.render(style);
    if list.turned_away > 0 {
        text += &format!(
            "{} samples of further series found no room\n",
            list.turned_away
        );
    }
    text
}

/// What is not sure is none that anybody should plan with.
fn growth(view: &BaselineView) -> String {
    if view.growth_per_hour == 0.0 {
        return "-".to_owned();
    }
    number(view.series.measure, view.growth_per_hour)
}

/// One series, whole.
pub(crate) fn page(view: &BaselineView, style: Style) -> String {
    let shown = |value| number(view.series.measure, value);
    let (learned, tone) = warmth(view.warmth);
    let learned = tone.map_or(learned.clone(), |tone| style.paint(tone, &learned));
    let mut table = Table::indented(2);
    for (name, value) in [
        (
            "now",
            format!("{} at {}", shown(view.last), utc(view.last_at.wall_ms)),
        ),
        (
            "seven days",
            format!("{} ± {}", shown(view.mean), shown(view.spread)),
        ),
        (
            "at this hour of the week",
            format!("{} ± {}", shown(view.expected_now), shown(view.spread_now)),
        ),
        (
            "half, 95 %, 99 % are below",
            format!(
                "{}, {}, {}",
                shown(view.p50),
                shown(view.p95),
                shown(view.p99)
            ),
        ),
        ("last fifteen minutes", shown(view.smooth_15m)),
        (
            "thirty days",
            format!("{} ± {}", shown(view.mean_30d), shown(view.spread_30d)),
        ),
        ("growth in an hour", growth(view)),
        ("learned", format!("{} samples, {learned}", view.samples)),
    ] {
        table.plain([name.to_owned(), value]);
    }
    let head = style.paint(Tone::Head, &view.series.to_string());
    format!("{head}\n{}", table.render(style))
}

/// What was worth a notification.
pub(crate) fn anomalies(anomalies: &[Anomaly], style: Style) -> String {
    if anomalies.is_empty() {
        return "no anomalies\n".to_owned();
    }
    let mut table = Table::with_head(&["WHEN (UTC)", "SEVERITY", "WHAT"]);
    for anomaly in anomalies {
        let (how_bad, tone) = severity(anomaly.severity);
        table.row([
            (utc(anomaly.at.wall_ms), None),
            (how_bad.to_owned(), tone),
            (line(&Evidence::Anomaly(anomaly.clone())), None),
        ]);
    }
    table.render(style)
}

fn warmth(warmth: Warmth) -> (String, Option<Tone>) {
    match warmth {
        Warmth::Cold => ("cold".to_owned(), Some(Tone::Dim)),
        Warmth::Warming { share } => (format!("warming, {}", percent(share)), Some(Tone::Dim)),
        Warmth::Warm => ("warm".to_owned(), Some(Tone::Good)),
    }
}
