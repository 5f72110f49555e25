//! Links that begin, come back and end: what a connection that has become a link is told first.

use super::Gateway;
use super::doors::Door;
use super::doors::asker::Asker;
use super::doors::link::Link;
use crate::connection::{Connection, Visitor};
use crate::core::{Comer, Core, Fed, FeedRequest, LinkCall, MOVES_A_TURN, Resuming, Taken, Ticket};
use crate::dispatch::LinkForm;
use crate::link_bin::{Event, NotResumed, Resumption};
use crate::session::SessionId;

impl Gateway {
    /// The connection `id` has become a link. What it has been answered so far waits for its socket, or is there.
    pub(super) fn begin_link(&mut self, core: &mut Core, id: SessionId, call: LinkCall) {
        let LinkCall { app, form, access, resume, rest } = call;
        let slot = id.slot();
        let asker = Asker::new(core, id, access.clone());
        let link = Link::new(core, id, app, form, asker);
        link.note_opened();
        let door = self.doors.insert(Door::Link(Box::new(link)));
        Link::begin(core, slot, door, rest);
        match resume {
            None => {}
            Some(Resuming::New) => {
                let ticket = core.open_seat(id, access, form);
                self.greet(core, slot, form, ticket.as_ref(), None);
            }
            Some(Resuming::Back { ticket, received }) => {
                let shown = ticket.as_ref();
                let comer = Comer { connection: id, ticket: shown, received, access: &access, form };
                let (taken, mut ticket) = self.take_seat(core, &comer);
                if !matches!(taken, Taken::Resumed | Taken::Gap) {
                    ticket = core.open_seat(id, access, form);
                }
                self.come_back(core, id, form, ticket.as_ref(), resumed(taken));
            }
        }
    }

    fn take_seat(&mut self, core: &mut Core, comer: &Comer<'_>) -> (Taken, Option<Ticket>) {
        let link = comer.ticket.map(Ticket::link).filter(|link| core.seats.has(*link));
        let old = link.and_then(|link| core.seats.connection_of(link));
        let (taken, ticket) = core.take_seat(comer);
        // The connection that it had is not the link's any more: its end is nobody's.
        if matches!(taken, Taken::Resumed | Taken::Gap)
            && let Some(place) = old.and_then(|old| core.connections.get(old)).and_then(Connection::door)
            && let Some(Door::Link(link)) = self.doors.get_mut(place)
        {
            link.listens_no_more();
        }
        (taken, ticket)
    }

    /// What the client of a link that comes back is told, and what follows.
    fn come_back(
        &mut self,
        core: &mut Core,
        id: SessionId,
        form: LinkForm,
        ticket: Option<&Ticket>,
        resumed: Result<(), NotResumed>,
    ) {
        self.greet(core, id.slot(), form, ticket, Some(resumed));
        let link = core.seats.link_of(id);
        let door = core.connections.get(id).and_then(Connection::door);
        if let Some(Door::Link(door)) = door.and_then(|door| self.doors.get_mut(door))
            && core.seats.asks(link)
        {
            door.listens_again();
        }
        match resumed {
            Ok(()) => core.send_rest(link),
            Err(_) => self.scratch.send_own(core, link, form, &Event::Gap),
        }
    }

    /// The first message of a link that can be resumed.
    fn greet(
        &mut self,
        core: &mut Core,
        slot: u32,
        form: LinkForm,
        ticket: Option<&Ticket>,
        resumed: Option<Result<(), NotResumed>>,
    ) {
        let ticket = ticket.map(ToString::to_string);
        let resumption = Resumption { ticket: ticket.as_deref(), resumed };
        core.append(slot, self.scratch.first(form, resumption).as_bytes().to_vec());
    }

    /// A connection has come from another reactor, to be a link of this one; its socket has not taken `unwritten`.
    pub fn link_comes(&mut self, core: &mut Core, id: SessionId, unwritten: Vec<u8>, call: LinkCall) {
        core.append(id.slot(), unwritten);
        self.begin_link(core, id, call);
    }

    /// A request for a feed of this reactor.
    pub fn feed(&mut self, core: &mut Core, request: FeedRequest) {
        let link = request.ticket.link();
        match (core.take_feed(&request), request.reads) {
            (Err(instead), _) => core.answer_feed_request(request.visitor, instead),
            (Ok(_), None) => core.answer_feed_request(request.visitor, Fed::Ended),
            (Ok(taken), Some(_)) => {
                if taken == Taken::Gap {
                    self.scratch.send_own(core, link, LinkForm::Json, &Event::Gap);
                }
                core.serve_feed(link);
            }
        }
    }

    /// The answer to a request for a feed that came on a connection of this reactor.
    pub fn fed(&mut self, core: &mut Core, visitor: Visitor, answer: Fed) {
        let id = visitor.connection;
        // If it has closed meanwhile, it gets none: what was in it is given again.
        if let Some(Door::Backend(backend)) = self.door_of(core, id) {
            backend.fed(core, visitor, answer);
            self.run_backend(core, id);
        }
    }

    /// Goes on with the links that have ended, and with what links are told little by little.
    pub fn go_on_with_links(&mut self, core: &mut Core) {
        // What is for a link that ends now goes before that.
        self.scratch.follow_orders(core);
        core.go_on_with_endings();
        self.scratch.follow_orders(core);
        // One by one: each takes room that the next one may not have.
        let (links, mut left) = core.untold();
        for link in links {
            while left > 0 && core.tell_next(link) {
                left -= 1;
                self.scratch.follow_orders(core);
            }
            // That these were all is said behind the last one.
            self.scratch.follow_orders(core);
        }
        for _ in 0..MOVES_A_TURN {
            if !core.begin_next_move() {
                break;
            }
            self.scratch.follow_orders(core);
        }
    }

    /// A reactor has told a link of this one of all of its sessions; after the last one it hears that these were all.
    pub fn one_told_of_all(&mut self, core: &mut Core, link: SessionId) {
        if let Some(form) = core.one_told_of_all(link) {
            self.scratch.send_own(core, link, form, &Event::Synced);
        }
    }

    /// From now on nothing is sent to `link`, which has ended on its own reactor.
    pub fn hold_for(&mut self, core: &mut Core, link: SessionId) {
        self.scratch.follow_orders(core);
        core.hold_for(link);
    }
}

fn resumed(taken: Taken) -> Result<(), NotResumed> {
    match taken {
        Taken::Resumed => Ok(()),
        Taken::Gap => Err(NotResumed::Gap),
        Taken::Unknown => Err(NotResumed::Unknown),
        Taken::Key => Err(NotResumed::Key),
        Taken::Form => Err(NotResumed::Form),
    }
}
