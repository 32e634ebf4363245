//! Unit names in D-Bus object paths: pure, both ways.
//!
//! A state change arrives with the unit's object path only; without this each change would
//! cost one more question to PID 1.

use hostmedic_model::subject::UnitName;

/// Where systemd's unit objects live.
const PREFIX: &str = "/org/freedesktop/systemd1/unit/";

/// The object path of `unit`. systemd loads the unit when the path is first asked, so it works
/// for units that are not loaded, too.
///
/// Source: `bus_label_escape()`: every byte but letters and digits becomes `_xx`, and so does
/// a digit that comes first.
pub fn unit_path(unit: &UnitName) -> String {
    let mut path = PREFIX.to_owned();
    for (n, byte) in unit.as_str().bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (n > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

/// The unit whose object path this is; `None` for any other object.
pub fn unit_in_path(path: &str) -> Option<UnitName> {
    let label = path.strip_prefix(PREFIX)?.as_bytes();
    let mut name = Vec::with_capacity(label.len());
    let mut rest = label;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'_' {
            name.push(*first);
            continue;
        }
        let (hex, after) = rest.split_at_checked(2)?;
        // from_str_radix would also take a sign.
        if !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        name.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
        rest = after;
    }
    UnitName::new(String::from_utf8(name).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_go_both_ways() {
        for (unit, label) in [
            ("web.service", "web_2eservice"),
            ("getty@tty1.service", "getty_40tty1_2eservice"),
            ("1st.service", "_31st_2eservice"),
            ("a-b_c.service", "a_2db_5fc_2eservice"),
            ("dev-disk\\x2duuid.swap", "dev_2ddisk_5cx2duuid_2eswap"),
            ("-.slice", "_2d_2eslice"),
        ] {
            let unit = UnitName::new(unit).unwrap();
            let path = format!("{PREFIX}{label}");
            assert_eq!(unit_path(&unit), path);
            assert_eq!(unit_in_path(&path), Some(unit));
        }
    }

    #[test]
    fn other_paths_are_no_units() {
        for path in [
            "/org/freedesktop/systemd1/job/12",
            "/org/freedesktop/systemd1/unit/",
            "/org/freedesktop/systemd1/unit/_",
            "/org/freedesktop/systemd1/unit/web_2",
            "/org/freedesktop/systemd1/unit/web_+eservice",
            "/org/freedesktop/systemd1/unit/web_zzservice",
            "/org/freedesktop/systemd1/unit/_ff_2eservice",
            "",
        ] {
            assert_eq!(unit_in_path(path), None, "{path}");
        }
    }
}
