//! `gannet token`: makes tokens and signed queries for players, and says what is wrong with one.

use std::borrow::Cow;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::duration::duration;
use super::error::CliError;
use super::output;
use crate::auth::{self, AuthError, Claims, Expected, JwksLimits, Keys, Proven, SignedQuery, TokenLimits};
use crate::config::{AppConfig, Config, ConfigError, DEFAULT_APP, Secret, read_key_file, secrets_of};
use crate::http::{Query, percent_encode};
use crate::session::{InvalidName, Name};
use crate::timer::Clock;

/// Where the secret stands when no file is named.
const SECRET_VARIABLE: &str = "GANNET_SECRET";

/// Make or check what players show to prove who they are.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a token, or the query of a player's URL, signed with the first secret
    Mint(MintArgs),
    /// Say who a token or a signed query makes of its bearer, or why a server with the default settings would refuse it
    Check(CheckArgs),
}

/// What the token or the signed query is to say.
#[derive(Debug, Args)]
pub struct MintArgs {
    /// App that the player connects to
    #[arg(long, default_value = DEFAULT_APP, value_parser = name)]
    app: String,
    /// User that the player is
    #[arg(long, value_parser = name)]
    user: String,
    /// Group to join; may be repeated
    #[arg(long, value_parser = name)]
    group: Vec<String>,
    /// Tag to have; may be repeated
    #[arg(long, value_parser = name)]
    tag: Vec<String>,
    /// How long the token holds, such as 90s, 1h30m or 30d; a part of a second is a whole one
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    ttl: Duration,
    /// Print a query that is good once and soon, instead of a token
    #[arg(long, conflicts_with_all = ["ttl", "group", "tag"])]
    signed_query: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// What is to be checked.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The token, or the query of the player's URL
    proof: String,
    /// App that the player connects to
    #[arg(long, default_value = DEFAULT_APP, value_parser = name)]
    app: String,
    /// File of a JWK set: the token is checked under its keys, and not under secrets
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    jwks_file: Option<PathBuf>,
    /// Print it in one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// Where the secrets of the app are; never an argument, which everybody on the machine could read.
#[derive(Debug, Args)]
struct SecretArgs {
    /// File of the app's secrets, one a line: the first signs, all verify [default: the secret in GANNET_SECRET]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// Runs `gannet token`.
pub fn run(command: TokenCommand) -> Result<(), CliError> {
    let now_unix_ms = Clock::wall_unix_ms();
    match command {
        TokenCommand::Mint(args) => output::print(&args.mint(now_unix_ms)?),
        TokenCommand::Check(args) => output::print(&args.check(now_unix_ms)?),
    }
}

impl MintArgs {
    fn mint(&self, now_unix_ms: u64) -> Result<String, CliError> {
        let keys = self.secrets.keys(&self.app)?;
        let minted = match self.signed_query {
            true => self.query(&keys, now_unix_ms)?,
            false => {
                let ttl_s = self.ttl.as_secs().saturating_add(u64::from(self.ttl.subsec_nanos() > 0));
                let exp = (now_unix_ms / 1000).saturating_add(ttl_s);
                let Self { user: sub, app, group: groups, tag: tags, .. } = self;
                auth::mint(&Claims { sub, app, exp, groups, tags }, &keys)
            }
        };
        minted.ok_or(CliError::NoSecret)
    }

    fn query(&self, keys: &Keys, now_unix_ms: u64) -> Result<Option<String>, CliError> {
        let random = || getrandom::u64().map_err(CliError::Randomness);
        let nonce = format!("{:016x}{:016x}", random()?, random()?);
        let timestamp = (now_unix_ms / 1000).to_string();
        let unsigned = SignedQuery {
            app: &self.app,
            user: &self.user,
            timestamp: &timestamp,
            nonce: &nonce,
            signature: "",
        };
        let Some(signature) = unsigned.sign(keys) else { return Ok(None) };
        let mut query = String::from("app=");
        percent_encode(&self.app, &mut query);
        query.push_str("&user=");
        percent_encode(&self.user, &mut query);
        query.push_str(&format!("&timestamp={timestamp}&nonce={nonce}&signature={signature}"));
        Ok(Some(query))
    }
}

impl CheckArgs {
    fn check(&self, now_unix_ms: u64) -> Result<String, CliError> {
        let keys = match &self.jwks_file {
            Some(path) => jwks(path)?,
            None => self.secrets.keys(&self.app)?,
        };
        let proven = self.prove(&keys, now_unix_ms).map_err(CliError::NotBelieved)?;
        let names = |names: &[Name]| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        let expires_in_s = proven.expires_unix_ms.map(|at_ms| at_ms.saturating_sub(now_unix_ms) / 1000);
        let says = json!({
            "app": self.app,
            "user": proven.user.as_str(),
            "groups": names(&proven.groups),
            "tags": names(&proven.tags),
            "expires_in_s": expires_in_s,
        });
        Ok(if self.json { says.to_string() } else { format!("{says:#}") })
    }

    fn prove(&self, keys: &Keys, now_unix_ms: u64) -> Result<Proven, AuthError> {
        let Config { auth: settings, limits, .. } = Config::default();
        let query = self.proof.split_once('?').map_or(self.proof.as_str(), |(_, query)| query);
        let param = |name: &str| {
            let mut pairs = Query::new(query).filter_map(Result::ok);
            pairs.find(|(known, _)| known == name).map(|(_, value)| value)
        };
        if param("signature").is_none() {
            // No token has a `=` in it.
            let token = param("token").filter(|_| query.contains('=')).unwrap_or(Cow::Borrowed(query));
            let limits = TokenLimits {
                max_bytes: settings.max_token_bytes,
                leeway_ms: settings.leeway.as_millis() as u64,
                max_groups: limits.groups_per_session,
                max_tags: limits.tags_per_session,
                max_claims_bytes: limits.session_claims_bytes,
            };
            return auth::verify(token.as_bytes(), keys, &Expected::of_app(&self.app), now_unix_ms, &limits);
        }
        let [app, user, timestamp, nonce, signature] =
            ["app", "user", "timestamp", "nonce", "signature"].map(|name| param(name).unwrap_or_default());
        if app != self.app.as_str() {
            return Err(AuthError::OtherApp);
        }
        let query = SignedQuery {
            app: &app,
            user: &user,
            timestamp: &timestamp,
            nonce: &nonce,
            signature: &signature,
        };
        let user = query.verify(keys, now_unix_ms, settings.timestamp_window.as_millis() as u64)?;
        Ok(Proven { user, groups: Vec::new(), tags: Vec::new(), expires_unix_ms: None, claims: None })
    }
}

impl SecretArgs {
    /// The keys of `app`; secrets that no server would start with are refused.
    fn keys(&self, app: &str) -> Result<Keys, CliError> {
        let text = match &self.secret_file {
            Some(path) => read_key_file("the secret file", path)?,
            None => env::var(SECRET_VARIABLE).map_err(|_| CliError::NoSecret)?,
        };
        let secrets: Vec<Secret> = secrets_of(&text).map(Secret::new).collect();
        let short = |secret: &Secret| secret.expose().len() < Config::MIN_SECRET_BYTES;
        if let Some(index) = secrets.iter().position(short) {
            let app = app.to_owned();
            return Err(ConfigError::ShortSecret { app, number: index + 1 }.into());
        }
        if secrets.is_empty() { Err(CliError::NoSecret) } else { Ok(Keys::of_secrets(&secrets)) }
    }
}

/// The keys of a set, as a server with the default settings takes them.
fn jwks(path: &Path) -> Result<Keys, CliError> {
    let mut config = Config::default();
    let app = AppConfig { jwks_file: Some(path.to_owned()), ..AppConfig::default() };
    config.apps.insert(DEFAULT_APP.to_owned(), app);
    config.read_secrets(Path::new(""))?;
    let limits = JwksLimits { max_bytes: config.auth.max_jwks_bytes, max_keys: config.auth.max_jwks_keys };
    let keys = Keys::new(&config.apps[DEFAULT_APP], &limits, config.auth.max_keys_tried, None);
    keys.map_err(|(_, error)| CliError::Command(format!("{}: {error}", path.display()).into()))
}

fn name(text: &str) -> Result<String, InvalidName> {
    Name::check(text).map(|()| text.to_owned())
}
