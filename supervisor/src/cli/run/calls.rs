//! Calls of one plugin, one after the other.

use std::path::{Path, PathBuf};
use std::time::Instant;

use cordon_supervisor::config::Policy;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::output::escape;
use cordon_supervisor::violations::Violation;
use cordon_supervisor::{Call, CallError, LoadError, PluginStatus, Supervisor};
use serde_json::{Value, json};

use super::{Arguments, Request, reply};
use crate::cli::exit::{Code, of_call, of_load};
use crate::cli::{Failure, Format, interrupted, print};

/// Calls in order; a plugin that lost its worker is loaded again for the next one, at once, and
/// not by policy: nobody waits for a restart behind the last.
pub(super) async fn call(
    arguments: &Arguments,
    mut policy: Policy,
    state: PathBuf,
    file: &Path,
) -> Result<Code, Failure> {
    policy.never_restart();
    let supervisor = arguments.policy.start(policy, state).await?;
    let alert = arguments.alert(&supervisor)?;
    let work = async {
        let id = match supervisor.load(file).await {
            Ok(id) => id,
            Err(error) => return Err(not_loaded(&supervisor, arguments.format, error)),
        };
        let loaded = supervisor.status(&id);
        if let (Format::Table, Some(loaded)) = (arguments.format, &loaded) {
            print::conceded(loaded);
        }
        let launch_time = loaded.as_ref().and_then(|status| status.launch_time);
        let mut code = Code::Ok;
        let mut results = Vec::new();
        for request in &arguments.paired {
            let (result, worst) = one(&supervisor, &id, request, arguments).await?;
            code = code.max(worst);
            results.push(result);
        }
        // What only a poll sees belongs in the report; its state is that of now.
        supervisor.audit();
        let state = supervisor.status(&id).map(|status| status.state);
        if let Some(State::Unmounted { .. }) = state {
            // Says more than how the calls ended that led to it.
            code = Code::Unmounted;
        }
        supervisor.unload(&id).await.ok();
        let Some(mut status) = supervisor.status(&id) else {
            return Ok(code);
        };
        if arguments.format == Format::Table {
            print::violations(&supervisor, &status);
        } else {
            status.state = state.unwrap_or(status.state);
            status.conceded = loaded.map_or_else(Vec::new, |loaded| loaded.conceded);
            let mut object = summary(&status, results);
            object["launch_micros"] = json!(launch_time.map(|time| time.as_micros() as u64));
            print::json(&object)?;
        }
        Ok(code)
    };
    let result = tokio::select! {
        result = work => result,
        () = interrupted() => Ok(Code::Interrupted),
    };
    if let Some(alert) = alert {
        alert.finish();
    }
    result
}

/// What is known of a plugin that didn't come up is printed all the same.
fn not_loaded(supervisor: &Supervisor, format: Format, error: LoadError) -> Failure {
    if let Some(status) = supervisor.list().first() {
        match format {
            // Why it didn't come up says more than why that can't be printed.
            Format::Json => drop(print::json(&summary(status, Vec::new()))),
            Format::Table => print::violations(supervisor, status),
        }
    }
    error.into()
}

async fn one(
    supervisor: &Supervisor,
    id: &PluginId,
    request: &Request,
    arguments: &Arguments,
) -> Result<(Value, Code), Failure> {
    let state = supervisor.status(id).map(|status| status.state);
    if matches!(state, Some(State::Failed { .. }))
        && let Err(error) = supervisor.reload(id).await
    {
        print::error(&error);
        let result = json!({ "method": request.method, "outcome": "not-loaded", "error": escape(error.to_string().as_bytes()) });
        return Ok((result, of_load(&error)));
    }
    let started = Instant::now();
    let call = Call {
        method: &request.method,
        payload: request.data.as_bytes(),
        deadline: arguments.timeout(),
        ..Call::default()
    };
    let result = supervisor.call(id, call).await;
    if let Err(CallError::Deadline { .. }) = &result {
        // What becomes of a late call is decided within the grace: the state that is
        // shown, and the next call, should know it.
        settle(supervisor, id).await;
    }
    let micros = started.elapsed().as_micros() as u64;
    let (outcome, code) = match &result {
        Ok(_) => ("ok", Code::Ok),
        Err(error) => (outcome(error), of_call(error)),
    };
    if arguments.format == Format::Table {
        show(&result, arguments.raw)?;
    }
    let text = result.as_ref().ok().map(|bytes| reply::text(bytes));
    let mut value = json!({
        "method": request.method,
        "outcome": outcome,
        "reply": text,
        "error": result.as_ref().err().map(|error| escape(error.to_string().as_bytes())),
        "micros": micros,
    });
    if let (Ok(bytes), Some(text)) = (&result, &text)
        && let Some(hex) = reply::hex(bytes, text)
    {
        value["reply_hex"] = hex.into();
    }
    Ok((value, code))
}

async fn settle(supervisor: &Supervisor, id: &PluginId) {
    if let Some(worker) = supervisor.worker(id) {
        let patience = std::time::Duration::from_secs(1);
        tokio::time::timeout(patience, worker.ended()).await.ok();
    }
}

fn outcome(error: &CallError) -> &'static str {
    match error {
        CallError::Unknown(_) => "unknown",
        CallError::NotActive {
            state: State::Unmounted { .. },
            ..
        } => "unmounted",
        CallError::NotActive { .. } => "not-active",
        CallError::NoMethod { .. } => "no-method",
        CallError::Plugin { .. } => "error",
        CallError::Deadline { .. } => "deadline",
        CallError::Ended { .. } => "crashed",
        CallError::Busy(_) => "busy",
        CallError::TooLarge { .. } => "too-large",
    }
}

/// Replies are hostile bytes, and a pipe often ends at a terminal: escaped, unless asked
/// for as they are.
fn show(result: &Result<Vec<u8>, CallError>, raw: bool) -> Result<(), Failure> {
    let text = match result {
        Ok(reply) if raw => [reply, &b"\n"[..]].concat(),
        Ok(reply) => (reply::text(reply) + "\n").into_bytes(),
        Err(error) => {
            print::error(error);
            return Ok(());
        }
    };
    print::text(text).map(drop)
}

fn summary(status: &PluginStatus, calls: Vec<Value>) -> Value {
    let reason = match &status.state {
        State::Failed { reason } => Some(reason.to_string()),
        State::Unmounted { reason } => Some(reason.to_string()),
        _ => None,
    };
    // Escaped line by line when it was captured.
    let recent: Vec<&Violation> = status.violations.iter().map(AsRef::as_ref).collect();
    let output: Vec<&str> = status.lines.iter().map(|line| line.text.as_str()).collect();
    json!({
        "plugin": status.id,
        "version": status.version,
        "trust": status.trust,
        "state": status.state.to_string(),
        "reason": reason,
        "conceded": status.conceded,
        "calls": calls,
        "violations": {
            "counted": status.counted,
            "by_kind": status.by_kind,
            "recent": recent,
        },
        "output": output,
    })
}
