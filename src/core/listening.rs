//! Which links listen on the whole server, under which names and shares: looked at where one begins to listen, never on the way
//! of a message. Keeps what cannot be from being so: two links of one name, a share of which not all links hear the same.

use crate::dispatch::{CommandError, ErrorCode, EventSet, Listen, Quoted};
use crate::session::{AppId, Name, SessionId};
use hashbrown::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Listening {
    links: HashMap<SessionId, Entry>,
}

#[derive(Debug)]
struct Entry {
    app: AppId,
    share: Option<Name>,
    name: Option<Name>,
    events: EventSet,
    everywhere: bool,
}

impl Listening {
    /// `link` listens from now on, or listens again; what it asks for, with the name that it has.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`], with the field and what to do: then nothing has changed.
    pub fn admit(&mut self, link: SessionId, app: AppId, mut listen: Listen) -> Result<Listen, CommandError> {
        if let Some(known) = self.links.get(&link) {
            known.may_listen_again(app, &listen)?;
            listen.name = listen.name.or_else(|| known.name.clone());
        }
        let others = || self.links.iter().filter(|(other, entry)| **other != link && entry.app == app);
        if let Some(name) = &listen.name
            && others().any(|(_, entry)| entry.name.as_ref() == Some(name))
        {
            return Err(conflict(format!(
                "name: another link of this app is called {}; call this one by another name, or wait until that one has ended",
                Quoted(name)
            )));
        }
        if let Some(share) = &listen.share {
            let of_share = others().find(|(_, entry)| entry.share.as_ref() == Some(share));
            let events = of_share.map(|(_, entry)| entry.events);
            events.map_or(Ok(()), |events| check_events(share, events, listen.events))?;
        }
        self.put(link, app, &listen);
        Ok(listen)
    }

    /// The link listened in the process before this one.
    pub fn put(&mut self, link: SessionId, app: AppId, listen: &Listen) {
        let Listen { events, share, name, everywhere, .. } = listen.clone();
        self.links.insert(link, Entry { app, share, name, events, everywhere });
    }

    /// The link listens no more.
    pub fn forget(&mut self, link: SessionId) {
        self.links.remove(&link);
    }
}

impl Entry {
    fn may_listen_again(&self, app: AppId, listen: &Listen) -> Result<(), CommandError> {
        if self.app != app {
            return Err(conflict(
                "app: this link listens to another app; open a link of its own for this one".to_owned(),
            ));
        }
        if self.share != listen.share {
            let now = match &self.share {
                Some(share) => format!("in the share {}", Quoted(share)),
                None => "without a share".to_owned(),
            };
            return Err(conflict(format!(
                "share: this link listens {now}; name the same to change its events, or open another link"
            )));
        }
        if self.everywhere != listen.everywhere {
            let now = if self.everywhere { "cluster" } else { "node" };
            return Err(conflict(format!(
                "scope: this link listens with scope {now}; say the same to change its events, or open another link"
            )));
        }
        match (&self.name, &listen.name) {
            (Some(name), Some(other)) if name != other => {
                let message = format!("name: this link is called {}, and keeps that name", Quoted(name));
                Err(conflict(message))
            }
            _ => Ok(()),
        }
    }
}

/// The links of a share hear the same, but for what they are told of what is their own.
fn check_events(share: &Name, events: EventSet, asked: EventSet) -> Result<(), CommandError> {
    let [events, asked] = [events, asked].map(|events| events.without(EventSet::OWNERSHIP));
    if events == asked {
        return Ok(());
    }
    let names = events.names().collect::<Vec<_>>().join(", ");
    Err(conflict(format!(
        "events: the links of the share {} listen to {names}; ask for the same (assigned and unassigned may differ), or name \
         another share",
        Quoted(share)
    )))
}

fn conflict(message: String) -> CommandError {
    CommandError::new(ErrorCode::Conflict, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::EventKind::{Assigned, Close, Message, Open};

    const APP: AppId = AppId(0);

    fn id(number: u64) -> SessionId {
        SessionId::from_u64(number)
    }

    fn listen(events: EventSet, share: Option<&str>, name: Option<&str>) -> Listen {
        let [share, name] = [share, name].map(|name| name.map(|name| Name::new(name).unwrap()));
        Listen { events, share, name, ..Listen::default() }
    }

    fn refusal(refused: Result<Listen, CommandError>) -> String {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Conflict);
        refused.message.split(':').next().unwrap().to_owned()
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let (both, closes) = (EventSet::of(&[Open, Message]), EventSet::of(&[Close]));
        let mut listening = Listening::default();
        listening.admit(id(1), APP, listen(both, Some("s"), Some("m1"))).unwrap();
        // The same name, in this app and in another.
        assert_eq!(refusal(listening.admit(id(2), APP, listen(both, None, Some("m1")))), "name");
        listening.admit(id(3), AppId(1), listen(closes, Some("s"), Some("m1"))).unwrap();
        // Other events under the same share; what is its own may differ.
        assert_eq!(refusal(listening.admit(id(2), APP, listen(closes, Some("s"), None))), "events");
        listening.admit(id(2), APP, listen(both.with(Assigned), Some("s"), None)).unwrap();
        listening.admit(id(4), APP, listen(closes, Some("t"), None)).unwrap();
        // Again: the app, the share and the name stay.
        assert_eq!(refusal(listening.admit(id(1), AppId(1), listen(both, Some("s"), None))), "app");
        assert_eq!(refusal(listening.admit(id(1), APP, listen(both, Some("t"), None))), "share");
        assert_eq!(refusal(listening.admit(id(1), APP, listen(both, None, None))), "share");
        assert_eq!(refusal(listening.admit(id(1), APP, listen(both, Some("s"), Some("m2")))), "name");
        assert_eq!(refusal(listening.admit(id(1), APP, listen(closes, Some("s"), None))), "events");
        let everywhere = Listen { everywhere: true, ..listen(both, Some("s"), None) };
        assert_eq!(refusal(listening.admit(id(1), APP, everywhere)), "scope");
        let again = listening.admit(id(1), APP, listen(both, Some("s"), None)).unwrap();
        assert_eq!(again.name.as_deref(), Some("m1"));
        // One that is alone in its share changes its events; one without a name gets one.
        listening.admit(id(4), APP, listen(both, Some("t"), Some("m4"))).unwrap();
        listening.forget(id(1));
        listening.admit(id(5), APP, listen(both, Some("s"), Some("m1"))).unwrap();
    }
}
