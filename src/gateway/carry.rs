//! How the doors of a reactor, and what links listen to, are carried to another process. The world stands still meanwhile: no
//! envelope is on its way, and every command is done, or waits for a receipt that some socket owes, or is the request for
//! the upgrade itself.

use super::doors::backend::Backend;
use super::doors::client::Head;
use super::doors::link::Link;
use super::doors::{CarriedDoor, Door, Restoring};
use super::{Gateway, KEY_MAY_LESS};
use crate::connection::{Kind, Phase};
use crate::core::{CarriedLines, CarriedListener, Core};
use crate::dispatch::{LinkForm, Packer, Unpacker};
use crate::protocol::CloseCode;
use crate::session::SessionId;
use crate::upgrade::InvalidState;
use hashbrown::HashMap;
use std::sync::Arc;

impl Gateway {
    /// The door of the connection in `slot`, as it is carried; `None` where it has none.
    pub fn carry_door(&self, core: &mut Core, slot: u32, packer: &Packer) -> Option<CarriedDoor> {
        let date = core.http_date();
        let connection = core.connections.slot(slot)?;
        // One that ends owes nothing.
        let owed_for_ms = core.owed_for_ms(slot).filter(|_| connection.phase == Phase::Open);
        // Who was refused at a door is past it, though the door is kept until the connection has gone.
        let is_past = connection.kind == Kind::Discard;
        let door = self.doors.get(connection.door()?).filter(|_| !is_past)?;
        Some(match door {
            Door::Head(head) => CarriedDoor::Head(head.carry()),
            Door::Backend(backend) => {
                CarriedDoor::Backend(Box::new(backend.carry(date, owed_for_ms, packer)))
            }
            Door::Link(link) => CarriedDoor::Link(Box::new(link.carry(packer))),
        })
    }

    /// The connection `id`, which has been put into this core with its outbox and its WebSocket, gets its door. It is counted
    /// as what it is, and goes on in the first turn. A link whose key is gone, or may do less than before, is closed as after
    /// a reload.
    ///
    /// # Errors
    /// The door is not that of such a connection, or no door can be like that.
    pub fn restore_door(
        &mut self,
        core: &mut Core,
        id: SessionId,
        carried: Option<CarriedDoor>,
        unpacker: &Unpacker,
    ) -> Result<(), InvalidState> {
        let kind = core.connections.get(id).map(|connection| connection.kind);
        let kind = kind.ok_or_else(|| InvalidState::new("a door without a connection"))?;
        let rules = Arc::clone(&core.rules);
        let audit = &Arc::clone(&core.shared.audit);
        let restoring = Restoring { id, remote: core.remote_of(id), rules: &rules, audit, unpacker };
        let slot = id.slot();
        match (kind, carried) {
            (Kind::Player | Kind::Echo | Kind::Discard, None) => {}
            (Kind::Upgrade, Some(CarriedDoor::Head(head))) => {
                let head = Head::restore(head)?;
                head.rejoin(core, slot);
                self.put_door(core, slot, Door::Head(head));
            }
            (Kind::Backend, Some(CarriedDoor::Backend(backend))) => {
                let (mut backend, owed_for_ms) = Backend::restore(*backend, &restoring)?;
                core.metrics().backend_connections.add(1);
                backend.rejoin(core, slot, owed_for_ms);
                self.put_door(core, slot, Door::Backend(Box::new(backend)));
            }
            (Kind::Link, Some(CarriedDoor::Link(link))) => {
                let (mut link, keeps_its_key) = Link::restore(*link, &restoring)?;
                core.metrics().backend_connections.add(1);
                core.metrics().links.add(1);
                link.rejoin(core);
                self.put_door(core, slot, Door::Link(Box::new(link)));
                if !keeps_its_key {
                    core.close(slot, CloseCode::POLICY_VIOLATION, KEY_MAY_LESS);
                }
            }
            _ => return Err(InvalidState::new("a connection with the door of another")),
        }
        Ok(())
    }

    /// What links listen to, the same on every reactor, and the players here that wait for them. To be called when every door
    /// of this reactor is there, and before the first turn of any reactor.
    ///
    /// # Errors
    /// As [`Core::restore_listeners`]; or a link here listens and is not listed, or the other way about.
    pub fn restore_listeners(
        &mut self,
        core: &mut Core,
        listeners: &[CarriedListener],
        lines: &CarriedLines,
    ) -> Result<(), InvalidState> {
        core.restore_listeners(listeners, lines)?;
        let own = core.listeners.links().filter(|(link, ..)| usize::from(link.worker()) == core.index);
        let own = own.map(|(link, _, listen)| (link, listen.form));
        let mut listed: HashMap<SessionId, LinkForm> = own.collect();
        let mut listening = self.doors.links().filter(|link| link.listens());
        let mut here = core.seats.away();
        let is_listed = |link: &mut Link| listed.remove(&core.seats.link_of(link.id())) == Some(link.form());
        let are_listed =
            listening.all(is_listed) && here.all(|(link, form)| listed.remove(&link) == Some(form));
        match are_listed && listed.is_empty() {
            true => Ok(()),
            false => Err(InvalidState::new("the links that listen are not those that are listed")),
        }
    }

    fn put_door(&mut self, core: &mut Core, slot: u32, door: Door) {
        let place = self.doors.insert(door);
        if let Some(connection) = core.connection(slot) {
            connection.set_door(place);
        }
    }
}
