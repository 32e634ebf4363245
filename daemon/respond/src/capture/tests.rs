//! Tests of the whole: bounds, order, and that nothing is left out in silence.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// Bytes of a record at most; `RECORD_BYTES_MAX` in retain.
const RECORD_BYTES_MAX: usize = 1 << 20;

fn asked(about: Vec<Subject>, wanted: Vec<Wanted>) -> Asked {
    Asked {
        incident: IncidentId("inc_x".to_owned()),
        intent: IntentId("inc_x/1.1".to_owned()),
        unit: UnitName::new("nosuch.service").unwrap(),
        about,
        wanted,
    }
}

fn everything() -> Vec<Wanted> {
    CaptureKind::ALL
        .map(|kind| Wanted::new(kind, Some(u32::MAX)))
        .to_vec()
}

fn empty() -> Captured {
    let asked = asked(Vec::new(), Vec::new());
    Captured {
        incident: asked.incident,
        intent: asked.intent,
        at: host_clock::now(),
        journal: Vec::new(),
        cgroup: BTreeMap::new(),
        parts: Vec::new(),
        missing: Vec::new(),
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let capture = Capture {
        journal_dir: Some(dir.path().to_owned()),
        ..Capture::new(Subjects::over(None, "", 4))
    };
    let captured = capture.capture(asked(Vec::new(), Vec::new())).await;
    assert!(captured.journal.is_empty() && captured.cgroup.is_empty());
    let missing = &captured.missing;
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing[0].starts_with("journal: "), "{missing:?}");
    assert!(missing[1].starts_with("cgroup: "), "{missing:?}");
}

/// Goal: asked for everything about the real host, each kind is there or named, in time and size.
#[tokio::test]
async fn everything_at_once_is_there_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let capture = Capture {
        journal_dir: Some(dir.path().to_owned()),
        bus_address: Some("unix:path=/nonexistent/bus".to_owned()),
        ..Capture::new(Subjects::over(None, "", 4))
    };
    let about = vec![Subject::Host, Subject::Mount("/".to_owned())];
    let began = Instant::now();
    let captured = capture.capture(asked(about, everything())).await;
    assert!(began.elapsed() < WAIT_MAX + Duration::from_secs(2));
    for wanted in everything() {
        let word = wanted.to_string();
        let is_there = captured.parts.iter().any(|part| part.name == word);
        let is_named = captured.missing.iter().any(|why| why.starts_with(&word));
        let otherwise = matches!(
            wanted.kind,
            CaptureKind::UnitSnapshot | CaptureKind::JournalTail | CaptureKind::CgroupMemory
        );
        assert!(is_there || is_named || otherwise, "{word}: {captured:?}");
    }
    for word in [
        "proc.tree",
        "net.counters",
        "sysctl.values",
        "net.addresses",
    ] {
        let part = captured.parts.iter().find(|part| part.name == word);
        assert!(
            part.is_some_and(|part| !part.lines.is_empty()),
            "{word}: {captured:?}"
        );
    }
}

#[test]
fn who_does_not_answer_is_named_and_nobody_waits_for_it() {
    let wanted = [
        Wanted::new(CaptureKind::ProcTree, None),
        Wanted::new(CaptureKind::ProcStacks, Some(5)),
        Wanted::new(CaptureKind::MdStatus, None),
    ];
    let tree = Found::of(Ok(vec!["1 S init".to_owned()]));
    let all = BTreeMap::from([
        (CaptureKind::ProcTree, tree),
        (CaptureKind::MdStatus, Found::default()),
    ]);
    let mut captured = empty();
    put_together(&wanted, all, &mut captured);
    let parts: Vec<_> = captured
        .parts
        .iter()
        .map(|part| (part.name.as_str(), part.lines.len()))
        .collect();
    assert_eq!(parts, [("proc.tree", 1), ("md.status", 0)]);
    assert_eq!(captured.missing, ["proc.stacks(5): not ready within 3s"]);
}

proptest! {
    /// Whatever readers give, the record can be written, and what does not fit is named.
    #[test]
    fn the_record_stays_within_its_bound(
        text in any::<String>(),
        many in 0_usize..600,
        long in 1_usize..80,
        complaints in 0_usize..30,
    ) {
        let line = format!("{}\u{1}\"\\{text}", "\u{1b}\"".repeat(long));
        let found = Found {
            lines: vec![line.clone(); many],
            files: BTreeMap::new(),
            missing: vec![line; complaints],
        };
        let wanted: Vec<_> = everything();
        let all = CaptureKind::ALL.map(|kind| {
            let mut found = found.clone();
            if kind == CaptureKind::JournalTail {
                // Its own reader has cut it.
                found.lines = vec!["\u{1b}".repeat(511); 128];
            }
            if kind == CaptureKind::CgroupMemory {
                found.files = (0..10).map(|n| (n.to_string(), "9\n".repeat(2048))).collect();
            }
            (kind, found)
        });
        let mut captured = empty();
        put_together(&wanted, BTreeMap::from(all), &mut captured);
        let bytes = serde_json::to_vec(&captured).unwrap().len();
        prop_assert!(bytes < RECORD_BYTES_MAX, "{bytes}");
        let sum: usize = captured.parts.iter().map(Part::bytes).sum();
        prop_assert!(sum <= PARTS_BYTES_MAX);
        prop_assert!(captured.missing.len() <= MISSING_MAX + 1);
        if many > 0 {
            let whole = captured.parts.iter().all(|part| part.lines.len() == many);
            prop_assert!(whole || !captured.missing.is_empty());
        }
    }
}
