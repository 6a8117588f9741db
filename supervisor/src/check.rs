//! All that can be said of a plugin before it is loaded: its file, its manifest, its libraries,
//! and what policy makes of its requests. Runs no plugin code, and stops at nothing that leaves
//! more to be said.

mod over_wide;

use std::path::Path;

use sandbox::seccomp::Mode;
use serde::Serialize;

use crate::config::{Policy, Seccomp};
use crate::elf::{self, Closure, Inspection, LibraryDirs, file_data};
use crate::grants::{Grants, intersect};
use crate::manifest::{HOST_ABI, Manifest, PluginId};
use crate::package::PackageError;
use crate::state::Unmounted;
use crate::supervisor::confinement;
use crate::trust::{Digest, Sealed};
use over_wide::over_wide;

/// What was found of one plugin's file.
#[derive(Clone, Debug, Serialize)]
pub struct Checkup {
    /// The plugin's id, where its manifest could be read.
    pub plugin: Option<PluginId>,
    /// SHA3-512 of the file.
    pub sha3_512: Digest,
    /// In the order in which a load would meet them.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// What follows.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
}

/// What follows from a finding, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing.
    Passed,
    /// The plugin loads; the operator should know.
    Warning,
    /// Policy refuses the plugin.
    Denied,
    /// It was unmounted for its violations, or that can't be known.
    Unmounted,
    /// The file can't be loaded.
    Refused,
}

impl Checkup {
    /// Adds what the folder for state says of the plugin.
    pub fn kept(&mut self, unmounted: &Unmounted) {
        let Some(plugin) = &self.plugin else { return };
        let found = match unmounted.get(plugin) {
            Ok(None) => return,
            Ok(Some(reason)) => format!("{reason}; cordon enable {plugin} allows it again"),
            Err(error) => error.to_string(),
        };
        self.findings.push(Finding {
            subject: "unmounted".into(),
            verdict: Verdict::Unmounted,
            found,
        });
    }

    /// Checks the file at `path` as `policy` has it, with libraries from `dirs`.
    ///
    /// ```
    /// use cordon_supervisor::check::{Checkup, Verdict};
    /// use cordon_supervisor::config::Policy;
    /// use cordon_supervisor::elf::LibraryDirs;
    ///
    /// let dirs = LibraryDirs::system(&[])?;
    /// let program = std::env::current_exe()?;
    /// let checkup = Checkup::of(&program, &dirs, &Policy::default())?;
    /// assert_eq!(checkup.worst(), Verdict::Refused);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PackageError::Seal`] and [`PackageError::ReadBack`], where the file can't be read;
    /// everything else is a finding.
    pub fn of(path: &Path, dirs: &LibraryDirs, policy: &Policy) -> Result<Self, PackageError> {
        let sealed = Sealed::copy_of(path)?;
        let read_back = |source| PackageError::ReadBack {
            path: path.to_owned(),
            source,
        };
        let data = file_data(sealed.file()).map_err(read_back)?;
        let mut checkup = Self {
            plugin: None,
            sha3_512: sealed.digest(),
            findings: Vec::new(),
        };
        match Inspection::of(path, &data) {
            Ok(inspection) => checkup.contents(path, &inspection, dirs, policy),
            Err(error) => checkup.add("file", Verdict::Refused, error.fault),
        }
        Ok(checkup)
    }

    /// The verdict that decides.
    #[must_use]
    pub fn worst(&self) -> Verdict {
        let verdicts = self.findings.iter().map(|finding| finding.verdict);
        verdicts.max().unwrap_or(Verdict::Passed)
    }

    fn contents(
        &mut self,
        path: &Path,
        inspection: &Inspection,
        dirs: &LibraryDirs,
        policy: &Policy,
    ) {
        let machine = &inspection.dynamic.machine;
        self.passed("file", format_args!("shared object for {machine}"));
        for finding in &inspection.precheck.findings {
            let verdict = match finding.verdict {
                elf::Verdict::Passed => Verdict::Passed,
                elf::Verdict::Ignored => Verdict::Warning,
                elf::Verdict::Refused => Verdict::Refused,
            };
            self.add(finding.check, verdict, &finding.found);
        }
        match inspection.require_entry() {
            Ok(()) => self.passed("entry", elf::ENTRY_SYMBOL),
            Err(error) => self.add("entry", Verdict::Refused, error.fault),
        }
        match Closure::resolve(path, &inspection.dynamic, dirs) {
            Ok(closure) => self.libraries(&closure),
            Err(error) => self.add("libraries", Verdict::Refused, error.fault),
        }
        match Manifest::of(path, inspection.manifest.as_deref()) {
            Ok(manifest) => self.requests(&manifest, policy),
            Err(error) => self.add("manifest", Verdict::Refused, error),
        }
    }

    fn libraries(&mut self, closure: &Closure) {
        let libraries = closure.libraries().iter();
        let paths: Vec<_> = libraries
            .map(|one| one.path.display().to_string())
            .collect();
        match paths.is_empty() {
            true => self.passed("libraries", "none"),
            false => self.passed("libraries", paths.join(", ")),
        }
    }

    fn requests(&mut self, manifest: &Manifest, policy: &Policy) {
        self.plugin = Some(manifest.id.clone());
        let named = format_args!("{} {}", manifest.id, manifest.version).to_string();
        self.passed("manifest", named);
        match manifest.abi.check(HOST_ABI) {
            Ok(()) => self.passed("ABI", manifest.abi),
            Err(error) => self.add("ABI", Verdict::Refused, error),
        }
        let rules = policy.rules(&manifest.id);
        if matches!(rules.seccomp, Seccomp::Mode(Mode::Permissive)) {
            let why = "permissive: every system call but the never-list, for development";
            self.add("seccomp", Verdict::Warning, why);
        }
        match intersect(manifest, rules) {
            Ok(grants) => self.granted(&grants),
            Err(refused) => {
                for excess in refused.excess {
                    self.add("grants", Verdict::Denied, excess);
                }
            }
        }
    }

    fn granted(&mut self, grants: &Grants) {
        let wide = over_wide(&confinement(grants), host_memory());
        if wide.is_empty() {
            self.passed("grants", "no more than an ordinary plugin needs");
        }
        for warning in wide {
            self.add("grants", Verdict::Warning, warning);
        }
    }

    fn passed(&mut self, subject: impl ToString, found: impl ToString) {
        self.add(subject, Verdict::Passed, found);
    }

    fn add(&mut self, subject: impl ToString, verdict: Verdict, found: impl ToString) {
        self.findings.push(Finding {
            subject: subject.to_string(),
            verdict,
            found: found.to_string(),
        });
    }
}

/// Bytes of memory that this host has, see sysinfo(2).
fn host_memory() -> u64 {
    let host = rustix::system::sysinfo();
    host.totalram.saturating_mul(u64::from(host.mem_unit))
}
