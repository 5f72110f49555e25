//! What a client has sent in part before an upgrade, and the rest of it after: cut at every byte.

use super::load::tls_config;
use super::running::Running;
use crate::raw::{CLOSE, PING, PONG, Raw, TEXT, masked, upgrade};
use crate::support::*;
use std::io::{Read, Write};
use std::net::TcpStream;

const CONTINUATION: u8 = 0x80;
const TEXT_BEGINS: u8 = 0x01;

/// What a client says, and the frames that it gets for it from `/echo`.
struct Said {
    what: &'static str,
    bytes: Vec<u8>,
    answers: Vec<(u8, Vec<u8>)>,
    /// Where it is cut.
    cuts: Vec<usize>,
}

fn table() -> Vec<Said> {
    let text = "a räum of one's own";
    let long: String = ('a'..='z').cycle().take(100_000).collect();
    // The last character of the first fragment is cut in two.
    let fragments = [
        masked(TEXT_BEGINS, &text.as_bytes()[..4]),
        masked(PING, b"between"),
        masked(0, &text.as_bytes()[4..7]),
        masked(CONTINUATION, &text.as_bytes()[7..]),
    ];
    let whole = |what, bytes: Vec<u8>, answers| {
        let cuts = (0..=bytes.len()).collect();
        Said { what, bytes, answers, cuts }
    };
    let close = [&1000_u16.to_be_bytes()[..], b"enough"].concat();
    vec![
        whole("a frame", masked(TEXT, text.as_bytes()), vec![(TEXT, text.into())]),
        whole(
            "two frames",
            [masked(TEXT, b"1"), masked(TEXT, b"2")].concat(),
            vec![(TEXT, b"1".to_vec()), (TEXT, b"2".to_vec())],
        ),
        whole("fragments", fragments.concat(), vec![(PONG, b"between".to_vec()), (TEXT, text.into())]),
        whole("a Close", masked(CLOSE, &close), vec![(CLOSE, 1000_u16.to_be_bytes().to_vec())]),
        Said {
            what: "a long frame",
            bytes: masked(TEXT, long.as_bytes()),
            answers: vec![(TEXT, long.into())],
            cuts: vec![1, 3, 9, 13, 14, 15, 17, 16_384, 65_536, 99_999, 100_000, 100_013],
        },
    ]
}

/// The next frame that the server sent.
fn frame(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let length = match header[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length).unwrap();
            u64::from_be_bytes(length) as usize
        }
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (header[0], payload)
}

fn echo(stream: &mut (impl Read + Write)) {
    stream.write_all(upgrade("/echo", "").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

/// A message there and back on a connection of its own for each reactor: what others sent before has been read.
fn settle(ports: &Ports, over_tls: bool) {
    for _ in 0..8 {
        let stream = prepared(TcpStream::connect(ports.client).unwrap());
        let said = masked(TEXT, b"settled");
        let answered = match over_tls {
            true => {
                let mut stream =
                    tls::over(stream, &tls::client_config(&[&rustls::version::TLS13]), "localhost");
                echo(&mut stream);
                stream.write_all(&said).unwrap();
                frame(&mut stream)
            }
            false => {
                let mut stream = stream;
                echo(&mut stream);
                stream.write_all(&said).unwrap();
                frame(&mut stream)
            }
        };
        assert_eq!(answered, (TEXT, b"settled".to_vec()));
    }
}

#[test]
fn whatever_is_half_said_before_is_understood_after() {
    let mut server = Running::start(&["--reactors", "2", "--echo"], "");
    for said in table() {
        let begin = |cut: &usize| {
            let mut stream = prepared(TcpStream::connect(server.client).unwrap());
            echo(&mut stream);
            stream.write_all(&said.bytes[..*cut]).unwrap();
            (stream, *cut)
        };
        let begun: Vec<_> = said.cuts.iter().map(begin).collect();
        settle(&server, false);
        server.upgrade();
        for (mut stream, cut) in begun {
            stream.write_all(&said.bytes[cut..]).unwrap();
            for answer in &said.answers {
                assert_eq!(frame(&mut stream), *answer, "{}, cut at {cut}", said.what);
            }
        }
    }
}

#[test]
fn half_a_record_before_is_opened_with_its_rest_after() {
    let cert = tls::CertFiles::new(&["localhost"]);
    let mut server = Running::start(&["--reactors", "2", "--echo"], &tls_config(&cert));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = tls::client_config(&[version]);
        for said in table() {
            let begin = |cut: usize| {
                let stream = prepared(TcpStream::connect(server.client).unwrap());
                let mut stream = tls::over(stream, &config, "localhost");
                echo(&mut stream);
                stream.conn.set_buffer_limit(None);
                stream.conn.writer().write_all(&said.bytes).unwrap();
                let mut records = Vec::new();
                while stream.conn.wants_write() {
                    stream.conn.write_tls(&mut records).unwrap();
                }
                let cut = cut.min(records.len());
                stream.sock.write_all(&records[..cut]).unwrap();
                (stream, records, cut)
            };
            // A record is longer than what is in it.
            let length = said.bytes.len();
            let begun: Vec<_> = said.cuts.iter().copied().chain(length + 1..length + 30).map(begin).collect();
            settle(&server, true);
            server.upgrade();
            for (mut stream, records, cut) in begun {
                stream.sock.write_all(&records[cut..]).unwrap();
                for answer in &said.answers {
                    assert_eq!(frame(&mut stream), *answer, "{} {version:?}, cut at {cut}", said.what);
                }
            }
        }
    }
}

#[test]
fn a_head_that_is_half_sent_before_is_a_session_after() {
    let mut server = Running::start(&["--reactors", "2"], "timeouts.upgrade_ms = 60000");
    let head = upgrade("/ws?user=ada", "");
    let begin = |cut: usize| {
        let mut raw = Raw::connect(server.client);
        raw.send(&head[..cut]);
        (raw, cut)
    };
    let begun: Vec<_> = (0..head.len()).step_by(7).map(begin).collect();
    server.upgrade();
    for (mut raw, cut) in begun {
        raw.send(&head[cut..]);
        assert_eq!(raw.answer().status, 101, "cut at {cut}");
        assert!(raw.frame().unwrap().text().starts_with(r#"{"type":"welcome""#));
    }
}

#[test]
fn handshakes_that_stand_still_hold_up_no_upgrade() {
    let cert = tls::CertFiles::new(&["localhost"]);
    let config = format!("timeouts.handover_ms = 2000\ntimeouts.upgrade_ms = 600000\n{}", tls_config(&cert));
    let mut server = Running::start(&["--reactors", "2"], &config);
    let config = tls::client_config(&[&rustls::version::TLS13]);
    let client = server.client;
    let connect = || {
        let stream = prepared(TcpStream::connect(client).unwrap());
        tls::over(stream, &config, "localhost")
    };
    let mut hello = Vec::new();
    connect().conn.write_tls(&mut hello).unwrap();
    let mut half: Vec<Raw> = (1..hello.len())
        .step_by(20)
        .map(|cut| {
            let mut raw = Raw::connect(server.client);
            raw.send(&hello[..cut]);
            raw
        })
        .collect();
    let mut player = Player::on(connect(), "/ws?user=ada").unwrap();
    server.upgrade();
    assert_eq!(server.backend().push_text("user=ada", "still here").queued, 1);
    assert_eq!(player.recv_text(), "still here");
    // They are closed, and can come again.
    for raw in &mut half {
        raw.rest();
    }
    Player::on(connect(), "/ws?user=eve").unwrap();
}

#[test]
fn who_connects_while_it_goes_on_waits_and_gets_in() {
    let config = "timeouts.handover_ms = 60000\ntimeouts.upgrade_ms = 60000";
    let mut server = Running::start(&["--reactors", "2"], config);
    let mut waiting = Vec::new();
    for step in ["new:ready", "new:listeners", "new:receiving", "new:restored", "new:taken"] {
        server.upgrade_around(step, |ports| {
            for _ in 0..50 {
                let mut raw = Raw::connect(ports.client);
                raw.send(upgrade("/ws?user=ada", ""));
                waiting.push(raw);
            }
        });
        for mut raw in waiting.drain(..) {
            assert_eq!(raw.answer().status, 101, "at {step}");
            assert!(raw.frame().unwrap().text().starts_with(r#"{"type":"welcome""#));
        }
    }
}
