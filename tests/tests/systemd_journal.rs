//! Lines that units write, through a real journal, as kinds of lines.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use hostmedic_model::signal::{LogLines, LogPriority};
use hostmedic_observe::journal::{Heard, Journal, Options};
use hostmedic_reason::lines::{
    Lines,
    entry::{Entry, FIELDS},
};
use hostmedic_tests::nspawn::Nspawn;
use support::{boot, start};

/// Follows a journal on a thread of its own, and gives its entries: tests block.
struct Followed(tokio::sync::mpsc::UnboundedReceiver<Entry>);

impl Followed {
    fn start(machine: &Nspawn) -> Self {
        let directory = Some(machine.root().join("var/log/journal"));
        let mut journal = Journal::new(Options {
            directory,
            fields: FIELDS,
        });
        let (entries, heard) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                while !entries.is_closed() {
                    match journal.next().await {
                        Heard::Line(line) => {
                            if let Ok(entry) = Entry::read(line) {
                                _ = entries.send(entry);
                            }
                        }
                        Heard::Started => {}
                        Heard::TooLong => eprintln!("a line is too long"),
                        Heard::Problem(problem) => eprintln!("{problem}"),
                    }
                }
            });
        });
        Self(heard)
    }

    /// Every entry up to one of `unit` that says `last`.
    async fn until(&mut self, unit: &str, last: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        let all = async {
            while let Some(entry) = self.0.recv().await {
                let is_last = entry.unit.as_str() == unit && entry.message == last;
                entries.push(entry);
                if is_last {
                    return;
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), all).await;
        assert!(ended.is_ok(), "no `{last}` of {unit} among {entries:?}");
        entries
    }
}

/// Writes a oneshot unit that runs a line of shell.
fn once(name: &str, line: &str) -> (String, String) {
    let text = format!("[Service]\nType=oneshot\nExecStart=sh -c '{line}'\n");
    (format!("{name}.service"), text)
}

/// Goal: twenty lines of a new kind are one fact with their count; what was there before, what is
/// no warning, and what systemd itself says is none; bytes that are no text are read.
/// Method: a unit writes with priorities of its own (sd-daemon(3)) through the container's journal.
#[tokio::test]
async fn twenty_new_errors_of_a_unit_are_one_fact() {
    let machine = boot();
    let (name, text) = once("old", "echo \"<3>from before\"");
    start(&machine, &name, &text);
    machine.sh("journalctl --sync").unwrap();

    let mut followed = Followed::start(&machine);
    // Nobody says when journalctl has begun, so a unit writes until it is heard.
    let (ready, text) = once("ready", "echo \"<4>ready\"");
    machine.write_unit(&ready, &text).unwrap();
    support::eventually("a first line", async || {
        machine.sh(&format!("systemctl start {ready}")).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        followed.0.try_recv().ok()
    })
    .await;

    let (name, text) = once(
        "web",
        "for i in $$(seq 20); do echo \"<3>cannot reach /srv/$$i at 10.0.0.$$i: error $$i, password is hunter$$i\"; done; \
         echo \"<6>all is well\"; printf \"<2>broken \\\\377 byte\\\\n\"; echo \"<4>the end\"; exit 1",
    );
    machine.write_unit(&name, &text).unwrap();
    // It fails, so that systemd has something to say of it, too.
    _ = machine.sh(&format!("systemctl start {name}"));

    let entries = followed.until(&name, "the end").await;
    assert!(!entries.iter().any(|entry| entry.message == "from before"));
    let mut lines = Lines::default();
    for entry in entries.iter().filter(|entry| entry.unit.as_str() == name) {
        lines.take(&entry.unit, entry.priority, &entry.message);
    }
    let told: BTreeMap<_, _> = lines
        .close()
        .into_iter()
        .map(
            |(
                _,
                LogLines {
                    template,
                    count,
                    priority,
                    left_out,
                    ..
                },
            )| {
                assert_eq!(left_out, 0);
                (template, (count, priority))
            },
        )
        .collect();
    let expected = [
        ("broken byte", (1, LogPriority::Critical)),
        (
            "cannot reach (path) at (address): error (n), password (secret)",
            (20, LogPriority::Error),
        ),
        ("the end", (1, LogPriority::Warning)),
    ];
    let expected = expected.map(|(template, rest)| (template.to_owned(), rest));
    assert_eq!(told, BTreeMap::from(expected), "{entries:?}");
}
