//! The process that tests of the network's hooks run: it has sockets, in a cgroup of its own.
//!
//! `enter FILE` moves it into a cgroup and `netns FILE` into a network namespace, before the verb.
//! Then it does what each line of its input says, answers each with a line, and ends with its
//! input.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    env,
    fs::{self, File},
    io::{Read as _, Write as _, stdin},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    thread,
};

use nix::{
    libc::linger,
    sched::{CloneFlags, setns},
    sys::socket::{setsockopt, sockopt},
};

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("an argument is missing");
    loop {
        match next().as_str() {
            "enter" => {
                let procs = next();
                fs::write(&procs, "0").unwrap_or_else(|e| panic!("cannot enter {procs}: {e}"));
            }
            "netns" => setns(File::open(next()).unwrap(), CloneFlags::CLONE_NEWNET).unwrap(),
            "hold" => return hold(&next()),
            "serve" => return serve(&next(), read_all),
            "leave" => return serve(&next(), leave_unread),
            "call" => return call(&next()),
            "serve-unix" => return serve_unix(&next()),
            "call-unix" => return call_unix(&next()),
            verb => panic!("unknown verb {verb}"),
        }
    }
}

/// Takes datagrams into a small buffer and reads none, until it is told to `read`: then it says
/// how many had fitted.
fn hold(address: &str) {
    let socket = UdpSocket::bind(address).unwrap();
    setsockopt(&socket.as_fd(), sockopt::RcvBuf, &4096).unwrap();
    socket.set_nonblocking(true).unwrap();
    println!("{}", socket.local_addr().unwrap());
    for word in stdin().lines() {
        assert_eq!(word.unwrap(), "read");
        let fitted = (0..).take_while(|_| socket.recv(&mut [0; 512]).is_ok());
        println!("{}", fitted.count());
    }
}

/// Accepts connections, and hands each to `each`.
fn serve(address: &str, each: fn(TcpStream)) {
    let listener = TcpListener::bind(address).unwrap();
    println!("{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for accepted in listener.incoming() {
            thread::spawn(move || each(accepted.unwrap()));
        }
    });
    // Until the input ends.
    let _ = stdin().read(&mut [0]);
}

/// Accepts connections over a Unix socket.
fn serve_unix(path: &str) {
    let listener = UnixListener::bind(path).unwrap();
    println!("{path}");
    thread::spawn(move || listener.incoming().for_each(drop));
    let _ = stdin().read(&mut [0]);
}

fn call_unix(path: &str) {
    let _stream = UnixStream::connect(path).unwrap();
    println!("connected");
    let _ = stdin().read(&mut [0]);
}

fn read_all(mut stream: TcpStream) {
    // A reset ends it as well as a regular end.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn leave_unread(stream: TcpStream) {
    stream.peek(&mut [0]).unwrap();
    drop(stream);
}

/// Connects; then `write` writes, and `reset` closes at once and without a word of farewell.
fn call(address: &str) {
    let stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) => return println!("{:?}", error.kind()),
    };
    println!("connected");
    let mut stream = Some(stream);
    for word in stdin().lines() {
        match word.unwrap().as_str() {
            "write" => stream.as_mut().unwrap().write_all(&[7; 1024]).unwrap(),
            "reset" => {
                let now = linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                setsockopt(&stream.take().unwrap(), sockopt::Linger, &now).unwrap();
            }
            word => panic!("unknown word {word}"),
        }
        println!("done");
    }
}
