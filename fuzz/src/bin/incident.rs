//! Any names and reasons from outside, such as log text and process names: the incident becomes a
//! short plain line all the same.
//!
//! The input is cut into words at bytes that are no UTF-8; the first byte says whom it is about.
#![no_main]

use std::time::Duration;

use hostmedic_model::{
    anomaly::Severity,
    incident::{Evidence, Incident, IncidentId, IncidentStatus},
    sample::{Measure, Sample, Series},
    signal::{
        Device, DropPlace, Fact, LogLines, LogPriority, MountReadOnly, OomKill, PacketDrops,
        PortClass, Signal,
    },
    subject::{Subject, UnitName},
    time::At,
    unit::{ActiveState, UnitState},
};
use hostmedic_reason::describe::{Around, TOKENS_MAX, describe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let mut words = data
        .utf8_chunks()
        .map(|chunk| chunk.valid().to_owned())
        .filter(|word| !word.is_empty());
    let mut word = || words.next().unwrap_or_default();
    let named = word();
    let subject = match kind % 4 {
        0 => Subject::Mount(named),
        1 => Subject::Cgroup(named),
        2 => Subject::Device(named),
        _ => UnitName::new(&named).map_or(Subject::Host, Subject::Unit),
    };
    let signal = |fact| {
        Evidence::Signal(Signal {
            at: at(0),
            subject: subject.clone(),
            fact,
        })
    };
    let mut evidence = vec![
        signal(Fact::OomKill(OomKill {
            pid: 42,
            comm: word(),
            ..OomKill::default()
        })),
        signal(Fact::UnitState(UnitState {
            active: ActiveState::Failed,
            sub: word(),
            result: word(),
            invocation_id: Some(word()),
            n_restarts: u32::from(*kind),
        })),
        signal(Fact::MountReadOnly(MountReadOnly {
            device: Device::default(),
            filesystem: word(),
            whole: false,
        })),
        signal(Fact::PacketDrops(PacketDrops {
            place: DropPlace::Backlog,
            reason: word(),
            interface: None,
            port: PortClass::Unknown,
            packets: u64::MAX,
            bytes: 0,
        })),
        signal(Fact::LogLines(LogLines {
            template: word(),
            id: 1,
            count: u64::MAX,
            priority: LogPriority::Error,
            left_out: 0,
        })),
    ];
    evidence.push(Evidence::Sample(Sample {
        at: at(1),
        series: Series {
            subject: subject.clone(),
            measure: Measure::UnitMemoryBytes,
        },
        value: f64::from(*kind) * 1e9,
    }));
    let incident = Incident {
        id: IncidentId("inc_20260814_021703_9f2c41d0".to_owned()),
        subject,
        title: word(),
        severity: Severity::Critical,
        status: IncidentStatus::Open,
        opened_at: at(0),
        last_at: at(1),
        closed_at: None,
        evidence,
        extended: 0,
        recurrences_30d: 0,
        parent: None,
        similar: None,
    };
    let top = (word(), Measure::UnitMemoryBytes, 1e9);
    let around = Around {
        now: at(600),
        top: Some(top),
        ..Around::default()
    };
    let description = describe(&incident, &around);
    assert!(description.tokens <= TOKENS_MAX + 1, "{description:?}");
    assert!(description.text.len() <= 1024, "{description:?}");
    assert!(
        !description.text.contains(char::is_control),
        "{description:?}"
    );
});

fn at(secs: u64) -> At {
    At::default().plus(Duration::from_secs(1_000_000 + secs))
}
