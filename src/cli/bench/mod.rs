//! `gannet bench`: load on a WebSocket server, ours or another, and what it took. A few threads with one epoll each drive the
//! connections through [`crate::protocol`]'s client side; what the server is made of, it does not know.
//!
//! ```text
//! args, target → run (threads, timeline) → echo, push, fanout, connect, idle → fleet → client, publisher, pipeline
//!                                                             soak, resume ↗
//!                                                ↓
//!                      table, compare, report ← result ← recorder, sequence, process
//! ```

pub mod args;
mod backend;
mod checked;
mod client;
mod clock;
mod compare;
mod connect;
mod echo;
mod error;
mod fanout;
mod fleet;
mod idle;
mod pipeline;
mod plot;
mod process;
mod progress;
mod proof;
mod publish;
mod publisher;
mod push;
mod recorder;
mod report;
mod result;
mod resume;
mod run;
mod schedule;
mod sequence;
mod soak;
mod stream;
mod table;
mod target;
mod template;

use std::io::Write;
use std::path::Path;

use clap::Subcommand;

use super::error::CliError;
use super::output;
use args::OutputArgs;
use error::BenchError;
use result::RunResult;

/// Put load on a WebSocket server on this machine and measure what it takes.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    Echo(echo::EchoArgs),
    Push(push::PushArgs),
    Fanout(fanout::FanoutArgs),
    Connect(connect::ConnectArgs),
    Idle(idle::IdleArgs),
    Soak(soak::SoakArgs),
    Resume(resume::ResumeArgs),
    Compare(compare::CompareArgs),
    Report(report::ReportArgs),
}

/// Runs `gannet bench`.
pub fn run(command: &BenchCommand) -> Result<(), CliError> {
    let output = output_of(command);
    output.into_iter().try_for_each(OutputArgs::check)?;
    let (result, output) = match command {
        BenchCommand::Echo(args) => (echo::run(args)?, &args.common.output),
        BenchCommand::Push(args) => (push::run(args)?, &args.common.output),
        BenchCommand::Fanout(args) => (fanout::run(args)?, &args.common.output),
        BenchCommand::Connect(args) => (connect::run(args)?, &args.common.output),
        BenchCommand::Idle(args) => (idle::run(args)?, &args.common.output),
        BenchCommand::Soak(args) => return run_soak(args),
        BenchCommand::Resume(args) => return run_resume(args),
        BenchCommand::Compare(args) => return output::print(&compare::run(args)?),
        BenchCommand::Report(args) => return Ok(report::run(args)?),
    };
    finish(&result, output)
}

/// Where the result of a load goes.
fn output_of(command: &BenchCommand) -> Option<&OutputArgs> {
    match command {
        BenchCommand::Echo(args) => Some(&args.common.output),
        BenchCommand::Push(args) => Some(&args.common.output),
        BenchCommand::Fanout(args) => Some(&args.common.output),
        BenchCommand::Connect(args) => Some(&args.common.output),
        BenchCommand::Idle(args) => Some(&args.common.output),
        BenchCommand::Soak(args) => Some(args.output()),
        BenchCommand::Resume(args) => Some(&args.output),
        BenchCommand::Compare(_) | BenchCommand::Report(_) => None,
    }
}

/// Shows what was measured, also if the load ended early.
fn finish(result: &RunResult, output: &OutputArgs) -> Result<(), CliError> {
    publish(result, output)?;
    match &result.broken {
        Some(why) => Err(BenchError::Broken { why: why.clone() }.into()),
        None => Ok(()),
    }
}

fn run_soak(args: &soak::SoakArgs) -> Result<(), CliError> {
    let (backend, common, rate, seed) = match args.soak() {
        soak::Soak::Echo { common, pace, message, text } => {
            return finish(&echo::run_soak(&common, &pace, &message, text)?, args.output());
        }
        soak::Soak::Mixed { backend, common, rate, seed } => (backend, common, rate, seed),
    };
    let tell = teller(args.output());
    let verdict = soak::run(&common, &backend, rate, seed, &tell)?;
    publish(&verdict.result, args.output())?;
    tell(&verdict.report);
    judge(verdict.faults)
}

fn run_resume(args: &resume::ResumeArgs) -> Result<(), CliError> {
    let tell = teller(&args.output);
    let verdict = resume::run(args, &tell)?;
    publish(&verdict.result, &args.output)?;
    tell(&verdict.report);
    judge(verdict.faults)
}

/// Prints a line while a load runs.
fn teller(output: &OutputArgs) -> impl Fn(&str) + use<> {
    let is_json = output.json.as_deref() == Some(Path::new("-"));
    move |line: &str| match is_json {
        // The lines would be in the way of what reads the JSON.
        true => drop(writeln!(std::io::stderr(), "{line}")),
        // A reader that has gone misses them; the run goes on.
        false => drop(output::print(line)),
    }
}

fn judge(faults: u64) -> Result<(), CliError> {
    match faults {
        0 => Ok(()),
        faults => Err(BenchError::Unsound { faults }.into()),
    }
}

fn publish(result: &RunResult, output: &OutputArgs) -> Result<(), CliError> {
    if let Some(report) = &output.report {
        report::write(std::slice::from_ref(result), report)?;
    }
    match output.json.as_deref() {
        // The table would be in the way of what reads the JSON.
        Some(path) if path == Path::new("-") => {
            let _ = write!(std::io::stderr(), "{}", table::render(result));
            output::print(&result.to_json())
        }
        Some(path) => {
            let written = std::fs::write(path, result.to_json());
            written.map_err(|error| BenchError::File { path: path.to_owned(), error })?;
            output::print(&table::render(result))
        }
        None => output::print(&table::render(result)),
    }
}
