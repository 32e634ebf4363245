//! Commands: what an operator may ask of the daemon, and the two that work without one.

use std::path::Path;

use hostmedic_model::{
    command::{Command, Judgement, Proposal},
    incident::IncidentId,
    view::{CommandAnswer, IncidentDetail, Status},
};
use serde_json::{Value, json};

use super::pause_file;
use crate::{
    cli::Inhibit,
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render::{self, text::clean},
};

/// A shorter part of a binding could be met by chance.
const BINDING_DIGITS_MIN: usize = 8;

/// Approves a proposal, bound to what is shown now or to what the operator saw.
pub(crate) async fn approve(
    client: &Client,
    out: &Out,
    id: &str,
    binding: Option<&str>,
) -> Result<Exit, Failed> {
    let answer = client.get(&client::path("/v1/incidents/", id, "")).await?;
    let detail: IncidentDetail = client::read(answer)?;
    let proposal = detail.proposal.ok_or_else(|| {
        Failed::new(
            Exit::NotFound,
            "not_found",
            format!("incident {id} has no proposal that waits"),
            format!("see `medic why {id}`"),
        )
    })?;
    let binding = seen_binding(&proposal, binding)?;
    if !out.json {
        out.note(&format!("approving: {}", clean(&proposal.summary)));
    }
    let incident = IncidentId(id.to_owned());
    send(
        client,
        out,
        &Command::Approve {
            incident,
            binding: Some(binding),
        },
    )
    .await
}

/// The whole binding, if what the operator saw is the beginning of it.
fn seen_binding(proposal: &Proposal, seen: Option<&str>) -> Result<String, Failed> {
    let Some(seen) = seen else {
        return Ok(proposal.binding.clone());
    };
    let seen = seen.to_ascii_lowercase();
    if seen.len() < BINDING_DIGITS_MIN {
        return Err(Failed::new(
            Exit::Usage,
            "usage",
            format!("binding `{seen}` is shorter than {BINDING_DIGITS_MIN} digits"),
            "copy it from `medic incident`",
        ));
    }
    if proposal.binding.starts_with(&seen) {
        return Ok(proposal.binding.clone());
    }
    Err(Failed::new(
        Exit::Refused,
        "refused",
        format!(
            "the proposal of {} is not the one with binding {seen}",
            proposal.incident
        ),
        format!(
            "it has changed since; look again: `medic incident {}`",
            proposal.incident
        ),
    ))
}

pub(crate) async fn reject(
    client: &Client,
    out: &Out,
    id: &str,
    reason: &str,
) -> Result<Exit, Failed> {
    let incident = IncidentId(id.to_owned());
    send(
        client,
        out,
        &Command::Reject {
            incident,
            reason: reason.to_owned(),
        },
    )
    .await
}

pub(crate) async fn judge(
    client: &Client,
    out: &Out,
    id: &str,
    judgement: Judgement,
    playbook: Option<String>,
) -> Result<Exit, Failed> {
    let command = Command::Judge {
        incident: IncidentId(id.to_owned()),
        playbook,
        judgement,
    };
    send(client, out, &command).await
}

pub(crate) async fn inhibit(client: &Client, out: &Out, inhibit: &Inhibit) -> Result<Exit, Failed> {
    if let Some(id) = inhibit.lift {
        return send(client, out, &Command::LiftInhibit { id }).await;
    }
    if let (Some(span), Some(reason)) = (inhibit.span, &inhibit.reason) {
        let (unit, reason) = (inhibit.unit.clone(), reason.clone());
        return send(client, out, &Command::Inhibit { unit, span, reason }).await;
    }
    let answer = client.get("/v1/status").await?;
    if out.json {
        let inhibits = answer.get("inhibits").cloned().unwrap_or(Value::Null);
        out.document(&inhibits)?;
    } else {
        let status: Status = client::read(answer)?;
        out.text(&render::lists::inhibits(
            &status.inhibits,
            status.at,
            out.style,
        ))?;
    }
    Ok(Exit::Ok)
}

/// Pauses the daemon or, where none answers, the next one.
pub(crate) async fn pause(
    client: &Client,
    out: &Out,
    reason: &str,
    state: &Path,
) -> Result<Exit, Failed> {
    let command = Command::Pause {
        reason: reason.to_owned(),
    };
    match send(client, out, &command).await {
        Err(failed) if failed.exit == Exit::Unreachable => {
            let file = pause_file::write(state, reason).map_err(|error| also(failed, &error))?;
            let answer = format!(
                "no daemon answers; wrote {}: the next one will not act until `medic resume`. One \
                 that hangs is stopped with `systemctl stop medicd`",
                file.display()
            );
            print(out, &answer)
        }
        ended => ended,
    }
}

/// Lets the daemon or, where none answers, the next one act again.
pub(crate) async fn resume(client: &Client, out: &Out, state: &Path) -> Result<Exit, Failed> {
    match send(client, out, &Command::Resume).await {
        Err(failed) if failed.exit == Exit::Unreachable => {
            let removed = pause_file::remove(state).map_err(|error| also(failed, &error))?;
            let answer = if removed {
                "no daemon answers; the pause file is removed: the next one will act again"
            } else {
                "no daemon answers, and there is no pause file: the next one will act as configured"
            };
            print(out, answer)
        }
        ended => ended,
    }
}

/// Two things failed; the exit code is that of the second, which was the last resort.
fn also(first: Failed, second: &Failed) -> Failed {
    Failed {
        message: format!("{}; {}", first.message, second.message),
        hint: if second.hint.is_empty() {
            first.hint
        } else {
            second.hint.clone()
        },
        code: second.code.clone(),
        exit: second.exit,
    }
}

async fn send(client: &Client, out: &Out, command: &Command) -> Result<Exit, Failed> {
    let answer = client.post("/v1/commands", command).await?;
    if out.json {
        out.document(&answer)?;
        return Ok(Exit::Ok);
    }
    let CommandAnswer { answer } = client::read(answer)?;
    out.text(&format!("{}\n", clean(&answer)))?;
    Ok(Exit::Ok)
}

fn print(out: &Out, answer: &str) -> Result<Exit, Failed> {
    out.answer(&json!({"answer": answer}), |_| format!("{answer}\n"))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn binding_is_what_the_operator_saw() {
        let proposal = testing::status().proposals.remove(0);
        let whole = proposal.binding.clone();
        assert_eq!(seen_binding(&proposal, None), Ok(whole.clone()));
        assert_eq!(
            seen_binding(&proposal, Some(&whole[..8])),
            Ok(whole.clone())
        );
        let upper = whole[..12].to_uppercase();
        assert_eq!(seen_binding(&proposal, Some(&upper)), Ok(whole.clone()));
        let short = seen_binding(&proposal, Some(&whole[..7])).unwrap_err();
        assert_eq!(short.exit, Exit::Usage);
        let other = seen_binding(&proposal, Some("00000000")).unwrap_err();
        assert_eq!(other.exit, Exit::Refused);
    }
}
