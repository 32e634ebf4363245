//! The loads of `cargo xtask bench`: each works for a given time and prints what it got done.
//!
//! `exec MILLIS CPU...` starts programs, one worker on each CPU. `udp MILLIS TO` sends datagrams,
//! `connect MILLIS TO` connects where nobody listens, `stream MILLIS TO` sends bytes to `sink AT`.
//! `read MILLIS DEVICE` reads blocks. `hold` does nothing, for a network namespace to live.
//!
//! One line comes out: operations, nanoseconds of wall clock, nanoseconds of CPU, and operations
//! with those of the warm start.

#![allow(clippy::unwrap_used, reason = "in a load a panic is the report")]

use std::{
    env,
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::OFlag,
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    },
    unistd::Pid,
};

/// Time at the start that is not measured.
const WARM: Duration = Duration::from_millis(60);
/// Longest life of what waits for others.
const LIFE: Duration = Duration::from_secs(3600);
/// Size of a read, and of the buffer's alignment, which `O_DIRECT` wants.
const BLOCK_BYTES: usize = 4096;

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("an argument is missing");
    let verb = next();
    match verb.as_str() {
        "sink" => return sink(&next()),
        "hold" => return thread::sleep(LIFE),
        _ => {}
    }
    let span = Duration::from_millis(next().parse().unwrap());
    match verb.as_str() {
        "exec" => exec(
            span,
            &arguments
                .map(|cpu| cpu.parse().unwrap())
                .collect::<Vec<_>>(),
        ),
        "udp" => udp(span, &next()),
        "connect" => connect(span, &next()),
        "stream" => stream(span, &next()),
        "read" => read(span, &next()),
        _ => panic!("unknown verb {verb}"),
    }
}

/// Does `once` again and again, which says how many operations it did, and prints the line.
fn measure(span: Duration, mut once: impl FnMut() -> u64) {
    let warm = Instant::now();
    let mut before = 0;
    while warm.elapsed() < WARM {
        before += once();
    }
    let (began, cpu_began_ns) = (Instant::now(), cpu_ns());
    let mut done = 0;
    while began.elapsed() < span {
        done += once();
    }
    print(done, before, began, cpu_began_ns);
}

/// Prints the line: `done` since `began`, and `before` that.
fn print(done: u64, before: u64, began: Instant, cpu_began_ns: i64) {
    println!(
        "{done} {} {} {}",
        began.elapsed().as_nanos(),
        cpu_ns() - cpu_began_ns,
        done + before
    );
}

/// CPU time of this process and of its children that ended.
fn cpu_ns() -> i64 {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .map(|who| {
            let usage = getrusage(who).unwrap();
            (usage.user_time() + usage.system_time()).num_nanoseconds()
        })
        .sum()
}

/// Starts `/bin/true` and waits for it, on each of `cpus` by its own worker.
fn exec(span: Duration, cpus: &[usize]) {
    let once = || {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status();
        assert!(status.unwrap().success());
        1
    };
    let pin = |cpu: usize| {
        let mut set = CpuSet::new();
        set.set(cpu).unwrap();
        sched_setaffinity(Pid::from_raw(0), &set).unwrap();
    };
    let (first, others) = cpus.split_first().expect("a CPU is missing");
    let end = Instant::now() + WARM + span;
    let others: Vec<_> = others
        .iter()
        .map(|&cpu| {
            thread::spawn(move || {
                pin(cpu);
                let mut done: u64 = 0;
                while Instant::now() < end {
                    done += once();
                }
                done
            })
        })
        .collect();
    pin(*first);
    if others.is_empty() {
        return measure(span, once);
    }
    // With several workers the warm start counts for all: they begin and end together.
    let (began, cpu_began_ns) = (Instant::now(), cpu_ns());
    let mut done: u64 = 0;
    while Instant::now() < end {
        done += once();
    }
    for other in others {
        done += other.join().unwrap();
    }
    print(done, 0, began, cpu_began_ns);
}

/// Sends small datagrams as fast as the kernel takes them.
fn udp(span: Duration, to: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect(to).unwrap();
    measure(span, || {
        let sent = (0..64).filter(|_| match socket.send(&[0; 64]) {
            Ok(_) => true,
            // What comes back from a port that refuses.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => true,
            Err(error) => panic!("cannot send: {error}"),
        });
        u64::try_from(sent.count()).unwrap()
    });
}

/// Connects to a port that nobody listens at.
fn connect(span: Duration, to: &str) {
    measure(span, || {
        let error = TcpStream::connect(to).expect_err("somebody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        1
    });
}

/// Sends bytes; an operation is a KiB.
fn stream(span: Duration, to: &str) {
    const CHUNK_BYTES: usize = 64 << 10;
    let mut socket = TcpStream::connect(to).unwrap();
    let chunk = vec![0; CHUNK_BYTES];
    measure(span, || {
        socket.write_all(&chunk).unwrap();
        64
    });
}

/// Takes bytes from everyone.
fn sink(at: &str) {
    let listener = TcpListener::bind(at).unwrap();
    for socket in listener.incoming() {
        let mut socket = socket.unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; 256 << 10];
            while socket.read(&mut buffer).is_ok_and(|n| n > 0) {}
        });
    }
}

/// A block where `O_DIRECT` accepts it.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// Reads blocks of a device past the page cache, in an order without a pattern.
fn read(span: Duration, device: &str) {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(device)
        .unwrap();
    let mut size = &file;
    let blocks =
        std::io::Seek::seek(&mut size, std::io::SeekFrom::End(0)).unwrap() / BLOCK_BYTES as u64;
    let mut block = Box::new(Block([0; BLOCK_BYTES]));
    let mut at: u64 = 1;
    measure(span, || {
        // Knuth's multiplier: visits places far apart.
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let place = (at >> 20) % blocks * BLOCK_BYTES as u64;
        file.read_exact_at(&mut block.0, place).unwrap();
        1
    });
}
