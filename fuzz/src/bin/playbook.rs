//! Any text as a playbook: it is read, or refused with places that lie in the text.
#![no_main]

use hostmedic_reason::playbook;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let checked = playbook::check("fuzzed.yaml", text);
    for finding in &checked.findings {
        let place = &finding.place;
        assert!(text.get(place.start..place.end).is_some(), "{finding:?}");
    }
    assert_eq!(
        playbook::parse("fuzzed.yaml", text).is_ok(),
        checked.is_ok()
    );
});
