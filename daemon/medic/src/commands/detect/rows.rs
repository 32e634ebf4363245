//! Rows of numbers from CSV, one at a time. What cannot be read is an error with its line; nothing is
//! skipped.

use std::{io, time::Duration};

use crate::exit::{Exit, Failed};

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    /// Seconds since 1970, or since the first row where the input has no times.
    pub(super) wall_s: i64,
    /// One a metric; `None` is a gap.
    pub(super) values: Vec<Option<f64>>,
    /// Time and first value as they were written.
    pub(super) printed: [String; 2],
}

/// The rows of an input.
pub(super) struct Rows<R> {
    input: csv::StringRecordsIntoIter<R>,
    metrics: Vec<String>,
    /// Columns of the time and of the metrics.
    time_at: Option<usize>,
    metrics_at: Vec<usize>,
    interval_s: i64,
    count: i64,
}

impl<R: io::Read> Rows<R> {
    /// Of `timestamp,value`, in whichever order; other columns are not looked at.
    pub(super) fn of_series(input: R) -> Result<Self, Failed> {
        let (header, input) = opened(input)?;
        let at = |name: &str| {
            let found = header.iter().position(|column| column == name);
            found.ok_or_else(|| {
                bad(
                    1,
                    &format!("there is no column `{name}` among {}", header.join(", ")),
                    "the first line is `timestamp,value`",
                )
            })
        };
        let (time_at, value_at) = (at("timestamp")?, at("value")?);
        Ok(Self {
            input,
            metrics: vec!["value".to_owned()],
            time_at: Some(time_at),
            metrics_at: vec![value_at],
            interval_s: 0,
            count: 0,
        })
    }

    /// Of one column a metric, and perhaps a first one named `timestamp`.
    pub(super) fn of_host(input: R) -> Result<Self, Failed> {
        let (header, input) = opened(input)?;
        let has_time = header.first().is_some_and(|name| name == "timestamp");
        let metrics_at: Vec<_> = (usize::from(has_time)..header.len()).collect();
        if metrics_at.is_empty() {
            return Err(bad(
                1,
                "there is no metric",
                "the first line names the metrics, separated by commas",
            ));
        }
        Ok(Self {
            input,
            metrics: header.into_iter().skip(usize::from(has_time)).collect(),
            time_at: has_time.then_some(0),
            metrics_at,
            interval_s: 0,
            count: 0,
        })
    }

    /// Names of the metrics.
    pub(super) fn metrics(&self) -> &[String] {
        &self.metrics
    }

    /// Sets how far apart rows without times are.
    pub(super) fn apart(&mut self, interval: Duration) {
        self.interval_s = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
    }

    fn row(&mut self, record: &csv::StringRecord) -> Result<Row, Failed> {
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let wall_s = match self.time_at {
            Some(at) => time(cell(at)).ok_or_else(|| {
                bad(
                    line,
                    &format!("`{}` is no time", cell(at)),
                    "write `2026-08-14 02:17:03`, RFC 3339 or seconds since 1970",
                )
            })?,
            None => self.interval_s.saturating_mul(self.count),
        };
        self.count = self.count.saturating_add(1);
        let values = self
            .metrics_at
            .iter()
            .zip(&self.metrics)
            .map(|(at, name)| {
                number(cell(*at)).ok_or_else(|| {
                    bad(
                        line,
                        &format!("`{}` in column `{name}` is no number", cell(*at)),
                        "leave the cell empty where there is no value",
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let first = self.metrics_at.first().map_or("", |at| cell(*at));
        let printed = [self.time_at.map_or("", cell), first].map(str::to_owned);
        Ok(Row {
            wall_s,
            values,
            printed,
        })
    }
}

impl<R: io::Read> Iterator for Rows<R> {
    type Item = Result<Row, Failed>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.input.next()? {
            Ok(record) => self.row(&record),
            Err(error) => Err(unreadable(&error)),
        })
    }
}

fn opened<R: io::Read>(input: R) -> Result<(Vec<String>, csv::StringRecordsIntoIter<R>), Failed> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(input);
    let header = reader.headers().map_err(|error| unreadable(&error))?;
    let header = header.iter().map(str::to_owned).collect();
    Ok((header, reader.into_records()))
}

/// `Some(None)` is a gap, `None` no number at all.
fn number(text: &str) -> Option<Option<f64>> {
    if text.is_empty() {
        return Some(None);
    }
    let value: f64 = text.parse().ok()?;
    Some(value.is_finite().then_some(value))
}

fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let is_time = seconds.is_finite() && seconds.abs() < 1e12;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "far below 2^63 by the check"
        )]
        return is_time.then_some(seconds.floor() as i64);
    }
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_second());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second())
}

fn unreadable(error: &csv::Error) -> Failed {
    let line = error.position().map_or(0, csv::Position::line);
    bad(
        line,
        &error.to_string(),
        "each row has as many cells as the first line",
    )
}

fn bad(line: u64, what: &str, hint: &str) -> Failed {
    let place = format!("standard input, line {line}: {what}");
    Failed::new(Exit::Usage, "bad_input", place, hint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn times_are_read_in_three_forms() {
        for text in [
            "1786679823",
            "1786679823.9",
            "2026-08-14 03:57:03",
            "2026-08-14T03:57:03Z",
            "2026-08-14T05:57:03+02:00",
        ] {
            assert_eq!(time(text), Some(1_786_679_823), "{text}");
        }
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn a_gap_is_no_zero_and_no_error() {
        for text in ["", "NaN", "inf", "-Infinity"] {
            assert_eq!(number(text), Some(None), "{text}");
        }
        assert_eq!(number("0"), Some(Some(0.0)));
        assert_eq!(number("4,5"), None);
    }

    #[test]
    fn bad_input_is_told_with_its_line() {
        let told = |text: &str| {
            let rows = Rows::of_series(text.as_bytes());
            let failed = rows.and_then(Iterator::collect::<Result<Vec<_>, _>>);
            failed.unwrap_err().to_string()
        };
        assert!(told("time,value\n1,2\n").contains("line 1: there is no column `timestamp`"));
        assert!(told("timestamp,value\n1,2\n2,x\n").contains("line 3: `x` in column `value`"));
        assert!(told("timestamp,value\nsoon,2\n").contains("line 2: `soon` is no time"));
        assert!(told("timestamp,value\n1,2\n1\n").contains("line 3"));
    }
}
