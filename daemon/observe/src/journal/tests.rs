//! Reading of lines, and what is said where there is no journal.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;

use super::*;

/// The lines of a stream, and how many were left out.
async fn read(text: &[u8], most: usize) -> (Vec<Vec<u8>>, usize) {
    // A small buffer, so that lines come in pieces.
    let mut from = BufReader::with_capacity(7, text);
    let (mut line, mut lines, mut over) = (Line::new(most), Vec::new(), 0);
    loop {
        match line.read(&mut from).await.unwrap() {
            Read::Whole => lines.push(line.bytes.clone()),
            Read::TooLong => over += 1,
            Read::End => return (lines, over),
        }
        line.clear();
    }
}

#[tokio::test]
async fn lines_are_whole_bounded_and_counted() {
    let (lines, over) = read(b"one\n\nthree is longer\nfour\nun", 10).await;
    assert_eq!(lines, [&b"one"[..], b"", b"four"]);
    assert_eq!(over, 1);
    let (lines, over) = read(&[b'x'; 10_000], 10).await;
    assert!(lines.is_empty() && over == 0);
}

/// Goal: a host without a journal gets one plain sentence, and nothing runs.
#[tokio::test]
async fn a_missing_journal_is_a_named_problem_and_is_tried_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::new(Options {
        directory: Some(dir.path().to_owned()),
        fields: "MESSAGE",
    });
    let Heard::Problem(problem) = journal.next().await else {
        panic!("there is nothing to read");
    };
    assert_eq!(problem.source, "journal");
    assert!(
        problem.reason.starts_with("no files of a journal in /"),
        "{problem}"
    );
    assert!(!journal.is_running());
    assert!(journal.start_at > Instant::now());
    let pauses: Vec<_> = (0..12)
        .map(|_| {
            journal.ended(String::new());
            journal.pause.as_secs()
        })
        .collect();
    assert_eq!(pauses[..3], [4, 8, 16]);
    assert_eq!(pauses[11], PAUSE_MAX.as_secs());
}

#[tokio::test]
async fn a_journal_that_may_not_be_read_is_a_named_problem() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("system.journal"), "").unwrap();
    let mut journal = Journal::new(Options {
        directory: Some(dir.path().join("system.journal")),
        fields: "MESSAGE",
    });
    let Heard::Problem(problem) = journal.next().await else {
        panic!("there is nothing to read");
    };
    assert!(
        problem.reason.contains("group systemd-journal"),
        "{problem}"
    );
}

/// Goal: a journalctl that ends is named with its own words, and another one takes its place.
/// Method: a program that shows what it was asked for, writes too long a line, and fails.
#[tokio::test]
async fn a_journalctl_that_ends_says_why_and_is_started_again() {
    const PROGRAM: &str = "#!/bin/sh
echo \"$*\"
head -c 40000 /dev/zero | tr '\\0' x
echo
echo after
echo the file is broken >&2
exit 3
";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("system.journal"), "").unwrap();
    let program = dir.path().join("program");
    std::fs::write(&program, PROGRAM).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut journal = Journal::new(Options {
        directory: Some(dir.path().to_owned()),
        fields: "MESSAGE",
    });
    journal.program = program.to_str().unwrap().to_owned().leak();
    let mut starts = 0;
    for _ in 0..2 {
        let asked = loop {
            match journal.next().await {
                Heard::Line(asked) => break String::from_utf8_lossy(asked).into_owned(),
                Heard::Started => starts += 1,
                Heard::TooLong => panic!("the first line is short"),
                // Another test has just forked while this one wrote the program.
                Heard::Problem(problem) => assert!(problem.reason.contains("busy"), "{problem}"),
            }
        };
        assert!(asked.contains("--follow") && asked.contains("--priority=warning"));
        assert_eq!(journal.next().await, Heard::TooLong);
        assert_eq!(journal.next().await, Heard::Line(b"after"));
        let Heard::Problem(problem) = journal.next().await else {
            panic!("it ended");
        };
        assert!(
            problem.reason.contains("status: 3") && problem.reason.contains("the file is broken"),
            "{problem}"
        );
    }
    assert_eq!(starts, 2);
}
