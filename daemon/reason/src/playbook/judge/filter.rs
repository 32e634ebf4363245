//! What `where` asks of a signal itself.

use hostmedic_model::{
    playbook::SignalFilter,
    signal::{MemoryEvent, PressureOf, SignalKind},
};

use crate::playbook::placed::Args;

/// What `where` asks of a signal, as the engine's; `None` while it cannot tell.
pub(crate) fn filter(kind: SignalKind, fields: &Args) -> Option<SignalFilter> {
    let each = |name: &str| {
        let words = fields.texts(name);
        (!words.is_empty()).then_some(words)
    };
    match kind {
        SignalKind::Pressure => {
            let of = each("of")?.into_iter().map(|word| match word {
                "cpu" => Some(PressureOf::Cpu),
                "memory" => Some(PressureOf::Memory),
                "io" => Some(PressureOf::Io),
                _ => None,
            });
            Some(SignalFilter::PressureOf(of.collect::<Option<_>>()?))
        }
        SignalKind::MemoryEvents => {
            let events = each("event")?.into_iter().map(|word| match word {
                "low" => Some(MemoryEvent::Low),
                "high" => Some(MemoryEvent::High),
                "max" => Some(MemoryEvent::Max),
                "oom" => Some(MemoryEvent::Oom),
                _ => None,
            });
            Some(SignalFilter::MemoryEvent(events.collect::<Option<_>>()?))
        }
        // A kill for a cpuset cannot be told from another of the host.
        SignalKind::OomKill => match each("scope")?.as_slice() {
            ["host"] => Some(SignalFilter::OomOfHost(true)),
            ["unit"] => Some(SignalFilter::OomOfHost(false)),
            _ => None,
        },
        SignalKind::FatalSignal => {
            let numbers = each("signal")?.into_iter().map(|name| {
                match name.strip_prefix("SIG").unwrap_or(name) {
                    "ABRT" => Some(6),
                    "BUS" => Some(7),
                    "KILL" => Some(9),
                    "SEGV" => Some(11),
                    _ => None,
                }
            });
            Some(SignalFilter::FatalSignal(numbers.collect::<Option<_>>()?))
        }
        _ => None,
    }
}
