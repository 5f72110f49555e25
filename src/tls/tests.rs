//! Sessions with rustls clients as the other side, joined in memory: what is sent is moved when the test says so.

use super::carried::CarriedSession;
use super::session::Session;
use super::testing::{SUITES, client, client_config, server_config};
use super::tickets::Tickets;
use super::{Received, Scratch, Shaken};
use crate::metrics::TlsOutcome;
use rustls::client::Resumption;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, ServerConfig,
    SupportedCipherSuite,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// The server's socket.
#[derive(Default)]
struct Wire {
    inbound: VecDeque<u8>,
    outbound: Vec<u8>,
    /// Bytes that it still takes; `None` for any number.
    room: Option<usize>,
    has_ended: bool,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inbound.is_empty() && !self.has_ended {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.inbound.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room.unwrap_or(usize::MAX));
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room = self.room.map(|room| room - count);
        self.outbound.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct World {
    client: ClientConnection,
    session: Session,
    wire: Wire,
    scratch: Scratch,
    buffer: Vec<u8>,
    /// Whether the session is carried before each thing that it does.
    is_carried: bool,
}

impl World {
    /// Before the first byte.
    fn begin(client_config: ClientConfig, server_config: &ServerConfig) -> Self {
        let mut client = client(client_config);
        client.set_buffer_limit(None);
        Self {
            client,
            session: Session::new(server_config).unwrap(),
            wire: Wire::default(),
            scratch: Scratch::default(),
            buffer: vec![0; 32 * 1024],
            is_carried: false,
        }
    }

    /// After the handshake.
    fn new(suite: SupportedCipherSuite) -> Self {
        let mut world = Self::begin(client_config(suite), &server_config(suite, None));
        world.shake();
        world
    }

    fn shake(&mut self) -> TlsOutcome {
        loop {
            self.client_sends();
            let shaken = self.session.shake(&mut self.wire).unwrap();
            self.client_receives().unwrap();
            if let Shaken::Done(outcome) = shaken {
                return outcome;
            }
        }
    }

    /// What the client has to send is on the wire.
    fn client_sends(&mut self) {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        self.wire.inbound.extend(bytes);
    }

    /// The client gets what is on the wire: the data in it.
    fn client_receives(&mut self) -> Result<Vec<u8>, Error> {
        let bytes = std::mem::take(&mut self.wire.outbound);
        let mut bytes = bytes.as_slice();
        let mut data = Vec::new();
        while !bytes.is_empty() {
            if self.client.read_tls(&mut bytes).unwrap() == 0 {
                break;
            }
            self.client.process_new_packets()?;
            let _ = self.client.reader().read_to_end(&mut data);
        }
        Ok(data)
    }

    fn send(&mut self, data: &[u8]) {
        self.client.writer().write_all(data).unwrap();
        self.client_sends();
    }

    /// Everything that can be read, and whether the end has come.
    fn read(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let mut data = Vec::new();
        loop {
            self.carry_if_asked();
            match self.session.read(&mut self.wire, &mut self.buffer)? {
                Received::Bytes { count, .. } => data.extend_from_slice(&self.buffer[..count]),
                Received::Nothing => return Ok((data, false)),
                Received::Busy => {}
                Received::End => return Ok((data, true)),
            }
        }
    }

    /// Writes as much as is taken.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < data.len() {
            self.carry_if_asked();
            // In two pieces, as a frame's header and payload are.
            let (head, tail) = data[taken..].split_at((data.len() - taken).min(5));
            let pieces = [head, tail].map(IoSlice::new);
            match self.session.write(&mut self.wire, &pieces, &mut self.scratch) {
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.carry_if_asked();
        Ok(taken)
    }

    fn carry_if_asked(&mut self) {
        if self.is_carried {
            self.carry();
        }
    }

    /// The session goes on in another process: how many bytes it takes there.
    fn carry(&mut self) -> usize {
        let bytes = minicbor::to_vec(self.session.carry().unwrap()).unwrap();
        let carried: CarriedSession = minicbor::decode(&bytes).unwrap();
        self.session = Session::try_from(carried).unwrap();
        bytes.len()
    }

    fn exchange(&mut self, from_client: &[u8], from_server: &[u8]) {
        self.send(from_client);
        assert_eq!(self.read().unwrap(), (from_client.to_vec(), false));
        assert_eq!(self.write(from_server).unwrap(), from_server.len());
        assert_eq!(self.client_receives().unwrap(), from_server);
    }

    /// The alert by which the session refuses what is on the wire.
    fn refusal(&mut self) -> AlertDescription {
        assert_eq!(self.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        match self.client_receives().unwrap_err() {
            Error::AlertReceived(alert) => alert,
            error => panic!("{error}"),
        }
    }

    fn has_buffers(&self) -> bool {
        let carried = self.session.carry().unwrap();
        let super::session::State::Established(session) = &self.session.0 else { return true };
        drop(carried);
        session.waiting.is_some()
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

fn is_tls13(suite: SupportedCipherSuite) -> bool {
    suite.version() == &TLS13
}

fn tls13() -> impl Iterator<Item = SupportedCipherSuite> {
    SUITES.iter().copied().filter(|suite| is_tls13(*suite))
}

#[test]
fn data_of_every_size_passes_both_ways_in_every_suite() {
    assert_eq!(SUITES.len(), 9);
    for suite in &*SUITES {
        for is_carried in [false, true] {
            let mut world = World::new(*suite);
            world.is_carried = is_carried;
            for size in [1, 2, 64, 125, 1000, 16_383, 16_384, 16_385, 32_768, 40_000, 100_000] {
                let data = pattern(size);
                world.exchange(&data, &data);
            }
            assert!(!world.has_buffers());
            let bytes = world.carry();
            assert!(bytes <= 250, "{suite:?}: {bytes}");
        }
    }
}

#[test]
fn small_buffers_get_the_same_data() {
    for suite in &*SUITES {
        for size in [1, 7, 4096, 16_384] {
            let mut world = World::new(*suite);
            world.buffer = vec![0; size];
            world.exchange(&pattern(20_000), b"answer");
            assert!(!world.has_buffers());
        }
    }
}

#[test]
fn records_that_are_cut_at_any_byte_arrive_whole_and_the_session_is_carried_between() {
    for suite in &*SUITES {
        let mut world = World::new(*suite);
        for cut in 0.. {
            world.send(b"first");
            world.send(&pattern(40));
            let rest = match cut <= world.wire.inbound.len() {
                true => world.wire.inbound.split_off(cut),
                false => break,
            };
            let (mut data, _) = world.read().unwrap();
            world.carry();
            assert_eq!(world.write(b"between").unwrap(), 7);
            world.wire.inbound = rest;
            data.extend(world.read().unwrap().0);
            assert_eq!(data, [b"first".as_slice(), &pattern(40)].concat(), "cut at {cut}");
            assert_eq!(world.client_receives().unwrap(), b"between");
            assert!(!world.has_buffers());
        }
    }
}

#[test]
fn records_that_come_byte_by_byte_arrive_whole() {
    for suite in &*SUITES {
        for is_carried in [false, true] {
            let mut world = World::new(*suite);
            world.is_carried = is_carried;
            world.send(&pattern(700));
            let mut data = Vec::new();
            for byte in std::mem::take(&mut world.wire.inbound) {
                world.wire.inbound.push_back(byte);
                data.extend(world.read().unwrap().0);
            }
            assert_eq!(data, pattern(700));
        }
    }
}

#[test]
fn a_handshake_byte_by_byte_with_data_right_behind_it_loses_nothing() {
    for suite in &*SUITES {
        let mut world = World::begin(client_config(*suite), &server_config(*suite, None));
        assert!(world.session.is_untouched() && world.session.carry().is_none());
        // The client writes before it may: rustls sends it right behind its last message.
        world.client.writer().write_all(b"early").unwrap();
        let mut is_done = false;
        while !is_done {
            world.client_sends();
            let mut bytes = std::mem::take(&mut world.wire.inbound);
            while !is_done && let Some(byte) = bytes.pop_front() {
                world.wire.inbound.push_back(byte);
                let shaken = world.session.shake(&mut world.wire).unwrap();
                assert!(!world.session.is_untouched());
                is_done = matches!(shaken, Shaken::Done(TlsOutcome::Full));
                assert!(is_done || shaken == Shaken::NotYet && world.session.carry().is_none());
            }
            world.wire.inbound.extend(bytes);
            world.client_receives().unwrap();
        }
        // TLS 1.2: the server's Finished is the last message.
        world.client_sends();
        assert_eq!(world.read().unwrap().0, b"early", "{suite:?}");
    }
}

#[test]
fn what_the_socket_does_not_take_of_a_handshake_and_of_data_is_sent_first() {
    for suite in &*SUITES {
        let mut server = server_config(*suite, None);
        server.ticketer = Arc::new(Tickets::new().unwrap());
        let mut world = World::begin(client_config(*suite), &server);
        let mut is_done = false;
        while !is_done {
            world.client_sends();
            // What comes before has to be read for the client to go on.
            world.wire.room = Some(3000);
            is_done = {
                let before = world.wire.outbound.len();
                let shaken = world.session.shake(&mut world.wire).unwrap();
                assert_eq!(before, 0);
                matches!(shaken, Shaken::Done(_))
            };
            if is_done {
                break;
            }
            world.client_receives().unwrap();
        }
        world.wire.room = Some(10);
        let taken = world.write(&pattern(30_000)).unwrap();
        assert!(taken == 0 || world.session.has_unsent());
        let mut sent = taken;
        let mut received = Vec::new();
        while received.len() < 30_000 {
            world.wire.room = Some(777);
            world.carry();
            sent += world.write(&pattern(30_000)[sent..]).unwrap();
            world.session.flush(&mut world.wire).unwrap();
            received.extend(world.client_receives().unwrap());
        }
        assert_eq!(received, pattern(30_000));
        assert!(!world.session.has_unsent() && !world.has_buffers());
    }
}

#[test]
fn the_keys_change_when_the_client_says_so_and_ours_when_it_asks() {
    for suite in tls13() {
        for is_carried in [false, true] {
            let mut world = World::new(suite);
            world.is_carried = is_carried;
            for round in 0..100 {
                // Up to as many updates as rustls sends before it wants an answer.
                for _ in 0..round % 3 {
                    world.client.refresh_traffic_keys().unwrap();
                    world.client_sends();
                }
                world.exchange(b"before", b"answer");
                world.client.refresh_traffic_keys().unwrap();
                world.exchange(b"behind", b"answer under another key");
            }
            assert!(!world.has_buffers());
        }
    }
}

#[test]
fn updates_of_keys_without_data_are_refused_when_they_are_too_many() {
    for suite in tls13() {
        let mut world = World::new(suite);
        for _ in 0..32 {
            world.client.refresh_traffic_keys().unwrap();
            world.client_sends();
        }
        world.exchange(b"data", b"answer");
        for _ in 0..33 {
            world.client.refresh_traffic_keys().unwrap();
            world.client_sends();
        }
        assert_eq!(world.refusal(), AlertDescription::UnexpectedMessage);
    }
}

#[test]
fn either_side_says_its_end_and_the_other_still_hears_what_came_before() {
    for suite in &*SUITES {
        for is_carried in [false, true] {
            let mut world = World::new(*suite);
            world.is_carried = is_carried;
            world.client.writer().write_all(b"last words").unwrap();
            world.client.send_close_notify();
            world.client_sends();
            world.wire.inbound.extend(b"what comes behind is ignored");
            assert_eq!(world.read().unwrap(), (b"last words".to_vec(), true));
            assert_eq!(world.read().unwrap(), (Vec::new(), true));
            assert_eq!(world.write(b"answer").unwrap(), 6);
            world.session.close();
            world.session.close();
            assert!(world.session.has_unsent());
            world.carry_if_asked();
            assert!(world.session.flush(&mut world.wire).unwrap());
            assert_eq!(world.write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(world.client_receives().unwrap(), b"answer");
            assert!(world.client.process_new_packets().unwrap().peer_has_closed());
        }
    }
}

#[test]
fn an_end_without_a_close_notify_is_an_end() {
    for suite in &*SUITES {
        let mut world = World::new(*suite);
        world.send(b"data");
        world.wire.inbound.truncate(world.wire.inbound.len() - 1);
        world.wire.has_ended = true;
        assert_eq!(world.read().unwrap(), (Vec::new(), true));
    }
}

#[test]
fn a_byte_that_was_changed_on_the_way_ends_the_session_with_an_alert() {
    for suite in &*SUITES {
        for at in [0, 1, 2, 3, 4, 5, 13, 20, 25] {
            let mut world = World::new(*suite);
            world.send(b"data!");
            world.wire.inbound[at] ^= 0x40;
            // A length that was made larger waits for as much.
            world.wire.inbound.extend([0; 20_000]);
            let expected = match (at, is_tls13(*suite)) {
                (0, _) => AlertDescription::UnexpectedMessage,
                (1 | 2, _) => AlertDescription::DecodeError,
                // The length is 22 or more bytes, and 0x4000 more; TLS 1.3 allows 256 beyond 2^14.
                (3..=25, _) => AlertDescription::BadRecordMac,
                _ => unreachable!(),
            };
            assert_eq!(world.refusal(), expected, "{suite:?}, byte {at}");
        }
    }
}

#[test]
fn a_client_resumes_in_another_process_by_its_ticket() {
    for suite in &*SUITES {
        let (old, new) = (Arc::new(Tickets::new().unwrap()), Arc::new(Tickets::new().unwrap()));
        let server = |tickets: &Arc<Tickets>| {
            let mut config = server_config(*suite, None);
            config.ticketer = Arc::clone(tickets) as _;
            config
        };
        let mut config = client_config(*suite);
        config.resumption = Resumption::in_memory_sessions(8);
        let visit = |server: &ServerConfig| {
            let mut world = World::begin(config.clone(), server);
            let outcome = world.shake();
            world.exchange(b"question", b"answer");
            (outcome, world.client.handshake_kind())
        };
        assert_eq!(visit(&server(&old)).0, TlsOutcome::Full);
        assert_eq!(visit(&server(&old)), (TlsOutcome::Resumed, Some(HandshakeKind::Resumed)), "{suite:?}");
        // Keys of its own do not open it, those that were carried do.
        let carried = minicbor::to_vec(old.carry()).unwrap();
        new.take_over(minicbor::decode(&carried).unwrap()).unwrap();
        assert_eq!(visit(&server(&new)).0, TlsOutcome::Resumed, "{suite:?}");
        assert_eq!(visit(&server(&Arc::new(Tickets::new().unwrap()))).0, TlsOutcome::Full);
    }
}

#[test]
fn a_session_in_the_middle_of_its_handshake_sends_and_reads_no_data() {
    let suite = SUITES[0];
    let mut world = World::begin(client_config(suite), &server_config(suite, None));
    world.client_sends();
    world.session.shake(&mut world.wire).unwrap();
    let written = world.session.write(&mut world.wire, &[IoSlice::new(b"data")], &mut world.scratch);
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(matches!(world.session.read(&mut world.wire, &mut [0; 9]), Ok(Received::Nothing)));
    world.client.process_new_packets().unwrap();
}
