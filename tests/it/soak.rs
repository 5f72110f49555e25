//! `gannet bench soak --backend` against the real server: no fault where there is none, and each that a proxy makes is
//! told.

use crate::support::*;
use rustix::process::Signal;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

const QUIET: &str = "[log]\nlevel = 'warn'\n";
/// Streams of pushes without a key.
const NORMAL: u8 = 0;
const URGENT: u8 = 1;
const LOAD: &str = "-c 20 -r 300 -d 3s --seed 11";

/// The exit code, and what it says on either stream.
pub fn soak(args: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    command.args(["bench", "soak"]).args(args.split_whitespace());
    let output = command.env_remove("GANNET_KEY").stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn mixed_load_on_a_sound_server_shows_no_fault() {
    let server = ServerProcess::start(&["--reactors", "2"], QUIET);
    let (players, backend, pid) = (server.client, server.backend, server.pid());
    let args = format!("--url ws://{players} --backend http://{backend} --pid {pid} {LOAD} --json -");
    let (code, json, said) = soak(&args);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("\n0 lost, 0 doubled, 0 misordered\n"), "{said}");
    let result: serde_json::Value = serde_json::from_str(&json).unwrap();
    let figure = |name: &str| {
        let figures = result["figures"].as_array().unwrap();
        figures.iter().find(|figure| figure["name"] == name).unwrap()["value"].as_f64().unwrap()
    };
    for name in
        ["pushes", "changes", "of these, due ones", "messages of players", "server memory when all have gone"]
    {
        assert!(figure(name) > 0.0, "{name}: {json}");
    }
    assert!(figure("answers") > figure("pushes"), "every push and every change is answered: {json}");
    assert!(
        figure("events to links") > figure("messages of players") * 3.0,
        "each of three listeners hears all"
    );
    server.await_stats("nobody", |totals| totals["sessions"] == 0);
}

#[test]
fn a_lost_a_doubled_and_a_swapped_message_are_told() {
    let server = ServerProcess::start(&["--reactors", "2"], QUIET);
    let players = spoiling_proxy(server.client);
    let (code, said, error) = soak(&format!("ws://{players}/ws --backend {} {LOAD}", server.backend));
    assert_eq!((code, error.as_str()), (Some(1), "gannet: the run found 3 faults\n"), "{said}");
    assert!(said.ends_with("\n1 lost, 1 doubled, 1 misordered\n"), "{said}");
    for kind in ["lost", "doubled", "misordered"] {
        assert!(said.contains(&format!("\n  {kind}: push ")), "{said}");
    }
}

#[test]
fn a_server_that_dies_is_told_with_what_was_counted_until_then() {
    let server = ServerProcess::start(&["--reactors", "2"], QUIET);
    let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
    let args = format!("--url ws://{} --backend {} -c 20 -r 300 -d 1h", server.client, server.backend);
    command.args(["bench", "soak"]).args(args.split_whitespace()).env_remove("GANNET_KEY");
    let soak = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.await_stats("a load", |totals| totals["pushes"].as_u64().unwrap() > 100);
    server.signal(Signal::KILL);
    let output = soak.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("\npushes  ") && said.contains("\n  broken off: "), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("0 lost, 0 doubled, 0 misordered, ") && last.contains(" broken off"), "{said}");
}

#[test]
fn what_cannot_be_soaked_says_why() {
    let server = ServerProcess::start(&[], QUIET);
    let (players, backend) = (server.client, server.backend);
    let other = other_http_server();
    let table = [
        (format!("ws://{players} --backend {backend} -c 9"), "needs 10 --connections"),
        (format!("ws://{players} --backend {players}"), "404 not_found"),
        (format!("ws://{players} --backend {other}"), "is this its backend port?"),
        (format!("ws://{players} --backend 192.0.2.1:9001"), "load belongs on a server of your own"),
        (format!("ws://{players}/nothing --backend {backend} -c 10"), "refused the upgrade with status 404"),
    ];
    for (args, says) in table {
        let (code, _, error) = soak(&args);
        assert_eq!(code, Some(1), "{args}: {error}");
        assert!(error.starts_with("gannet: ") && error.contains(says), "{args}: {error}");
    }
    server.await_stats("nobody", |totals| totals["sessions"] == 0);
}

/// Answers one request as no gannet does.
fn other_http_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        read_head(&mut client).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    });
    address
}

/// A proxy before the client port that spoils what one player gets.
pub fn spoiling_proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
            thread::spawn(move || forward(client, server));
        }
    });
    address
}

/// Carries both directions to their ends. Either side may have gone: then there is nothing more to carry.
fn forward(mut client: TcpStream, mut server: TcpStream) {
    let Ok(head) = read_head(&mut client) else { return };
    let head_text = String::from_utf8_lossy(&head);
    // Of the soak, and of the load that cuts connections.
    let is_spoiled = ["user=ada%200&", "%2Fuser%200&"].iter().any(|name| head_text.contains(name));
    if server.write_all(&head).is_err() {
        return;
    }
    let (mut upstream, mut downstream) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut upstream, &mut downstream);
        let _ = downstream.shutdown(Shutdown::Write);
    });
    let _ = match is_spoiled {
        true => spoil(&mut server, &mut client),
        false => io::copy(&mut server, &mut client).map(drop),
    };
    let _ = client.shutdown(Shutdown::Write);
}

/// Of the urgent pushes, which must all come, the first is dropped and the third doubled; a normal one of publisher 0 is
/// swapped with its next. The last push of a soak is one of these, so that the other is not held for ever.
fn spoil(server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
    client.write_all(&read_head(server)?)?;
    let (mut urgent, mut normal, mut held) = (0, 0, None);
    loop {
        let frame = read_frame(server)?;
        let source = source(&frame);
        urgent += u32::from(matches!(source, Some((_, URGENT))));
        normal += u32::from(matches!(source, Some((0, NORMAL))));
        match source {
            Some((_, URGENT)) if urgent == 1 => {}
            Some((_, URGENT)) if urgent == 3 => {
                client.write_all(&frame)?;
                client.write_all(&frame)?;
            }
            Some((0, NORMAL)) if normal == 1 => held = Some(frame),
            Some((0, NORMAL)) => {
                client.write_all(&frame)?;
                if let Some(held) = held.take() {
                    client.write_all(&held)?;
                }
            }
            _ => client.write_all(&frame)?,
        }
    }
}

fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    Ok(head)
}

/// A whole frame of the server, which masks nothing (RFC 6455 §5.2).
fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    stream.read_exact(&mut frame)?;
    let more = match frame[1] {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    frame.resize(2 + more, 0);
    stream.read_exact(&mut frame[2..])?;
    let length = match more {
        0 => u64::from(frame[1]),
        _ => frame[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    let header = frame.len();
    frame.resize(header + length as usize, 0);
    stream.read_exact(&mut frame[header..])?;
    Ok(frame)
}

/// Publisher and stream of a push in a frame. A message of the soak begins with hex digits: eight of the run, two of the
/// publisher, two of the stream.
fn source(frame: &[u8]) -> Option<(u8, u8)> {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let digits = str::from_utf8(frame.get(header..header + 12)?).ok()?;
    let number = |from: usize, to: usize| u32::from_str_radix(digits.get(from..to)?, 16).ok();
    number(0, 8).filter(|_| matches!(frame[0], 0x81 | 0x82))?;
    Some((number(8, 10)? as u8, number(10, 12)? as u8))
}
