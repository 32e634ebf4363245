//! `medic events`: one line an event.

use hostmedic_model::{signal::SignalKind, view::EventRow};

use super::text::{Style, Tone, clean, utc_ms};

/// The events, a line each, with columns that stay where they are from page to page.
pub(crate) fn lines(rows: &[EventRow], style: Style) -> String {
    rows.iter().map(|row| line(row, style)).collect()
}

fn line(row: &EventRow, style: Style) -> String {
    let signal = &row.signal;
    let kind = signal.fact.kind();
    let word = format!("{:<16}", kind_word(kind));
    format!(
        "{}  {:<24}  {}  {}\n",
        style.paint(Tone::Dim, &utc_ms(signal.at.wall_ms)),
        clean(&signal.subject.to_string()),
        tone(kind).map_or_else(|| word.clone(), |tone| style.paint(tone, &word)),
        clean(&signal.fact.to_string()),
    )
}

/// The model's word for a kind.
pub(crate) fn kind_word(kind: SignalKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(word)) => word,
        _ => format!("{kind:?}"),
    }
}

fn tone(kind: SignalKind) -> Option<Tone> {
    match kind {
        SignalKind::OomKill
        | SignalKind::HungTask
        | SignalKind::RcuStall
        | SignalKind::HardwareError
        | SignalKind::BlockError
        | SignalKind::WritebackError
        | SignalKind::FilesystemError
        | SignalKind::MountReadOnly => Some(Tone::Bad),
        SignalKind::FatalSignal
        | SignalKind::Zombies
        | SignalKind::ScsiError
        | SignalKind::PacketDrops
        | SignalKind::TcpTrouble
        | SignalKind::TransmitTimeout
        | SignalKind::NetCounter
        | SignalKind::Pressure
        | SignalKind::MemoryEvents
        | SignalKind::UnitWatchdog
        | SignalKind::LogLines
        | SignalKind::LinkChanges => Some(Tone::Warn),
        SignalKind::ProcessExec
        | SignalKind::ProcessExit
        | SignalKind::CgroupMade
        | SignalKind::CgroupRemoved
        | SignalKind::CgroupAttached
        | SignalKind::UnitState
        | SignalKind::UnitRemoved => None,
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn the_night_in_lines() {
        let text = lines(&testing::events(), Style::default());
        assert_eq!(text, include_str!("snapshots/events.txt"), "\n{text}");
    }
}
