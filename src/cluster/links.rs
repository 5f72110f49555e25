//! What nodes say of links that hear of the sessions of all nodes: CBOR, so that a later version may say more. The node of such a link
//! tells the others that it listens, what it asks for, and how many of their events it has; they send it the events of their sessions,
//! numbered. Pure.

use minicbor::{Decode, Encode};

/// A message about links.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum LinksSaid {
    /// A link of the sender listens from now on, or listens again. It is answered when it is told of all that happens.
    #[n(0)]
    Listens(#[n(0)] LinkSaid),
    /// All links of the sender that listen.
    #[n(1)]
    All(#[n(0)] AllSaid),
    /// The sender does not know all links of the receiver that listen, or knows of too many: it is to be told.
    #[n(2)]
    Asks,
    /// Events of sessions of the sender for a link of the receiver.
    #[n(3)]
    Events(#[n(0)] EventsSaid),
    /// How many of these a link of the sender has.
    #[n(4)]
    Took(#[n(0)] TookSaid),
}

/// A link, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LinkSaid {
    /// Its id on its node.
    #[n(0)]
    pub link: u64,
    /// When it has begun to ask for this: a number that counts the changes of its node.
    #[n(1)]
    pub version: u64,
    /// The name of its app.
    #[n(2)]
    pub app: String,
    /// Its share.
    #[n(3)]
    pub share: Option<String>,
    /// What it is called.
    #[n(4)]
    pub name: Option<String>,
    /// A bit for each kind of events that it wants.
    #[n(5)]
    pub events: u32,
    /// A bit for each detail that its events have.
    #[n(6)]
    pub with: u8,
    /// How it speaks.
    #[n(7)]
    pub is_binary: bool,
}

/// All links of a node that listen to other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AllSaid {
    /// As of this change.
    #[n(0)]
    pub as_of: u64,
    /// Those that listen.
    #[n(1)]
    pub links: Vec<LinkSaid>,
    /// Those that have ended lately.
    #[n(2)]
    pub ended: Vec<EndedSaid>,
}

/// A link that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EndedSaid {
    /// Its id on its node.
    #[n(0)]
    pub link: u64,
    /// As what the receiver knew it.
    #[n(1)]
    pub stand_in: u64,
    /// So many of the receiver's events a socket of it had taken.
    #[n(2)]
    pub taken: u64,
}

/// Events for a link.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EventsSaid {
    /// Its id on its node.
    #[n(0)]
    pub link: u64,
    /// What stands for it on the sender's node. With another one than before the events are counted anew.
    #[n(1)]
    pub stand_in: u64,
    /// How many events were before these.
    #[n(2)]
    pub first: u64,
    /// The events.
    #[n(3)]
    pub events: Vec<EventSaid>,
}

/// An event as the link is to get it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EventSaid {
    /// The session that it is about.
    #[n(0)]
    pub session: u64,
    /// What stands in the message to the link.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// How many events of the receiver's sessions a link has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TookSaid {
    /// What stands for it on the receiver's node.
    #[n(0)]
    pub stand_in: u64,
    /// So many have come.
    #[n(1)]
    pub got: u64,
    /// So many of them its socket has taken.
    #[n(2)]
    pub taken: u64,
    /// Later ones have come, and those in between have not.
    #[n(3)]
    pub misses: bool,
}

/// Appends what is said.
pub fn write_links(said: &LinksSaid, out: &mut Vec<u8>) {
    // Writing into memory does not fail.
    let _ = minicbor::encode(said, out);
}

/// Reads it; `None` where it is not of the layout.
pub fn read_links(body: &[u8]) -> Option<LinksSaid> {
    minicbor::decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let link = LinkSaid {
            link: 7,
            version: 9,
            app: "chess".to_owned(),
            share: Some("game".to_owned()),
            name: None,
            events: 7,
            with: 1,
            is_binary: true,
        };
        let ended = EndedSaid { link: 1, stand_in: 2, taken: 3 };
        let events = vec![EventSaid { session: 4, payload: b"{}".to_vec() }];
        for said in [
            LinksSaid::Listens(link.clone()),
            LinksSaid::All(AllSaid { as_of: 9, links: vec![link], ended: vec![ended] }),
            LinksSaid::Asks,
            LinksSaid::Events(EventsSaid { link: 7, stand_in: 2, first: 5, events }),
            LinksSaid::Took(TookSaid { stand_in: 2, got: 6, taken: 5, misses: false }),
        ] {
            let mut bytes = Vec::new();
            write_links(&said, &mut bytes);
            assert_eq!(read_links(&bytes), Some(said));
            (0..bytes.len()).for_each(|end| assert_eq!(read_links(&bytes[..end]), None));
        }
    }
}
