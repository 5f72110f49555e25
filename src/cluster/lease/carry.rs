//! A lease on its way to the process that goes on with this one's sessions.

use super::{Held, Lease, LeaseSettings, SharedSecret};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

/// What another process needs to go on as the same node. Both take their times from one clock, which goes on in between.
#[derive(Encode, Decode)]
#[cbor(map)]
pub struct CarriedLease {
    /// What tells this start of the node from every other.
    #[n(0)]
    pub(crate) incarnation: u64,
    /// The number that was held.
    #[n(1)]
    pub(crate) number: Option<u16>,
    /// From then on another node may hold it, in milliseconds.
    #[n(2)]
    pub(crate) trusted_until_ms: u64,
    /// When its lease ends, in milliseconds of the clock of Redis.
    #[n(3)]
    pub(crate) ran_until: i64,
    /// The secret that all nodes share, if it is known.
    #[n(4)]
    pub(crate) secret: Option<ByteArray<32>>,
}

impl Lease {
    /// The lease, for another process. This one must send nothing more of it, [`Lease::release`] among it.
    pub fn carry(&self) -> CarriedLease {
        let secret = self.is_secret_told.then(|| ByteArray::from(*self.secret.expose()));
        let (trusted_until_ms, ran_until) =
            self.held.map_or((0, 0), |held| (held.trusted_until_ms, held.ran_until));
        let (incarnation, number) = (self.incarnation, self.number());
        CarriedLease { incarnation, number, trusted_until_ms, ran_until, secret }
    }

    /// Goes on with the lease of another process; `entropy` as for [`Lease::new`]. A number that the settings do not allow is left to
    /// expire.
    pub fn going_on(settings: &LeaseSettings, carried: &CarriedLease, entropy: [u8; 32]) -> Self {
        let CarriedLease { incarnation, number, trusted_until_ms, ran_until, secret } = carried;
        let mut lease = Self::new(settings, *incarnation, entropy);
        let number = number.filter(|number| settings.pinned.is_none_or(|pinned| pinned == *number));
        lease.held = number.map(|number| Held {
            number,
            trusted_until_ms: *trusted_until_ms,
            ran_until: *ran_until,
            is_lapsed: false,
        });
        if let Some(secret) = secret {
            lease.secret = SharedSecret::new(**secret);
        }
        lease
    }
}
