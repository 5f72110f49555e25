//! A link on its way to the process that goes on with it. A plain connection goes with it, in the middle of whatever it does. One with
//! TLS stays behind, since rustls does not give it out; so does one that is being made. The new process makes such a one anew then, and
//! has the old one killed, as after every connection that broke.

use super::owed::{Kind, Owed};
use super::wire::Wire;
use super::{Greeting, Link, State};
use crate::upgrade::InvalidState;
use minicbor::{Decode, Encode};
use mio::{Interest, Registry};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the module.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct CarriedLink {
    /// What Redis said on the last connection that was up.
    #[n(0)]
    greeted: Option<CarriedGreeting>,
    /// The connection that comes along.
    #[n(1)]
    open: Option<CarriedOpen>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedGreeting {
    #[n(0)]
    client_id: i64,
    #[n(1)]
    version: Box<str>,
    #[n(2)]
    run_id: Box<str>,
    #[n(3)]
    is_cluster: bool,
    #[n(4)]
    is_same: bool,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct CarriedOpen {
    /// What was read and not given out.
    #[cbor(n(0), with = "minicbor::bytes")]
    unread: Vec<u8>,
    /// What the socket has not taken.
    #[cbor(n(1), with = "minicbor::bytes")]
    unwritten: Vec<u8>,
    /// What Redis still has to answer, in order: whether it is a reply, and how many such follow on each other.
    #[n(2)]
    owed: Vec<(bool, u64)>,
    /// Which server of a Redis Cluster it is to, by host and port: another one than the configuration names, mostly.
    #[n(3)]
    at: Option<(Box<str>, u16)>,
}

impl CarriedLink {
    /// Whether a socket comes with it.
    pub fn has_socket(&self) -> bool {
        self.open.is_some()
    }
}

impl Link {
    /// The socket that goes along, if one does.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Up(Wire::Plain(socket)) if self.ending.is_none() => Some(socket.as_fd()),
            _ => None,
        }
    }

    /// What another process goes on with. Nothing is changed by it.
    pub fn carry(&self) -> CarriedLink {
        let Self {
            route,
            token: _,
            limits: _,
            waker: _,
            state: _,
            // A try begins anew.
            backoff: _,
            lookup: _,
            parser,
            outgoing,
            owed,
            greeted,
            ending: _,
            // Both are looked at there.
            is_unread: _,
            is_eventful: _,
            // Whoever could not read heard nothing.
            silent_since_ms: _,
        } = self;
        let open = self.descriptor().map(|_| CarriedOpen {
            unread: parser.held().to_vec(),
            unwritten: outgoing.unwritten().to_vec(),
            owed: owed.runs().map(|(kind, count)| (kind == Kind::Reply, count as u64)).collect(),
            at: route.at(),
        });
        CarriedLink { greeted: greeted.as_ref().map(CarriedGreeting::of), open }
    }

    /// Goes on with what another process had, on its socket where one came. It is polled from now on.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn go_on_from(
        &mut self,
        carried: CarriedLink,
        socket: Option<OwnedFd>,
        registry: &Registry,
        now_ms: u64,
    ) -> Result<(), InvalidState> {
        let CarriedLink { greeted, open } = carried;
        self.greeted = greeted.map(CarriedGreeting::unpack);
        let (open, socket) = match (open, socket) {
            (None, None) => return Ok(()),
            (Some(open), Some(socket)) => (open, socket),
            _ => {
                return Err(InvalidState::new(
                    "a link to Redis without its socket, or a socket without a link",
                ));
            }
        };
        if self.greeted.is_none() {
            return Err(InvalidState::new("a link to a Redis that has said nothing"));
        }
        let CarriedOpen { unread, unwritten, owed, at } = open;
        if let Some((host, port)) = at {
            self.route.is_at(&host, port);
        }
        let mut socket = mio::net::TcpStream::from(socket);
        registry
            .register(&mut socket, self.token, Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| InvalidState::new(format!("a link to Redis cannot be polled: {error}")))?;
        self.state = State::Up(Wire::Plain(socket));
        if !unread.is_empty() {
            self.parser.room(unread.len())[..unread.len()].copy_from_slice(&unread);
            self.parser.filled(unread.len());
        }
        self.outgoing.tail().extend_from_slice(&unwritten);
        self.owed = Owed::default();
        for (is_reply, count) in owed {
            let kind = if is_reply { Kind::Reply } else { Kind::Confirmation };
            let count =
                u32::try_from(count).map_err(|_| InvalidState::new("Redis owes more than was asked"))?;
            self.owed.add(kind, count as usize);
        }
        self.silent_since_ms = (!self.owed.is_empty()).then_some(now_ms);
        (self.is_unread, self.is_eventful) = (true, true);
        Ok(())
    }
}

impl CarriedGreeting {
    fn of(greeting: &Greeting) -> Self {
        let Greeting { client_id, version, run_id, is_cluster, is_same } = greeting;
        let (client_id, is_cluster, is_same) = (*client_id, *is_cluster, *is_same);
        Self { client_id, version: version.clone(), run_id: run_id.clone(), is_cluster, is_same }
    }

    fn unpack(self) -> Greeting {
        let Self { client_id, version, run_id, is_cluster, is_same } = self;
        Greeting { client_id, version, run_id, is_cluster, is_same }
    }
}
