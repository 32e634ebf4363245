//! A collector as a process of its own, and hosts that replicate to it.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use hostmedic_model::{
    anomaly::Severity,
    incident::{Incident, IncidentId, IncidentStatus},
    record::Body,
    subject::Subject,
    time::{At, BootId},
};
use hostmedic_retain::{
    bundle::Bundle,
    fleet::{Fleet, FleetHost},
    keys::HostKey,
    ledger::Ledger,
    replicate::{self, Config, Pace, Replication},
};
use tempfile::TempDir;

/// Nothing here takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A collector's directory, and its process while it runs.
pub(crate) struct Collector {
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    process: Option<Child>,
}

impl Collector {
    /// Sets a collector up and starts it.
    pub(crate) fn start() -> Self {
        let collector = Self {
            dir: TempDir::new().unwrap(),
            address: free_address(),
            process: None,
        };
        let listen = collector.address.to_string();
        collector.done(&["init", "--listen", &listen]);
        collector.serve()
    }

    /// Starts it (again).
    pub(crate) fn serve(mut self) -> Self {
        self.process = Some(
            self.command(&["serve"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        wait_for("the collector to listen", || {
            TcpStream::connect(self.address).is_ok()
        });
        self
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(mut self) -> Self {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        self
    }

    /// Asks it to stop, and gives its exit status.
    pub(crate) fn terminate(mut self) -> (Self, Option<i32>) {
        let mut process = self.process.take().unwrap();
        let pid = process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let code = process.wait().unwrap().code();
        (self, code)
    }

    /// Enrols somebody and gives the bundle.
    pub(crate) fn enrol(&self, args: &[&str]) -> Bundle {
        let out = self.dir.path().join("bundle.toml");
        let out_text = out.to_str().unwrap().to_owned();
        self.done(&[&["enrol", "--out", &out_text], args].concat());
        let bundle = Bundle::load(&out).unwrap();
        fs::remove_file(out).unwrap();
        bundle
    }

    /// Asks as an operator.
    pub(crate) async fn fleet(&self) -> Fleet {
        Fleet::connect(&self.enrol(&["--operator", "ops"]))
            .await
            .unwrap()
    }

    /// The only host there is.
    pub(crate) async fn only_host(&self) -> FleetHost {
        let mut hosts = self.fleet().await.hosts().await.unwrap();
        assert_eq!(hosts.len(), 1, "{hosts:?}");
        hosts.remove(0)
    }

    /// Where the copies lie.
    pub(crate) fn copies(&self) -> PathBuf {
        self.dir.path().join("state/store")
    }

    /// Runs a command that must succeed.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// Runs a command.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medic-collector"));
        command
            .arg("--dir")
            .arg(self.dir.path())
            .args(args)
            .stdout(Stdio::piped());
        command
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

/// A host's ledger.
pub(crate) struct Host {
    pub(crate) ledger: Ledger,
    /// Dropped, and removed, after the ledger that lies in it.
    _dir: TempDir,
}

impl Host {
    /// A host whose key comes from this seed. Two with one seed are one host with two histories.
    pub(crate) fn new(seed: u8) -> Self {
        let dir = TempDir::new().unwrap();
        let ledger = open(dir.path(), seed);
        Self { ledger, _dir: dir }
    }

    /// Appends so many batches of one to three records.
    pub(crate) fn append(&self, batches: u64, text: &str) {
        for batch in 0..batches {
            let bodies = (0..=batch % 3)
                .map(|n| note(&format!("{text} {batch}.{n}")))
                .collect();
            self.ledger
                .append(
                    bodies,
                    At {
                        boot_ns: batch,
                        wall_ms: 1_000_000,
                    },
                )
                .unwrap();
        }
    }

    /// Newest record.
    pub(crate) fn seq(&self) -> u64 {
        self.ledger.store().tip().seq
    }

    /// Replicates with short waits.
    pub(crate) fn replicate(&self, bundle: &Bundle) -> Replication {
        let pace = Pace {
            first: Duration::from_millis(20),
            longest: Duration::from_millis(200),
            refused: Duration::from_millis(200),
        };
        let config = Config {
            bundle: bundle.clone(),
            hostname: "web1.example".into(),
            pace,
        };
        replicate::spawn(config, self.ledger.store())
    }
}

fn open(dir: &Path, seed: u8) -> Ledger {
    Ledger::open(dir, HostKey::from_seed([seed; 32]), BootId("boot-1".into())).unwrap()
}

pub(crate) fn note(text: &str) -> Body {
    Body::Stopped {
        reason: text.into(),
    }
}

pub(crate) fn opened(id: &str, wall_ms: i64) -> Body {
    let at = At {
        boot_ns: 1,
        wall_ms,
    };
    Body::IncidentOpened(Incident {
        id: IncidentId(id.into()),
        subject: Subject::Host,
        title: format!("title of {id}"),
        severity: Severity::Warning,
        status: IncidentStatus::Open,
        opened_at: at,
        last_at: at,
        closed_at: None,
        evidence: vec![],
        extended: 0,
        recurrences_30d: 0,
        parent: None,
        similar: None,
    })
}

/// Waits until the collector has acknowledged `seq`.
pub(crate) async fn acknowledged(replication: &mut Replication, seq: u64) {
    let reached = replication
        .status
        .wait_for(|status| status.acknowledged_seq >= seq);
    let waited = tokio::time::timeout(PATIENCE, reached)
        .await
        .map(|reached| reached.is_ok());
    assert_eq!(
        waited,
        Ok(true),
        "{seq} was not acknowledged: {:?}",
        replication.status.borrow()
    );
}

/// Waits until replication says that it failed, and how.
pub(crate) async fn failed(replication: &mut Replication) -> String {
    let failed = replication
        .status
        .wait_for(|status| !status.last_error.is_empty());
    let status = tokio::time::timeout(PATIENCE, failed)
        .await
        .unwrap()
        .unwrap();
    status.last_error.clone()
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A loopback address that nobody uses. Not from the range that the kernel gives to outgoing
/// connections, which another test could get in the meantime; a new one for each caller.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + (std::process::id() % 10_000) as u16;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return ([127, 0, 0, 1], port).into();
        }
    }
}
