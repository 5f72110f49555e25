//! The fields that a command has in JSON.

use super::super::{By, Routed, Who, Whom};
use super::Parts;
use crate::dispatch::SessionEnd;
use crate::ops::{Op, Part};
use serde_json::{Value, json};

impl Parts<'_> {
    /// The fields of the same command in JSON, but for those of every command.
    pub(crate) fn to_json(&self, op: &Op) -> Value {
        let mut fields = json!({"op": op.row.name});
        for part in op.layout {
            self.put_part(*part, &mut fields);
        }
        fields
    }

    fn put_part(&self, part: Part, fields: &mut Value) {
        match part {
            Part::Session => fields["session"] = self.session.to_string().into(),
            Part::Who => put_who(fields, &self.who),
            Part::Members if self.has_members => put_who(fields, &self.who),
            Part::Groups if self.groups.is_empty() => fields["group"] = self.group.into(),
            Part::Groups => fields["group"] = json!(self.groups),
            Part::Set(what) => fields[what] = json!(self.names),
            Part::Prefix => fields["prefix"] = self.prefix.into(),
            Part::Routed => match self.routed {
                Routed::Session(session) => fields["session"] = session.to_string().into(),
                Routed::User(user) => fields["user"] = user.into(),
                Routed::Group(group) => fields["group"] = group.into(),
            },
            Part::Link(_) => fields["link"] = self.link.into(),
            Part::Share => fields["share"] = self.share.into(),
            Part::User(_) => fields["user"] = self.user.into(),
            Part::Group => fields["group"] = self.group.into(),
            Part::OtherGroup => fields["to"] = self.to.into(),
            Part::Tag => fields["tag"] = self.tag.into(),
            Part::Renewal => match self.end {
                None => fields["token"] = self.token.into(),
                Some(SessionEnd::At(unix_ms)) => fields["expires_unix_ms"] = unix_ms.into(),
                Some(SessionEnd::For(ms)) => fields["for_ms"] = ms.into(),
            },
            Part::By => match self.by {
                By::All => {}
                By::User(name) => fields["user"] = name.into(),
                By::Group(name) => fields["group"] = name.into(),
                By::Tag(name) => fields["tag"] = name.into(),
            },
            Part::Banned => match self.whom {
                Whom::User(user) => fields["user"] = user.into(),
                Whom::Address(address) => fields["address"] = address.into(),
            },
            Part::ForMs => self.for_ms.iter().for_each(|ms| fields["for_ms"] = (*ms).into()),
            Part::Code => self.code.iter().for_each(|code| fields["code"] = (*code).into()),
            Part::Reason => fields["reason"] = self.reason.into(),
            Part::PlainPage | Part::Page => {
                fields["limit"] = Some(self.page_limit).filter(|limit| *limit != 0).into();
                fields["after"] = self.page_after.into();
                if part.has(Part::COUNTS) {
                    fields["members"] = (!self.counts_only).into();
                }
            }
            Part::Events => self.put_events(fields),
            Part::Recall | Part::Pages => {
                let limit = self.limit.map(u64::from);
                for (name, number) in [("last", self.last), ("after", self.after), ("limit", limit)] {
                    number.iter().for_each(|number| fields[name] = (*number).into());
                }
                self.epoch.iter().for_each(|epoch| fields["epoch"] = epoch.to_string().into());
            }
            Part::Sticky if self.is_sticky => fields["sticky"] = true.into(),
            Part::Behind if self.is_behind => fields["behind"] = true.into(),
            Part::Key(_) => fields["key"] = self.key.into(),
            Part::Sticky | Part::Behind | Part::Members | Part::OfPush(_) => {}
        }
    }

    fn put_events(&self, fields: &mut Value) {
        fields["events"] = self.events().collect();
        fields["share"] = self.share.into();
        if !self.with.is_empty() {
            fields["with"] = self.details().collect();
        }
        self.name.iter().for_each(|name| fields["name"] = (*name).into());
        for (name, is_on) in [("numbers", self.numbers), ("snapshot", self.snapshot)] {
            if is_on {
                fields[name] = true.into();
            }
        }
        if self.everywhere {
            fields["scope"] = "cluster".into();
        }
    }
}

fn put_who(fields: &mut Value, who: &Who<'_>) {
    match who {
        Who::Session(session) => fields["session"] = session.to_string().into(),
        Who::User(user) => fields["user"] = (*user).into(),
        Who::Sessions(sessions) => {
            fields["session"] = sessions.iter().map(ToString::to_string).collect::<Vec<_>>().into();
        }
        Who::Users(users) => fields["user"] = json!(users),
    }
}
