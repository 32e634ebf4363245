//! Questions about the capture layer: its hooks, the events kept, and what the chain proves.

use std::time::{Duration, SystemTime};

use hostmedic_model::{
    time::At,
    view::{EventPage, HookCoverage, Probes},
};
use serde_json::Value;

use crate::{
    cli::{Coverage, Events},
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render::{self, events::kind_word},
};

/// Events that the daemon gives at once, at most.
const EVENTS_PAGE: u32 = 1000;
/// How often `--follow` asks.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn probes(client: &Client, out: &Out, ledger: bool) -> Result<Exit, Failed> {
    let answer = client.get("/v1/probes").await?;
    if out.json {
        out.document(&answer)?;
    } else {
        let probes: Probes = client::read(answer)?;
        out.text(&render::probes::page(&probes, ledger, out.style))?;
    }
    Ok(Exit::Ok)
}

pub(crate) async fn coverage(
    client: &Client,
    out: &Out,
    wanted: &Coverage,
) -> Result<Exit, Failed> {
    let now_ms = now_ms();
    let hook = client::path("", &wanted.hook, "");
    let mut path = format!(
        "/v1/coverage?hook={hook}&since={}",
        wanted.since.wall_ms(now_ms)
    );
    if let Some(until) = wanted.until {
        path += &format!("&until={}", until.wall_ms(now_ms));
    }
    let answer = client.get(&path).await?;
    let found: HookCoverage = client::read(answer.clone())?;
    out.answer(&answer, |style| render::coverage::page(&found, style))?;
    Ok(if found.proven {
        Exit::Ok
    } else {
        Exit::CannotSay
    })
}

/// Prints events as they happened: the newest `--limit` of the span or, page by page, all of it.
pub(crate) async fn events(client: &Client, out: &Out, wanted: &Events) -> Result<Exit, Failed> {
    let filter = filter(wanted);
    // Before the first page, so that nothing falls between the span and what follows it.
    let mut newest = 0;
    if wanted.follow {
        let (_, page) = ask(client, "/v1/events?limit=1").await?;
        newest = page.events.last().map_or(0, |row| row.seq);
    }
    let first = match wanted.limit {
        Some(limit) => ask(client, &format!("/v1/events?limit={limit}{filter}")).await?,
        None => ask(client, &after(0, &filter)).await?,
    };
    note_gone(out, wanted, first.1.kept_since);
    let not_stored = first.1.queues.not_stored;
    if not_stored > 0 {
        out.note(&format!(
            "{not_stored} events were not stored; `medic probes` has the account"
        ));
    }
    let mut page = print(out, first)?;
    loop {
        newest = newest.max(page.events.last().map_or(0, |row| row.seq));
        let path = match (page.next_after, wanted.follow) {
            (Some(next), _) => after(next, &filter),
            (None, true) => {
                tokio::time::sleep(FOLLOW_EVERY).await;
                after(newest, &filter)
            }
            (None, false) => return Ok(Exit::Ok),
        };
        page = print(out, ask(client, &path).await?)?;
    }
}

/// A page of events: as it came, for JSON, and read.
async fn ask(client: &Client, path: &str) -> Result<(Value, EventPage), Failed> {
    let answer = client.get(path).await?;
    let page = client::read(answer.clone())?;
    Ok((answer, page))
}

fn after(seq: u64, filter: &str) -> String {
    format!("/v1/events?after={seq}&limit={EVENTS_PAGE}{filter}")
}

fn filter(wanted: &Events) -> String {
    let now_ms = now_ms();
    let mut filter = format!("&since={}", wanted.since.wall_ms(now_ms));
    if let Some(until) = wanted.until {
        filter += &format!("&until={}", until.wall_ms(now_ms));
    }
    if let Some(unit) = &wanted.unit {
        filter += &client::path("&unit=", unit.as_str(), "");
    }
    if !wanted.kinds.is_empty() {
        let kinds: Vec<String> = wanted.kinds.iter().copied().map(kind_word).collect();
        filter += &format!("&kind={}", kinds.join(","));
    }
    filter
}

fn print(out: &Out, (answer, page): (Value, EventPage)) -> Result<EventPage, Failed> {
    if out.json {
        let mut rows = answer["events"].as_array().into_iter().flatten();
        rows.try_for_each(|row| out.line(row))?;
    } else {
        out.text(&render::events::lines(&page.events, out.style))?;
    }
    Ok(page)
}

/// Says that the span reaches back beyond what is kept.
fn note_gone(out: &Out, wanted: &Events, kept_since: Option<At>) {
    match kept_since {
        None => out.note("no events are kept yet"),
        Some(kept) if kept.wall_ms > wanted.since.wall_ms(now_ms()) => out.note(&format!(
            "events are kept since {}",
            render::text::utc(kept.wall_ms)
        )),
        Some(_) => {}
    }
}

pub(super) fn now_ms() -> i64 {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
