//! How often, how far, when not, and beside what not. The founding limits are a ceiling: a
//! playbook can only be stricter.

use hostmedic_model::{
    anomaly::Severity,
    playbook::{Approval, HostTags, Limits, Needs, Phase, RiskClass},
    time::Span,
};

use super::{Judge, slots::binding};
use crate::{
    matching::confidence::{ACT_MIN, PROPOSE_MIN},
    playbook::{
        placed::Placed,
        quantity::Rate,
        wire::{self, OnConflict, TargetKind, Window},
    },
};

/// More attempts than this within the hour are a loop, not a remedy.
const COUNT_MAX: u32 = 12;
/// Attempts are remembered for two days.
const RATE_WITHIN_MAX: Span = Span::minutes(48 * 60);
/// A shorter pause could not break a loop.
const COOLDOWN_MIN: Span = Span::minutes(1);

impl Judge<'_> {
    pub(super) fn limits(&mut self, limits: &Placed<wire::Limits>) -> Limits {
        let default = Limits::default();
        if limits.cooldown.0 < COOLDOWN_MIN {
            self.findings.error(
                "range",
                limits.cooldown.place,
                format!(
                    "`cooldown` is {}; under {COOLDOWN_MIN} it could not break a loop",
                    limits.cooldown.0
                ),
            );
        }
        if limits.fleet.is_some() {
            self.miss("limits `fleet`");
        }
        if limits.min_unit_age.is_some() {
            self.miss("limits `min_unit_age`");
        }
        Limits {
            cooldown: limits.cooldown.0,
            per_unit: self.rate(Some(&limits.per_target), default.per_unit),
            per_slice: self.rate(limits.per_slice.as_ref(), default.per_slice),
            per_host: self.rate(limits.per_host.as_ref(), default.per_host),
        }
    }

    fn rate(
        &mut self,
        rate: Option<&Placed<Rate>>,
        default: hostmedic_model::playbook::Rate,
    ) -> hostmedic_model::playbook::Rate {
        let Some(placed) = rate else {
            return default;
        };
        let rate = placed.0;
        let within = Span::minutes(10)..=RATE_WITHIN_MAX;
        if !(1..=COUNT_MAX).contains(&rate.count) || !within.contains(&rate.within) {
            self.findings.error(
                "range",
                placed.place,
                format!("`{rate}` must be 1 to {COUNT_MAX} within 10m to {RATE_WITHIN_MAX}"),
            );
        }
        rate
    }

    /// The highest phase, how sure the text matcher must be, and when people must agree.
    pub(super) fn autonomy(
        &mut self,
        autonomy: &Placed<wire::Autonomy>,
        class: RiskClass,
        idempotent: bool,
    ) -> (Phase, Needs, Approval) {
        let phase = &autonomy.max_phase;
        if phase.value == Phase::Autonomous && class >= RiskClass::Destructive {
            self.findings.error_help(
                "phase",
                phase.place,
                format!("what is {} is never autonomous", class.word()),
                "write `max_phase: assist`",
            );
        }
        if phase.value == Phase::Autonomous && !idempotent {
            self.findings.error_help(
                "phase",
                phase.place,
                "what is not idempotent is never autonomous",
                "write `max_phase: assist`",
            );
        }
        let propose = autonomy.propose_confidence.as_ref();
        let act = autonomy.act_confidence.as_ref();
        for (name, value, least) in [
            ("propose_confidence", propose, PROPOSE_MIN),
            ("act_confidence", act, ACT_MIN),
        ] {
            if let Some(value) = value
                && value.0 < least
            {
                self.findings.error(
                    "range",
                    value.place,
                    format!(
                        "`{name}` is below {:.0}%; a playbook can only ask for more",
                        least * 100.0
                    ),
                );
            }
        }
        let approval = autonomy
            .approval
            .as_ref()
            .map_or_else(Approval::default, |approval| Approval {
                severities: self.severities(approval),
                valid: approval.ttl.as_ref().map(|ttl| ttl.0),
            });
        let needs = Needs {
            propose: propose.map(|ratio| ratio.0),
            act: act.map(|ratio| ratio.0),
        };
        (phase.value, needs, approval)
    }

    fn severities(&mut self, approval: &Placed<wire::Approval>) -> Vec<Severity> {
        if let Some(ttl) = &approval.ttl
            && (ttl.0.0.is_zero() || ttl.0 > Span::minutes(60))
        {
            let message = format!("`ttl` is {}; it must lie above 0 and at most 1h", ttl.0);
            self.findings.error("range", ttl.place, message);
        }
        let mut severities = Vec::new();
        for severity in &approval.severity.value {
            match severity.value {
                1 => severities.push(Severity::Critical),
                2 => severities.push(Severity::Warning),
                3 => severities.push(Severity::Info),
                other => self.findings.error_help(
                    "range",
                    severity.place,
                    format!("there is no severity {other}"),
                    "1 critical, 2 warning, 3 info",
                ),
            }
        }
        severities
    }

    /// Tags that a host can have, and no tag on both sides.
    pub(super) fn hosts(&mut self, hosts: &Placed<wire::Hosts>) -> HostTags {
        for tag in hosts.with.iter().chain(&hosts.without) {
            if !HostTags::is_tag(&tag.value) {
                self.findings.error_help(
                    "hosts",
                    tag.place,
                    format!("`{}` is no tag", tag.value),
                    "a tag has small letters, digits and `-`, a letter first, 40 at most",
                );
            }
        }
        for tag in &hosts.with {
            if hosts.without.iter().any(|other| other.value == tag.value) {
                let why = format!("no host is with and without `{}`", tag.value);
                self.findings.error("hosts", tag.place, why);
            }
        }
        let tags = |tags: &[Placed<String>]| tags.iter().map(|tag| tag.value.clone()).collect();
        HostTags {
            with: tags(&hosts.with),
            without: tags(&hosts.without),
        }
    }

    /// The target must be one thing that the trigger named.
    pub(super) fn target(&mut self, target: &Placed<wire::Target>, class: RiskClass) {
        let kind = target.kind.value;
        match (&target.name, kind) {
            (None, TargetKind::Host) => {}
            (Some(name), TargetKind::Host) => {
                self.findings
                    .error("target", name.place, "the host has no name; remove it");
            }
            (None, _) => self.findings.error_help(
                "target",
                target.place,
                "`name` is missing: an empty selection is never everything",
                format!(
                    "`name: \"{{{{ {} }}}}\"`, bound in the trigger",
                    kind.word()
                ),
            ),
            (Some(name), _) => {
                if let Some(name) = self.binding_of(&name.value, Some(kind), name.place) {
                    self.target = Some((name, kind));
                }
            }
        }
        if let Some(most) = &target.max_targets
            && most.value != 1
        {
            self.findings.error(
                "target",
                most.place,
                format!("`max_targets` is {}; one incident, one target", most.value),
            );
        }
        for deny in &target.deny {
            match deny.value.as_str() {
                "class:protected" => {}
                other => match other.strip_prefix("class:") {
                    Some("stateful") => self.miss("target `deny: class:stateful`"),
                    Some(_) => self.findings.error_help(
                        "unknown-word",
                        deny.place,
                        format!("there is no `{other}`"),
                        "it can be: class:protected, class:stateful, or a glob of unit names",
                    ),
                    None => self.miss("target `deny` by glob"),
                },
            }
        }
        let protected = target
            .deny
            .iter()
            .any(|deny| deny.value == "class:protected");
        if class >= RiskClass::Disruptive && !protected {
            self.findings.error_help(
                "target",
                target.place,
                format!("a {} playbook leaves protected units alone", class.word()),
                "add `deny: [class:protected]`",
            );
        }
    }

    /// What it waits for on the calendar; gives how far it looks ahead.
    pub(super) fn windows(&mut self, windows: &Placed<wire::Windows>) -> Span {
        let forbid: Vec<_> = windows
            .forbid
            .value
            .iter()
            .map(|window| window.value)
            .collect();
        for (window, word) in [
            (Window::Maintenance, "maintenance"),
            (Window::Backup, "backup"),
        ] {
            if !forbid.contains(&window) {
                self.findings.error_help(
                    "windows",
                    windows.forbid.place,
                    format!("`forbid` must name `{word}`"),
                    "what acts must know what is supposed to be happening",
                );
            }
        }
        if forbid.contains(&Window::SecurityIncident) {
            self.miss("window `security_incident`");
        }
        if windows.lookback.is_some() {
            self.miss("windows `lookback`");
        }
        let Some(lookahead) = &windows.lookahead else {
            return Span::secs(0);
        };
        if lookahead.0 > Span::minutes(24 * 60) {
            let message = format!("`lookahead` is {}; at most 1 day", lookahead.0);
            self.findings.error("range", lookahead.place, message);
        }
        lookahead.0
    }

    /// One run at a time on what it works on.
    pub(super) fn concurrency(&mut self, concurrency: &Placed<wire::Concurrency>) {
        let group = &concurrency.group;
        match group.split_once(':') {
            None if group.value == "host" => self.miss("concurrency `group: host`"),
            Some((scope, name)) => {
                let known = self.target.clone();
                let same = known.is_some_and(|(target, kind)| {
                    scope == kind.word() && binding(name.trim()) == Some(target.as_str())
                });
                if !same {
                    self.findings.error_help(
                        "concurrency",
                        group.place,
                        format!("`{}` does not name the target", group.value),
                        "such as \"unit:{{ unit }}\", or host",
                    );
                }
            }
            None => self.findings.error_help(
                "concurrency",
                group.place,
                format!("`{}` is no group", group.value),
                "such as \"unit:{{ unit }}\", or host",
            ),
        }
        if concurrency.on_conflict.value == OnConflict::Escalate {
            self.miss("concurrency `on_conflict: escalate`");
        }
        if concurrency.max_wait.is_some() {
            self.miss("concurrency `max_wait`");
        }
    }
}
