//! Any bytes from journalctl: they are refused, or become a few short plain templates; nothing is
//! lost uncounted, and it is the same each time.
//!
//! The input is cut into lines. A line that is no JSON is taken as the message of an entry, too, so
//! that texts are found quickly.
#![no_main]

use hostmedic_model::{signal::LogPriority, subject::UnitName};
use hostmedic_reason::lines::{Lines, entry::Entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let own = UnitName::new("web.service").expect("it is a name");
    let (mut lines, mut again, mut taken) = (Lines::default(), Lines::default(), 0);
    for line in data.split(|byte| *byte == b'\n') {
        let entry = Entry::read(line).unwrap_or_else(|_| Entry {
            unit: own.clone(),
            priority: LogPriority::Warning,
            message: String::from_utf8_lossy(line).into_owned(),
        });
        for lines in [&mut lines, &mut again] {
            lines.take(&entry.unit, entry.priority, &entry.message);
        }
        taken += 1;
    }
    let told = lines.close();
    assert_eq!(told, again.close());
    assert!(told.len() <= 64);
    let counted: u64 = told
        .iter()
        .map(|(_, lines)| lines.count + lines.left_out)
        .sum();
    assert_eq!(counted + lines.losses().untold, taken);
    for (_, lines) in told {
        assert!(lines.template.len() <= 1024, "{lines:?}");
        assert!(!lines.template.contains(char::is_control), "{lines:?}");
    }
});
