//! The newest package transactions, from the logs that package managers keep.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use hostmedic_model::scrub::scrub_command;

use super::{
    found::{Found, is_denied},
    scene::Scene,
};

/// Bytes read of a log's end.
const TAIL_BYTES_MAX: u64 = 256 * 1024;
/// Characters of a command line.
const COMMAND_CHARS_MAX: usize = 160;

/// A log, and how its text becomes transactions, oldest first.
type Log = (&'static str, fn(&str) -> Vec<String>);

/// dpkg's own log is read where apt has none: it has a line for each package.
const LOGS: [Log; 6] = [
    ("/var/log/apt/history.log", apt),
    ("/var/log/dnf5.log", dnf),
    ("/var/log/dnf.rpm.log", dnf),
    ("/var/log/pacman.log", pacman),
    ("/var/log/zypp/history", zypp),
    ("/var/log/dpkg.log", dpkg),
];

/// The `count` newest transactions, newest first, of the first log that there is.
pub(super) fn history(scene: &Scene, count: u32) -> Found {
    let mut found = Found::default();
    let mut seen = false;
    for (log, parse) in LOGS {
        match tail(&scene.below_root(log)) {
            Ok(text) => {
                seen = true;
                let newest = parse(&text).into_iter().rev().take(count as usize);
                found.lines.extend(newest);
                if !found.lines.is_empty() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                seen = true;
                let hint = match is_denied(&error) {
                    true => "; let the daemon's user read it (`setfacl -m u:hostmedic:r`)",
                    false => "",
                };
                found.lacks(format!("{log}: {error}{hint}"));
            }
        }
    }
    if !seen {
        found.lacks("no log of apt, dpkg, dnf, pacman or zypper is there");
    }
    found
}

/// The end of a file, from the beginning of a line on.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = match from {
        0 => text.as_ref(),
        _ => text.split_once('\n').map_or("", |(_, rest)| rest),
    };
    Ok(whole.to_owned())
}

/// Paragraphs of `Key: value`; apt's history.log.
fn apt(text: &str) -> Vec<String> {
    let told = |paragraph: &str| {
        let mut told = Vec::new();
        let mut began = None;
        for line in paragraph.lines() {
            let Some((key, value)) = line.split_once(": ") else {
                continue;
            };
            match key {
                "Start-Date" => began = Some(value.trim()),
                "Commandline" => {
                    told.push(scrub_command(value.split_whitespace(), COMMAND_CHARS_MAX));
                }
                "Install" | "Upgrade" | "Downgrade" | "Reinstall" | "Remove" | "Purge"
                | "Error" => {
                    told.push(format!("{} {value}", key.to_ascii_lowercase()));
                }
                _ => {}
            }
        }
        began.map(|began| format!("{began}: {}", told.join("; ")))
    };
    text.split("\n\n").filter_map(told).collect()
}

/// `DATE ... Upgrade: NAME` or `Upgraded: NAME`, one line for each package.
fn dnf(text: &str) -> Vec<String> {
    const DONE: [&str; 7] = [
        "Installed: ",
        "Upgrade: ",
        "Upgraded: ",
        "Downgrade: ",
        "Erase: ",
        "Removed: ",
        "Reinstall: ",
    ];
    let told = |line: &str| {
        let at = DONE.iter().find_map(|done| line.find(done))?;
        let date = line.split_ascii_whitespace().next()?;
        Some(format!("{date}: {}", line.get(at..)?.trim()))
    };
    text.lines().filter_map(told).collect()
}

/// `[DATE] [ALPM] upgraded NAME (OLD -> NEW)` between `transaction started` and `completed`.
fn pacman(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut under_way: Option<(String, Vec<&str>)> = None;
    for line in text.lines() {
        let Some((date, said)) = line.split_once(" [ALPM] ") else {
            continue;
        };
        let words = [
            "installed ",
            "upgraded ",
            "downgraded ",
            "removed ",
            "reinstalled ",
        ];
        if said == "transaction started" {
            under_way = Some((date.to_owned(), Vec::new()));
        } else if let Some((date, done)) = under_way.take_if(|_| said.starts_with("transaction ")) {
            let ended = said.trim_start_matches("transaction ");
            all.push(format!("{date}: {ended}; {}", done.join(", ")));
        } else if words.iter().any(|word| said.starts_with(word)) {
            match &mut under_way {
                Some((_, done)) => done.push(said),
                None => all.push(format!("{date}: {said}")),
            }
        }
    }
    all.extend(under_way.map(|(date, done)| format!("{date}: not ended; {}", done.join(", "))));
    all
}

/// `DATE|install|NAME|VERSION|...`; zypper's history.
fn zypp(text: &str) -> Vec<String> {
    let told = |line: &str| {
        let mut fields = line.split('|');
        let (date, what) = (fields.next()?, fields.next()?.trim());
        let (name, version) = (fields.next()?, fields.next().unwrap_or_default());
        let is_change = matches!(what, "install" | "remove");
        (is_change && !line.starts_with('#')).then(|| format!("{date}: {what} {name} {version}"))
    };
    text.lines().filter_map(told).collect()
}

/// `DATE TIME upgrade NAME OLD NEW`; dpkg's own log.
fn dpkg(text: &str) -> Vec<String> {
    let told = |line: &str| {
        let what = line.split_ascii_whitespace().nth(2)?;
        let is_change = matches!(what, "install" | "upgrade" | "remove" | "purge");
        is_change.then(|| line.to_owned())
    };
    text.lines().filter_map(told).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::capture::process::tests::over;

    const APT: &str = "
Start-Date: 2026-08-01  10:00:00
Commandline: apt-get install -y web --token=hunter2
Requested-By: ann (1000)
Install: web:amd64 (1.2), libweb:amd64 (1.0, automatic)
End-Date: 2026-08-01  10:00:05

Start-Date: 2026-08-02  10:00:00
Upgrade: web:amd64 (1.2, 1.3)
End-Date: 2026-08-02  10:00:05
";

    #[test]
    fn each_managers_log_gives_its_transactions() {
        assert_eq!(
            apt(APT),
            [
                "2026-08-01  10:00:00: apt-get install -y web --token=(secret); install web:amd64 (1.2), libweb:amd64 (1.0, automatic)",
                "2026-08-02  10:00:00: upgrade web:amd64 (1.2, 1.3)",
            ]
        );
        let log = "2026-08-01T10:00:00+0000 SUBDEBUG Upgrade: web-1.3.x86_64\n2026-08-01T10:00:01+0000 INFO --- logging initialized ---\n";
        assert_eq!(
            dnf(log),
            ["2026-08-01T10:00:00+0000: Upgrade: web-1.3.x86_64"]
        );
        let log = "[D1] [ALPM] transaction started\n[D1] [ALPM] upgraded web (1 -> 2)\n[D2] [ALPM] transaction completed\n[D3] [PACMAN] Running 'pacman -Syu'\n[D4] [ALPM] transaction started\n[D4] [ALPM] removed db (1)\n";
        assert_eq!(
            pacman(log),
            [
                "[D1]: completed; upgraded web (1 -> 2)",
                "[D4]: not ended; removed db (1)"
            ]
        );
        let log = "# 2026-08-01 web\n2026-08-01 10:00:00|install|web|1.3|x86_64|root@h|repo|sum|\n2026-08-01 10:00:00|command|root@h|'zypper'|\n";
        assert_eq!(zypp(log), ["2026-08-01 10:00:00: install web 1.3"]);
        let log = "2026-08-01 10:00:00 startup archives unpack\n2026-08-01 10:00:01 upgrade web:amd64 1.2 1.3\n";
        assert_eq!(dpkg(log), ["2026-08-01 10:00:01 upgrade web:amd64 1.2 1.3"]);
    }

    #[test]
    fn the_newest_come_first_and_an_absent_log_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut scene = over(Path::new("/proc"));
        scene.root = dir.path().to_owned();
        assert_eq!(history(&scene, 5).missing.len(), 1);
        fs::create_dir_all(dir.path().join("var/log/apt")).unwrap();
        // apt's log was rotated just now; dpkg's was not.
        fs::write(dir.path().join("var/log/apt/history.log"), "").unwrap();
        fs::write(
            dir.path().join("var/log/dpkg.log"),
            "d t install web <none> 1\n",
        )
        .unwrap();
        assert_eq!(history(&scene, 5).lines, ["d t install web <none> 1"]);
        let huge = APT.repeat(20_000);
        fs::write(dir.path().join("var/log/apt/history.log"), huge).unwrap();
        let found = history(&scene, 1);
        assert_eq!(
            found.lines,
            ["2026-08-02  10:00:00: upgrade web:amd64 (1.2, 1.3)"]
        );
        assert_eq!(history(&scene, 20).lines.len(), 20);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>()) {
            for (_, parse) in LOGS {
                drop(parse(&text));
                drop(parse(&format!("[D] [ALPM] transaction started\n{text}\n[D] [ALPM] upgraded {text}")));
            }
        }
    }
}
