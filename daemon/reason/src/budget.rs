//! What the hooks may cost: one that takes too much of a core does less, step by step, and comes
//! back by itself. A storm in the kernel must not become a storm in hostmedic.

use std::collections::BTreeMap;

use hostmedic_model::{
    loss::{HookMode, HookModeChange},
    record::Body,
    view::Budget,
    wake::{Effect, HookLoad},
};

use crate::pipeline::State;

/// Looks that a hook has to be cheap for before it does more again ...
const QUIET_LOOKS: u32 = 6;
/// ... doubled each time it was too early, up to this factor.
const PATIENCE_MAX: u32 = 64;

/// What is remembered of a hook that does less.
#[derive(Clone, Copy, Debug, Default)]
struct Reduced {
    /// Looks in a row at which it was cheap.
    quiet: u32,
    /// How much longer than usual it has to be so.
    patience: u32,
}

/// The memory of the budget.
#[derive(Clone, Debug, Default)]
pub(crate) struct Costs(BTreeMap<String, Reduced>);

impl Costs {
    /// What has to change after one look at what each hook takes.
    pub(crate) fn look(&mut self, budget: Budget, loads: &[HookLoad]) -> Vec<HookModeChange> {
        let mut changes: Vec<_> = loads
            .iter()
            .filter_map(|load| self.look_at(budget.hook_ratio, load))
            .collect();
        let all: f64 = loads.iter().map(|load| load.cpu_ratio).sum();
        if changes.is_empty() && all > budget.all_ratio {
            // Each within its own budget, all together above: the dearest gives way.
            let dearest = loads
                .iter()
                .filter(|load| load.mode != HookMode::Off)
                .max_by(|a, b| a.cpu_ratio.total_cmp(&b.cpu_ratio));
            changes.extend(dearest.map(|load| {
                self.reduce(
                    load,
                    budget.all_ratio,
                    format!(
                        "all hooks together take {} of a core, more than {}; this one most",
                        percent(all),
                        percent(budget.all_ratio)
                    ),
                )
            }));
        }
        changes
    }

    fn look_at(&mut self, hook_ratio: f64, load: &HookLoad) -> Option<HookModeChange> {
        if load.cpu_ratio > hook_ratio && load.mode != HookMode::Off {
            let reason = format!(
                "it takes {} of a core, more than {}",
                percent(load.cpu_ratio),
                percent(hook_ratio)
            );
            return Some(self.reduce(load, hook_ratio, reason));
        }
        let reduced = self.0.get_mut(&load.hook)?;
        if load.mode == HookMode::Stream {
            // Back for good once it has stayed cheap as long as it had to wait.
            reduced.quiet += 1;
            if reduced.quiet > QUIET_LOOKS * reduced.patience {
                self.0.remove(&load.hook);
            }
            return None;
        }
        if load.cpu_ratio > hook_ratio / 2.0 {
            reduced.quiet = 0;
            return None;
        }
        reduced.quiet += 1;
        if reduced.quiet < QUIET_LOOKS * reduced.patience {
            return None;
        }
        reduced.quiet = 0;
        Some(HookModeChange {
            hook: load.hook.clone(),
            from: load.mode,
            to: up(load.mode),
            cpu_ratio: load.cpu_ratio,
            budget_ratio: hook_ratio,
            reason: "it has been cheap for a while".to_owned(),
        })
    }

    fn reduce(&mut self, load: &HookLoad, budget_ratio: f64, reason: String) -> HookModeChange {
        let reduced = self.0.entry(load.hook.clone()).or_default();
        reduced.quiet = 0;
        reduced.patience = (reduced.patience * 2).clamp(1, PATIENCE_MAX);
        HookModeChange {
            hook: load.hook.clone(),
            from: load.mode,
            to: down(load.mode),
            cpu_ratio: load.cpu_ratio,
            budget_ratio,
            reason,
        }
    }
}

fn down(mode: HookMode) -> HookMode {
    match mode {
        HookMode::Stream => HookMode::Sample,
        HookMode::Sample => HookMode::Count,
        HookMode::Count | HookMode::Off => HookMode::Off,
    }
}

fn up(mode: HookMode) -> HookMode {
    match mode {
        HookMode::Off => HookMode::Count,
        HookMode::Count => HookMode::Sample,
        HookMode::Sample | HookMode::Stream => HookMode::Stream,
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.2} %", ratio * 100.0)
}

impl State {
    /// Keeps the hooks within their budget. The record comes first, as with everything done.
    pub(crate) fn weigh_hooks(
        &mut self,
        budget: Budget,
        loads: &[HookLoad],
        effects: &mut Vec<Effect>,
    ) {
        for change in self.costs.look(budget, loads) {
            effects.push(Effect::Record(Body::HookMode(change.clone())));
            effects.push(Effect::SetHookMode {
                hook: change.hook,
                mode: change.to,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: Budget = Budget {
        hook_ratio: 0.002,
        all_ratio: 0.01,
    };

    fn load(hook: &str, mode: HookMode, cpu_ratio: f64) -> HookLoad {
        HookLoad {
            hook: hook.to_owned(),
            mode,
            cpu_ratio,
        }
    }

    #[test]
    fn a_storm_goes_down_the_whole_ladder_and_comes_back() {
        let mut costs = Costs::default();
        let mut mode = HookMode::Stream;
        let mut seen = vec![mode];
        for look in 0..200 {
            let cpu_ratio = if look < 3 { 0.05 } else { 0.0 };
            for change in costs.look(BUDGET, &[load("process_exec", mode, cpu_ratio)]) {
                assert_eq!(change.from, mode);
                mode = change.to;
                seen.push(mode);
            }
        }
        let ladder = [
            HookMode::Stream,
            HookMode::Sample,
            HookMode::Count,
            HookMode::Off,
            HookMode::Count,
            HookMode::Sample,
            HookMode::Stream,
        ];
        assert_eq!(seen, ladder);
    }

    #[test]
    fn a_hook_that_was_back_too_early_waits_longer() {
        let mut costs = Costs::default();
        let mut mode = HookMode::Stream;
        let mut reductions = 0;
        // Dear whenever it streams.
        for _ in 0..2000 {
            let cpu_ratio = if mode == HookMode::Stream { 0.05 } else { 0.0 };
            for change in costs.look(BUDGET, &[load("packet_drop", mode, cpu_ratio)]) {
                reductions += u32::from(change.to > change.from);
                mode = change.to;
            }
        }
        assert!((5..12).contains(&reductions), "{reductions}");
    }

    #[test]
    fn the_dearest_gives_way_when_all_are_too_much() {
        let loads: Vec<_> = (0..8)
            .map(|n| {
                load(
                    &format!("h{n}"),
                    HookMode::Stream,
                    if n == 5 { 0.0019 } else { 0.0015 },
                )
            })
            .collect();
        let changes = Costs::default().look(BUDGET, &loads);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].hook, "h5");
    }

    proptest! {
        #[test]
        fn a_mode_changes_by_one_step_and_only_for_a_reason(
            ratios in proptest::collection::vec(0.0_f64..0.01, 1..200),
        ) {
            let mut costs = Costs::default();
            let mut mode = HookMode::Stream;
            for ratio in ratios {
                for change in costs.look(BUDGET, &[load("x", mode, ratio)]) {
                    prop_assert_eq!(change.from, mode);
                    let is_down = change.to == down(mode) && change.to != mode;
                    let is_up = change.to == up(mode) && change.to != mode;
                    prop_assert!(is_down || is_up);
                    prop_assert_eq!(is_down, ratio > BUDGET.hook_ratio);
                    mode = change.to;
                }
            }
        }
    }
}
