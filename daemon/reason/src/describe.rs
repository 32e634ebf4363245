//! An incident in the daemon's own words: what is wrong, where, how much, since when, how often.
//!
//! The text is what playbooks are compared with and what an operator reads. It is short, the most
//! telling first, and says what tells one kind of incident from another; what tells one run from
//! another (ids, addresses, process numbers) and what must stay secret is left out. Names and
//! words that come from programs are cleaned first (`scrub`), so that nothing in them can be
//! taken for anything but a name.

mod numbers;
#[cfg(test)]
pub(crate) mod secrets;
mod signals;

use std::collections::BTreeMap;

use hostmedic_model::{
    incident::{Evidence, Incident},
    sample::Measure,
    scrub::scrub,
    signal::{Fact, SignalKind},
    subject::Subject,
    time::{At, Span},
    unit::{ActiveState, UnitState},
};

/// How many tokens a text may have, counted as [`tokens`] does: the model reads 128, and takes
/// the middle of them, so that more would only thin out what matters.
pub const TOKENS_MAX: usize = 100;
/// How many letters of a word the model reads as one token, or more: most words are one whole.
const PIECE_LETTERS: usize = 5;
/// Longest name of anything.
const NAME_CHARS_MAX: usize = 64;
/// Longest line of a log.
const LINE_CHARS_MAX: usize = 120;
/// A longer piece is no sentence any more.
const PIECE_CHARS_MAX: usize = 240;

/// What is known around an incident, beside its own evidence.
#[derive(Clone, Debug, Default)]
pub struct Around<'a> {
    /// Now.
    pub now: At,
    /// The newest state of the incident's unit.
    pub unit: Option<&'a UnitState>,
    /// Its `Restart=`, where it was read.
    pub restart_policy: Option<&'a str>,
    /// Its starts in the ten minutes before now.
    pub starts: usize,
    /// The newest numbers of the incident's subject.
    pub numbers: Vec<(Measure, f64)>,
    /// What the unit's log lately has that tells most: a template of lines.
    pub line: Option<&'a str>,
    /// Who uses most of what is short, and how much of it.
    pub top: Option<(String, Measure, f64)>,
}

/// An incident in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The words: one line, no secrets, no ids.
    pub text: String,
    /// How long it is, counted conservatively.
    pub tokens: usize,
    /// How many sentences had no room.
    pub left_out: usize,
}

/// How much a piece tells; the first come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Trouble by itself: a kill, a failed disk.
    Trouble,
    /// How the unit stands.
    State,
    /// What its unit wrote.
    Line,
    /// A number off what is normal.
    Number,
    /// A sign that may have come with it.
    Sign,
    /// Who uses most.
    Top,
    /// Since when, and how often.
    Time,
    /// The incident's title, if little else is known.
    Title,
}

/// Puts an incident into words.
pub fn describe(incident: &Incident, around: &Around<'_>) -> Description {
    let mut pieces = Vec::new();
    told_by_signals(incident, &mut pieces);
    if let Subject::Unit(_) = incident.subject {
        let heard = incident
            .evidence
            .iter()
            .rev()
            .find_map(|evidence| match evidence {
                Evidence::Signal(signal) => match &signal.fact {
                    Fact::UnitState(state) => Some(state),
                    _ => None,
                },
                _ => None,
            });
        if let Some(unit) = around.unit.or(heard) {
            pieces.push((Weight::State, state(unit, around)));
        }
    }
    if let Some(line) = line(incident, around) {
        // Quoted, so that it is not read as part of the sentence.
        let line = scrub(line, LINE_CHARS_MAX);
        pieces.push((Weight::Line, format!("its log has \"{line}\"")));
    }
    numbers::tell(incident, around, &mut pieces);
    if let Some((name, measure, value)) = &around.top {
        let value = numbers::value(*measure, *value);
        let name = scrub(name, NAME_CHARS_MAX);
        pieces.push((Weight::Top, format!("{name} uses most, {value}")));
    }
    if pieces.len() < 2 {
        pieces.push((Weight::Title, scrub(&incident.title, NAME_CHARS_MAX)));
    }
    pieces.extend(times(incident, around.now).map(|text| (Weight::Time, text)));
    pieces.sort_by_key(|(weight, _)| *weight);
    join(&place(&incident.subject), &pieces)
}

/// Adds pieces while there is room.
fn join(head: &str, pieces: &[(Weight, String)]) -> Description {
    let mut text = format!("{head}:");
    let mut used = tokens(&text);
    let mut left_out = 0;
    let mut first = true;
    for (_, piece) in pieces.iter().filter(|(_, piece)| !piece.is_empty()) {
        let piece: String = piece.chars().take(PIECE_CHARS_MAX).collect();
        let more = tokens(&piece) + 1;
        if used + more > TOKENS_MAX {
            left_out += 1;
            continue;
        }
        used += more;
        text.push_str(if first { " " } else { ". " });
        text.push_str(&piece);
        first = false;
    }
    text.push('.');
    Description {
        tokens: tokens(&text),
        text,
        left_out,
    }
}

/// How many tokens a text has, rather too many than too few.
pub fn tokens(text: &str) -> usize {
    let mut count = 0;
    let mut run = 0_usize;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            run += 1;
            continue;
        }
        count += run.div_ceil(PIECE_LETTERS);
        run = 0;
        // A letter of another script is a token of its own.
        count += usize::from(!c.is_whitespace());
    }
    count + run.div_ceil(PIECE_LETTERS)
}

/// What the incident is about, and what kind of thing that is.
fn place(subject: &Subject) -> String {
    match subject {
        Subject::Host => "The host".to_owned(),
        Subject::Unit(unit) => {
            let name = scrub(unit.as_str(), NAME_CHARS_MAX);
            let kind = match unit.as_str().rsplit('.').next() {
                Some("service") => "Service",
                Some("socket") => "Socket",
                Some("timer") => "Timer",
                Some("mount" | "automount") => "Mount unit",
                _ => "Unit",
            };
            format!("{kind} {name}")
        }
        Subject::Mount(path) => format!("File system {}", scrub(path, NAME_CHARS_MAX)),
        Subject::Device(name) => format!("Disk {}", scrub(name, NAME_CHARS_MAX)),
        Subject::Interface(name) => {
            format!("Network interface {}", scrub(name, NAME_CHARS_MAX))
        }
        Subject::Cgroup(path) => format!("Container or cgroup {}", scrub(path, NAME_CHARS_MAX)),
        Subject::Certificate(path) => format!("Certificate {}", scrub(path, NAME_CHARS_MAX)),
    }
}

/// One piece for each kind of signal, from the newest of it.
fn told_by_signals(incident: &Incident, pieces: &mut Vec<(Weight, String)>) {
    let mut kinds: BTreeMap<SignalKind, (&Fact, u32)> = BTreeMap::new();
    let mut order = Vec::new();
    for evidence in &incident.evidence {
        if let Evidence::Signal(signal) = evidence {
            let kind = signal.fact.kind();
            let (newest, count) = kinds.entry(kind).or_insert_with(|| {
                order.push(kind);
                (&signal.fact, 0)
            });
            *newest = &signal.fact;
            *count += 1;
        }
    }
    for kind in order {
        let Some((fact, count)) = kinds.get(&kind) else {
            continue;
        };
        if let Some((weight, text)) = signals::tell(fact) {
            let often = if *count > 1 {
                format!(", {count} times")
            } else {
                String::new()
            };
            pieces.push((weight, format!("{text}{often}")));
        }
    }
}

/// The lines that tell most: what is known around the incident, or else the worst that are evidence
/// of it.
fn line<'a>(incident: &'a Incident, around: &Around<'a>) -> Option<&'a str> {
    let evidence = incident.evidence.iter();
    let lines = evidence.filter_map(|evidence| match evidence {
        Evidence::Signal(signal) => match &signal.fact {
            Fact::LogLines(lines) => Some(lines),
            _ => None,
        },
        _ => None,
    });
    let worst = lines.max_by_key(|lines| lines.priority);
    around
        .line
        .or_else(|| worst.map(|lines| lines.template.as_str()))
}

/// How the incident's unit stands now.
fn state(unit: &UnitState, around: &Around<'_>) -> String {
    let result = scrub(&unit.result, NAME_CHARS_MAX);
    let why = match unit.result.as_str() {
        "exit-code" => "its main process exited with an error",
        "signal" => "its main process was killed by a signal",
        "core-dump" => "its main process crashed and dumped core",
        "oom-kill" => "its process was killed by the OOM killer",
        "timeout" => "it did not start or stop in time",
        "watchdog" => "it stopped answering its watchdog",
        "start-limit-hit" => "start request repeated too quickly, systemd gave up",
        "trigger-limit-hit" => "it was triggered too often",
        "protocol" => "it broke systemd's start protocol",
        "resources" => "systemd lacked the resources to start it",
        _ => "",
    };
    let mut text = match unit.active {
        ActiveState::Failed => format!("unit failed with result {result}"),
        ActiveState::Inactive if unit.result == "success" => "unit was stopped".to_owned(),
        ActiveState::Inactive => format!("unit is dead, result {result}"),
        ActiveState::Activating if unit.sub == "auto-restart" => {
            format!("unit ended with result {result}, systemd is about to restart it")
        }
        ActiveState::Active => "unit is active and running".to_owned(),
        other => format!("unit is {other:?}").to_lowercase(),
    };
    let ended = unit.active != ActiveState::Active;
    if ended && !why.is_empty() {
        text += &format!(", {why}");
    }
    if unit.active.is_down() && unit.result != "success" {
        text += match around.restart_policy {
            Some("no") => ". It stays dead, nobody starts it again (Restart=no)",
            _ => ". It stays dead",
        };
    }
    // More starts than a person makes; then why it ended each time tells less.
    if around.starts >= 3 {
        text = format!(
            "crash loop, it starts and dies again and again, restarted {} times in ten minutes. {text}",
            around.starts
        );
    }
    text
}

/// Since when, and how often before.
fn times(incident: &Incident, now: At) -> Option<String> {
    let lasted = now.since(incident.opened_at).as_secs();
    let mut parts = Vec::new();
    if lasted >= 60 {
        parts.push(format!("since {}", Span::secs(lasted - lasted % 60)));
    }
    if incident.extended > 2 {
        parts.push(format!("seen {} times", incident.extended + 1));
    }
    match incident.recurrences_30d {
        0 => {}
        1 => parts.push("happened once before in 30 days".to_owned()),
        times => parts.push(format!("happened {times} times before in 30 days")),
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests;
