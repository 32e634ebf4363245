//! Questions to the daemon: nothing here changes anything.

use hostmedic_model::{
    incident::Incident,
    record::Record,
    view::{IncidentDetail, Status, Why},
};
use serde_json::Value;

use crate::{
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render,
};

/// Records that the daemon gives at once, at most.
const AUDIT_PAGE: u64 = 1000;

pub(crate) async fn status(client: &Client, out: &Out) -> Result<Exit, Failed> {
    let answer = client.get("/v1/status").await?;
    show(out, answer, |status: Status, style| {
        render::status::page(&status, style)
    })
}

pub(crate) async fn incidents(client: &Client, out: &Out, all: bool) -> Result<Exit, Failed> {
    let answer = client.get(&format!("/v1/incidents?all={all}")).await?;
    show(out, answer, |incidents: Vec<Incident>, style| {
        render::lists::incidents(&incidents, all, style)
    })
}

pub(crate) async fn incident(client: &Client, out: &Out, id: &str) -> Result<Exit, Failed> {
    let answer = client.get(&client::path("/v1/incidents/", id, "")).await?;
    show(out, answer, |detail: IncidentDetail, style| {
        render::incident::page(&detail, style)
    })
}

pub(crate) async fn why(client: &Client, out: &Out, id: &str) -> Result<Exit, Failed> {
    let answer = client
        .get(&client::path("/v1/incidents/", id, "/why"))
        .await?;
    show(out, answer, |why: Why, style| {
        render::why::page(&why, style)
    })
}

/// Prints records page by page, so that a long chain begins to show at once. As JSON, one record
/// a line.
pub(crate) async fn audit(
    client: &Client,
    out: &Out,
    from: u64,
    limit: u64,
) -> Result<Exit, Failed> {
    let (mut from, mut left) = (from, limit);
    while left > 0 {
        let wanted = left.min(AUDIT_PAGE);
        let answer = client
            .get(&format!("/v1/audit?from={from}&limit={wanted}"))
            .await?;
        if out.json {
            let Value::Array(records) = &answer else {
                return Err(Failed::internal("the daemon's audit page is not a list"));
            };
            for record in records {
                out.line(record)?;
            }
        }
        let records: Vec<Record> = client::read(answer)?;
        if !out.json {
            out.text(&render::record::table(&records, out.style))?;
        }
        let came = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let Some(last) = records.last() else { break };
        if came < wanted {
            break;
        }
        from = last.seq.saturating_add(1);
        left -= wanted;
    }
    Ok(Exit::Ok)
}

/// Prints an answer as it came, or read and rendered.
fn show<T: serde::de::DeserializeOwned>(
    out: &Out,
    answer: Value,
    page: impl FnOnce(T, render::text::Style) -> String,
) -> Result<Exit, Failed> {
    if out.json {
        out.document(&answer)?;
    } else {
        let answer = client::read(answer)?;
        out.text(&page(answer, out.style))?;
    }
    Ok(Exit::Ok)
}
