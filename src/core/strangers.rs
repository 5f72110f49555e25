//! Connections that have not shown who they are: on the client port before their upgrade, on the backend port before a
//! request that may ask. Each port has a bound for them. Where it is reached a newer one takes the place of an older one
//! from the address that has the most, so that whoever comes with a request gets in, however many come without.

use super::{Core, Port};
use crate::admission::{Role, client_network};
use crate::config::Network;
use crate::connection::{Connection, Flag, Phase, log_client};
use crate::metrics::{Gauge, ReactorMetrics, RefusalReason};
use crate::session::{GenerationalSlab, SessionId};
use hashbrown::HashMap;

/// One that came so lately may not have been read yet.
const PATIENCE_MS: u64 = 5;

/// The part of them that goes at once.
const PART: usize = 4;

/// Fewer are not worth a look for those that have gone.
const FEW: usize = 64;

/// Those of one port, on one reactor.
#[derive(Debug, Default)]
pub struct Strangers {
    /// In the order in which they came, with until when in attended time each is spared. Some have gone, or are no strangers any more.
    came: Vec<(SessionId, u64)>,
    count: usize,
}

impl Strangers {
    /// Whether one of them is such.
    pub fn any(
        &self,
        connections: &GenerationalSlab<Connection>,
        is_such: impl Fn(&Connection) -> bool,
    ) -> bool {
        self.came.iter().any(|(id, _)| connections.get(*id).is_some_and(&is_such))
    }
}

impl Port {
    /// What its connections are counted as before they have shown who they are.
    pub fn stranger(self) -> Role {
        match self {
            Self::Client => Role::Upgrading,
            Self::Backend => Role::Stranger,
        }
    }

    /// What they are counted as from then on.
    fn known(self) -> Role {
        match self {
            Self::Client => Role::Session,
            Self::Backend => Role::Backend,
        }
    }

    fn of(connection: &Connection) -> Self {
        match connection.flags.has(Flag::Backend) {
            true => Self::Backend,
            false => Self::Client,
        }
    }

    /// What shows how many a reactor has.
    pub fn gauge(self, metrics: &ReactorMetrics) -> &Gauge {
        match self {
            Self::Client => &metrics.upgrading,
            Self::Backend => &metrics.backend_strangers,
        }
    }
}

impl Core {
    /// A connection has come in on `port`, which the acceptor has counted.
    pub fn stranger_came(&mut self, id: SessionId, port: Port) {
        // From now on, and not from the begin of the turn: that may have been long ago.
        let spared_until_ms = self.end_of_wait(PATIENCE_MS);
        let Some(connection) = self.connections.slot_mut(id.slot()) else { return };
        connection.flags.set(Flag::Stranger);
        let strangers = &mut self.strangers[port as usize];
        strangers.came.push((id, spared_until_ms));
        strangers.count += 1;
        if strangers.came.len() > 2 * strangers.count + FEW {
            self.forget_known(port);
        }
        port.gauge(self.metrics()).add(1);
    }

    /// The connection in `slot` has shown who it is, unless it had before. `false` where there are as many such as there
    /// may be; then it stays what it was.
    pub fn recognise(&mut self, slot: u32) -> bool {
        let Some(connection) = self.connections.slot(slot) else { return false };
        if !connection.flags.has(Flag::Stranger) {
            return true;
        }
        let enters = self.shared.capacity.enter(Port::of(connection).known());
        if enters {
            self.stranger_known(slot);
        }
        enters
    }

    /// The same where it has been counted as what it is now.
    pub fn stranger_known(&mut self, slot: u32) {
        let attended_ms = self.attended_ms();
        let Some(connection) = self.connections.slot_mut(slot) else { return };
        let (port, peer) = (Port::of(connection), connection.peer.ip());
        connection.flags.clear(Flag::Stranger);
        connection.touch(attended_ms);
        self.shared.capacity.leave(port.stranger());
        if port == Port::Backend {
            self.shared.admission.stranger_left(peer);
        }
        self.strangers[port as usize].count -= 1;
        port.gauge(self.metrics()).sub(1);
    }

    /// A connection has gone.
    pub fn leave_capacity(&mut self, connection: &Connection) {
        let port = Port::of(connection);
        if !connection.flags.has(Flag::Stranger) {
            return self.shared.capacity.leave(port.known());
        }
        self.shared.capacity.leave(port.stranger());
        if port == Port::Backend {
            self.shared.admission.stranger_left(connection.peer.ip());
        }
        self.strangers[port as usize].count -= 1;
        port.gauge(self.metrics()).sub(1);
    }

    /// Closes some strangers of `port`: of the addresses that have the most, those that came first. What waits for this
    /// reactor itself, or has not had its turn yet, is spared.
    pub fn make_room(&mut self, port: Port) {
        self.forget_known(port);
        let attended_ms = self.attended_ms();
        let strangers = &self.strangers[port as usize];
        let all: Vec<(SessionId, Option<Network>, bool)> = (strangers.came.iter())
            .filter_map(|(id, spared_until_ms)| {
                let connection = self.connections.get(*id)?;
                let is_silent = *spared_until_ms <= attended_ms && !connection.flags.has(Flag::Unread);
                Some((*id, connection.remote().ip().map(client_network), is_silent))
            })
            .collect();
        // Those that have no address, behind Unix sockets, count as one.
        let mut counts: HashMap<Option<Network>, usize> = HashMap::new();
        for (_, network, _) in &all {
            *counts.entry(*network).or_default() += 1;
        }
        let mut go = all.len().div_ceil(PART);
        let most = level(&counts.values().copied().collect::<Vec<_>>(), go);
        for (id, network, _) in all.into_iter().filter(|(_, _, is_silent)| *is_silent) {
            let Some(count) = counts.get_mut(&network).filter(|count| **count > most && go > 0) else {
                continue;
            };
            (*count, go) = (*count - 1, go - 1);
            // Asked twice in a turn, the same ones go: they are there until its end, and are counted once.
            if self.connections.get(id).is_some_and(|connection| connection.phase == Phase::Doomed) {
                continue;
            }
            self.metrics().refused.of(RefusalReason::GaveWay).add(1);
            let what = "gave way to a newer one before it had shown who it is";
            log_client!(debug, connection = id, self.remote_of(id), "{what}");
            self.doom(id.slot());
        }
    }

    /// Takes those out of the list that have gone or have shown who they are.
    fn forget_known(&mut self, port: Port) {
        let connections = &self.connections;
        let is_stranger = |id: SessionId| {
            connections.get(id).is_some_and(|connection| connection.flags.has(Flag::Stranger))
        };
        let came = &mut self.strangers[port as usize].came;
        came.retain(|(id, _)| is_stranger(*id));
        if came.len() + FEW < came.capacity() / 4 {
            came.shrink_to(2 * came.len());
        }
    }
}

/// How many each address may keep where `go` of all have to go: as many as possible, so that those with the most lose.
fn level(counts: &[usize], go: usize) -> usize {
    let beyond = |level: usize| counts.iter().map(|count| count.saturating_sub(level)).sum::<usize>();
    let (mut low, mut high) = (0, counts.iter().copied().max().unwrap_or(0));
    while low < high {
        let middle = (low + high).div_ceil(2);
        match beyond(middle) >= go {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn the_addresses_with_the_most_lose() {
        let table: &[(&[usize], usize, usize)] = &[
            (&[], 0, 0),
            (&[1, 1, 1], 1, 0),
            (&[10, 1, 1], 5, 5),
            (&[10, 8, 1], 2, 8),
            (&[10, 8, 1], 4, 7),
            (&[3, 3], 6, 0),
            (&[5], 0, 5),
        ];
        for &(counts, go, expected) in table {
            let found = level(counts, go);
            assert_eq!(found, expected, "{counts:?}, {go} go");
            // By definition: no higher level lets so many go.
            let beyond = |level: usize| counts.iter().map(|count| count.saturating_sub(level)).sum::<usize>();
            assert!(beyond(found) >= go && (go == 0 || beyond(found + 1) < go), "{counts:?}, {go} go");
        }
    }
}
