//! A command taken apart, for what is the same of all of them.

use super::{Command, Groups, Parts, Who};
use crate::dispatch::NameKind;
use crate::ops::Verb;

impl<'a> Command<'a> {
    /// Which command it is, and its parts; a push keeps its own.
    pub(crate) fn parts(&self) -> (Verb, Parts<'a>) {
        let none = Parts::default();
        match *self {
            Self::Push(_) => (Verb::Push, none),
            Self::Join { ref who, group } => (Verb::Join, Parts { group, ..Parts::of(who) }),
            Self::JoinAll { ref who, ref groups } => {
                (Verb::Join, Parts { groups: groups.clone(), ..Parts::of(who) })
            }
            Self::JoinWith { ref who, group, last, after, epoch } => {
                (Verb::Join, Parts { group, last, after, epoch, ..Parts::of(who) })
            }
            Self::JoinSticky { ref who, ref groups, last, after, epoch } => {
                let (group, groups) = match groups {
                    Groups::One(group) => (*group, Vec::new()),
                    Groups::Several(groups) => ("", groups.clone()),
                };
                let joined = Parts { group, groups, last, after, epoch, ..Parts::of(who) };
                (Verb::Join, Parts { is_sticky: true, ..joined })
            }
            Self::Latest { group } => (Verb::Latest, Parts { group, ..none }),
            Self::Log { group, after, epoch, limit } => {
                (Verb::Log, Parts { group, after, epoch, limit, ..none })
            }
            Self::Forget { group, key } => (Verb::Forget, Parts { group, key, ..none }),
            Self::Route { what, link } => (Verb::Route, Parts { routed: what, link, ..none }),
            Self::Rebalance { share } => (Verb::Rebalance, Parts { share: Some(share), ..none }),
            Self::Leave { ref who, group } => (Verb::Leave, Parts { group, ..Parts::of(who) }),
            Self::LeaveAll { ref who, ref groups } => {
                (Verb::Leave, Parts { groups: groups.clone(), ..Parts::of(who) })
            }
            Self::SetGroups { ref who, ref groups, prefix } => {
                (Verb::SetGroups, Parts { names: groups.clone(), prefix, ..Parts::of(who) })
            }
            Self::SetTags { ref who, ref tags, prefix } => {
                (Verb::SetTags, Parts { names: tags.clone(), prefix, ..Parts::of(who) })
            }
            Self::Destroy { group } => (Verb::Destroy, Parts { group, ..none }),
            Self::Move { from, to } => (Verb::Move, Parts { group: from, to, ..none }),
            Self::MoveSome { ref who, from, to } => {
                (Verb::Move, Parts { group: from, to, has_members: true, ..Parts::of(who) })
            }
            Self::Kick { ref who, code, reason } => (Verb::Kick, Parts { code, reason, ..Parts::of(who) }),
            Self::Bind { session, user } => (Verb::Bind, Parts { session, user, ..none }),
            Self::Tag { session, tag } => (Verb::Tag, Parts { tag, ..Parts::of(&Who::Session(session)) }),
            Self::Untag { session, tag } => (Verb::Untag, Parts { tag, ..Parts::of(&Who::Session(session)) }),
            Self::TagAll { ref who, tag } => (Verb::Tag, Parts { tag, ..Parts::of(who) }),
            Self::UntagAll { ref who, tag } => (Verb::Untag, Parts { tag, ..Parts::of(who) }),
            Self::Renew { session, token } => (Verb::Renew, Parts { session, token, ..none }),
            Self::RenewUntil { session, end } => (Verb::Renew, Parts { session, end: Some(end), ..none }),
            Self::Ban { whom, for_ms, reason } => (Verb::Ban, Parts { whom, for_ms, reason, ..none }),
            Self::Unban { whom } => (Verb::Unban, Parts { whom, ..none }),
            Self::List { by, limit, after, behind } => {
                let parts = Parts { by, page_limit: limit, page_after: after, ..none };
                (Verb::List, Parts { is_behind: behind, ..parts })
            }
            Self::Count { by } => (Verb::Count, Parts { by, ..none }),
            Self::Names { kind, prefix, limit, after } => {
                let verb = match kind {
                    NameKind::Users => Verb::Users,
                    NameKind::Groups => Verb::Groups,
                    NameKind::Apps => Verb::Apps,
                };
                (verb, Parts { prefix, page_limit: limit, page_after: after, ..none })
            }
            Self::Stats => (Verb::Stats, none),
            Self::Bans { limit, after } => {
                (Verb::Bans, Parts { page_limit: limit, page_after: after, ..none })
            }
            Self::Session { session } => (Verb::Session, Parts { session, ..none }),
            Self::Presence { group, limit, after, members } => (
                Verb::Presence,
                Parts { group, page_limit: limit, page_after: after, counts_only: !members, ..none },
            ),
            Self::Listen { events, share, with, name, snapshot, numbers, everywhere } => {
                (Verb::Listen, Parts { events, share, with, name, snapshot, numbers, everywhere, ..none })
            }
        }
    }
}
