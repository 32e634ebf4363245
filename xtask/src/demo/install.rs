//! Installing hostmedic in the throw-away system the way the README tells a user to.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, Result, ensure};
use hostmedic_tests::nspawn::{Nspawn, Options};

use crate::{
    demo::victim,
    package::{FILES, PROGRAMS, playbooks},
    places::Places,
};

/// Units that the demo's policy lets hostmedic change.
pub(crate) const UNITS: [&str; 2] = ["web.service", "db.service"];

/// Bundle of the operator who asks the collector.
pub(crate) const OPERATOR: &str = "/etc/hostmedic/operator.toml";

/// The database's backup: long enough to be seen running, short enough to see its end.
const BACKUP: &str = "[Unit]\nDescription=Nightly backup of db\nAfter=db.service\n\n[Service]\n\
                      Type=oneshot\nExecStart=/usr/bin/sleep 12\n";

/// Its timer, started when the scene needs it.
const BACKUP_TIMER: &str = "[Unit]\nDescription=Starts the backup of db\n\n[Timer]\n\
                            OnActiveSec=1s\nAccuracySec=100ms\n";

/// What the container needs from its first moment: programs bound in, files copied. Numbers are
/// taken `every` so often.
pub(crate) fn options(places: &Places, every: &str) -> Result<Options> {
    let mut options = Options::default().with_bpf();
    for program in PROGRAMS {
        let built = places.programs().join(program);
        ensure!(
            built.is_file(),
            "{} is not built; `cargo xtask build`",
            built.display()
        );
        options
            .bind_ro
            .push(format!("{}:/usr/bin/{program}", built.display()));
    }
    for (from, to) in FILES {
        let text = read(places, from)?;
        let text = match to {
            "etc/hostmedic/medicd.toml" => configure(&text, every)?,
            "etc/polkit-1/rules.d/50-hostmedic.rules" => allow(&text)?,
            _ => text,
        };
        options.files.push((to.into(), text));
    }
    for playbook in playbooks(places)? {
        let name = playbook.file_name().context("a playbook without a name")?;
        let path = std::path::Path::new("usr/share/hostmedic/playbooks").join(name);
        let text = fs::read_to_string(&playbook)
            .with_context(|| format!("cannot read {}", playbook.display()))?;
        options.files.push((path, text));
    }
    // Any installed system has it; a minimal root file system does not.
    options
        .files
        .push(("etc/hosts".into(), "127.0.0.1 localhost\n".to_owned()));
    options
        .files
        .push((victim::PROGRAM_PATH.into(), victim::PROGRAM.to_owned()));
    for (name, text) in [
        ("web.service", victim::unit("A web server, for the demo")),
        ("db.service", victim::unit("A database, for the demo")),
        ("db-backup.service", BACKUP.to_owned()),
        ("db-backup.timer", BACKUP_TIMER.to_owned()),
    ] {
        options
            .files
            .push((format!("etc/systemd/system/{name}").into(), text));
    }
    Ok(options)
}

/// What remains to be done in the booted system, as an administrator would do it.
pub(crate) fn finish(system: &Nspawn) -> Result<()> {
    // The staging directory's mode came along with the files.
    for dir in [
        "",
        "etc",
        "usr",
        "etc/hostmedic",
        "etc/polkit-1",
        "etc/polkit-1/rules.d",
    ] {
        let path = system.root().join(dir);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    }
    for program in PROGRAMS {
        system
            .sh(&format!("{program} --version"))
            .with_context(|| {
                format!("{program} does not run in the throw-away system; is its C library older?")
            })?;
    }
    system.sh("systemd-sysusers && systemd-tmpfiles --create")?;
    collector(system)?;
    system.sh("systemctl daemon-reload")?;
    system.sh("systemctl start web.service db.service")?;
    system.sh("systemctl start medic-collector.service")?;
    system.sh("systemctl start medicd.service").map(drop)
}

/// Makes the collector's authority, and enrols this host and an operator with it.
fn collector(system: &Nspawn) -> Result<()> {
    system.sh("medic-collector init")?;
    system.sh("medic-collector enrol --out /etc/hostmedic/collector")?;
    system
        .sh(&format!(
            "medic-collector enrol --operator demo --out {OPERATOR}"
        ))
        .map(drop)
}

/// The shipped configuration, made to act: phase autonomous, a collector, quick samples.
fn configure(shipped: &str, every: &str) -> Result<String> {
    let text = replace(shipped, "phase = \"observe\"", "phase = \"autonomous\"")?;
    let every = format!("sample_every = \"{every}\"");
    let text = replace(&text, "sample_every = \"30s\"", &every)?;
    Ok(format!(
        "{text}\n[collector]\nbundle = \"/etc/hostmedic/collector\"\n"
    ))
}

/// The shipped polkit list, with the demo's units in it.
fn allow(shipped: &str) -> Result<String> {
    let units = UNITS.map(|unit| format!("\"{unit}\",")).join(" ");
    replace(shipped, "// \"web.service\",", &units)
}

/// Replaces what must be there: a shipped file that changed must not change the demo silently.
fn replace(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(
        text.matches(from).count() == 1,
        "`{from}` is not once in the shipped file"
    );
    Ok(text.replacen(from, to, 1))
}

fn read(places: &Places, path: &str) -> Result<String> {
    let path = places.file(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_files_have_the_places_that_the_demo_changes() {
        let places = Places::find().unwrap();
        let config = configure(&read(&places, "systemd/medicd.toml").unwrap(), "5s").unwrap();
        assert!(config.contains("phase = \"autonomous\"") && config.contains("[collector]"));
        assert!(config.contains("sample_every = \"5s\""));
        let rules = allow(&read(&places, "systemd/50-hostmedic.rules").unwrap()).unwrap();
        assert!(rules.contains("\"web.service\", \"db.service\","));
    }
}
