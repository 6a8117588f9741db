//! Folders of the host, a plugin that asks for them, and a policy that grants them.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use cordon_tests::command::{Cordon, Invocation};
use cordon_tests::plugins::fixture;
use cordon_tests::setting::is_root;
use tempfile::TempDir;

/// An owner who has nothing else on this host.
pub(crate) const STRANGER: (u32, u32) = (4_000_001, 4_000_002);

const REQUIRES: &str = r#"files = [
    { path = "/in", access = "read" },
    { path = "/out", access = "write" },
    { path = "/layer", access = "overlay" },
]"#;
const GRANTS: &str = r#"files = [
    { path = "/in", source = "BASE/in", access = "read" },
    { path = "/out", source = "BASE/out", access = "write" },
    { path = "/layer", source = "BASE/layer", access = "overlay", bytes = "1MiB", inodes = 16 },
]"#;

pub(crate) struct Scene {
    folder: TempDir,
    plugin: PathBuf,
    policy: PathBuf,
    /// Controls left out.
    without: &'static [&'static str],
    /// Shell commands that `cordon` runs after, in a mount namespace of its own.
    mounting: Option<String>,
}

impl Scene {
    /// `in` to read, `out` to write, `layer` under an overlay, each with a file `f` that says
    /// its folder's name.
    pub(crate) fn standard() -> Scene {
        Scene::new(REQUIRES, GRANTS)
    }

    /// The same folders; `BASE` in `grants` is where they are.
    pub(crate) fn new(requires: &str, grants: &str) -> Scene {
        let folder = TempDir::with_prefix("cordon-files-").unwrap();
        let base = folder.path();
        for name in ["in", "out", "layer"] {
            fs::create_dir(base.join(name)).unwrap();
            fs::write(base.join(name).join("f"), name).unwrap();
            own(&base.join(name));
            own(&base.join(name).join("f"));
        }
        let plugin = base.join("libfiles.so");
        fs::copy(fixture("files"), &plugin).unwrap();
        let manifest = "id = \"files\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";
        let manifest = format!("{manifest}[requires]\n{requires}\n");
        fs::write(base.join("files.toml"), manifest).unwrap();
        let grants = grants.replace("BASE", base.to_str().unwrap());
        let policy = base.join("policy.toml");
        let limits = "[limits]\ndisk = \"4MiB\"\n[violations]\nauto_unmount = false\n";
        fs::write(&policy, format!("{limits}[grants]\n{grants}\n")).unwrap();
        Scene {
            plugin,
            policy,
            folder,
            without: &["seccomp"],
            mounting: None,
        }
    }

    /// With these controls left out instead of seccomp.
    pub(crate) fn without(mut self, controls: &'static [&'static str]) -> Scene {
        self.without = controls;
        self
    }

    /// With this done first, in a mount namespace whose mounts are shared with further ones, as
    /// systemd has them. `BASE` is where the folders are.
    pub(crate) fn after(mut self, mounting: &str) -> Scene {
        let base = self.folder.path().to_str().unwrap();
        self.mounting = Some(mounting.replace("BASE", base));
        self
    }

    /// A path of the host.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the plugin do this, one after the other, and gives its replies.
    pub(crate) fn ask<const N: usize>(&self, calls: [(&str, &str); N]) -> [String; N] {
        let report = self.run(&calls).report();
        let mut replies = report.calls.iter().map(|call| call.reply.clone());
        std::array::from_fn(|_| match replies.next() {
            Some(Some(reply)) => reply,
            _ => panic!("{report:#?}"),
        })
    }

    /// Has the plugin do what it dies of, and gives the reason.
    pub(crate) fn dies_of(&self, call: (&str, &str)) -> String {
        let report = self.run(&[call]).report();
        assert!(report.reply().is_empty(), "{report:#?}");
        report.error().to_owned()
    }

    /// Exit code and error of a load that fails.
    pub(crate) fn refusal(&self) -> (Option<i32>, String) {
        let finished = self.run(&[("list", "/")]).finish();
        let text = String::from_utf8_lossy(&finished.stderr).into_owned();
        (finished.status.code(), text)
    }

    fn run(&self, calls: &[(&str, &str)]) -> Invocation {
        let cordon = match self.without {
            [] => Cordon::normal(),
            controls => Cordon::without(controls.iter().copied()),
        };
        let run = cordon.run(&self.plugin);
        let run = run.options(&["--policy", self.policy.to_str().unwrap()]);
        let call = |run: Invocation, (method, data): &(&str, &str)| run.call(method, data);
        let run = calls.iter().fold(run, call);
        match &self.mounting {
            None => run,
            Some(mounting) => {
                // With whatever the report adds to the command line at its end.
                let script = format!("{mounting} && exec \"$@\"");
                let shell = ["-m", "--propagation=shared", "sh", "-c", &script, "sh"];
                run.through("unshare", &shell)
            }
        }
    }
}

/// Gives a file of the host to whom the folders belong: a stranger, if only root can.
pub(crate) fn own(path: &Path) {
    if is_root() {
        chown(path, Some(STRANGER.0), Some(STRANGER.1)).unwrap();
    }
}

/// Whether a file of the host is theirs on disk.
pub(crate) fn is_owned(path: &Path) -> bool {
    let owner = match is_root() {
        true => STRANGER,
        false => (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ),
    };
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid()) == owner
}
