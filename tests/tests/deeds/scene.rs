//! What a deed may reach for, made anew for each.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;

use cordon_tests::command::Cordon;
use cordon_tests::plugins::{EarlyVandal, example};
use cordon_tests::report::Report;
use tempfile::TempDir;

use crate::table::{Deed, Moment};

/// One deed with all that it may reach for.
pub(crate) struct Scene {
    pub(crate) deed: &'static Deed,
    port: TcpListener,
    /// Only root may write to it.
    folder: TempDir,
    early: Option<EarlyVandal>,
}

impl Scene {
    pub(crate) fn of(deed: &'static Deed) -> std::io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?;
        port.set_nonblocking(true)?;
        // A worker without a private root has the /var of the host, but not its /tmp.
        let folder = TempDir::with_prefix_in("cordon-deeds-", "/var/tmp")?;
        let mut scene = Self {
            deed,
            port,
            folder,
            early: None,
        };
        if deed.moment == Moment::Constructor {
            scene.early = Some(EarlyVandal::build(deed.method, &scene.data()?));
        }
        Ok(scene)
    }

    fn data(&self) -> std::io::Result<String> {
        let port = self.port.local_addr()?.port().to_string();
        let data = self.deed.data.replace("{port}", &port);
        let data = data.replace("{pid}", &std::process::id().to_string());
        Ok(data.replace("{file}", &self.file().display().to_string()))
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("evil")
    }

    /// Has the deed done by this build of Cordon.
    pub(crate) fn attempt(&self, cordon: &Cordon) -> Report {
        let run = match &self.early {
            None => {
                let data = self.data().unwrap_or_else(|error| panic!("{error}"));
                cordon.run(&example("vandal")).call(self.deed.method, &data)
            }
            Some(plugin) => cordon.run(&plugin.path()).call("report", ""),
        };
        run.options(self.deed.options).report()
    }

    /// Whether the deed left no trace outside, whatever the plugin says.
    pub(crate) fn untouched(&self) -> Result<(), String> {
        match self.port.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return Err(format!("somebody connected: {other:?}")),
        }
        if self.file().exists() {
            Err("the file was created".into())
        } else {
            Ok(())
        }
    }
}
