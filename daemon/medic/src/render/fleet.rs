//! The collector's answers: hosts, incidents, and the verdict on a copy.

use hostmedic_retain::fleet::{FleetHost, FleetIncident, FleetVerdict};

use super::text::{Style, Table, Tone, clean, short, utc};

/// `medic fleet hosts`. A host whose chain was refused stands out: somebody may have changed it.
pub(crate) fn hosts(hosts: &[FleetHost], style: Style) -> String {
    if hosts.is_empty() {
        return "no hosts are enrolled\n".to_owned();
    }
    let mut table = Table::with_head(&[
        "HOST",
        "NAME",
        "LINK",
        "RECORD",
        "HEAD",
        "ACCEPTED (UTC)",
        "CHAIN",
    ]);
    for host in hosts {
        let (link, tone) = if host.connected {
            ("up", Tone::Good)
        } else {
            ("down", Tone::Warn)
        };
        let disputes = host.disputes.len();
        let chain = if disputes == 0 {
            ("as it was".to_owned(), Some(Tone::Good))
        } else {
            (format!("{disputes} REFUSED"), Some(Tone::Bad))
        };
        table.row([
            (host.host.clone(), None),
            (host.name.clone(), None),
            (link.to_owned(), Some(tone)),
            (host.accepted_seq.to_string(), None),
            (short(&host.accepted_hash).to_owned(), None),
            (
                host.accepted_wall_ms
                    .map_or_else(|| "never".to_owned(), utc),
                None,
            ),
            chain,
        ]);
    }
    let mut text = table.render(style);
    for host in hosts {
        for dispute in &host.disputes {
            text += &format!(
                "{} {} {} ({} times, last {}): {}\n",
                style.paint(Tone::Bad, "refused"),
                clean(&host.name),
                clean(&dispute.kind),
                dispute.times,
                utc(dispute.last_wall_ms),
                clean(&dispute.reason),
            );
        }
    }
    text
}

/// `medic fleet incidents`.
pub(crate) fn incidents(incidents: &[FleetIncident], style: Style) -> String {
    if incidents.is_empty() {
        return "no incidents\n".to_owned();
    }
    let mut table = Table::with_head(&[
        "HOST",
        "INCIDENT",
        "OPENED (UTC)",
        "SEVERITY",
        "STATUS",
        "WHAT",
    ]);
    for incident in incidents {
        let mut what = incident.title.clone();
        if !incident.reason.is_empty() {
            what += &format!(" ({})", incident.reason);
        }
        table.row([
            (incident.name.clone(), None),
            (incident.incident.clone(), None),
            (utc(incident.opened_wall_ms), None),
            (
                incident.severity.clone(),
                (incident.severity == "critical").then_some(Tone::Bad),
            ),
            (
                incident.status.clone(),
                (incident.status == "escalated").then_some(Tone::Bad),
            ),
            (what, None),
        ]);
    }
    table.render(style)
}

/// `medic fleet verify`.
pub(crate) fn verdict(verdict: &FleetVerdict, style: Style) -> String {
    let host = clean(&verdict.host);
    match &verdict.bad {
        None => format!(
            "{} the collector's copy of {host}: {} records under {} signed heads, up to record {} {}\n",
            style.paint(Tone::Good, "verified"),
            verdict.records,
            verdict.heads,
            verdict.last_seq,
            clean(&verdict.last_hash),
        ),
        Some(bad) => format!(
            "{} the collector's copy of {host}: bad record {}: {}\n",
            style.paint(Tone::Bad, "NOT VERIFIED"),
            bad.seq,
            clean(&bad.why),
        ),
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_retain::fleet::{FleetBadRecord, FleetDispute};

    use super::*;

    fn host(name: &str, disputes: Vec<FleetDispute>) -> FleetHost {
        FleetHost {
            host: "3f1c5a9be2d04c77".repeat(2),
            name: name.to_owned(),
            hostname: name.to_owned(),
            public_key: "ab".repeat(32),
            accepted_seq: 15,
            accepted_hash: "c41d".repeat(16),
            accepted_wall_ms: Some(1_786_673_823_412),
            connected: disputes.is_empty(),
            disputes,
        }
    }

    #[test]
    fn refused_chain_stands_out() {
        let dispute = FleetDispute {
            kind: "forked".to_owned(),
            reason: "record 12 is not the one we hold".to_owned(),
            first_wall_ms: 1_786_673_823_412,
            last_wall_ms: 1_786_673_883_412,
            times: 2,
        };
        let text = hosts(
            &[host("web-07", vec![]), host("db-1", vec![dispute])],
            Style::default(),
        );
        assert_eq!(text, include_str!("snapshots/fleet-hosts.txt"), "\n{text}");
    }

    #[test]
    fn bad_copy_names_its_record() {
        let mut found = FleetVerdict {
            host: "3f1c".to_owned(),
            records: 15,
            heads: 9,
            last_seq: 15,
            last_hash: "c41d".to_owned(),
            bad: None,
        };
        assert_eq!(
            verdict(&found, Style::default()),
            "verified the collector's copy of 3f1c: 15 records under 9 signed heads, up to record \
             15 c41d\n"
        );
        found.bad = Some(FleetBadRecord {
            seq: 12,
            why: "another hash".to_owned(),
        });
        assert_eq!(
            verdict(&found, Style::default()),
            "NOT VERIFIED the collector's copy of 3f1c: bad record 12: another hash\n"
        );
    }

    #[test]
    fn incidents_of_all_hosts_are_one_table() {
        let incident = FleetIncident {
            host: "3f1c".to_owned(),
            name: "web-07".to_owned(),
            incident: "inc_20260814_021703_9f2c41d0".to_owned(),
            subject: "web.service".to_owned(),
            title: "web.service is down".to_owned(),
            severity: "critical".to_owned(),
            status: "escalated".to_owned(),
            opened_wall_ms: 1_786_673_823_412,
            closed_wall_ms: None,
            reason: "killed again".to_owned(),
        };
        let text = incidents(&[incident], Style::default());
        assert!(
            text.ends_with(
                "web-07  inc_20260814_021703_9f2c41d0  2026-08-14 02:17:03Z  critical  escalated  \
                 web.service is down (killed again)\n"
            ),
            "{text}"
        );
        assert_eq!(incidents(&[], Style::default()), "no incidents\n");
    }
}
