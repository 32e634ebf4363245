//! The playbook as a whole: which sections it must have, and whether they agree.

use hostmedic_model::playbook::{
    Approval, Describe, HostTags, Limits, Needs, Phase, Playbook, Remedy, RiskClass,
};
use hostmedic_model::time::Span;

use super::{Judge, steps::Plan};
use crate::playbook::{
    placed::{Place, Placed},
    wire::{self, Document, Stateful},
};

impl Judge<'_> {
    pub(super) fn whole(&mut self, stem: Option<&str>, document: &Document) -> Option<Playbook> {
        let name = self.name(stem, document);
        let describe = self.describe(document);
        if is_bare(document) {
            self.findings.warning(
                "only-described",
                document.describe.place,
                "this playbook has only a name and words: it can be found, and does nothing",
                "`medic playbook new` shows what a whole one has",
            );
            return Some(self.bare(name?, describe));
        }
        self.header(document);
        let metadata = self.need(document, "metadata", document.metadata.as_ref());
        if let Some(metadata) = metadata {
            self.metadata(metadata);
        }
        let class = document
            .risk
            .as_ref()
            .map_or(RiskClass::ReadOnly, |risk| risk.class.value);
        let trigger = self.need(document, "trigger", document.trigger.as_ref());
        let (all, none) = trigger
            .map(|trigger| self.trigger(trigger, class))
            .unwrap_or_default();
        let hosts = document
            .hosts
            .as_ref()
            .map_or_else(HostTags::default, |hosts| self.hosts(hosts));
        if let Some(target) = self.need(document, "target", document.target.as_ref()) {
            self.target(target, class);
        }
        let limits = document
            .limits
            .as_ref()
            .map_or_else(Limits::default, |limits| self.limits(limits));
        let escalate = self.need(document, "escalate", document.escalate.as_ref());
        let reason = escalate.map(|escalate| self.escalate(escalate, document.steps.is_none()));
        let captures = self.captures(document);
        self.controls(document);
        let mut made = Made {
            phase: Phase::Autonomous,
            needs: Needs::default(),
            approval: Approval::default(),
            pre_checks: Vec::new(),
            lookahead: Span::secs(0),
            rollback: "Nothing is done, so nothing is undone.".to_owned(),
            remedy: Remedy::Escalate(reason.unwrap_or_default()),
        };
        if document.steps.is_some() {
            self.acting(document, class, &mut made);
        } else {
            self.only_people(document);
        }
        self.cases(document);
        let phase_max = if self.missing.is_empty() {
            made.phase
        } else {
            Phase::Observe
        };
        let metadata = metadata?;
        Some(Playbook {
            name: name?,
            version: metadata.version.value,
            describe,
            hosts,
            trigger: all,
            none,
            class,
            pre_checks: made.pre_checks,
            captures,
            remedy: made.remedy,
            limits,
            phase_max,
            needs: made.needs,
            approval: made.approval,
            lookahead: made.lookahead,
            missing: std::mem::take(&mut self.missing),
            rollback: made.rollback,
            sha256: String::new(),
        })
    }

    /// Everything that a playbook with steps must have.
    fn acting(&mut self, document: &Document, class: RiskClass, made: &mut Made) {
        let Some(list) = &document.steps else {
            return;
        };
        let plan = self.steps(list);
        let risk = self.need(document, "risk", document.risk.as_ref());
        let idempotent = risk.is_some_and(|risk| risk.idempotent.value.value.value);
        if let Some(risk) = risk {
            self.risk(risk, &plan);
        }
        if let Some(autonomy) = self.need(document, "autonomy", document.autonomy.as_ref()) {
            (made.phase, made.needs, made.approval) = self.autonomy(autonomy, class, idempotent);
        }
        self.need(document, "limits", document.limits.as_ref());
        let verify = self.need(document, "verify", document.verify.as_ref());
        let verify_plan = verify.map(|verify| self.verify(verify));
        if let Some(rollback) = self.need(document, "rollback", document.rollback.as_ref()) {
            made.rollback = self.rollback(rollback, &plan, list);
            self.rollback_is_there(rollback, list, verify);
        }
        if let Some(concurrency) = self.need(document, "concurrency", document.concurrency.as_ref())
        {
            self.concurrency(concurrency);
        }
        if let Some(windows) = self.need(document, "windows", document.windows.as_ref()) {
            made.lookahead = self.windows(windows);
        }
        self.need(document, "capture", document.capture.as_ref());
        let checks = self.need(
            document,
            "pre_execution_checks",
            document.pre_execution_checks.as_ref(),
        );
        if let Some(checks) = checks {
            made.pre_checks = self.pre_checks(checks);
            self.wanted_before(checks, &plan);
        }
        if let Some(verify) = verify {
            self.wanted_after(verify, &plan);
        }
        made.remedy = match (plan.steps, verify_plan) {
            (Some(steps), Some(verify)) => Remedy::Steps { steps, verify },
            _ => {
                let steps: Vec<_> = list
                    .value
                    .iter()
                    .map(|step| step.uses.value.as_str())
                    .collect();
                Remedy::Unbuilt(steps.join(", "))
            }
        };
    }

    /// A playbook without steps has nothing that could be limited, verified or undone.
    fn only_people(&mut self, document: &Document) {
        for (key, place) in [
            ("verify", document.verify.as_ref().map(|it| it.place)),
            ("rollback", document.rollback.as_ref().map(|it| it.place)),
            ("autonomy", document.autonomy.as_ref().map(|it| it.place)),
            ("windows", document.windows.as_ref().map(|it| it.place)),
            (
                "concurrency",
                document.concurrency.as_ref().map(|it| it.place),
            ),
            (
                "pre_execution_checks",
                document.pre_execution_checks.as_ref().map(|it| it.place),
            ),
        ] {
            if let Some(place) = place {
                self.findings.error_help(
                    "no-steps",
                    place,
                    format!("`{key}` means nothing without `steps`"),
                    "a playbook without steps only hands over to people",
                );
            }
        }
        if let Some(risk) = &document.risk
            && risk.class.value != RiskClass::ReadOnly
        {
            self.findings.error(
                "class",
                risk.class.place,
                "without steps the class is `read_only`",
            );
        }
    }

    /// The declared risk beside what the steps come to.
    fn risk(&mut self, risk: &Placed<wire::Risk>, plan: &Plan) {
        let (declared, real) = (risk.class.value, plan.class);
        if declared < real {
            self.findings.error_help(
                "class",
                risk.class.place,
                format!(
                    "the steps are {}, and the class says {}",
                    real.word(),
                    declared.word()
                ),
                format!("write `class: {}`", real.word()),
            );
        } else if declared > real {
            self.findings.warning(
                "class",
                risk.class.place,
                format!("the steps are only {}", real.word()),
                format!(
                    "write `class: {}`, or nobody will notice when it rises",
                    real.word()
                ),
            );
        }
        self.flag(&risk.reversible);
        self.flag(&risk.idempotent.value.value);
        if risk.reversible.value
            && let Some((name, why)) = plan.impossible
        {
            self.findings.error_help(
                "reversible",
                risk.reversible.place,
                format!("{name} cannot be taken back: {why}"),
                "write `reversible: false`",
            );
        }
        if risk.idempotent.value.value.value
            && let Some((name, why)) = plan.not_idempotent
        {
            self.findings.error_help(
                "idempotent",
                risk.idempotent.place,
                format!("{name} is not idempotent: {why}"),
                "write `idempotent: {value: false, why: ...}`",
            );
        }
        self.sentence("idempotent: why", &risk.idempotent.value.why, 10);
        match risk.stateful.value {
            Stateful::Allow => {}
            Stateful::Ask | Stateful::Refuse => {
                self.miss("risk `stateful`: telling units that keep data");
            }
        }
    }

    fn wanted_before(
        &mut self,
        checks: &super::super::placed::PlacedList<wire::PreCheck>,
        plan: &Plan,
    ) {
        let has = |name: &str| checks.value.iter().any(|check| check.check.value == name);
        if !has("telemetry.fresh") {
            self.findings.error_help(
                "wanted-check",
                checks.place,
                "nothing acts on what is not fresh",
                "add `{name: signal fresh, type: telemetry.fresh, with: {max_age: 30s}, ...}`",
            );
        }
        let unit = self
            .target
            .as_ref()
            .is_some_and(|(_, kind)| *kind == wire::TargetKind::Unit);
        if plan.may_stop_others && unit && !has("unit.stop_closure") {
            self.findings.error_help(
                "wanted-check",
                checks.place,
                "the steps may stop other units with this one",
                "add `{name: cascade is small, type: unit.stop_closure, with: {max_active: 3}, ...}`",
            );
        }
    }

    fn wanted_after(&mut self, verify: &Placed<wire::Verify>, plan: &Plan) {
        let unit = self
            .target
            .as_ref()
            .is_some_and(|(_, kind)| *kind == wire::TargetKind::Unit);
        let restored =
            |check: &Placed<wire::VerifyCheck>| check.check.value == "unit.closure_restored";
        if plan.may_stop_others && unit && !verify.all.value.iter().any(restored) {
            self.findings.error_help(
                "wanted-check",
                verify.all.place,
                "the steps may stop other units with this one, and nobody would look",
                "add `{check: unit.closure_restored, fail_action: escalate}`",
            );
        }
    }

    /// A section that must be there.
    fn need<'d, T>(
        &mut self,
        document: &Document,
        name: &'static str,
        section: Option<&'d Placed<T>>,
    ) -> Option<&'d Placed<T>> {
        if section.is_none() {
            self.absent(document, name);
        }
        section
    }

    pub(super) fn absent(&mut self, document: &Document, name: &'static str) {
        let place = document
            .steps
            .as_ref()
            .map_or(document.describe.place, |steps| steps.place);
        self.findings.error_help(
            "missing-section",
            Place {
                end: place.start,
                ..place
            },
            format!("the section `{name}` is missing"),
            why(name),
        );
    }

    /// A playbook that only describes.
    fn bare(&self, name: String, describe: Describe) -> Playbook {
        let only = "only described".to_owned();
        Playbook {
            name,
            version: 0,
            describe,
            hosts: HostTags::default(),
            trigger: Vec::new(),
            none: Vec::new(),
            class: RiskClass::ReadOnly,
            pre_checks: Vec::new(),
            captures: Vec::new(),
            remedy: Remedy::Unbuilt(only.clone()),
            limits: Limits::default(),
            phase_max: Phase::Observe,
            needs: Needs::default(),
            approval: Approval::default(),
            lookahead: Span::secs(0),
            missing: vec![only],
            rollback: String::new(),
            sha256: String::new(),
        }
    }
}

/// What the sections come to, beyond trigger and limits.
struct Made {
    phase: Phase,
    needs: Needs,
    approval: Approval,
    pre_checks: Vec<hostmedic_model::playbook::PreCheck>,
    lookahead: Span,
    rollback: String,
    remedy: Remedy,
}

/// Whether there is nothing but a name and words.
fn is_bare(document: &Document) -> bool {
    document.trigger.is_none()
        && document.steps.is_none()
        && document.escalate.is_none()
        && document.target.is_none()
        && document.risk.is_none()
        && document.autonomy.is_none()
        && document.limits.is_none()
        && document.verify.is_none()
        && document.tests.is_empty()
        && document.pre_execution_checks.is_none()
        && document.rollback.is_none()
        && document.windows.is_none()
        && document.concurrency.is_none()
        && document.capture.is_none()
}

/// Why a section must be there.
fn why(section: &str) -> &'static str {
    match section {
        "apiVersion" => "write `apiVersion: v1`",
        "kind" => "write `kind: Playbook`",
        "metadata" => "who it is: name, version, owner",
        "trigger" => "when it applies",
        "target" => "on what it works",
        "risk" => "how much harm it could do",
        "autonomy" => "how far it may go alone",
        "limits" => "how often: what acts without a limit can loop",
        "verify" => "how success is told from failure",
        "rollback" => "how a wrong run is undone, or why it cannot be",
        "escalate" => "who hears of it when it did not help",
        "concurrency" => "what it must not run beside",
        "windows" => "when it must not act",
        "capture" => "evidence that the steps would destroy",
        _ => "what must hold just before it acts",
    }
}
