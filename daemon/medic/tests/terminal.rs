//! `medic top` on a real terminal: a pseudo-terminal that script(1) makes, with stty(1) to turn
//! its size and to look at what is left behind. Both are in every Debian.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hostmedic_serve::{
    Limits,
    testing::{TestServer, own_access},
};
use support::Scene;

/// What the shell on the terminal does; each result goes to a file.
const SESSION: &str = r#"
cd "$SCENE"
tty >tty
stty rows 30 cols 132
stty -g >before
sh -c 'echo $$ >pid; exec "$MEDIC" top --every 200ms'
echo $? >code
stty -g >after
"#;

/// After so long something hangs.
const HANGS: Duration = Duration::from_secs(60);

/// `medic top` on a terminal.
struct Terminal {
    child: Child,
    dir: PathBuf,
    /// Everything that was written to the terminal.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(scene: &Scene) -> Self {
        let dir = scene.dir.path().to_owned();
        let session = dir.join("session.sh");
        fs::write(&session, SESSION).unwrap();
        let mut child = Command::new("script")
            .args(["--quiet", "--flush", "--command"])
            .arg(format!("sh {}", session.display()))
            .arg("/dev/null")
            .env("SCENE", &dir)
            .env("MEDIC", env!("CARGO_BIN_EXE_medic"))
            .env("HOSTMEDIC_SOCKET", &scene.server.socket)
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("script(1) cannot be run; apt-get install bsdutils");
        let mut out = child.stdout.take().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                sink.lock().unwrap().extend(&bytes[..count]);
            }
        });
        Self {
            child,
            dir,
            written,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Forgets what was written until now.
    fn forget(&self) {
        self.written.lock().unwrap().clear();
    }

    #[track_caller]
    fn wait_for(&self, words: &str) {
        let begun = Instant::now();
        while !self.text().contains(words) {
            assert!(begun.elapsed() < HANGS, "no {words:?} in {:?}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn resize(&self, rows: u16, columns: u16) {
        let tty = fs::read_to_string(self.dir.join("tty")).unwrap();
        let resized = Command::new("stty")
            .args(["-F", tty.trim(), "rows", &rows.to_string()])
            .args(["cols", &columns.to_string()])
            .status()
            .unwrap();
        assert!(resized.success());
    }

    fn press(&mut self, key: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(key.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Waits for the end and checks that nothing is left behind.
    #[track_caller]
    fn end(mut self, code: &str) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if begun.elapsed() >= HANGS {
                self.child.kill().unwrap();
                panic!("it did not leave: {:?}", self.text());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).unwrap();
        assert_eq!(read("code").trim(), code, "{:?}", self.text());
        assert_eq!(read("before"), read("after"));
        let text = self.text();
        let left = text.rfind("\u{1b}[?1049l").expect("the alternate screen");
        assert!(text.rfind("\u{1b}[?1049h").is_none_or(|came| came < left));
        let shown = text.rfind("\u{1b}[?25h").expect("the cursor");
        assert!(
            text.rfind("\u{1b}[?25l")
                .is_none_or(|hidden| hidden < shown)
        );
    }
}

#[test]
fn a_frame_a_resize_and_away() {
    let scene = Scene::new();
    let mut terminal = Terminal::start(&scene);
    terminal.wait_for("NETFILTER_DROP");
    terminal.wait_for("own cost");
    terminal.forget();
    terminal.resize(9, 39);
    terminal.wait_for("39x9");
    terminal.resize(24, 80);
    terminal.wait_for("NETFILTER_DROP");
    terminal.press("q");
    terminal.end("0");
}

#[test]
fn escape_and_control_c_leave_too() {
    for key in ["\u{1b}", "\u{3}"] {
        let scene = Scene::new();
        let mut terminal = Terminal::start(&scene);
        terminal.wait_for("NETFILTER_DROP");
        terminal.press(key);
        terminal.end("0");
    }
}

#[test]
fn a_signal_to_end_leaves_the_terminal_as_it_was() {
    let scene = Scene::new();
    let terminal = Terminal::start(&scene);
    terminal.wait_for("NETFILTER_DROP");
    let pid = fs::read_to_string(terminal.dir.join("pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    terminal.end("0");
}

#[test]
fn a_lost_daemon_is_shown_and_found_again() {
    let mut scene = Scene::new();
    let mut terminal = Terminal::start(&scene);
    terminal.wait_for("NETFILTER_DROP");
    scene.server.stop();
    terminal.wait_for("NO NEW PICTURE");
    terminal.forget();
    let socket = scene.server.socket.clone();
    scene.server = TestServer::start(socket, own_access(), Limits::default());
    // The line that told of the trouble, the last but one of 30, is blank again.
    terminal.wait_for("\u{1b}[29;1H ");
    terminal.press("q");
    terminal.end("0");
}
