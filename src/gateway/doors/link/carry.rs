//! How a link is carried to another process.

use super::{Commands, Link, ReplyTo, Waiting};
use crate::auth::CarriedAccess;
use crate::core::Core;
use crate::dispatch::{LinkForm, Packer};
use crate::gateway::api::json::RequestId;
use crate::gateway::doors::asker::Asker;
use crate::gateway::doors::receipts::{CarriedAwaited, Receipts};
use crate::gateway::doors::restoring::Restoring;
use crate::upgrade::InvalidState;
use hashbrown::HashSet;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// The places of commands that a link may have at the least, whatever the limits: they may have been higher.
const PLACES: usize = 1 << 16;

/// A [`Link`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CarriedLink {
    #[n(0)]
    app: u16,
    #[n(1)]
    is_binary: bool,
    #[n(2)]
    asker: CarriedAccess,
    /// How many commands have begun, wrapping.
    #[n(3)]
    begun: u32,
    #[n(4)]
    commands: Vec<CarriedCommand>,
    #[n(5)]
    receipts: Vec<CarriedAwaited>,
    #[n(6)]
    listens: bool,
    /// The commands of a message that holds several, which have not begun.
    #[n(7)]
    queued: Option<Vec<ByteVec>>,
}

/// A command whose receipt waits for sockets. Its place in the table is the low half of its number.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CarriedCommand {
    #[n(0)]
    sequence: u64,
    /// In JSON.
    #[n(1)]
    text_id: Option<String>,
    /// In the binary layout.
    #[n(2)]
    binary_id: Option<u32>,
}

impl Link {
    /// As it is carried.
    pub fn carry(&self, packer: &Packer) -> CarriedLink {
        let Self {
            // The connection has it.
            id: _,
            app,
            form,
            asker,
            commands,
            receipts,
            // Its room alone is kept between two replies.
            scratch: _,
            // What changes something is done: a command that is not done then waits for a receipt.
            barrier: _,
            listens,
            // Nothing is left over by turns.
            ticket: _,
            queued,
        } = self;
        // How many wait for sockets follows from the commands.
        let Commands { waiting, begun, receipts: _ } = commands;
        CarriedLink {
            app: app.0,
            is_binary: *form == LinkForm::Binary,
            asker: asker.carry(),
            begun: *begun,
            commands: waiting.iter().map(|(_, waiting)| CarriedCommand::of(waiting)).collect(),
            receipts: receipts.carry(packer, |sequence| commands.is_waiting(sequence)),
            listens: *listens,
            queued: (!queued.is_empty())
                .then(|| queued.iter().map(|command| command.to_vec().into()).collect()),
        }
    }

    /// The link that was carried, and whether its key may do all that it might.
    ///
    /// # Errors
    /// Such a link cannot have been.
    pub fn restore(carried: CarriedLink, restoring: &Restoring<'_>) -> Result<(Self, bool), InvalidState> {
        let CarriedLink { app, is_binary, asker: access, begun, commands, receipts, listens, queued } =
            carried;
        let form = if is_binary { LinkForm::Binary } else { LinkForm::Json };
        let waiting: Vec<u64> = commands.iter().map(|command| command.sequence).collect();
        let receipts = Receipts::restore(receipts, restoring.id, restoring.unpacker, waiting.into_iter())?;
        let commands = Commands::restore(begun, commands, form, restoring)?;
        let asker = Asker::restore(&access, restoring).filter(|asker| asker.covers(&access));
        let keeps_its_key = asker.is_some();
        let link = Self {
            id: restoring.id,
            app: restoring.app(app)?,
            form,
            asker: asker.unwrap_or_else(|| Asker::nobody(restoring)),
            commands,
            receipts,
            scratch: Vec::new(),
            barrier: None,
            listens,
            ticket: 0,
            queued: queued.unwrap_or_default().into_iter().map(|command| Vec::from(command).into()).collect(),
        };
        Ok((link, keeps_its_key))
    }

    /// Its connection has come into this process: what depends on the door is as it was. It is looked at again in the next
    /// turn.
    pub fn rejoin(&mut self, core: &mut Core) {
        let slot = self.id.slot();
        let Self { receipts, commands, .. } = self;
        core.set_door_due(slot, receipts.next_due_ms(|sequence| commands.is_waiting(sequence)));
        core.read_later(slot);
    }
}

impl Commands {
    /// Each in its place: an answer names it.
    fn restore(
        begun: u32,
        carried: Vec<CarriedCommand>,
        form: LinkForm,
        restoring: &Restoring<'_>,
    ) -> Result<Self, InvalidState> {
        let limits = &restoring.rules.settings.config.limits;
        let places = limits.max_pipelined.saturating_add(limits.max_receipts).max(PLACES);
        let (receipts, mut taken) = (carried.len(), HashSet::new());
        let waiting = carried.into_iter().map(|command| {
            let place = command.sequence as u32 as usize;
            if place >= places || !taken.insert(place) {
                return Err(InvalidState::new("the commands of a link have places that they cannot have"));
            }
            Ok((place, command.restore(form)?))
        });
        Ok(Self { waiting: waiting.collect::<Result<_, _>>()?, begun, receipts })
    }
}

impl CarriedCommand {
    fn of(waiting: &Waiting) -> Self {
        let Waiting { sequence, reply_to, waits_for_sockets: _ } = waiting;
        let (text_id, binary_id) = match reply_to {
            ReplyTo::Json(id) => (id.as_ref().map(ToString::to_string), None),
            ReplyTo::Binary(id) => (None, Some(*id)),
        };
        Self { sequence: *sequence, text_id, binary_id }
    }

    fn restore(self, form: LinkForm) -> Result<Waiting, InvalidState> {
        let Self { sequence, text_id, binary_id } = self;
        let invalid = || InvalidState::new("the command of a link has an id that is none");
        let reply_to = match (form, text_id, binary_id) {
            (LinkForm::Json, Some(text), None) => {
                ReplyTo::Json(Some(RequestId::of_text(&text).ok_or_else(invalid)?))
            }
            (LinkForm::Json, None, None) => ReplyTo::Json(None),
            (LinkForm::Binary, None, Some(id)) => ReplyTo::Binary(id),
            _ => return Err(invalid()),
        };
        Ok(Waiting { sequence, reply_to, waits_for_sockets: true })
    }
}
