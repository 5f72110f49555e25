//! The doors: what an upgrade request, a backend connection and a link are in the middle of, and what their bytes do. Each
//! state belongs to the gateway; a connection knows only its place.

pub(super) mod backend;
mod batch;
pub(super) mod client;
pub(super) mod link;

pub(super) mod admin;
mod admit;
mod answers;
pub(super) mod asker;
mod calling;
mod carry;
mod console;
mod entering;
mod entry;
mod figures;
mod job;
mod log_level;
pub(super) mod observer;
pub(super) mod own;
mod pages;
mod receipts;
mod refusing;
mod restoring;
mod visits;

pub(crate) use carry::CarriedDoor;
pub(super) use restoring::Restoring;
pub(super) use visits::NO_SESSION;

use backend::Backend;
use client::Head;
use link::Link;
use slab::Slab;

/// What a connection is in the middle of. A session that is open is past it.
#[derive(Debug)]
pub(super) enum Door {
    /// Client port: the upgrade request is being read.
    Head(Head),
    /// Backend port: HTTP.
    Backend(Box<Backend>),
    /// Backend port: a link.
    Link(Box<Link>),
}

/// All that one reactor's connections are in the middle of, by the place that each connection knows.
#[derive(Debug, Default)]
pub(super) struct Doors {
    doors: Slab<Door>,
}

impl Doors {
    /// So many places are kept when fewer are taken.
    const KEPT: usize = 64;

    pub fn insert(&mut self, door: Door) -> u32 {
        self.doors.insert(door) as u32
    }

    pub fn get(&self, place: u32) -> Option<&Door> {
        self.doors.get(place as usize)
    }

    pub fn get_mut(&mut self, place: u32) -> Option<&mut Door> {
        self.doors.get_mut(place as usize)
    }

    /// The links, each with what it may do.
    pub fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.doors.iter_mut().filter_map(|(_, door)| match door {
            Door::Link(link) => Some(&mut **link),
            _ => None,
        })
    }

    pub fn remove(&mut self, place: u32) -> Option<Door> {
        let door = self.doors.try_remove(place as usize);
        if self.doors.is_empty() && self.doors.capacity() > Self::KEPT {
            // What a storm of upgrades needed goes back.
            self.doors = Slab::new();
        }
        door
    }
}
