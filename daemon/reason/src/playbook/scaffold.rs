//! A whole playbook to start from: the commented examples of `playbooks/README.md`, so that there is
//! one text that is tested and not two.

/// What a new playbook is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Restarts a unit.
    Restart,
    /// Makes room on a file system.
    Disk,
    /// Does nothing and tells people.
    Notify,
    /// Works on a database.
    Sql,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Restart, Self::Disk, Self::Notify, Self::Sql];

    /// Name of its example.
    fn example(self) -> &'static str {
        match self {
            Self::Restart => "example-restart",
            Self::Disk => "example-disk-tmp",
            Self::Notify => "example-notify",
            Self::Sql => "example-postgres-pool",
        }
    }
}

const README: &str = include_str!("../../../../playbooks/README.md");

/// The text of a new playbook.
///
/// # Errors
/// Says what is wrong with the name.
pub fn new(name: &str, shape: Shape) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        return Err(format!(
            "`{name}` is no name of a playbook: a-z 0-9 - _, at most 64"
        ));
    }
    let example = shape.example();
    let wanted = format!("name: {example},");
    let blocks = README.split("```yaml\n").skip(1);
    let text = blocks
        .filter_map(|block| block.split("```").next())
        .find(|block| block.contains(&wanted))
        .ok_or_else(|| format!("the example {example} is not in playbooks/README.md"))?;
    Ok(format!(
        "# Made by `medic playbook new`: change every line until it is about your trouble.\n{}",
        text.replace(example, name)
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::playbook::{
        check,
        trial::{self, Trial},
    };

    #[test]
    fn every_new_playbook_is_clean_and_passes_its_own_tests() {
        for shape in Shape::ALL {
            let text = new("mine", shape).unwrap();
            let checked = check("mine.yaml", &text);
            assert_eq!(checked.findings, [], "{shape:?}");
            let playbook = checked.playbook.unwrap();
            for case in &checked.document.unwrap().tests {
                let trial = trial::run(case, &playbook, std::slice::from_ref(&playbook));
                assert!(
                    !matches!(trial, Trial::Failed { .. }),
                    "{shape:?}: {trial:?}"
                );
            }
            let is_missing = !playbook.missing.is_empty();
            assert_eq!(
                is_missing,
                matches!(shape, Shape::Disk | Shape::Sql),
                "{:?}",
                playbook.missing
            );
        }
        assert!(new("../x", Shape::Restart).is_err());
    }
}
