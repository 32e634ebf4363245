//! Numbers in words: what is measured, how much it is, what is usual, where it is going.

use hostmedic_model::{
    incident::{Evidence, Incident},
    notice::Notice,
    sample::Measure,
};

use super::{Around, Weight};

/// A change smaller than this share is no trend.
const TREND_MIN: f64 = 0.02;

/// Numbers of the evidence with their baselines, then what else is known of the subject.
pub(super) fn tell(incident: &Incident, around: &Around<'_>, pieces: &mut Vec<(Weight, String)>) {
    let mut told = Vec::new();
    for evidence in &incident.evidence {
        let (measure, text) = match evidence {
            Evidence::Anomaly(anomaly) if is_of_certificate(anomaly.series.measure) => {
                let measure = anomaly.series.measure;
                (measure, certificate(measure, anomaly.observed))
            }
            Evidence::Sample(sample) if is_of_certificate(sample.series.measure) => {
                let measure = sample.series.measure;
                // What is left now, not when it was first told.
                let mut numbers = around.numbers.iter();
                let newest = numbers.find(|(known, _)| *known == measure);
                let left = newest.map_or(sample.value, |(_, newest)| *newest);
                (measure, certificate(measure, left))
            }
            Evidence::Anomaly(anomaly) => {
                let measure = anomaly.series.measure;
                let side = if anomaly.observed < anomaly.expected {
                    "below"
                } else {
                    "above"
                };
                let text = format!(
                    "{} is {}, {:.0} spreads {side} the usual {}",
                    name(measure),
                    value(measure, anomaly.observed),
                    anomaly.deviation.abs().min(1000.0),
                    value(measure, anomaly.expected),
                );
                let trend = trend(around, measure, anomaly.observed);
                (measure, text + &trend)
            }
            Evidence::Sample(sample) => {
                let measure = sample.series.measure;
                let text = format!("{} is {}", name(measure), value(measure, sample.value));
                (measure, text + &trend(around, measure, sample.value))
            }
            Evidence::Notice(notice) => {
                pieces.push((Weight::Trouble, noticed(notice)));
                continue;
            }
            Evidence::Signal(_) | Evidence::Child(_) => continue,
        };
        if !told.contains(&measure) {
            told.push(measure);
            pieces.push((Weight::Number, text));
        }
    }
    // What else is known of the same thing tells why: how much of a full disk is the journal.
    if told.is_empty() {
        return;
    }
    for (measure, number) in &around.numbers {
        if !told.contains(measure) {
            let text = if is_of_certificate(*measure) {
                certificate(*measure, *number)
            } else {
                format!("{} is {}", name(*measure), value(*measure, *number))
            };
            pieces.push((Weight::Sign, text));
        }
    }
}

fn is_of_certificate(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::CertificateUsedRatio | Measure::CertificateLeftS
    )
}

/// How near a certificate is to its end. Nothing is usual of it: it only goes on.
fn certificate(measure: Measure, number: f64) -> String {
    if measure == Measure::CertificateUsedRatio {
        let used = value(measure, number);
        return format!("{used} of its time are used (certificate_used_ratio)");
    }
    let seconds = number.abs();
    let (count, unit) = if seconds >= 2.0 * 86_400.0 {
        (seconds / 86_400.0, "days")
    } else if seconds >= 2.0 * 3600.0 {
        (seconds / 3600.0, "hours")
    } else {
        (seconds / 60.0, "minutes")
    };
    let long = format!("{:.0} {unit}", count.floor().min(1e6));
    if number > 0.0 {
        format!("the certificate expires in {long} (certificate_left_s)")
    } else {
        format!("the certificate has expired, it ended {long} ago (certificate_left_s)")
    }
}

/// How facts came, beside how they usually come.
fn noticed(notice: &Notice) -> String {
    format!(
        "{}: {:.0} within {}, usual is {:.0}",
        notice.noticed.title(),
        notice.observed,
        notice.over,
        notice.expected
    )
}

/// Where a number has gone since the evidence.
fn trend(around: &Around<'_>, measure: Measure, first: f64) -> String {
    let newest = around.numbers.iter().find(|(known, _)| *known == measure);
    let Some((_, newest)) = newest else {
        return String::new();
    };
    let change = (newest - first) / first.abs().max(f64::MIN_POSITIVE);
    if change > TREND_MIN {
        format!(", rising, now {}", value(measure, *newest))
    } else if change < -TREND_MIN {
        format!(", falling, now {}", value(measure, *newest))
    } else {
        String::new()
    }
}

/// What is measured: people's words, and the name that playbooks and other tools use.
fn name(measure: Measure) -> String {
    let word = measure.to_string();
    let plain = match word.as_str() {
        "cpu_busy_ratio" => "CPU time in use",
        "memory_used_ratio" => "memory in use",
        "load_per_cpu" => "load average for each CPU",
        "disk_used_ratio" => "disk space used",
        "journal_share_ratio" => "the systemd journal's share of the used space",
        "unit_memory_bytes" => "memory of the unit",
        "exec_per_s" => "programs started per second",
        _ => "",
    };
    if plain.is_empty() {
        word
    } else {
        format!("{plain} ({word})")
    }
}

/// A number in the unit that the measure's name ends in.
pub(super) fn value(measure: Measure, value: f64) -> String {
    let name = measure.to_string();
    if !value.is_finite() {
        "unknown".to_owned()
    } else if name.ends_with("_ratio") {
        format!("{:.0} %", (value * 100.0).clamp(-999.0, 999.0))
    } else if name.ends_with("_bytes") {
        format!("{:.0} MiB", (value / f64::from(1 << 20)).clamp(-1e9, 1e9))
    } else if name.ends_with("_per_s") {
        format!("{:.1} a second", value.clamp(-1e9, 1e9))
    } else {
        format!("{:.2}", value.clamp(-1e9, 1e9))
    }
}
