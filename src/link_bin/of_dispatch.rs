//! Commands made of what the server works with: what one node asks of another in the words of the link.

use super::{By, Command, Groups, Payload, Push, Selector, Targets, Who, Whom};
use crate::dispatch::{
    Action, Banned, EncodedFrame, Epoch, PushOptions, Recall, Selector as Chosen, Target, Who as Meant,
};
use crate::session::Name;
use std::fmt::Write;

impl<'a> Command<'a> {
    /// The command that asks for `action`. What it has to write out, such as where a page begins, is left in `text`.
    ///
    /// `None` where no command asks for it: it is about the links of one node, is about nobody (an empty list), or lists by what
    /// only a program can name. What the layout has no field for is not in it: [`Action::List::detailed`] and
    /// [`Action::Names::among`].
    pub(crate) fn of_action(action: &'a Action, text: &'a mut String) -> Option<Self> {
        Some(match action {
            Action::Join { who, group } => Self::Join { who: of_who(who)?, group },
            Action::JoinWith { who, group, recall } => {
                let (last, after, epoch) = of_recall(Some(recall));
                Self::JoinWith { who: of_who(who)?, group, last, after, epoch }
            }
            Action::JoinAll { who, groups } => Self::JoinAll { who: of_who(who)?, groups: several(groups)? },
            Action::JoinSticky { who, groups, recall } => match &groups[..] {
                [group] => {
                    let (last, after, epoch) = of_recall(recall.as_ref());
                    Self::JoinSticky { who: of_who(who)?, groups: Groups::One(group), last, after, epoch }
                }
                // A part of a log is of one group.
                _ => {
                    let groups = Groups::Several(several(groups)?);
                    Self::JoinSticky { who: of_who(who)?, groups, last: None, after: None, epoch: None }
                }
            },
            Action::LeaveAll { who, groups } => {
                Self::LeaveAll { who: of_who(who)?, groups: several(groups)? }
            }
            Action::SetGroups { who, groups, prefix } => Self::SetGroups {
                who: of_who(who)?,
                groups: groups.iter().map(Name::as_str).collect(),
                prefix: prefix.as_deref(),
            },
            Action::Leave { who, group } => Self::Leave { who: of_who(who)?, group },
            Action::Destroy { group } => Self::Destroy { group },
            Action::Move { from, to } => Self::Move { from, to },
            Action::MoveSome { who, from, to } => Self::MoveSome { who: of_who(who)?, from, to },
            Action::Kick { who, code, reason } => Self::Kick { who: of_who(who)?, code: Some(*code), reason },
            Action::Bind { session, user } => Self::Bind { session: *session, user: user.as_deref() },
            Action::Tag { session, tag } => Self::Tag { session: *session, tag },
            Action::Untag { session, tag } => Self::Untag { session: *session, tag },
            Action::TagAll { who, tag } => Self::TagAll { who: of_who(who)?, tag },
            Action::UntagAll { who, tag } => Self::UntagAll { who: of_who(who)?, tag },
            Action::SetTags { who, tags, prefix } => Self::SetTags {
                who: of_who(who)?,
                tags: tags.iter().map(Name::as_str).collect(),
                prefix: prefix.as_deref(),
            },
            Action::Renew { session, token } => Self::Renew { session: *session, token: token.as_str() },
            Action::RenewUntil { session, end } => Self::RenewUntil { session: *session, end: *end },
            Action::Ban { whom, for_ms, reason } => {
                Self::Ban { whom: of_banned(whom, text), for_ms: *for_ms, reason }
            }
            Action::Unban { whom } => Self::Unban { whom: of_banned(whom, text) },
            Action::Bans { limit, after } => {
                Self::Bans { limit: page_limit(*limit), after: written(after.as_ref(), text) }
            }
            Action::Describe { session } => Self::Session { session: *session },
            Action::List { by, limit, after, detailed: _ } => Self::List {
                by: of_listed(by)?,
                limit: page_limit(*limit),
                after: written(after.as_ref(), text),
                behind: false,
            },
            Action::Behind { by, limit } => {
                Self::List { by: of_listed(by)?, limit: page_limit(*limit), after: None, behind: true }
            }
            Action::Count { by } => Self::Count { by: of_listed(by)? },
            Action::Names { kind, prefix, limit, after, among: _ } => Self::Names {
                kind: *kind,
                prefix: prefix.as_deref(),
                limit: page_limit(*limit),
                after: after.as_deref(),
            },
            Action::Stats => Self::Stats,
            Action::Presence { group, limit, after, members } => Self::Presence {
                group,
                limit: page_limit(*limit),
                after: written(after.as_ref(), text),
                members: *members,
            },
            Action::Latest { group } => Self::Latest { group },
            Action::Log { group, after, epoch, limit } => {
                Self::Log { group, after: Some(*after), epoch: *epoch, limit: Some(page_limit(*limit)) }
            }
            Action::Forget { group, key } => Self::Forget { group, key: key.as_deref() },
            Action::Route { .. }
            | Action::Rebalance { .. }
            | Action::Listen { .. }
            | Action::Unlisten { .. }
            | Action::Record { .. }
            | Action::StopRecord { .. }
            | Action::ReadRecord { .. } => return None,
        })
    }
}

impl<'a> Push<'a> {
    /// The command that pushes `frame` to `target`. The time to live is left out: it runs while a message is on its way, and is told
    /// beside it.
    pub(crate) fn of(target: &'a Target, frame: &'a EncodedFrame, options: &'a PushOptions) -> Self {
        let PushOptions { ttl: _, key, class, except, without, receipt, names, scope: _ } = options;
        let payload = match frame.as_text() {
            Some(text) => Payload::Text(text),
            None => Payload::Binary(frame.payload()),
        };
        Self {
            target: targets(target.selectors()),
            payload,
            ttl_ms: None,
            key: key.as_deref(),
            class: *class,
            except: *except,
            without: targets(without),
            receipt: *receipt,
            names: *names > 0,
        }
    }
}

fn targets(selectors: &[Chosen]) -> Targets<'_> {
    selectors.iter().map(of_selector).collect()
}

fn of_selector(selector: &Chosen) -> Selector<'_> {
    match selector {
        Chosen::Session(session) => Selector::Session(*session),
        Chosen::User(user) => Selector::User(user),
        Chosen::Group(group) => Selector::Group(group),
        Chosen::Tag(tag) => Selector::Tag(tag),
        Chosen::All => Selector::All,
        Chosen::AllOf(parts) => {
            let mut flat = Vec::new();
            parts.iter().for_each(|part| flatten(part, &mut flat));
            Selector::AllOf(flat)
        }
    }
}

/// What several have in common, some of which is what others have in common, is what all of these have in common.
fn flatten<'a>(selector: &'a Chosen, flat: &mut Vec<Selector<'a>>) {
    match selector {
        Chosen::AllOf(parts) => parts.iter().for_each(|part| flatten(part, flat)),
        part => flat.push(of_selector(part)),
    }
}

fn of_who(who: &Meant) -> Option<Who<'_>> {
    Some(match who {
        Meant::Session(session) => Who::Session(*session),
        Meant::User(user) => Who::User(user),
        Meant::Sessions(sessions) if !sessions.is_empty() => Who::Sessions(sessions.clone()),
        Meant::Users(users) => Who::Users(several(users)?),
        Meant::Sessions(_) => return None,
    })
}

/// A list that names somebody.
fn several(names: &[Name]) -> Option<Vec<&str>> {
    (!names.is_empty()).then(|| names.iter().map(Name::as_str).collect())
}

fn of_recall(recall: Option<&Recall>) -> (Option<u64>, Option<u64>, Option<Epoch>) {
    match recall {
        None => (None, None, None),
        Some(Recall::Last(last)) => (Some(*last), None, None),
        Some(Recall::After { offset, epoch, last }) => (*last, Some(*offset), *epoch),
    }
}

fn of_banned<'a>(whom: &'a Banned, text: &'a mut String) -> Whom<'a> {
    match whom {
        Banned::User(user) => Whom::User(user),
        Banned::Address(network) => Whom::Address(written(Some(network), text).unwrap_or_default()),
    }
}

/// Whose sessions are listed. One session has no list, and of what several selectors have in common there is none.
fn of_listed(by: &Chosen) -> Option<By<'_>> {
    match by {
        Chosen::All => Some(By::All),
        Chosen::User(user) => Some(By::User(user)),
        Chosen::Group(group) => Some(By::Group(group)),
        Chosen::Tag(tag) => Some(By::Tag(tag)),
        Chosen::Session(_) | Chosen::AllOf(_) => None,
    }
}

/// In the layout 0 stands for the default. A page of none is asked for as one of one: whoever asked cuts it.
fn page_limit(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX).max(1)
}

fn written<'a>(value: Option<&impl std::fmt::Display>, text: &'a mut String) -> Option<&'a str> {
    let value = value?;
    text.clear();
    // To write to a string is no error.
    let _ = write!(text, "{value}");
    Some(text)
}

impl Selector<'_> {
    /// The same with names of its own.
    ///
    /// # Errors
    /// What is no name.
    pub(crate) fn chosen(&self) -> Result<Chosen, crate::session::InvalidName> {
        Ok(match self {
            Self::Session(session) => Chosen::Session(*session),
            Self::User(user) => Chosen::User(Name::new(user)?),
            Self::Group(group) => Chosen::Group(Name::new(group)?),
            Self::Tag(tag) => Chosen::Tag(Name::new(tag)?),
            Self::All => Chosen::All,
            Self::AllOf(parts) => Chosen::AllOf(parts.iter().map(Self::chosen).collect::<Result<_, _>>()?),
        })
    }
}
