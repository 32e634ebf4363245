//! Scene 4: a copy that verifies, and one byte of it that does not stay unseen.

use anyhow::{Context as _, Result, ensure};

use crate::demo::{report::Scene, stage::Stage};

/// Where the collector keeps its copies.
const STORE: &str = "/var/lib/hostmedic-collector/store";

/// Where the demo works on a copy of them.
const COPY: &str = "/var/tmp/hostmedic-demo-store";

/// Plays the scene.
pub(crate) fn scene(stage: &Stage, scene: &mut Scene) -> Result<()> {
    let verified = stage.system.sh("medic fleet verify")?;
    scene.expect("the collector's copy verifies", true, last_line(&verified));
    Ok(())
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}
