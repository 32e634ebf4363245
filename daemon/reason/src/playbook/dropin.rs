//! Local drop-ins, `playbooks.d/NAME.d/*.yaml`: a host can be stricter than the library, never looser.

use hostmedic_model::playbook::{Phase, Playbook};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    finding::PlaybookError,
    judge, load,
    placed::{Place, Placed, PlacedList},
    quantity::{Duration, Rate},
    tighten::loosened,
    wire::{Condition, PreCheck},
};

/// The file's form. What is given replaces or joins what the playbook says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropIn {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: Placed<String>,
    pub(crate) kind: Placed<String>,
    pub(crate) autonomy: Option<Autonomy>,
    pub(crate) limits: Option<Limits>,
    pub(crate) windows: Option<Windows>,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) pre_execution_checks: Option<PlacedList<PreCheck>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Autonomy {
    pub(crate) max_phase: Placed<Phase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) per_target: Option<Placed<Rate>>,
    pub(crate) per_slice: Option<Placed<Rate>>,
    pub(crate) per_host: Option<Placed<Rate>>,
    pub(crate) cooldown: Option<Placed<Duration>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Windows {
    pub(crate) lookahead: Placed<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trigger {
    pub(crate) none: Vec<Placed<Condition>>,
}

/// Applies one drop-in to a playbook. `file` is its name as errors should show it.
///
/// # Errors
/// The first thing that is wrong with the drop-in, or what it would loosen.
pub fn apply(playbook: &Playbook, file: &str, text: &str) -> Result<Playbook, PlaybookError> {
    let fail = |place: Place, message: String| PlaybookError {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        message,
    };
    let dropin: DropIn = load::read(text).map_err(|finding| PlaybookError::of(file, &finding))?;
    if dropin.api_version.value != "v1" || dropin.kind.value != "PlaybookDropIn" {
        let message = "a drop-in begins with `apiVersion: v1` and `kind: PlaybookDropIn`";
        return Err(fail(dropin.kind.place, message.to_owned()));
    }
    let mut after = playbook.clone();
    if let Some(autonomy) = &dropin.autonomy {
        after.phase_max = autonomy.max_phase.value;
    }
    if let Some(limits) = &dropin.limits {
        let rate = |rate: &Option<Placed<Rate>>, old| rate.as_ref().map_or(old, |rate| rate.0);
        after.limits.per_unit = rate(&limits.per_target, after.limits.per_unit);
        after.limits.per_slice = rate(&limits.per_slice, after.limits.per_slice);
        after.limits.per_host = rate(&limits.per_host, after.limits.per_host);
        if let Some(cooldown) = &limits.cooldown {
            after.limits.cooldown = cooldown.0;
        }
    }
    if let Some(windows) = &dropin.windows {
        after.lookahead = windows.lookahead.0;
    }
    let (none, pre_checks, missing, findings) = judge::judge_dropin(text, &dropin);
    if let Some(finding) = findings.0.first() {
        return Err(PlaybookError::of(file, finding));
    }
    after.none.extend(none);
    after.pre_checks.extend(pre_checks);
    if !missing.is_empty() {
        after.phase_max = Phase::Observe;
        after.missing.extend(missing);
    }
    let looser = loosened(playbook, &after);
    if let Some(what) = looser.first() {
        let message = format!("a drop-in can only tighten {}: {what}", playbook.name);
        return Err(fail(dropin.kind.place, message));
    }
    // An approval is bound to what is in force, and that is both texts now.
    let both = format!("{}\n{}", playbook.sha256, hex::encode(Sha256::digest(text)));
    after.sha256 = hex::encode(Sha256::digest(both));
    Ok(after)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::time::Span;

    use super::*;
    use crate::playbook::parse;

    const HEAD: &str = "apiVersion: v1\nkind: PlaybookDropIn\n";

    fn base() -> Playbook {
        let text = include_str!("../../../../playbooks/unit-failed-restart.yaml");
        parse("unit-failed-restart.yaml", text).unwrap()
    }

    #[test]
    fn a_host_can_be_stricter() {
        let text = format!(
            "{HEAD}autonomy: {{ max_phase: assist }}\nlimits: {{ per_target: 1/4h, cooldown: 1h }}\n\
             windows: {{ lookahead: 30min }}\n\
             trigger: {{ none: [{{ signal: kernel.oom_kill, within: 1h }}] }}\n\
             pre_execution_checks:\n  - {{ name: room, type: memory.available, with: {{ min: 20% }}, \
             fail_action: wait, reason: this host is small }}\n"
        );
        let after = apply(&base(), "local.yaml", &text).unwrap();
        assert_eq!(after.phase_max, Phase::Assist);
        assert_eq!(after.limits.cooldown, Span::minutes(60));
        assert_eq!((after.none.len(), after.pre_checks.len()), (1, 4));
        assert_ne!(after.sha256, base().sha256);
    }

    #[test]
    fn a_host_cannot_be_looser() {
        for (text, says) in [
            ("limits: { per_target: 9/1h }\n", "attempts on one target"),
            ("limits: { per_slice: 3/10min }\n", "attempts in one slice"),
            ("limits: { cooldown: 1min }\n", "pause"),
            ("windows: { lookahead: 1s }\n", "looks ahead"),
            ("verify: {}\n", "no key `verify`"),
            ("steps: []\n", "no key `steps`"),
            ("limits: { cooldown: 60 }\n", "no unit"),
        ] {
            let error = apply(&base(), "local.yaml", &format!("{HEAD}{text}")).unwrap_err();
            assert!(error.message.contains(says), "{text}: {error}");
        }
        let wrong = apply(&base(), "local.yaml", "apiVersion: v1\nkind: Playbook\n").unwrap_err();
        assert_eq!((wrong.line, wrong.column), (2, 7));
    }
}
