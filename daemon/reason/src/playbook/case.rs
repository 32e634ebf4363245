//! A playbook's own cases, as they stand in its file: events in, one decision out. `trial` runs
//! them through the real state machine.

use hostmedic_model::{
    calendar::Purpose,
    decision::Verdict,
    playbook::Phase,
    subject::{Subject, UnitName},
    unit::ActiveState,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    placed::{Args, Placed, PlacedList, Value},
    quantity::Duration,
    wire::TargetKind,
};

/// One case.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, in a sentence.
    pub name: Placed<String>,
    /// What the host is told.
    pub given: Placed<Given>,
    /// What must follow.
    pub expect: Placed<Expect>,
}

/// What the host is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// What the events are about.
    pub about: Placed<About>,
    /// Phase of the host. Default `autonomous`.
    pub phase: Option<Placed<Phase>>,
    /// State that the unit was in before hostmedic came. Default: active.
    pub already: Option<UnitLine>,
    /// Numbers of the host by their measure. Default: a host that has room for everything.
    #[serde(default)]
    pub host: Args,
    /// What happens, in order.
    pub events: PlacedList<Event>,
    /// `Restart=` of the unit. Default `no`.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::restart_policy")]
    pub restart_policy: Option<Placed<String>>,
    /// Active units that would be stopped with it.
    #[serde(default)]
    pub dependents: Vec<Placed<String>>,
    /// Scheduled work that runs.
    #[serde(default)]
    pub running: Vec<Activity>,
    /// Why nobody can say what is supposed to be happening.
    pub calendar_unreadable: Option<String>,
}

/// What something is about.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What it is.
    pub kind: TargetKind,
    /// Which one; the host has no name.
    pub name: Option<String>,
}

impl About {
    /// The model's subject.
    ///
    /// # Errors
    /// Says what is wrong with the name.
    pub fn subject(&self) -> Result<Subject, String> {
        let name = self.name.clone();
        let need = || {
            name.clone()
                .filter(|name| !name.is_empty())
                .ok_or_else(|| format!("which {}? its name is missing", self.kind.word()))
        };
        Ok(match self.kind {
            TargetKind::Host if name.is_some() => {
                return Err("the host has no name here; remove it".to_owned());
            }
            TargetKind::Host => Subject::Host,
            TargetKind::Unit => {
                Subject::Unit(UnitName::new(need()?).map_err(|error| error.to_string())?)
            }
            TargetKind::Mount => Subject::Mount(need()?),
            TargetKind::Device => Subject::Device(need()?),
            TargetKind::Interface => Subject::Interface(need()?),
        })
    }
}

/// State of a unit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitLine {
    /// `ActiveState`.
    pub active: ActiveState,
    /// `SubState`.
    pub sub: String,
    /// `Result`.
    pub result: String,
}

/// One thing that happens: exactly one of `signal`, `state` and `measure`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// So long after the start.
    pub at: Placed<Duration>,
    /// A signal of the registry.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::signal_name")]
    pub signal: Option<Placed<String>>,
    /// With `signal`: so many of them. Default 1.
    pub times: Option<Placed<u32>>,
    /// With `signal`: what it says of itself, as a trigger's `where` asks for it.
    #[serde(default, rename = "where")]
    pub fields: Args,
    /// A new state of the unit.
    pub state: Option<UnitLine>,
    /// With `state`: `NRestarts`. Default 0.
    #[serde(default)]
    pub restarts: u32,
    /// A number is measured.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::measure_name")]
    pub measure: Option<Placed<String>>,
    /// With `measure`: the number with its unit.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::quantity")]
    pub value: Option<Placed<Value>>,
}

/// Scheduled work that runs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// Its unit or program.
    pub name: String,
    /// Who began it.
    pub began_by: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Units that it works with.
    #[serde(default)]
    pub related: Vec<Placed<String>>,
}

/// What must follow.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Whether the decision names this playbook.
    #[serde(rename = "match")]
    pub matches: Placed<bool>,
    /// The verdict; without it, nothing may be decided at all.
    pub decision: Option<Placed<Verdict>>,
    /// Another playbook that it names instead.
    pub playbook: Option<Placed<String>>,
    /// The guard that decides.
    pub guard: Option<Placed<String>>,
    /// Words of the reason.
    pub reason: Option<Placed<String>>,
}

impl Case {
    /// Whether the case shows the playbook at work. `acts`: whether it has steps.
    pub fn must_match(&self, acts: bool) -> bool {
        let expect = &self.expect;
        let decision = expect.decision.as_ref().map(|decision| decision.value);
        expect.matches.value
            && match decision {
                Some(Verdict::Act | Verdict::Propose) => true,
                Some(Verdict::Escalate) => !acts && expect.guard.is_none(),
                _ => false,
            }
    }
}
