//! The host's dealings with its plugins.

use std::path::Path;
use std::time::Duration;

use cordon_supervisor::lifecycle::State;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::output::escape;
use cordon_supervisor::plugin::Event;
use cordon_supervisor::violations::Kind;
use cordon_supervisor::{Call, CallError, PluginStatus, Supervisor};
use tokio::sync::broadcast::Receiver;

use crate::deeds::{Deed, Scene};
use crate::failure::Failure;
use crate::stop::Stop;
use crate::story::Story;

/// What isn't seen of a deed in this time won't be.
const PATIENCE: Duration = Duration::from_secs(2);

/// The supervisor, where the plugins lie, and who tells of them.
pub(crate) struct Host<'a> {
    pub(crate) supervisor: &'a Supervisor,
    pub(crate) story: &'a Story,
    folder: &'a Path,
}

impl<'a> Host<'a> {
    pub(crate) fn new(supervisor: &'a Supervisor, story: &'a Story, folder: &'a Path) -> Host<'a> {
        Host {
            supervisor,
            story,
            folder,
        }
    }

    pub(crate) async fn load(&self, file: &str, made: &str) -> Result<PluginId, Failure> {
        let id = self.supervisor.load(&self.folder.join(file)).await?;
        let took = self.status(&id)?.launch_time.unwrap_or_default();
        self.story.tell(format!(
            "{id}, {made}: confined and ready in {} ms",
            took.as_millis()
        ))?;
        Ok(id)
    }

    pub(crate) async fn call(
        &self,
        plugin: &PluginId,
        method: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let call = Call {
            method,
            payload,
            ..Call::default()
        };
        Ok(self.supervisor.call(plugin, call).await?)
    }

    pub(crate) fn status(&self, plugin: &PluginId) -> Result<PluginStatus, Failure> {
        let status = self.supervisor.status(plugin);
        status.ok_or_else(|| Failure::unexpected(plugin, "isn't known any more"))
    }

    pub(crate) fn expect(
        &self,
        plugin: &PluginId,
        reply: &[u8],
        expected: &[u8],
    ) -> Result<(), Failure> {
        if reply == expected {
            return Ok(());
        }
        let what = format!("answered \"{}\"", escape(reply));
        Err(Failure::unexpected(plugin, what))
    }

    /// It lived through everything, and did nothing wrong.
    pub(crate) fn blameless(&self, plugin: &PluginId) -> Result<(), Failure> {
        let status = self.status(plugin)?;
        let launches = status.counters.launches;
        if status.state == State::Active && status.violations.is_empty() && launches == 1 {
            return Ok(());
        }
        let what = format!("is {}, with {} violations", status.state, status.counted);
        Err(Failure::unexpected(plugin, what))
    }

    /// Has the vandal do a deed, in a new process if it lost the last one, and holds what
    /// came of it against what should.
    pub(crate) async fn attempt(
        &self,
        vandal: &PluginId,
        deed: &Deed,
        scene: &Scene,
    ) -> Result<(), Failure> {
        if let State::Failed { .. } = self.status(vandal)?.state {
            self.supervisor.reload(vandal).await?;
        }
        let before = self.status(vandal)?.violations.len();
        let news = self.supervisor.subscribe();
        let call = Call {
            method: deed.method,
            payload: deed.data.as_bytes(),
            deadline: match deed.stop {
                Stop::Deadline(after) => Some(after),
                _ => None,
            },
            ..Call::default()
        };
        let result = self.supervisor.call(vandal, call).await;
        let expected = deed.stop.violations();
        let settled = |status: &PluginStatus| {
            let lives = status.state == State::Active;
            status.violations.len() - before >= expected.len() && lives != deed.stop.is_fatal()
        };
        self.settle(vandal, news, settled).await;
        let status = self.status(vandal)?;
        if let Some(breach) = breach(deed, &result, &status, scene) {
            return Err(Failure::GotThrough(breach));
        }
        let recorded: Vec<&Kind> = status.violations[before..]
            .iter()
            .map(|v| &v.kind)
            .collect();
        if settled(&status) && deed.stop.shown_by(&result) && recorded.iter().copied().eq(&expected)
        {
            return Ok(());
        }
        let outcome = match &result {
            Ok(reply) => escape(reply),
            Err(error) => error.to_string(),
        };
        let what = format!(
            "{}: outcome: {outcome}; recorded: {recorded:?}; it is {}",
            deed.tries, status.state
        );
        Err(Failure::unexpected(vandal, what))
    }

    /// Waits for it: violations and ends come from outside the plugin, beside its reply.
    async fn settle(
        &self,
        plugin: &PluginId,
        mut news: Receiver<Event>,
        settled: impl Fn(&PluginStatus) -> bool,
    ) {
        let wait = async {
            while !self
                .supervisor
                .status(plugin)
                .as_ref()
                .is_some_and(&settled)
            {
                // Whether it was heard or missed, there is news.
                news.recv().await.ok();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok();
    }
}

/// What the vandal did that it mustn't be able to do. One that became a shell says it on its
/// standard output instead of a reply.
fn breach(
    deed: &Deed,
    result: &Result<Vec<u8>, CallError>,
    status: &PluginStatus,
    scene: &Scene,
) -> Option<String> {
    let shell = "the vandal runs a shell";
    if let Some(damage) = scene.damage() {
        return Some(damage.into());
    }
    if status.lines.iter().any(|line| line.text.contains(shell)) {
        return Some("runs a shell".into());
    }
    match result {
        Ok(reply) if reply.starts_with(b"DONE") => {
            Some(format!("{}, and says {}", deed.tries, escape(reply)))
        }
        _ => None,
    }
}
