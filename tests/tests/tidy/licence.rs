//! Reading licences: which ones deny.toml allows, and whether an SPDX expression is among them.

use std::{collections::BTreeSet, path::Path, process::Command};

/// The list `allow` of section `[licenses]` in deny.toml.
pub(crate) fn allowed(deny: &str) -> BTreeSet<String> {
    deny.lines()
        .skip_while(|line| line.trim() != "allow = [")
        .skip(1)
        .take_while(|line| line.trim() != "]")
        .map(|line| line.trim().trim_matches(['"', ',']).to_owned())
        .collect()
}

/// Every package in a workspace's tree with its licence.
pub(crate) fn packages(manifest: &Path) -> Vec<(String, String)> {
    let ask = |how: &[&str]| {
        Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .args(how)
            .arg("--manifest-path")
            .arg(manifest)
            .output()
            .unwrap()
    };
    let mut output = ask(&["--offline"]);
    if !output.status.success() {
        // On a new machine nobody has built this workspace yet, so its packages are not there.
        output = ask(&[]);
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    packages
        .iter()
        .map(|package| {
            let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
            (name, text(&package["license"]))
        })
        .collect()
}

/// Whether an SPDX expression can be met with licences that `allowed` accepts.
///
/// Knows `AND`, `OR`, parentheses, `WITH` (part of a name) and the old `/` for `OR`.
pub(crate) fn holds(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut tokens: Vec<String> = Vec::new();
    for token in spaced.split_whitespace() {
        let after_with = tokens.last().is_some_and(|last| last.ends_with(" WITH"));
        match tokens.last_mut() {
            Some(last) if token == "WITH" || after_with => *last = format!("{last} {token}"),
            _ => tokens.push(token.to_owned()),
        }
    }
    let mut rest = tokens.as_slice();
    let value = any(&mut rest, allowed)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(format!("`{}` is left over", rest.join(" ")))
    }
}

fn any(rest: &mut &[String], allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut value = all(rest, allowed)?;
    while let [word, tail @ ..] = *rest
        && word == "OR"
    {
        *rest = tail;
        value |= all(rest, allowed)?;
    }
    Ok(value)
}

fn all(rest: &mut &[String], allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut value = one(rest, allowed)?;
    while let [word, tail @ ..] = *rest
        && word == "AND"
    {
        *rest = tail;
        value &= one(rest, allowed)?;
    }
    Ok(value)
}

fn one(rest: &mut &[String], allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let Some((word, tail)) = rest.split_first() else {
        return Err("it ends too soon".to_owned());
    };
    *rest = tail;
    if word != "(" {
        return Ok(allowed(word));
    }
    let value = any(rest, allowed)?;
    match rest.split_first() {
        Some((word, tail)) if word == ")" => {
            *rest = tail;
            Ok(value)
        }
        _ => Err("a parenthesis is not closed".to_owned()),
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let permissive = |name: &str| {
        matches!(
            name,
            "MIT" | "Apache-2.0" | "Apache-2.0 WITH LLVM-exception"
        )
    };
    for (expression, expected) in [
        ("MIT", Ok(true)),
        ("GPL-3.0-only", Ok(false)),
        ("MIT OR GPL-3.0-only", Ok(true)),
        ("MIT/GPL-3.0-only", Ok(true)),
        ("MIT AND GPL-3.0-only", Ok(false)),
        ("GPL-3.0-only OR MIT AND GPL-3.0-only", Ok(false)),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0", Ok(true)),
        ("Apache-2.0 WITH LLVM-exception", Ok(true)),
    ] {
        assert_eq!(holds(expression, &permissive), expected, "{expression}");
    }
    for broken in ["", "(MIT", "MIT MIT", "MIT OR"] {
        assert!(holds(broken, &permissive).is_err(), "{broken}");
    }
}
