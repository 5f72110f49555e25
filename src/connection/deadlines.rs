//! What time brings a connection, and when. Times of silence are attended time: the server's clock less the time in which
//! the reactor did not turn, so that a process that was stopped does not close those who could not be heard.

use super::{Connection, Flag, Kind, Phase};
use crate::session::SessionId;
use crate::timer::Moment;

/// The times after which a silent connection is pinged and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Milliseconds from the accepted connection to its whole upgrade request.
    pub upgrade_ms: u64,
    /// The same to the first whole head on the backend port.
    pub head_ms: u64,
    /// Milliseconds without input before a ping.
    pub ping_ms: u64,
    /// Milliseconds that a session has to answer a probe.
    pub probe_ms: u64,
    /// Milliseconds without output before an event stream gets a comment.
    pub heartbeat_ms: u64,
    /// Milliseconds without input before the end.
    pub idle_ms: u64,
    /// Milliseconds without input from a link before a ping.
    pub link_ping_ms: u64,
    /// Milliseconds without input from a link before its end.
    pub link_idle_ms: u64,
    /// The same for HTTP on the backend port.
    pub backend_idle_ms: u64,
    /// Milliseconds that the end waits for the peer.
    pub close_ms: u64,
    /// Milliseconds in which the socket of a link or a backend must take some of what waits for it.
    pub link_stalled_ms: u64,
}

/// What is due when a deadline has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The PROXY header or the TLS handshake was not complete in time.
    Wrapping,
    /// A stranger's request was not complete in time.
    Head,
    /// A silent peer is to be pinged, or an event stream to get a comment.
    Ping,
    /// A peer has been silent for too long.
    Idle,
    /// The closing handshake took too long.
    Close,
    /// A message in the outbox expires.
    Expiry,
    /// The token of a session expires.
    Token,
    /// It expires soon, of which links are to be told.
    Expiring,
    /// A session that was paused is within its rate again.
    Resume,
    /// A message or a body that has begun was not complete in time.
    Message,
    /// Something that the door asked for.
    Door,
    /// The socket of a link or a backend took nothing for too long.
    Stalled,
    /// A session that is away has waited for its client for as long as it may.
    Linger,
}

impl Connection {
    /// The next thing that time will bring, and when: a time in milliseconds of the server's clock. `absent_ms` is the time
    /// in which the reactor did not turn.
    pub fn next_due(
        &self,
        id: SessionId,
        silence: Silence,
        now: Moment,
        absent_ms: u64,
    ) -> Option<(u64, Due)> {
        let since_ms = self.since.near(now.ms.saturating_sub(absent_ms)).saturating_add(absent_ms);
        let life = match self.phase {
            Phase::Doomed => return None,
            // How long it lingers is for the core to say.
            Phase::Away => self.next_due_by_extras(silence, absent_ms),
            Phase::Closing | Phase::Finishing => Some((since_ms + silence.close_ms, Due::Close)),
            Phase::Open => {
                let silent = match self.flags.has(Flag::Stranger) {
                    // Whatever it is paused for: a stranger is waited for no longer than that.
                    true => Some(self.strange(silence, since_ms)),
                    false if self.pauses.is_empty() => self.silent(id, silence, since_ms),
                    false => None,
                };
                sooner(silent, self.next_due_by_extras(silence, absent_ms))
            }
        };
        let expiry = self.outbox.as_ref().and_then(|outbox| outbox.next_expiry_ms());
        sooner(life, expiry.map(|deadline_ms| (deadline_ms, Due::Expiry)))
    }

    /// Whether input can have moved its deadline to nothing but a later time, so that the entry on the wheel stands: a session
    /// in use of which nothing waits, nothing is begun and nothing is bounded.
    #[inline]
    pub fn is_only_put_off(&self) -> bool {
        matches!(self.kind, Kind::Player | Kind::Echo)
            && self.phase == Phase::Open
            && self.pauses.is_empty()
            && self.outbox.is_none()
            && self.extras.is_none()
            && !self.flags.has(Flag::Incoming)
            // Heard after a ping it is due for the next one, which is sooner than its end would have been.
            && !self.flags.has(Flag::Pinged)
    }

    fn next_due_by_extras(&self, silence: Silence, absent_ms: u64) -> Option<(u64, Due)> {
        let extras = self.extras.as_ref()?;
        let resume_ms = extras.inbound.as_ref().and_then(|inbound| inbound.resume_ms);
        // Listed as behind: from then on its progress is noted.
        let is_behind = self.outbox.as_ref().is_some_and(|outbox| outbox.behind().is_some());
        let stalled = (self.kind.must_progress() && self.flags.has(Flag::Blocked) && is_behind)
            .then_some(extras.progress_ms + silence.link_stalled_ms + absent_ms);
        let dues = [
            (extras.expires_ms, Due::Token),
            (resume_ms, Due::Resume),
            (extras.door_ms, Due::Door),
            (stalled, Due::Stalled),
        ];
        let dues = dues.into_iter().filter_map(|(deadline_ms, what)| Some((deadline_ms?, what)));
        dues.min_by_key(|(deadline_ms, _)| *deadline_ms)
    }

    /// What time brings a connection that has not shown who it is.
    fn strange(&self, silence: Silence, since_ms: u64) -> (u64, Due) {
        let within_ms = match self.flags.has(Flag::Backend) {
            true => silence.head_ms,
            false => silence.upgrade_ms,
        };
        (since_ms + within_ms, if self.is_wrapping() { Due::Wrapping } else { Due::Head })
    }

    /// What silence brings a connection that is read.
    fn silent(&self, id: SessionId, silence: Silence, since_ms: u64) -> Option<(u64, Due)> {
        match self.kind {
            // Its client sends nothing: it is what it is sent that has to keep proxies from ending it.
            Kind::Player if self.flags.has(Flag::Stream) => {
                Some((since_ms + jittered(silence.heartbeat_ms, id), Due::Ping))
            }
            Kind::Player | Kind::Echo | Kind::Link => {
                let (ping_ms, idle_ms) = match self.kind {
                    Kind::Link => (silence.link_ping_ms, silence.link_idle_ms),
                    _ => (silence.ping_ms, silence.idle_ms),
                };
                // From here the peer has as long to answer as it had before it was asked.
                let answer_ms = idle_ms - ping_ms;
                match self.flags.has(Flag::Pinged) {
                    // A reload may have turned it off meanwhile.
                    true if self.flags.has(Flag::Probed) && silence.probe_ms > 0 => {
                        Some((since_ms + answer_ms.min(silence.probe_ms), Due::Idle))
                    }
                    true => Some((since_ms + answer_ms, Due::Idle)),
                    false => Some((since_ms + jittered(ping_ms, id), Due::Ping)),
                }
            }
            // Busy ones are not idle: what they have asked is being done.
            Kind::Backend if self.flags.has(Flag::Busy) => None,
            Kind::Backend => Some((since_ms + silence.backend_idle_ms, Due::Idle)),
            Kind::Upgrade | Kind::Discard => None,
        }
    }
}

fn sooner(one: Option<(u64, Due)>, other: Option<(u64, Due)>) -> Option<(u64, Due)> {
    one.into_iter().chain(other).min_by_key(|(deadline_ms, _)| *deadline_ms)
}

/// `interval_ms` less up to a fifth of it, by the id: the sessions of a reconnect storm do not ping in step for ever.
fn jittered(interval_ms: u64, id: SessionId) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let spread = id.as_u64().wrapping_mul(GOLDEN) >> 54;
    interval_ms - interval_ms * spread / (5 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Pause;
    use mio::net::TcpStream;

    const SILENCE: Silence = Silence {
        upgrade_ms: 10_000,
        head_ms: 7_000,
        ping_ms: 25_000,
        probe_ms: 2_000,
        heartbeat_ms: 15_000,
        idle_ms: 60_000,
        link_ping_ms: 1_000,
        link_idle_ms: 3_000,
        backend_idle_ms: 120_000,
        close_ms: 5_000,
        link_stalled_ms: 10_000,
    };
    const NOW: Moment = Moment { ms: 9_000, ns: 9_000_000_000 };
    const ID: SessionId = SessionId::from_u64(0);

    fn connection(kind: Kind, attended_ms: u64) -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let stream = std::net::TcpStream::connect(peer).unwrap();
        Connection::new(TcpStream::from_std(stream).into(), peer.into(), kind, attended_ms)
    }

    fn due(connection: &Connection) -> Option<(u64, Due)> {
        connection.next_due(ID, SILENCE, NOW, 0)
    }

    #[test]
    fn a_silent_session_is_pinged_then_closed() {
        let mut connection = connection(Kind::Echo, 1_000);
        assert_eq!(due(&connection), Some((26_000, Due::Ping)));
        // It is the answer to the ping that is waited for, from when the ping was written.
        connection.flags.set(Flag::Pinged);
        connection.since = crate::timer::Stamp::at(40_000);
        assert_eq!(due(&connection), Some((75_000, Due::Idle)));
        connection.touch(50_000);
        assert_eq!(due(&connection), Some((75_000, Due::Ping)));
    }

    #[test]
    fn a_probe_has_less_time_unless_it_is_answered() {
        let mut connection = connection(Kind::Player, 1_000);
        let probe = |connection: &mut Connection, since_ms| {
            [Flag::Pinged, Flag::Probed].into_iter().for_each(|flag| _ = connection.flags.set(flag));
            connection.since = crate::timer::Stamp::at(since_ms);
        };
        probe(&mut connection, 3_000);
        assert_eq!(due(&connection), Some((5_000, Due::Idle)));
        let patient = Silence { probe_ms: 60_000, ..SILENCE };
        assert_eq!(connection.next_due(ID, patient, NOW, 0), Some((38_000, Due::Idle)), "no longer than any");
        let off = Silence { probe_ms: 0, ..SILENCE };
        assert_eq!(connection.next_due(ID, off, NOW, 0), Some((38_000, Due::Idle)));
        connection.touch(4_000);
        assert_eq!(due(&connection), Some((29_000, Due::Ping)));
        // A ping of the other kind has its usual time again.
        connection.flags.set(Flag::Pinged);
        assert_eq!(due(&connection), Some((39_000, Due::Idle)));
        probe(&mut connection, 5_000);
        connection.pause(Pause::Rate);
        assert_eq!(due(&connection), None);
        connection.unpause(Pause::Rate, 9_000);
        assert_eq!(due(&connection), Some((34_000, Due::Ping)));
    }

    #[test]
    fn one_that_is_heard_after_a_ping_is_due_sooner_than_it_was() {
        let mut connection = connection(Kind::Player, 1_000);
        assert!(connection.is_only_put_off());
        connection.flags.set(Flag::Pinged);
        assert!(!connection.is_only_put_off(), "its entry is that of its end");
        connection.touch(8_000);
        assert_eq!(due(&connection), Some((33_000, Due::Ping)));
    }

    #[test]
    fn what_the_reactor_could_not_hear_is_no_silence() {
        let mut connection = connection(Kind::Player, 1_000);
        assert_eq!(connection.next_due(ID, SILENCE, NOW, 4_000), Some((30_000, Due::Ping)));
        connection.flags.set(Flag::Pinged);
        assert_eq!(connection.next_due(ID, SILENCE, NOW, 45_000), Some((81_000, Due::Idle)));
    }

    #[test]
    fn a_link_has_times_of_its_own() {
        let mut connection = connection(Kind::Link, 8_000);
        assert_eq!(due(&connection), Some((9_000, Due::Ping)));
        connection.flags.set(Flag::Pinged);
        connection.since = crate::timer::Stamp::at(9_600);
        assert_eq!(due(&connection), Some((11_600, Due::Idle)));
        // While the whole process stood still it could not be heard.
        assert_eq!(connection.next_due(ID, SILENCE, NOW, 500), Some((12_100, Due::Idle)));
    }

    #[test]
    fn a_paused_connection_is_not_silent() {
        for reason in [Pause::Answers, Pause::Barrier, Pause::Rate, Pause::Link] {
            let mut connection = connection(Kind::Link, 1_000);
            connection.flags.set(Flag::Pinged);
            assert!(connection.pause(reason) && !connection.pause(reason));
            assert!(connection.is_paused());
            assert_eq!(due(&connection), None);
            assert!(connection.unpause(reason, 8_000) && !connection.unpause(reason, 9_000));
            assert_eq!(due(&connection), Some((9_000, Due::Ping)));
        }
    }

    #[test]
    fn a_token_expires_and_a_pause_ends_whatever_else_is_due() {
        let mut connection = connection(Kind::Echo, 1_000);
        connection.extras().expires_ms = Some(90_000);
        assert_eq!(due(&connection), Some((26_000, Due::Ping)));
        connection.extras().expires_ms = Some(20_000);
        assert_eq!(due(&connection), Some((20_000, Due::Token)));
        connection.extras().inbound.get_or_insert_default().resume_ms = Some(1_500);
        connection.pause(Pause::Rate);
        assert_eq!(due(&connection), Some((1_500, Due::Resume)));
        connection.phase = Phase::Closing;
        assert_eq!(due(&connection), Some((6_000, Due::Close)));
        assert!(!connection.is_paused());
    }

    #[test]
    fn a_stranger_has_one_deadline_whatever_trickles_in_and_whatever_it_waits_for() {
        for (kind, deadline_ms) in [(Kind::Upgrade, 11_000), (Kind::Backend, 8_000)] {
            let mut connection = connection(kind, 1_000);
            connection.flags.set(Flag::Stranger);
            if kind == Kind::Backend {
                connection.flags.set(Flag::Backend);
            }
            connection.touch(7_999);
            assert_eq!(due(&connection), Some((deadline_ms, Due::Head)));
            connection.pause(Pause::Answers);
            connection.flags.set(Flag::Busy);
            assert_eq!(due(&connection), Some((deadline_ms, Due::Head)));
            connection.transport = crate::connection::Transport::Handshake;
            assert_eq!(due(&connection), Some((deadline_ms, Due::Wrapping)));
            connection.answered(3_000);
            assert_eq!(due(&connection), Some((deadline_ms + 2_000, Due::Wrapping)));
        }
    }

    #[test]
    fn a_closing_handshake_does_not_wait_for_ever_and_a_doomed_one_not_at_all() {
        let mut connection = connection(Kind::Echo, 1_000);
        for phase in [Phase::Closing, Phase::Finishing] {
            connection.phase = phase;
            assert_eq!(due(&connection), Some((6_000, Due::Close)));
        }
        connection.phase = Phase::Doomed;
        assert_eq!(due(&connection), None);
    }

    #[test]
    fn an_idle_backend_is_ended_later_than_a_silent_player_and_a_busy_one_not_at_all() {
        let mut connection = connection(Kind::Backend, 0);
        assert_eq!(due(&connection), Some((120_000, Due::Idle)));
        connection.flags.set(Flag::Busy);
        assert_eq!(due(&connection), None);
        connection.extras().door_ms = Some(3_000);
        assert_eq!(due(&connection), Some((3_000, Due::Door)));
    }

    #[test]
    fn pings_are_spread_over_a_fifth_of_the_interval_by_the_id() {
        let pings: Vec<u64> = (0..1000).map(|slot| jittered(25_000, SessionId::new(0, 0, 7, slot))).collect();
        assert!(pings.iter().all(|ping| (20_000..=25_000).contains(ping)), "{pings:?}");
        for from in (20_000..25_000).step_by(1_000) {
            let share = pings.iter().filter(|ping| (from..from + 1_000).contains(*ping)).count();
            assert!((150..250).contains(&share), "{share} of 1000 from {from} ms on");
        }
    }
}
