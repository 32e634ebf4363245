//! `medic coverage`: the verdict, and the parts of the time that it rests on.

use std::time::Duration;

use hostmedic_model::view::{HookCoverage, WallSpan};

use super::text::{Style, Table, Tone, clean, span, utc};

/// The page.
pub(crate) fn page(found: &HookCoverage, style: Style) -> String {
    let tone = if found.proven { Tone::Good } else { Tone::Warn };
    let mut table = Table::with_head(&["FROM (UTC)", "TO (UTC)", "FOR", "STATE", "WHY"]);
    for part in &found.parts {
        let (state, tone, why) = match &part.gap {
            None => ("covered", Tone::Good, String::new()),
            Some(gap) => ("gap", Tone::Bad, gap.to_string()),
        };
        table.row([
            (utc(part.span.from_ms), None),
            (utc(part.span.to_ms), None),
            (span(length(part.span)), None),
            (state.to_owned(), Some(tone)),
            (why, None),
        ]);
    }
    format!(
        "{}\n\n{}\n{} seen, {} delivered, {} lost\n",
        style.paint(tone, &clean(&found.statement)),
        table.render(style),
        found.seen,
        found.delivered,
        found.lost,
    )
}

fn length(span: WallSpan) -> Duration {
    let ms = span.to_ms.saturating_sub(span.from_ms);
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use hostmedic_model::view::CoverageQuery;
    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn proof_and_doubt() {
        let ask = |hook: &str| {
            testing::coverage(&CoverageQuery {
                hook: hook.to_owned(),
                since_ms: testing::T0.wall_ms,
                until_ms: None,
            })
        };
        let text = ["oom_victim", "process_exit"]
            .map(|hook| page(&ask(hook).unwrap(), Style::default()))
            .join("\n");
        assert_eq!(text, include_str!("snapshots/coverage.txt"), "\n{text}");
    }
}
