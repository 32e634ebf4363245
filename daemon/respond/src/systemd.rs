//! Asks systemd to carry an intent out, waits for that very job, and looks again afterwards.
//!
//! The call's answer says only that a job is queued. Without the wait and the second look, a
//! restart that failed, or never began, would be recorded as done.

use std::{collections::VecDeque, future::Future, time::Duration};

use futures_util::StreamExt as _;
use hostmedic_model::{
    intent::Intent,
    outcome::{StepEnd, StepResult},
    playbook::Verb,
    subject::UnitName,
    unit::UnitSnapshot,
};
use hostmedic_observe::{
    bus::{self, error_name, inspect::inspect},
    host::clock,
};
use tokio::time::{Instant, timeout_at};
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, Variant};

use crate::crash::crash_point;

/// Job ends kept while our own call has not been answered yet. A short job can end first.
const EARLY_MAX: usize = 1024;
/// How long the second look may take, beside the step's own limit.
const LOOK_WAIT_MAX: Duration = Duration::from_secs(5);

/// Mode of every call: if an operator's job is already queued for the unit, ours is refused
/// instead of replacing it.
const MODE: &str = "fail";

/// Carries `intent` out once. Never retries: what it cannot tell is [`StepResult::Unknown`].
///
/// Waits for at most `intent.wait_max`, then a few seconds more to look at the unit.
pub async fn act(conn: &Connection, intent: &Intent) -> StepEnd {
    let deadline = Instant::now() + intent.wait_max.0;
    let result = match timeout_at(deadline, call(conn, intent)).await {
        Ok(result) => result,
        Err(_) => StepResult::Unknown {
            reason: format!(
                "{} of {} had not ended after {}; the job may still run",
                intent.verb.word(),
                intent.unit,
                intent.wait_max
            ),
        },
    };
    crash_point("job-ended");
    let after = look_again(conn, &intent.unit).await;
    crash_point("unit-reread");
    StepEnd {
        at: clock::now(),
        intent: intent.id.clone(),
        result,
        after,
    }
}

/// Everything up to the end of the job, without the deadline.
async fn call(conn: &Connection, intent: &Intent) -> StepResult {
    // Until the call is on its way nothing can have been changed, so these are refusals.
    let mut ended = match listen(conn).await {
        Ok(ended) => ended,
        Err(reason) => return StepResult::Refused { reason },
    };
    if let Some(reason) = overtaken(conn, intent).await {
        return StepResult::Refused { reason };
    }
    crash_point("before-call");
    let unit = intent.unit.as_str();
    let Some(method) = job_method(intent.verb) else {
        let result = at_once(conn, intent).await;
        crash_point(if intent.undoes.is_some() {
            "undo-call-sent"
        } else {
            "call-sent"
        });
        return result;
    };
    let arguments = (unit, MODE);
    let queued = manager_call(conn, method, &arguments);
    let (reply, early) = while_listening(queued, &mut ended).await;
    let job: OwnedObjectPath = match reply.and_then(|reply| reply.body().deserialize()) {
        Ok(job) => job,
        Err(error) => return refused_or_unknown(intent, &error),
    };
    crash_point("call-sent");
    let mut early = early.into_iter();
    if let Some(end) = early.find(|end| end.job == job) {
        return end.into_result();
    }
    loop {
        let reason = match ended.next().await {
            Some(Ok(message)) => match JobEnd::read(&message) {
                Some(end) if end.job == job => return end.into_result(),
                _ => continue,
            },
            Some(Err(error)) => format!("lost the bus: {error}"),
            None => "lost the bus".to_owned(),
        };
        return StepResult::Unknown {
            reason: format!(
                "{} while waiting for {} of {}",
                reason,
                job.as_str(),
                intent.unit
            ),
        };
    }
}

/// The method of systemd's manager that queues a job for `verb`; `None` for what is done at once.
fn job_method(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Restart => Some("RestartUnit"),
        Verb::TryRestart => Some("TryRestartUnit"),
        Verb::Start => Some("StartUnit"),
        Verb::ReloadOrTryRestart => Some("ReloadOrTryRestartUnit"),
        Verb::Stop => Some("StopUnit"),
        Verb::Reload => Some("ReloadUnit"),
        Verb::ResetFailed | Verb::SetProperty => None,
    }
}

/// Why what was decided no longer fits: somebody set the property after it was read for the decision. Its
/// value of then would else be put back for theirs, should the step not help.
async fn overtaken(conn: &Connection, intent: &Intent) -> Option<String> {
    let change = intent.change?;
    let unit = &intent.unit;
    let found = match inspect(conn, unit).await {
        Ok(found) => found,
        Err(error) => return Some(format!("cannot look at {unit} before the call: {error}")),
    };
    let now = found.resources.set.get(&change.property);
    if now == Some(&change.from) {
        return None;
    }
    let now = now.map_or("nothing".to_owned(), |now| change.property.assignment(*now));
    Some(format!(
        "{unit} has {now}, and had {} when it was decided: somebody changed it meanwhile",
        change.property.assignment(change.from)
    ))
}

/// A call without a job: its answer says that it is done.
async fn at_once(conn: &Connection, intent: &Intent) -> StepResult {
    let unit = intent.unit.as_str();
    let reply = match (intent.verb, intent.change) {
        (Verb::SetProperty, Some(change)) => {
            let value = (change.property.word(), Variant::U64(change.to.0));
            // `true`: until the next boot, so that nothing which is forgotten lasts for ever.
            let arguments = (unit, true, vec![value]);
            manager_call(conn, "SetUnitProperties", &arguments).await
        }
        (Verb::ResetFailed, _) => manager_call(conn, "ResetFailedUnit", &(unit,)).await,
        (verb, _) => {
            let reason = format!("{} of {unit} does not say what to do", verb.word());
            return StepResult::Refused { reason };
        }
    };
    match reply {
        Ok(_) => StepResult::Job {
            result: "done".to_owned(),
            path: String::new(),
        },
        Err(error) => refused_or_unknown(intent, &error),
    }
}

async fn manager_call<B>(conn: &Connection, method: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::Type,
{
    let (to, path, interface) = (Some(bus::SYSTEMD), bus::MANAGER_PATH, Some(bus::MANAGER));
    conn.call_method(to, path, interface, method, body).await
}

/// Listens to the ends of jobs. `Subscribe` makes systemd send them at all.
async fn listen(conn: &Connection) -> Result<MessageStream, String> {
    let said = |error: &dyn std::fmt::Display| format!("cannot listen to systemd's jobs: {error}");
    let owner = bus::systemd_owner(conn)
        .await
        .map_err(|error| said(&error))?;
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender(owner)
        .path(bus::MANAGER_PATH)
        .interface(bus::MANAGER)
        .member("JobRemoved")
        .build()
        .map_err(|error| said(&error))?;
    let max = std::num::NonZeroUsize::new(EARLY_MAX);
    let ended = MessageStream::for_match_rule(rule, conn, max)
        .await
        .map_err(|error| said(&error))?;
    match manager_call(conn, "Subscribe", &()).await {
        Ok(_) => Ok(ended),
        Err(error)
            if error_name(&error).as_deref()
                == Some("org.freedesktop.systemd1.AlreadySubscribed") =>
        {
            Ok(ended)
        }
        Err(error) => Err(said(&error)),
    }
}

/// Waits for the answer and meanwhile takes in the job ends that come before it: a full stream
/// would keep the answer itself from being read.
async fn while_listening(
    queued: impl Future<Output = zbus::Result<Message>>,
    ended: &mut MessageStream,
) -> (zbus::Result<Message>, VecDeque<JobEnd>) {
    let mut queued = std::pin::pin!(queued);
    let mut early = VecDeque::new();
    loop {
        tokio::select! {
            reply = &mut queued => return (reply, early),
            Some(message) = ended.next() => {
                if early.len() == EARLY_MAX {
                    early.pop_front();
                }
                early.extend(message.ok().as_ref().and_then(JobEnd::read));
            }
        }
    }
}

/// One `JobRemoved` signal.
#[derive(Debug)]
struct JobEnd {
    job: OwnedObjectPath,
    result: String,
}

impl JobEnd {
    fn read(message: &Message) -> Option<Self> {
        let body = message.body();
        let (_, job, _, result): (u32, OwnedObjectPath, String, String) =
            body.deserialize().ok()?;
        Some(Self { job, result })
    }

    fn into_result(self) -> StepResult {
        StepResult::Job {
            result: self.result,
            path: self.job.as_str().to_owned(),
        }
    }
}

/// What an error of the call itself means: an answer from systemd means that it changed
/// nothing; no answer means that we do not know.
fn refused_or_unknown(intent: &Intent, error: &zbus::Error) -> StepResult {
    let (verb, unit) = (intent.verb.word(), &intent.unit);
    let advice = match error_name(error).as_deref() {
        // The bus itself says these when systemd did not answer.
        None
        | Some(
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.TimedOut"
            | "org.freedesktop.DBus.Error.Disconnected",
        ) => {
            return StepResult::Unknown {
                reason: format!("no answer to {verb} of {unit}: {error}"),
            };
        }
        Some("org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.systemd1.LoadFailed") => {
            format!("see `systemctl status {unit}`")
        }
        Some("org.freedesktop.systemd1.UnitMasked") => {
            "it is masked, so somebody does not want it to run".to_owned()
        }
        Some("org.freedesktop.systemd1.TransactionIsDestructive") => {
            format!("another job is queued for it; see `systemctl list-jobs {unit}`")
        }
        Some("org.freedesktop.systemd1.OnlyByDependency") => {
            "its unit file refuses manual starts or stops".to_owned()
        }
        Some(
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.AuthFailed"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
        ) => format!("list {unit} with the verb {verb} in the polkit rules of hostmedic"),
        Some(_) => format!("see `journalctl -u {unit}`"),
    };
    StepResult::Refused {
        reason: format!("cannot {verb} {unit}: {error}; {advice}"),
    }
}

/// The unit as it is now; `None` when that cannot be had.
async fn look_again(conn: &Connection, unit: &UnitName) -> Option<UnitSnapshot> {
    match tokio::time::timeout(LOOK_WAIT_MAX, inspect(conn, unit)).await {
        Ok(Ok(snapshot)) => Some(snapshot),
        Ok(Err(error)) => {
            tracing::warn!(%unit, %error, "Could not look at the unit after the step.");
            None
        }
        Err(_) => {
            tracing::warn!(%unit, "The unit did not answer after the step.");
            None
        }
    }
}
