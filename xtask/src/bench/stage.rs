//! What the loads work on: two network namespaces with a wire between them, and a loop device over
//! memory. Everything goes by itself when its last user ends, also when we are killed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::load::Programs;
use crate::command;

/// Addresses of the two ends; TEST-NET-2 (RFC 5737) belongs to nobody.
const SENDER: &str = "198.51.100.1";
const RECEIVER: &str = "198.51.100.2";
/// Ports of the receiver: one whose packets are dropped, one with a listener, one without.
const DROPPED: u16 = 9009;
const OPEN: u16 = 9010;
const CLOSED: u16 = 9011;
/// Bytes of the loop device.
const DISK_BYTES: u64 = 64 << 20;

/// The stage; taken down when dropped.
pub(super) struct Stage {
    children: Vec<Child>,
    sender: u32,
    device: PathBuf,
    /// While this is open the device lives.
    _device: File,
}

impl Stage {
    /// Builds it.
    pub(super) fn build(programs: &Programs) -> Result<Self> {
        let (device, open) = loop_device()?;
        let mut stage = Self {
            children: Vec::new(),
            sender: 0,
            device,
            _device: open,
        };
        let load = programs.dir.join("bench-load");
        stage.sender = stage.hold(&load)?;
        let receiver = stage.hold(&load)?;
        stage.wire(receiver)?;
        let mut sink = inside(receiver);
        sink.args(programs.pinned());
        sink.args(["sink", &format!("{RECEIVER}:{OPEN}")]);
        stage.children.push(command::spawn(&mut sink)?);
        // The listener and the addresses are there in a moment.
        thread::sleep(Duration::from_millis(500));
        Ok(stage)
    }

    /// A process that keeps a network namespace of its own alive.
    fn hold(&mut self, load: &Path) -> Result<u32> {
        let own = fs::read_link("/proc/self/ns/net").context("cannot read our namespace")?;
        let mut command = Command::new("unshare");
        command.arg("--net").arg(load).arg("hold");
        let child = command::spawn(command.stdout(Stdio::null()))?;
        let id = child.id();
        self.children.push(child);
        for _ in 0..200 {
            let namespace = fs::read_link(format!("/proc/{id}/ns/net"));
            if namespace.is_ok_and(|namespace| namespace != own) {
                return Ok(id);
            }
            thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("`unshare --net` made no network namespace; this needs root")
    }

    /// A veth pair between the two, and a packet filter at the far end.
    fn wire(&self, receiver: u32) -> Result<()> {
        let step = |pid: u32, words: &str| {
            let mut command = inside(pid);
            command::output(command.args(words.split(' '))).map(drop)
        };
        let (near, far) = (self.sender, receiver);
        step(
            near,
            &format!("ip link add wire type veth peer name wire netns {far}"),
        )?;
        for (end, address) in [(near, SENDER), (far, RECEIVER)] {
            step(end, &format!("ip address add {address}/24 dev wire"))?;
            step(end, "ip link set wire up")?;
            step(end, "ip link set lo up")?;
        }
        step(far, "nft add table inet bench")?;
        let chain = "nft add chain inet bench in { type filter hook input priority 0 ; }";
        step(far, chain)?;
        step(
            far,
            &format!("nft add rule inet bench in udp dport {DROPPED} drop"),
        )
    }

    /// A command that runs at the sending end.
    pub(super) fn in_sender(&self) -> Command {
        inside(self.sender)
    }

    /// Where datagrams are dropped.
    pub(super) fn dropped_port(&self) -> String {
        format!("{RECEIVER}:{DROPPED}")
    }

    /// Where nobody listens.
    pub(super) fn closed_port(&self) -> String {
        format!("{RECEIVER}:{CLOSED}")
    }

    /// Where bytes are taken.
    pub(super) fn open_port(&self) -> String {
        format!("{RECEIVER}:{OPEN}")
    }

    /// The block device.
    pub(super) fn device(&self) -> &Path {
        &self.device
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            command::stop(child);
        }
    }
}

fn inside(pid: u32) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &pid.to_string(), "--"]);
    command
}

/// A loop device over a file in memory that has no name any more. The device goes with the last
/// one who has it open: taking it down at once, while it is open, only marks it so (losetup(8)).
fn loop_device() -> Result<(PathBuf, File)> {
    let memory = Path::new("/dev/shm");
    ensure!(
        memory.is_dir(),
        "/dev/shm, a file system in memory, is missing"
    );
    let file = tempfile::NamedTempFile::new_in(memory).context("cannot make a file in memory")?;
    // Written, not sparse: reading a hole is no work.
    let block = vec![0x5a; 1 << 20];
    for _ in 0..DISK_BYTES >> 20 {
        std::io::Write::write_all(&mut file.as_file(), &block)
            .context("cannot fill the disk's file in memory")?;
    }
    let mut attach = Command::new("losetup");
    attach.args(["--find", "--show", "--read-only", "--direct-io=off"]);
    let device = PathBuf::from(command::output(attach.arg(file.path()))?);
    let open = File::open(&device).with_context(|| format!("cannot open {}", device.display()));
    let mut detach = Command::new("losetup");
    let detached = command::output(detach.arg("--detach").arg(&device));
    let open = open?;
    detached?;
    Ok((device, open))
}
