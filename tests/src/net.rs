//! Network namespaces that a test makes for itself, joined by a wire, and processes that speak in
//! them. What is dropped there is the test's own: nothing else sends.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use nix::sched::{CloneFlags, setns};

use crate::kernel::{Cgroup, enter, helper};

/// Distinguishes the wires of one process.
static WIRES: AtomicU32 = AtomicU32::new(0);

/// A network namespace; removed when dropped.
pub struct Namespace {
    name: String,
    /// Index of its end of the wire: unlike those of other namespaces, so that a drop there can
    /// be told from any other.
    pub index: u32,
}

impl Namespace {
    fn new(name: String, index: u32) -> Self {
        ip(&format!("netns add {name}"));
        let own = Self { name, index };
        own.ip("link set lo up");
        own
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name));
    }

    /// Runs `f` on a thread inside; sockets that it makes belong here for good.
    pub fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let namespace = File::open(self.path()).unwrap();
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            f()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }

    /// Runs a program with these words inside.
    pub fn run(&self, program: &str, arguments: &str) {
        ip(&format!("netns exec {} {program} {arguments}", self.name));
    }

    /// Adds a table whose only chain stands at `hook` (`input`, `output`) and has this rule.
    pub fn filter(&self, hook: &str, rule: &str) {
        let commands = format!(
            "add table inet {hook}\n\
             add chain inet {hook} only {{ type filter hook {hook} priority 0 ; }}\n\
             add rule inet {hook} only {rule}\n"
        );
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.name, "nft", "-f", "-"]);
        let mut child = nft.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(commands.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "nft refused: {commands}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let removed = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("cannot remove network namespace {}", self.name);
        }
    }
}

/// Two namespaces joined by a pair of veth, with addresses of both families.
pub struct Wire {
    /// `10.213.78.1` and `fd78::1`.
    pub near: Namespace,
    /// `10.213.78.2` and `fd78::2`.
    pub far: Namespace,
}

impl Wire {
    /// A new one.
    pub fn new() -> Self {
        let (own, wire) = (std::process::id(), WIRES.fetch_add(1, Ordering::Relaxed));
        let index = 1_000_000 + own * 100 + wire * 2;
        let near = Namespace::new(format!("hmn{own}-{wire}"), index);
        let far = Namespace::new(format!("hmf{own}-{wire}"), index + 1);
        ip(&format!(
            "link add wire index {index} address 02:00:00:00:78:01 netns {} type veth \
             peer name wire index {} address 02:00:00:00:78:02 netns {}",
            near.name,
            index + 1,
            far.name
        ));
        for (side, own, other) in [(&near, 1, 2), (&far, 2, 1)] {
            side.ip(&format!("addr add 10.213.78.{own}/24 dev wire"));
            side.ip("link set wire up");
            side.ip(&format!("addr add fd78::{own}/64 dev wire nodad"));
            // Nobody has to ask who is who, so that no packet waits for the answer.
            for address in ["10.213.78.", "fd78::"] {
                side.ip(&format!(
                    "neigh replace {address}{other} lladdr 02:00:00:00:78:0{other} dev wire"
                ));
            }
        }
        Self { near, far }
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// A process with sockets of its own; ended when dropped.
pub struct Speaker {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Speaker {
    /// The helper program `net-child`, which enters cgroup and namespace before it does `verb`.
    pub fn start(cgroup: &Cgroup, namespace: &Namespace, verb: &[&str]) -> Self {
        let mut command = helper("net-child");
        enter(&mut command, &[cgroup]);
        command.args(["netns", &namespace.path()]).args(verb);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The next line it says.
    pub fn said(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended: {line:?}");
        line.trim_end().to_owned()
    }

    /// Tells it a word, and gives its answer.
    pub fn ask(&mut self, word: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{word}").unwrap();
        self.said()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split_whitespace())
        .output();
    let done = done.expect("ip cannot be run; apt-get install iproute2");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments}: {said}");
}
