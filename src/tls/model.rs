//! The record layer beside rustls. A client shakes hands with a rustls server in memory, gives its keys away, and sends what
//! the input says: records that open with anything in them, bytes that are none, edits, cuts, repetitions. The record layer,
//! with the same keys, has to take what rustls takes, and nothing else.

use super::Scratch;
use super::carried::CarriedSession;
use super::handshake::{LoggedSecrets, keys_of};
use super::record::{CarriedRecords, Forger, RecordLayer, Refusal, Secrets, Suite, Version};
use super::session::Session;
use super::testing::{SUITES, client, client_config, server_config};
use crate::choices::{Choices, pieces};
use rustls::{ServerConnection, SupportedCipherSuite};
use std::io::{self, Empty, IoSlice, Read};
use std::sync::Arc;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// The most bytes that an input makes.
const MAX_WIRE: usize = 1 << 17;

/// Does what `data` says.
pub fn obey(data: &[u8]) {
    let mut choices = Choices::new(data);
    if choices.below(4) == 3 {
        return decode(choices.rest());
    }
    let suite = SUITES[choices.below(9) as usize];
    let mut world = World::new(suite);
    let sizes = choices.sizes();
    let mut script = Script::default();
    while !choices.is_empty() && script.wire.len() < MAX_WIRE {
        script.extend(&mut choices, &mut world.forger, world.suite);
    }
    // Small pieces for little, so that the end is reached.
    let scale = script.wire.len() / 4096 + 1;
    let sizes: Vec<usize> = sizes.into_iter().map(|size| size * scale).collect();
    for (index, piece) in pieces(&script.wire, &sizes).into_iter().enumerate() {
        if index % 3 == 1 {
            world.carry();
        }
        world.receive(piece);
    }
    world.compare(script.has_hello);
    world.answer();
}

/// A state from anywhere is refused, or can be used and carried on.
fn decode(bytes: &[u8]) {
    let Ok(carried) = minicbor::decode::<CarriedSession>(bytes) else { return };
    let Ok(mut session) = Session::try_from(carried) else { return };
    let again = minicbor::to_vec(session.carry()).expect("memory takes it");
    let carried: Option<CarriedSession> = minicbor::decode(&again).expect("it was encoded");
    Session::try_from(carried.expect("it is established")).expect("it was one");
    let mut socket = Nowhere(io::empty());
    let _ = session.read(&mut socket, &mut [0; 512]);
    let _ = session.write(&mut socket, &[IoSlice::new(b"data")], &mut Scratch::default());
    session.close();
    let _ = session.flush(&mut socket);
}

/// A socket that takes everything, and has come to its end.
struct Nowhere(Empty);

impl Read for Nowhere {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl io::Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the client sends.
#[derive(Default)]
struct Script {
    wire: Vec<u8>,
    /// Where the last record begins.
    last: usize,
    /// TLS 1.2: rustls reads a ClientHello and refuses one that it cannot, where the record layer looks for its end.
    has_hello: bool,
}

impl Script {
    fn extend(&mut self, choices: &mut Choices<'_>, forger: &mut Forger, suite: Suite) {
        let action = choices.below(12);
        if action < 8 {
            self.last = self.wire.len();
        }
        let out = &mut self.wire;
        match action {
            0 => forger.seal(DATA, &vec![b'd'; choices.number(15) as usize % 17_000], out),
            1 => out.extend_from_slice({
                let count = choices.byte() as usize;
                choices.bytes(count)
            }),
            2 => {
                let count = [1, 2, 31, 32, 33][choices.below(5) as usize];
                let request = choices.byte() % 2;
                match suite.version {
                    Version::Tls13 => (0..count).for_each(|_| forger.update_key(request, out)),
                    Version::Tls12 => (0..count).for_each(|_| forger.seal(DATA, b"12", out)),
                }
            }
            3 => forger.seal(ALERT, &[choices.byte() % 4, choices.byte()], out),
            4 => {
                let update = [24, 0, 0, 1, choices.byte() % 3, 24, 0, 0, 1, 0];
                let (from, to) = (choices.below(5) as usize, choices.below(11) as usize);
                forger.seal(HANDSHAKE, &update[from.min(to)..to], out);
                self.has_hello = true;
            }
            5 => {
                let kind = [0, 20, 21, 22, 23, 24][choices.below(6) as usize];
                self.has_hello |= kind == HANDSHAKE;
                let count = choices.below(40) as usize;
                forger.seal(kind, choices.bytes(count), out);
            }
            6 => (0..choices.below(40)).for_each(|_| forger.seal(DATA, b"", out)),
            7 => {
                let padding = choices.number(14) as usize % 16_400;
                let mut content = choices.bytes(9).to_vec();
                content.push([DATA, ALERT, HANDSHAKE, 0][choices.below(4) as usize]);
                content.resize(content.len() + padding, 0);
                self.has_hello = true;
                forger.seal(0, &content, out);
            }
            8 => {
                let at = self.last + choices.number(9) as usize;
                let bits = choices.byte();
                out.get_mut(at).into_iter().for_each(|byte| *byte ^= bits);
            }
            9 => out.truncate(out.len().saturating_sub(choices.number(5) as usize)),
            10 => {
                let record = out[self.last.min(out.len())..].to_vec();
                out.extend(record);
            }
            _ => forger.skip_key(),
        }
    }
}

struct World {
    reference: ServerConnection,
    layer: RecordLayer,
    /// The client's other half: it opens what the layer sends.
    mirror: RecordLayer,
    forger: Forger,
    suite: Suite,
    /// What the layer has got and not used.
    pending: Vec<u8>,
    data: Vec<u8>,
    replies: Vec<u8>,
    refusal: Option<Refusal>,
    expected: Vec<u8>,
    is_expected_refused: bool,
}

impl World {
    fn new(supported: SupportedCipherSuite) -> Self {
        let logged = Arc::new(LoggedSecrets::default());
        let server = server_config(supported, Some(Arc::clone(&logged) as _));
        let mut reference = ServerConnection::new(Arc::new(server)).expect("it is a configuration");
        let mut config = client_config(supported);
        config.enable_secret_extraction = true;
        let mut client = client(config);
        while client.is_handshaking() || reference.is_handshaking() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).expect("memory takes it");
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                reference.read_tls(&mut rest).expect("there is room");
                reference.process_new_packets().expect("the client is honest");
            }
            let mut bytes = Vec::new();
            while reference.wants_write() {
                reference.write_tls(&mut bytes).expect("memory takes it");
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest).expect("there is room");
                client.process_new_packets().expect("the server is honest");
            }
        }
        let version = match client.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => Version::Tls13,
            _ => Version::Tls12,
        };
        let extracted = client.dangerous_extract_secrets().expect("the handshake is done");
        let sending = || keys_of(version, &extracted.tx.1, extracted.tx.0).expect("the suite is known");
        let receiving = || keys_of(version, &extracted.rx.1, extracted.rx.0).expect("the suite is known").1;
        let suite = sending().0;
        let secrets = || {
            (version == Version::Tls13).then(|| {
                let fresh = |pair: &(u64, _)| keys_of(version, &pair.1, 0).expect("it is known").1;
                logged.of(suite, &fresh(&extracted.tx), &fresh(&extracted.rx)).expect("they are logged")
            })
        };
        let mirrored = secrets()
            .map(|Secrets { receiving, sending }| Secrets { receiving: sending, sending: receiving });
        Self {
            reference,
            layer: RecordLayer::new(suite, sending().1, receiving(), secrets()),
            mirror: RecordLayer::new(suite, receiving(), sending().1, mirrored),
            forger: Forger::new(suite, sending().1, secrets().map(|both| both.receiving)),
            suite,
            pending: Vec::new(),
            data: Vec::new(),
            replies: Vec::new(),
            refusal: None,
            expected: Vec::new(),
            is_expected_refused: false,
        }
    }

    /// The layer goes on in another process.
    fn carry(&mut self) {
        let bytes = minicbor::to_vec(CarriedRecords::of(&self.layer)).expect("memory takes it");
        let carried: CarriedRecords = minicbor::decode(&bytes).expect("it was encoded");
        self.layer = carried.restore().expect("it was one");
    }

    /// Both get these bytes.
    fn receive(&mut self, bytes: &[u8]) {
        if self.refusal.is_none() {
            self.pending.extend_from_slice(bytes);
            let (opened, result) = self.layer.open(&mut self.pending, &mut self.replies);
            self.data.extend_from_slice(&self.pending[..opened.data]);
            self.pending.drain(..opened.used);
            self.refusal = result.err();
        }
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_expected_refused {
            match self.reference.read_tls(&mut rest) {
                // Behind a close_notify it reads nothing.
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => self.is_expected_refused = true,
            }
            self.is_expected_refused |= self.reference.process_new_packets().is_err();
            let _ = self.reference.reader().read_to_end(&mut self.expected);
        }
    }

    /// Both have given the same data, but for what the record layer refuses by design.
    fn compare(&self, has_hello: bool) {
        let Self { data, expected, .. } = self;
        // RFC 8446 has these refused: an outer type or version that is not the one, messages without content. Updates of
        // keys with nothing but empty records between them are a flood.
        let is_stricter = self.suite.version == Version::Tls13
            && matches!(self.refusal, Some(Refusal::RecordType(_) | Refusal::RecordVersion))
            || matches!(self.refusal, Some(Refusal::EmptyMessage | Refusal::KeyUpdates));
        if has_hello && self.suite.version == Version::Tls12 {
            assert!(data.starts_with(expected) || expected.starts_with(data), "{:?}", self.refusal);
        } else if is_stricter {
            assert!(expected.starts_with(data), "{:?}", self.refusal);
        } else {
            assert_eq!(data.len(), expected.len(), "{:?} {}", self.refusal, self.is_expected_refused);
            assert_eq!(data, expected);
        }
    }

    /// Everything that the layer sends opens at the client, unless that has ended itself.
    fn answer(&mut self) {
        let sealed = self.layer.seal(&[IoSlice::new(b"answer")], 6, &mut self.replies);
        let (opened, result) = self.mirror.open(&mut self.replies, &mut Vec::new());
        match (sealed, self.refusal) {
            (Ok(_), None) => {
                assert_eq!(result, Ok(()));
                assert_eq!(&self.replies[..opened.data], b"answer");
            }
            (Err(_), Some(refusal)) => {
                let alert = refusal.alert().map(|alert| Refusal::AlertReceived(alert as u8));
                assert_eq!(result.err(), alert);
            }
            (sealed, refusal) => panic!("{sealed:?}, {refusal:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::obey;
    use crate::choices::random_bytes;

    #[test]
    fn random_scripts_are_taken_as_rustls_takes_them() {
        for seed in 1..1500 {
            let mut bytes = random_bytes(seed, 60);
            bytes[0] = 0;
            bytes[1] = (seed % 9) as u8;
            obey(&bytes);
        }
    }
}
