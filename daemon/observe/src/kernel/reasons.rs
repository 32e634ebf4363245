//! Names of the reasons for dropping packets, as the running kernel numbers them.
//!
//! The numbers differ even within one stable series, so no table can be right for long. The lower
//! half of a reason is the subsystem's own number, the upper half the subsystem; the core's is 0
//! (include/net/dropreason.h).

use std::collections::BTreeMap;

use super::btf::Btf;

/// Names by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct DropReasons {
    names: BTreeMap<u32, String>,
    /// From this number on it is a drop.
    first: u32,
}

/// Enumerations of reasons: the core's and the subsystems', with what their names begin with.
const ENUMERATIONS: [(&str, &str); 5] = [
    ("skb_drop_reason", "SKB_DROP_REASON_"),
    ("mac80211_drop_reason", "RX_"),
    ("ovs_drop_reason", ""),
    ("qdisc_drop_reason", ""),
    ("psp_drop_reason", ""),
];
/// Names that are no reasons.
const BOUNDS: [&str; 5] = ["MAX", "SUBSYS_MASK", "NOT_DROPPED_YET", "CONSUMED", "_LAST"];

impl DropReasons {
    /// The names that `btf` has.
    pub(crate) fn of(btf: &Btf) -> Self {
        let mut names = BTreeMap::new();
        let mut first = 1;
        for (enumeration, prefix) in ENUMERATIONS {
            for (name, value) in btf.enumeration(enumeration).unwrap_or_default() {
                let short = name
                    .strip_prefix(prefix)
                    .or_else(|| name.strip_prefix("SKB_"))
                    .unwrap_or(&name);
                if name == "SKB_DROP_REASON_NOT_SPECIFIED" {
                    first = value;
                }
                if !BOUNDS.iter().any(|bound| short.ends_with(bound)) {
                    names.entry(value).or_insert_with(|| short.to_owned());
                }
            }
        }
        Self { names, first }
    }

    /// The first number that means a drop: `SKB_CONSUMED` and `SKB_NOT_DROPPED_YET` lie below.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// The name of `reason`; `unnamed:N` if this kernel's types do not have it.
    pub(crate) fn name(&self, reason: u32) -> String {
        match self.names.get(&reason) {
            Some(name) => name.clone(),
            None => format!("unnamed:{reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::support::kernel_btf, *};

    /// The running kernel has had reasons since 5.17; their names are its own.
    #[test]
    fn the_running_kernels_reasons_have_names() {
        let reasons = DropReasons::of(&kernel_btf().unwrap());
        if reasons.names.is_empty() {
            return;
        }
        let number = |name: &str| {
            reasons
                .names
                .iter()
                .find(|(_, found)| *found == name)
                .map(|(number, _)| *number)
        };
        assert_eq!(number("NOT_SPECIFIED"), Some(reasons.first()));
        for name in ["NO_SOCKET", "NETFILTER_DROP"] {
            let number = number(name).unwrap();
            assert!(number > reasons.first());
            assert_eq!(reasons.name(number), name);
        }
        assert_eq!(reasons.name(0xfff_fff0), "unnamed:268435440");
        assert!(number("MAX").is_none() && number("CONSUMED").is_none());
    }
}
