//! Puts the probes' object where `kernel/attach.rs` embeds it from.
//!
//! The object is built by another compiler for another target, so not here: `cargo xtask build`
//! builds it first and says where it is.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const OBJECT: &str = "HOSTMEDIC_PROBES_OBJECT";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={OBJECT}");
    if env::var_os("CARGO_FEATURE_KERNEL").is_none() {
        return Ok(());
    }
    let object = object()?;
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    let copied = fs::copy(&object, out.join("hostmedic-probes"));
    copied.map(drop).map_err(|error| {
        format!(
            "cannot read the probes' object {}: {error}; run `cargo xtask build`, which builds \
             the probes first",
            object.display()
        )
    })
}

fn object() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os(OBJECT) {
        return Ok(path.into());
    }
    let home = env::var_os("HOME").ok_or(format!("set {OBJECT} or HOME"))?;
    Ok(Path::new(&home).join(".cache/hostmedic/probes/hostmedic-probes"))
}
