//! Bans, as the answers that list them show them.

use crate::dispatch::{Ban, BanPage, Banned};
use serde::{Serialize, Serializer};

/// A page of bans.
#[derive(Serialize)]
pub(super) struct BansBody<'a> {
    count: u32,
    bans: BanEntries<'a>,
    next: Option<String>,
}

impl<'a> From<&'a BanPage> for BansBody<'a> {
    fn from(page: &'a BanPage) -> Self {
        let next = page.next.as_ref().map(ToString::to_string);
        Self { count: page.count, bans: BanEntries(&page.bans), next }
    }
}

struct BanEntries<'a>(&'a [Ban]);

impl Serialize for BanEntries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            user: Option<&'a str>,
            address: Option<String>,
            until_unix_ms: Option<u64>,
            reason: &'a str,
        }
        serializer.collect_seq(self.0.iter().map(|ban| {
            let (user, address) = match &ban.whom {
                Banned::User(user) => (Some(user.as_str()), None),
                Banned::Address(network) => (None, Some(network.to_string())),
            };
            Entry { user, address, until_unix_ms: ban.until_unix_ms, reason: &ban.reason }
        }))
    }
}
