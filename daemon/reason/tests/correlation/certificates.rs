//! A certificate that runs out is one incident from 21 days before its end (or the same share of a
//! shorter life) until it is renewed; one that only gets older is none.

use hostmedic_model::{
    anomaly::Severity,
    incident::{Evidence, Incident},
    sample::{Measure, Sample, Series},
    subject::Subject,
    wake::Wake,
};

use crate::host::*;

const DAY_S: i64 = 86_400;

fn subject() -> Subject {
    Subject::Certificate("/etc/letsencrypt/live/shop/fullchain.pem".into())
}

/// One certificate, as the daemon reads it: it ends after `left_s`, and `of_s` are all of its life
/// that counts.
struct Certificate {
    left_s: i64,
    of_s: i64,
}

impl Certificate {
    fn days(left: i64, life: i64) -> Self {
        Self {
            left_s: left * DAY_S,
            of_s: life.min(90) * DAY_S,
        }
    }

    fn measure(&self, host: &mut Host) {
        let used = (1.0 - self.left_s as f64 / self.of_s as f64).clamp(0.0, 1.0);
        let sample = |measure, value| Sample {
            at: host.now,
            series: Series {
                subject: subject(),
                measure,
            },
            value,
        };
        let set = vec![
            sample(Measure::CertificateUsedRatio, used),
            sample(Measure::CertificateLeftS, self.left_s as f64),
        ];
        host.apply(Wake::Samples(set));
    }

    /// Lets it grow older by so many days, with a number every five minutes; ticks come as often.
    fn grow(&mut self, host: &mut Host, days: i64) {
        for _ in 0..days * DAY_S / 300 {
            host.now = host.now.plus(std::time::Duration::from_secs(295));
            host.pass(5);
            self.left_s -= 300;
            self.measure(host);
        }
    }
}

/// Days left, severity and measure of each anomaly of the incident's evidence and records.
fn open(host: &Host) -> Vec<Incident> {
    let mut all = host.of(&subject());
    all.retain(|incident| !incident.status.is_over());
    all
}

#[test]
fn ninety_days_are_silent_until_21_are_left_and_one_incident_until_it_is_renewed() {
    let mut host = Host::new();
    let mut own = Certificate::days(90, 90);
    own.grow(&mut host, 68);
    assert_eq!(host.all(), [], "it only got older");
    own.grow(&mut host, 2);
    let warned = open(&host);
    assert_eq!(warned.len(), 1, "{:#?}", host.all());
    assert_eq!(warned[0].severity, Severity::Warning);
    assert_eq!(warned[0].title, "certificate runs out");
    let left = warned[0]
        .evidence
        .iter()
        .find_map(|evidence| match evidence {
            Evidence::Sample(sample) => Some(sample.value / DAY_S as f64),
            _ => None,
        });
    assert!(
        left.is_some_and(|days| (20.9..=21.0).contains(&days)),
        "{left:?}"
    );

    own.grow(&mut host, 12);
    assert_eq!(open(&host)[0].severity, Severity::Warning);
    assert_eq!(
        open(&host)[0].id,
        warned[0].id,
        "time alone does not close it"
    );
    own.grow(&mut host, 2);
    assert_eq!(open(&host)[0].severity, Severity::Critical);
    own.grow(&mut host, 8);
    let expired = open(&host);
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].id, warned[0].id);
    let says_so = |evidence: &Evidence| {
        matches!(evidence, Evidence::Anomaly(anomaly)
            if anomaly.series.measure == Measure::CertificateLeftS && anomaly.observed <= 0.0)
    };
    assert!(expired[0].evidence.iter().any(says_so), "{expired:#?}");

    Certificate::days(90, 90).grow(&mut host, 1);
    assert_eq!(open(&host), [], "it was renewed");
    assert_eq!(host.all().len(), 1);
}

#[test]
fn a_renewal_in_time_is_never_an_incident_however_short_the_life() {
    for (life, renewed_at) in [(90, 30), (47, 16), (6, 2), (398, 30), (3650, 90)] {
        let mut host = Host::new();
        for _ in 0..3 {
            let begin = life.min(renewed_at + 40);
            Certificate::days(begin, life).grow(&mut host, begin - renewed_at);
        }
        assert_eq!(host.all(), [], "{life} days, renewed at {renewed_at}");
    }
}

#[test]
fn a_short_life_is_warned_of_in_its_own_measure() {
    let mut host = Host::new();
    let mut own = Certificate::days(6, 6);
    own.grow(&mut host, 4);
    assert_eq!(open(&host), [], "two days of six are what a renewal needs");
    own.grow(&mut host, 1);
    assert_eq!(open(&host)[0].severity, Severity::Warning);
    own.grow(&mut host, 1);
    assert_eq!(open(&host)[0].severity, Severity::Critical);
}

#[test]
fn one_that_had_expired_before_anybody_looked_says_so() {
    let mut host = Host::new();
    let mut own = Certificate::days(-3, 90);
    own.grow(&mut host, 2);
    let open = open(&host);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].title, "certificate has expired");
    assert_eq!(open[0].severity, Severity::Critical);
}

#[test]
fn a_file_that_is_gone_closes_its_incident_and_is_told_anew_when_it_is_back() {
    let mut host = Host::new();
    let mut own = Certificate::days(22, 90);
    own.grow(&mut host, 2);
    assert_eq!(open(&host).len(), 1);
    host.pass(7200);
    assert_eq!(open(&host), [], "nothing is known of it any more");
    own.grow(&mut host, 1);
    assert_eq!(open(&host).len(), 1, "{:#?}", host.all());
    assert!(
        host.all()
            .iter()
            .all(|incident| incident.subject == subject()),
        "its absence was no silence: {:#?}",
        host.all()
    );
}

#[test]
fn a_restart_of_the_daemon_neither_closes_nor_forgets_it() {
    let mut host = Host::new();
    let mut own = Certificate::days(22, 90);
    own.grow(&mut host, 3);
    let before = open(&host);
    host.state = host.recalled();
    host.pass(300);
    assert_eq!(open(&host).len(), 1, "not read yet is not renewed");
    own.grow(&mut host, 3);
    assert_eq!(open(&host)[0].id, before[0].id);
    Certificate::days(90, 90).grow(&mut host, 1);
    assert_eq!(open(&host), []);
}
