//! What an unprivileged daemon may do: exactly what its polkit rules list, unit by unit.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use hostmedic_model::{
    intent::Intent,
    outcome::StepResult,
    playbook::Verb,
    property::{Change, Property, Setting},
    unit::ActiveState,
};
use hostmedic_observe::bus;
use hostmedic_respond::systemd::act;
use hostmedic_tests::nspawn::Nspawn;
use support::{boot, inspect, intent, refusal, start, unit, word};
use zbus::Connection;

/// The form of the rules that hostmedic ships: unit and verb, for one user.
const RULE: &str = r#"
polkit.addRule(function(action, subject) {
    if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == "medic" &&
        action.lookup("unit") == "allowed.service" && action.lookup("verb") == "restart") {
        return polkit.Result.YES;
    }
});
"#;

/// A container with the rule, and a connection that its bus and polkit take for `medic`.
async fn boot_as_medic() -> (Nspawn, Connection) {
    let machine = boot();
    machine.sh("useradd --system medic").unwrap();
    machine
        .write_file("/etc/polkit-1/rules.d/50-medic.rules", RULE, 0o644)
        .unwrap();
    let text = "[Service]\nExecStart=sleep infinity\n";
    let aliased = format!("{text}[Install]\nAlias=allowed-alias.service\n");
    machine.write_unit("allowed.service", &aliased).unwrap();
    machine
        .sh("systemctl enable allowed.service && systemctl start allowed.service")
        .unwrap();
    start(&machine, "other.service", text);
    let conn = bus::connect(Some(&machine.bus_address_as("medic")))
        .await
        .unwrap();
    (machine, conn)
}

/// Goal: pitfall 11. The rule lets through one verb on one unit, and nothing else.
#[tokio::test]
async fn only_the_listed_unit_and_verb_are_allowed() {
    let (_machine, conn) = boot_as_medic().await;
    let before = inspect(&conn, "allowed.service").await;
    let end = act(&conn, &intent(Verb::Restart, "allowed.service")).await;
    assert_eq!(word(&end), "done");
    assert_ne!(
        end.after.unwrap().state.invocation_id,
        before.state.invocation_id
    );

    let other = inspect(&conn, "other.service").await;
    let end = act(&conn, &intent(Verb::Restart, "other.service")).await;
    let reason = refusal(&end);
    assert!(
        reason.contains("list other.service with the verb restart in the polkit rules"),
        "{reason}"
    );
    assert_eq!(end.after.unwrap().state, other.state, "nothing was changed");

    for verb in [
        Verb::TryRestart,
        Verb::ResetFailed,
        Verb::ReloadOrTryRestart,
    ] {
        let end = act(&conn, &intent(verb, "allowed.service")).await;
        assert!(refusal(&end).contains(verb.word()), "{}", refusal(&end));
    }
}

/// Goal: setting a property is a verb of its own, listed unit by unit like any other.
#[tokio::test]
async fn a_property_is_set_only_where_that_is_listed() {
    let (machine, conn) = boot_as_medic().await;
    let rule = RULE.replace("\"restart\"", "\"set-property\"");
    let change = Change {
        property: Property::CpuWeight,
        from: Setting::NONE,
        to: Setting(20),
    };
    let set = |name: &str| Intent {
        change: Some(change),
        ..intent(Verb::SetProperty, name)
    };
    let end = act(&conn, &set("allowed.service")).await;
    let advice = "list allowed.service with the verb set-property in the polkit rules";
    assert!(refusal(&end).contains(advice), "{}", refusal(&end));
    machine
        .write_file("/etc/polkit-1/rules.d/50-medic.rules", &rule, 0o644)
        .unwrap();
    machine.sh("systemctl restart polkit.service").unwrap();
    let end = act(&conn, &set("allowed.service")).await;
    assert_eq!(word(&end), "done", "{:?}", end.result);
    let after = end.after.unwrap().resources.set;
    assert_eq!(after[&Property::CpuWeight], Setting(20));
    assert!(matches!(
        act(&conn, &set("other.service")).await.result,
        StepResult::Refused { .. }
    ));
}

/// Goal: polkit sees the primary name, so a rule must list that; an alias reads as its unit.
#[tokio::test]
async fn an_alias_stands_for_its_primary_name() {
    let (_machine, conn) = boot_as_medic().await;
    let by_alias = inspect(&conn, "allowed-alias.service").await;
    assert_eq!(by_alias.unit, unit("allowed.service"));
    let end = act(&conn, &intent(Verb::Restart, "allowed-alias.service")).await;
    assert_eq!(word(&end), "done");
    assert_eq!(end.after.unwrap().state.active, ActiveState::Active);
}

/// Goal: everything that observing needs is open to an unprivileged user.
#[tokio::test]
async fn reading_needs_no_privilege() {
    let (_machine, conn) = boot_as_medic().await;
    let snapshot = inspect(&conn, "other.service").await;
    assert_eq!(snapshot.load_state, "loaded");
    let reading = bus::calendar::read(&conn, &bus::calendar::CalendarConfig::default()).await;
    assert!(
        matches!(
            reading,
            hostmedic_model::calendar::CalendarReading::Readable(_)
        ),
        "{reading:?}"
    );
}
