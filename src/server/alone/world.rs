//! All of a server of one reactor that is turned by hand, packed as for another process, and taken over as by one: through the
//! stream that a process leaves to a service manager.

use crate::app::Relay;
use crate::config::Config;
use crate::core::{Parcel, Shared};
use crate::dispatch::{Packer, Unpacker};
use crate::gateway::Gateway;
use crate::reactor::{Alone, Arrivals, Beginning, SHARED_PART};
use crate::server::upgrade::{
    CarriedServer, CarriedSetup, Greeted, SERVER_PART, SETUP_PART, decode, finish_pushes, hello, unpack,
};
use crate::server::{BindError, Part, Server};
use crate::upgrade::{Batch, Counts, Hello, InvalidState, Parking, Sink, Source, Unparked};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, RwLock};

/// More state than any of these servers has.
const MAX_BYTES: u64 = 64 << 20;

/// A server, packed.
pub struct World {
    /// What the old process says of itself.
    pub hello: Hello,
    /// In the order in which they are sent.
    pub batches: Vec<Batch<OwnedFd>>,
}

/// Everything of a server, which goes on as if nothing had been.
pub fn pack(alone: &mut Alone) -> World {
    let shared = Arc::clone(alone.shared());
    let parking = Parking::new(&hello(&shared), &[]).expect("two descriptors are left");
    let parcel = Parcel { packer: Packer::default(), sink: Mutex::new(Sink::parked(parking)) };
    send(&parcel, SETUP_PART, CarriedSetup::of(&shared));
    let counts = alone.pack_into(&parcel).expect("the stream takes it");
    send(&parcel, SERVER_PART, CarriedServer::of(&shared, None, shared.clock.now().ms));
    let mut sink = parcel.sink.into_inner().expect("no holder has panicked");
    sink.end(counts).expect("the stream takes it");
    let parked = sink.into_parked().expect("it is parked");
    let Unparked { hello, unparking, .. } = Unparked::read(parked).expect("it is a stream");
    let mut source = Source::parked(unparking, MAX_BYTES);
    let batches = std::iter::from_fn(|| source.next().expect("it is whole")).collect();
    World { hello, batches }
}

fn send(parcel: &Parcel, part: u32, state: impl minicbor::Encode<()>) {
    let state = minicbor::to_vec(state).expect("nothing fails to be written to memory");
    parcel.send(part, &[], &state, SHARED_PART).expect("the stream takes it");
}

/// The server that goes on from `world`, which has not turned yet.
///
/// # Errors
/// What is wrong with it.
pub fn take(config: Config, world: World) -> Result<(Alone, Counts), InvalidState> {
    let World { hello, batches } = world;
    let refused = |error: BindError| InvalidState::new(error.to_string());
    let mut batches = batches.into_iter();
    let setup = batches.next().filter(|batch| batch.part == SETUP_PART);
    let setup = setup.ok_or_else(|| InvalidState::new("it does not begin with its setup"))?;
    let greeted = Greeted::new(&hello, config).map_err(refused)?;
    let (server, ..) = greeted.build(decode(&setup.state)?).map_err(refused)?;
    let Server { shared, parts, asks, .. } = server;
    let Some(Part { poll, receiver, producer, observer, .. }) = parts.into_iter().next() else {
        return Err(InvalidState::new("no reactor"));
    };
    let gateway = Gateway::new(Box::new(Relay), observer.clone());
    let mut beginning = Some(Beginning {
        poll,
        receiver,
        producer,
        shared: shared.clone(),
        index: 0,
        gateway,
        acceptor: None,
    });
    let unpacker = RwLock::<Unpacker>::default();
    let (mut arrivals, mut last) = (None::<Arrivals>, None::<CarriedServer>);
    for batch in batches {
        match (batch.part, &mut arrivals, beginning.take()) {
            (SHARED_PART, _, same) => {
                beginning = same;
                unpack(&batch.state, &unpacker)?;
            }
            (SERVER_PART, _, same) => {
                beginning = same;
                last = Some(decode(&batch.state)?);
            }
            (0, None, Some(beginning)) => {
                let unpacker = unpacker.read().expect("no holder has panicked");
                arrivals = Some(Arrivals::begin(beginning, batch, &unpacker)?);
            }
            (0, Some(arrivals), _) => {
                arrivals.take(batch, &unpacker.read().expect("no holder has panicked"))?;
            }
            _ => return Err(InvalidState::new("a part of no reactor")),
        }
    }
    let arrivals = arrivals.ok_or_else(|| InvalidState::new("the stream was cut"))?;
    let (reactor, counts) = arrivals.all(&unpacker.read().expect("no holder has panicked"))?;
    restore(last, &shared)?;
    finish_pushes(&shared, Arc::new(unpacker));
    Ok((Alone::new(reactor, observer, asks), counts))
}

fn restore(server: Option<CarriedServer>, shared: &Shared) -> Result<(), InvalidState> {
    let server = server.ok_or_else(|| InvalidState::new("what all reactors share did not come"))?;
    server.restore(shared).map(drop)
}
