//! Who asks at the backend port: what its key may do, and the audit trail of what it did. A line of the trail is at `info`
//! under the target `gannet::audit`; no key and no message stands in it, and names are escaped.

use super::restoring::Restoring;
use crate::auth::{Access, BackendKeys, CarriedAccess};
use crate::connection::Shown;
use crate::core::{Audit, AuditLine, By, Core, Finished};
use crate::dispatch::{
    Action, Apps, Banned, Command, CommandError, NameKind, OperationOutcome, Recorded, Who,
};
use crate::metrics::BackendRefusal;
use crate::ops::{Needs, Order};
use crate::session::{AppId, SessionId};
use log::info;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The target of the audit trail in the log.
const AUDIT: &str = "gannet::audit";

/// See the module. A link keeps it from its upgrade on.
#[derive(Debug, Clone)]
pub struct Asker {
    access: Arc<Access>,
    remote: Shown,
    audit: Arc<Audit>,
}

impl Asker {
    /// The one on the connection `id`, who may do so much.
    pub fn new(core: &Core, id: SessionId, access: Arc<Access>) -> Self {
        Self { access, remote: core.remote_of(id), audit: Arc::clone(&core.shared.audit) }
    }

    /// The keys of the port are others: it may do what its key may do now. `false` where that is less than before, or nothing.
    pub fn follow_keys(&mut self, before: &BackendKeys, now: &BackendKeys) -> bool {
        let access = now.successor_of(&self.access, before);
        let follows = access.is_some();
        self.access = access.unwrap_or_else(|| now.nobody()).clone();
        follows
    }

    /// As it is carried to another process: where it is its connection knows.
    pub fn carry(&self) -> CarriedAccess {
        let Self { access, remote: _, audit: _ } = self;
        access.carry()
    }

    /// The one that was carried, with what its key may do now; `None` where the key is gone.
    pub fn restore(carried: &CarriedAccess, restoring: &Restoring<'_>) -> Option<Self> {
        let access = restoring.rules.backend_keys.successor_of_carried(carried)?;
        Some(Self { access: Arc::clone(access), ..Self::nobody(restoring) })
    }

    /// One that may do nothing.
    pub fn nobody(restoring: &Restoring<'_>) -> Self {
        Self {
            access: Arc::clone(restoring.rules.backend_keys.nobody()),
            remote: restoring.remote,
            audit: Arc::clone(restoring.audit),
        }
    }

    /// Whether it may do all that it might in the other process.
    pub fn covers(&self, carried: &CarriedAccess) -> bool {
        self.access.covers_carried(carried)
    }

    /// Whose doing something is.
    pub fn by(&self) -> By {
        By { key: self.access.key().map(Into::into), remote: Some(self.remote.to_string().into()) }
    }

    /// What it may do.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// The apps that it may name.
    pub fn apps(&self) -> &Apps {
        self.access.apps()
    }

    /// Whether its key may do what a request or a command asks for.
    ///
    /// # Errors
    /// 403, counted.
    pub fn permit(&self, core: &Core, needs: Needs) -> Result<(), CommandError> {
        let permitted = match needs {
            Needs::Right(right) => self.access.permit(right),
            // What is asked then is looked at one by one.
            Needs::Key | Needs::Nothing => Ok(()),
        };
        if permitted.is_err() {
            core.metrics().backend_refused.of(BackendRefusal::Right).add(1);
        }
        permitted
    }

    /// The command as its key may have it: of apps it hears of those that it may name.
    pub fn narrow(&self, core: &Core, command: &mut Command) {
        if let Command::Act(Action::Names { kind: NameKind::Apps, among, .. }, _) = command
            && self.access.permit_order().is_err()
        {
            let apps = &core.rules.apps;
            *among = Some(self.apps().found().filter_map(|name| apps.find(name).ok()).collect());
        }
    }

    /// Whether its key may order what is about the whole server.
    ///
    /// # Errors
    /// 403, counted.
    pub fn permit_order(&self, core: &Core) -> Result<(), CommandError> {
        let permitted = self.access.permit_order();
        if permitted.is_err() {
            core.metrics().backend_refused.of(BackendRefusal::Right).add(1);
        }
        permitted
    }

    /// A command of its own has come to its end.
    pub fn note(&self, finished: &Finished) {
        let Finished::Operation(operation) = finished else { return };
        let (op, target) = match &operation.action {
            Action::Kick { who, .. } => ("kick", Target::Who(who)),
            Action::Ban { whom, .. } => ("ban", Target::Banned(whom)),
            Action::Unban { whom } => ("unban", Target::Banned(whom)),
            Action::Destroy { group } => ("destroy", Target::Group(group.as_str())),
            Action::Record { of, frames } => ("record", Target::Recorded(of, Some(*frames))),
            Action::StopRecord { of } => ("record_stopped", Target::Recorded(of, None)),
            _ => return,
        };
        let outcome = match operation.outcome() {
            Ok(OperationOutcome::Partial { of, .. }) => Ok(*of),
            outcome => outcome,
        };
        let (sessions, result) = match outcome {
            Ok(OperationOutcome::Sessions(sessions) | OperationOutcome::Changed { sessions, .. }) => {
                (Some(sessions), "ok".into())
            }
            Ok(OperationOutcome::Unbanned(1) | OperationOutcome::Recording { .. }) => (None, "ok".into()),
            Ok(OperationOutcome::Unbanned(_)) => (None, "there was no such ban".into()),
            Ok(_) => return,
            Err(error) => (None, error.message),
        };
        let app = self.app_name(operation.app);
        let remote = self.remote;
        match sessions {
            Some(sessions) => {
                info!(target: AUDIT, remote:% = remote; "{self} op={op} app={app:?} {target} sessions={sessions}");
            }
            None => {
                info!(target: AUDIT, remote:% = remote; "{self} op={op} app={app:?} {target} result={result:?}")
            }
        }
        let (app, target) = (Some(app.into()), Some(target.to_string().into()));
        self.audit.add(AuditLine { app, target, result, sessions, ..self.by().did(op) });
    }

    fn keep_link(&self, op: &str, id: SessionId, app: AppId) {
        let (app, target) = (Some(self.app_name(app).into()), Some(format!("link={id}").into()));
        self.audit.add(AuditLine { app, target, ..self.by().did(op) });
    }

    /// It has opened a link.
    pub fn note_link_opened(&self, id: SessionId, app: AppId) {
        info!(target: AUDIT, remote:% = self.remote; "{self} op=link_opened app={:?} link={id}", self.app_name(app));
        self.keep_link("link_opened", id, app);
    }

    /// Its link has gone.
    pub fn note_link_closed(&self, id: SessionId, app: AppId) {
        info!(target: AUDIT, remote:% = self.remote; "{self} op=link_closed app={:?} link={id}", self.app_name(app));
        self.keep_link("link_closed", id, app);
    }

    /// It orders what is about the whole server.
    pub fn note_order(&self, order: &Order) {
        let (remote, mut more) = (self.remote, String::new());
        let op = match order {
            Order::Drain { over_ms, to } => {
                let over_ms = over_ms.map_or_else(|| "-".to_owned(), |over_ms| over_ms.to_string());
                more = format!(" over_ms={over_ms} to={:?}", to.as_deref().unwrap_or_default());
                "drain"
            }
            Order::CallOffDrain => "drain_called_off",
            Order::Reload => "reload",
            Order::Upgrade { binary, dry_run } => {
                let binary = binary.as_deref().unwrap_or(Path::new(""));
                more = format!(" dry_run={dry_run} binary={binary:?}");
                "upgrade"
            }
            Order::Log { level, .. } => {
                more = format!(" level={}", level.as_str().to_ascii_lowercase());
                "log"
            }
            Order::ShowDrain | Order::ShowConfig { .. } | Order::ShowAudit(_) => return,
        };
        info!(target: AUDIT, remote:% = remote; "{self} op={op}{more}");
        let result = match order {
            // How it ended is a line of its own.
            Order::Reload => return,
            Order::Upgrade { .. } => "begun",
            _ => "ok",
        };
        let target = Some(more.trim_start()).filter(|target| !target.is_empty()).map(Into::into);
        self.audit.add(AuditLine { target, result: result.into(), ..self.by().did(op) });
    }

    fn app_name(&self, app: AppId) -> &str {
        self.access.apps().name_of(app).as_str()
    }
}

/// Somebody has shown no key of the port.
pub fn note_refused_key(remote: Shown, shown: bool) {
    let what = if shown { "wrong" } else { "none" };
    info!(target: AUDIT, remote:% = remote; "key=- remote={remote} op=refused why={what}");
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.access.key() {
            Some(key) => write!(f, "key={key:?} ")?,
            None => f.write_str("key=- ")?,
        }
        write!(f, "remote={}", self.remote)
    }
}

/// What was done something to.
enum Target<'a> {
    Who(&'a Who),
    Group(&'a str),
    Banned(&'a Banned),
    /// Of a record that begins: how many events are kept.
    Recorded(&'a Recorded, Option<usize>),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Who(Who::Session(id)) => write!(f, "session={id}"),
            Self::Who(Who::User(user)) => write!(f, "user={:?}", user.as_str()),
            Self::Who(Who::Sessions(ids)) => {
                f.write_str("session=")?;
                listed(f, ids, |f, id| write!(f, "{id}"))
            }
            Self::Who(Who::Users(users)) => {
                f.write_str("user=")?;
                listed(f, users, |f, user| write!(f, "{:?}", user.as_str()))
            }
            Self::Banned(Banned::User(user)) => write!(f, "user={:?}", user.as_str()),
            Self::Banned(Banned::Address(network)) => write!(f, "address={network}"),
            Self::Recorded(of, frames) => {
                match of {
                    Recorded::Session(id) => write!(f, "session={id}")?,
                    Recorded::User(user) => write!(f, "user={:?}", user.as_str())?,
                }
                frames.iter().try_for_each(|frames| write!(f, " frames={frames}"))
            }
            Self::Group(group) => write!(f, "group={group:?}"),
        }
    }
}

/// The first of a list, and how many more there are: a line of the trail is of bounded length.
fn listed<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    const SHOWN: usize = 16;
    for (index, item) in items.iter().take(SHOWN).enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        show(f, item)?;
    }
    match items.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, ",+{more}"),
    }
}
