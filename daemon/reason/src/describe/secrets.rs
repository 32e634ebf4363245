//! Secrets as they stand in logs, for every test that no secret comes through.

use hostmedic_model::scrub::scrub;
use proptest::prelude::*;

/// Secrets as they stand in logs: a text around one, and the secret itself.
pub(crate) fn with_secret() -> impl Strategy<Value = (String, String)> {
    let secret = prop_oneof![
        "[a-f0-9]{12,64}",
        "[A-Z][a-z][0-9]{2}[a-z][A-Z][0-9][A-Za-z0-9]{14,60}",
        "ghp_[a-z][0-9][A-Z][0-9][a-z][0-9][A-Za-z0-9]{20,30}",
    ];
    // A password of a person, in each way that logs have it; signs that part words part it, too.
    let password = "[a-zA-Z0-9!#%&*+,./?@^_~-]{8,24}";
    let join = prop_oneof![
        Just("="),
        Just(": "),
        Just(":"),
        Just(" is "),
        Just(" = "),
        Just(" ")
    ];
    let place = prop_oneof![
        Just("password"),
        Just("DB_PASSWORD"),
        Just("token"),
        Just("--api-key"),
        Just("client_secret"),
    ];
    prop_oneof![
        (".{0,40}", secret, ".{0,40}")
            .prop_map(|(before, secret, after)| { (format!("{before} {secret} {after}"), secret) }),
        (place, join, password)
            .prop_map(|(place, join, password)| { (format!("{place}{join}{password}"), password) }),
    ]
}

proptest! {
    #[test]
    fn no_secret_survives((text, secret) in with_secret()) {
        let clean = scrub(&text, 4096);
        prop_assert!(!clean.contains(&secret), "{clean}");
        // Nor does a good part of it.
        let part: String = secret.trim_start_matches("ghp_").chars().take(8).collect();
        prop_assert!(!clean.contains(&part), "{clean} has {part}");
    }
}
