//! A connection of the backend port that asks to be a link.

use super::asker::Asker;
use crate::core::{LinkCall, Resuming};
use crate::dispatch::LinkForm;
use crate::gateway::api::routes::Resume;
use crate::session::AppId;
use std::sync::Arc;

/// What is to become a link.
#[derive(Debug)]
pub struct Upgrade {
    /// The app of commands that name none.
    pub app: AppId,
    /// How it speaks.
    pub form: LinkForm,
    /// Who asked for it.
    pub asker: Asker,
    /// Whether it can be resumed, or resumes another.
    pub resume: Option<Resume>,
}

impl Upgrade {
    /// As a reactor takes it; `rest` came behind the request.
    pub fn into_call(self, rest: Vec<u8>) -> LinkCall {
        let Self { app, form, asker, resume } = self;
        let resume = resume.map(|resume| match resume {
            Resume::New => Resuming::New,
            Resume::Back { ticket, received } => Resuming::Back { ticket: ticket.parse().ok(), received },
        });
        LinkCall { app, form, access: Arc::clone(asker.access()), resume, rest }
    }
}
