//! Who may do what, from the kernel's word about the peer and the host's own groups.
//!
//! The decision is pure; only [`look_up`] asks the user database. It asks at every request, so a
//! person who leaves a group loses the right at once, even on an open connection.

use std::ffi::CString;

use hostmedic_model::command::Operator;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// The groups whose members may use the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Members may read.
    pub reader_group: String,
    /// Members may also command.
    pub operator_group: String,
}

/// What a peer may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nothing, not even read.
    Stranger,
    /// Read.
    Reader,
    /// Command.
    Operator,
    /// uid 0: everything, without a look at any group.
    Root,
}

/// The peer of a connection, as the kernel noted it at connect; `SO_PEERCRED` in unix(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id; for the log only, as it may have been reused.
    pub pid: Option<i32>,
}

/// Who a peer is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it may do.
    pub role: Role,
    /// Its name, for the audit record.
    pub operator: Operator,
}

/// Group ids of [`Access`]; `None` where this host has no such group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupIds {
    /// Of the reader group.
    pub reader: Option<u32>,
    /// Of the operator group.
    pub operator: Option<u32>,
}

/// Why a peer could not be looked up. It is then refused: not knowing is no permission.
#[derive(Debug, thiserror::Error)]
#[error("cannot look up {what}: {source}; see `getent passwd` and `getent group`")]
pub struct LookupError {
    /// What was looked up.
    what: String,
    /// What the user database said.
    source: nix::Error,
}

/// Decides what a user in these groups may do.
pub fn role(uid: u32, gids: &[u32], groups: GroupIds) -> Role {
    let in_group = |group: Option<u32>| group.is_some_and(|gid| gids.contains(&gid));
    if uid == 0 {
        Role::Root
    } else if in_group(groups.operator) {
        Role::Operator
    } else if in_group(groups.reader) {
        Role::Reader
    } else {
        Role::Stranger
    }
}

/// Finds out who the peer is: its name, its groups and so its role.
///
/// Counts as groups: the peer's own effective group, its user's primary group, and the
/// supplementary groups that the group database gives its user.
///
/// # Errors
/// When the user or group database cannot be read. May block on a network database.
pub fn look_up(peer: Peer, access: &Access) -> Result<Identity, LookupError> {
    if peer.uid == 0 {
        let operator = Operator {
            uid: 0,
            name: "root".to_owned(),
        };
        return Ok(Identity {
            role: Role::Root,
            operator,
        });
    }
    let failed = |what: String| move |source: nix::Error| LookupError { what, source };
    let user =
        User::from_uid(Uid::from_raw(peer.uid)).map_err(failed(format!("user {}", peer.uid)))?;
    let mut gids = vec![peer.gid];
    let mut name = peer.uid.to_string();
    if let Some(user) = user {
        gids.push(user.gid.as_raw());
        // A name from the database has no NUL; one that has is in no group.
        if let Ok(c_name) = CString::new(user.name.as_str()) {
            let more = getgrouplist(&c_name, user.gid)
                .map_err(failed(format!("groups of user {}", user.name)))?;
            gids.extend(more.into_iter().map(Gid::as_raw));
        }
        name = user.name;
    }
    let groups = GroupIds {
        reader: group_id(&access.reader_group)?,
        operator: group_id(&access.operator_group)?,
    };
    Ok(Identity {
        role: role(peer.uid, &gids, groups),
        operator: Operator {
            uid: peer.uid,
            name,
        },
    })
}

/// Id of the group `name`, if this host has it.
fn group_id(name: &str) -> Result<Option<u32>, LookupError> {
    let group = Group::from_name(name).map_err(|source| LookupError {
        what: format!("group {name}"),
        source,
    })?;
    Ok(group.map(|group| group.gid.as_raw()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    const GROUPS: GroupIds = GroupIds {
        reader: Some(700),
        operator: Some(701),
    };

    #[test]
    fn groups_decide() {
        for (uid, gids, expected) in [
            (0, &[][..], Role::Root),
            (0, &[4242], Role::Root),
            (1000, &[1000, 701], Role::Operator),
            (1000, &[701, 700], Role::Operator),
            (1000, &[1000, 700], Role::Reader),
            (1000, &[1000], Role::Stranger),
            // Group 0 is not user 0.
            (1000, &[0], Role::Stranger),
            (65534, &[], Role::Stranger),
        ] {
            assert_eq!(
                role(uid, gids, GROUPS),
                expected,
                "uid {uid}, gids {gids:?}"
            );
        }
    }

    #[test]
    fn missing_groups_admit_nobody_but_root() {
        let none = GroupIds {
            reader: None,
            operator: None,
        };
        assert_eq!(role(1000, &[0, 700, 701], none), Role::Stranger);
        assert_eq!(role(0, &[], none), Role::Root);
    }

    #[test]
    fn roles_rise() {
        assert!(Role::Stranger < Role::Reader);
        assert!(Role::Reader < Role::Operator);
        assert!(Role::Operator < Role::Root);
    }

    /// Every Unix system has the group `daemon`; the peer's own group must count.
    #[test]
    fn real_databases_are_asked() {
        let daemon = Group::from_name("daemon").unwrap().unwrap();
        let access = Access {
            reader_group: "daemon".to_owned(),
            operator_group: "no-such-group-here".to_owned(),
        };
        let peer = |uid, gid| Peer {
            uid,
            gid,
            pid: None,
        };
        let member = look_up(peer(65534, daemon.gid.as_raw()), &access).unwrap();
        assert_eq!(member.role, Role::Reader);
        assert_eq!(member.operator.name, "nobody");
        let stranger = look_up(peer(65534, 65534), &access).unwrap();
        assert_eq!(stranger.role, Role::Stranger);
        // A user id without a name keeps its number.
        let nameless = look_up(peer(3_999_999_999, 65534), &access).unwrap();
        assert_eq!(nameless.operator.name, "3999999999");
        // The user `daemon` has the group `daemon` as its primary one, whatever its process has.
        let user = User::from_name("daemon").unwrap().unwrap();
        let primary = look_up(peer(user.uid.as_raw(), 65534), &access).unwrap();
        assert_eq!(primary.role, Role::Reader);
    }
}
