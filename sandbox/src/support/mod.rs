//! What this host offers, found by trying: a throw-away process does what a launch does, and
//! the kernel is asked for the rest. Nothing of it is left on the host afterwards, but for
//! controllers that a v2 group passes down from then on.
//!
//! An [`Offer`] says what was found, what is lost where that isn't enough, and the command
//! or setting that mends it.

mod cgroup;
mod container;
mod files;
mod filter;
mod hardening;
mod kernel;
mod namespaces;
mod passing;
mod privilege;
mod procfs;
mod settings;
mod trial;

use serde::Serialize;

pub use hardening::foreseen;
pub use kernel::{BASELINE, Kernel};
pub use settings::Settings;

use crate::cgroup::Place;
use crate::mounts::open_devices;
use crate::plan::Ids;
use crate::report::Control;

macro_rules! facilities {
    ($($(#[$doc:meta])* $name:ident, $text:literal, $need:ident;)*) => {
        /// Something that Cordon wants of a host.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Facility { $($(#[$doc])* $name,)* }

        impl Facility {
            /// All of them, in the order of `cordon doctor`.
            pub const ALL: &'static [Facility] = &[$(Facility::$name,)*];

            /// What a person reads.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Facility::$name => $text,)* }
            }

            /// How much depends on it.
            #[must_use]
            pub fn need(self) -> Need {
                match self { $(Facility::$name => Need::$need,)* }
            }
        }
    };
}

facilities! {
    /// A kernel of the baseline or newer.
    Kernel, "kernel", Core;
    /// The capabilities that a launcher takes.
    Privilege, "privilege", Core;
    /// `cordon-worker`, found and nobody else's to change.
    WorkerProgram, "worker-program", Core;
    /// Host ids for workers, locked.
    Ids, "ids", Core;
    /// File descriptors for a supervisor and its workers.
    OpenFiles, "open-files", Core;
    /// null, zero, full and urandom, as the kernel numbers them.
    Devices, "devices", Core;
    /// System calls that nothing above us refuses.
    SystemCalls, "system-calls", Core;
    /// Namespaces of seven kinds, with ids mapped.
    Namespaces, "namespaces", Core;
    /// A private root from detached mounts.
    Mounts, "mounts", Core;
    /// The whole of `/proc`, writable where the kernel lets one write.
    Procfs, "procfs", Core;
    /// One nested user namespace, and no further.
    Nesting, "nesting", Core;
    /// A filter with its listener.
    Seccomp, "seccomp", Core;
    /// The right to fetch that listener, and to read a worker's memory.
    Ptrace, "ptrace", Core;
    /// Groups with limits.
    Cgroup, "cgroup", Core;
    /// Landlock over files.
    Landlock, "landlock", Core;
    /// Landlock over TCP ports.
    LandlockTcp, "landlock-tcp", Hardening;
    /// Landlock's scopes.
    LandlockScopes, "landlock-scopes", Hardening;
    /// Memory-deny-write-execute.
    Mdwe, "mdwe", Hardening;
    /// Speculation control of one process.
    Speculation, "speculation", Hardening;
    /// Core scheduling.
    CoreScheduling, "core-scheduling", Hardening;
    /// Session keyrings.
    Keyring, "keyring", Hardening;
    /// Fds refused at the socket.
    PassedFds, "passed-fds", Hardening;
    /// A worker's pidfd from its socket.
    PeerPidfd, "peer-pidfd", Extra;
    /// How a process ended, from its pidfd.
    ExitStatus, "exit-status", Extra;
    /// Detached mounts that can be cloned.
    DetachedClones, "detached-clones", Extra;
    /// File systems whose files can be granted.
    IdMappedMounts, "id-mapped-mounts", Extra;
    /// Stalls of a group (PSI).
    Pressure, "pressure", Extra;
    /// The host itself, not a container on it.
    Container, "container", Extra;
}

/// How much depends on a facility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Strict policy can't run without it.
    Core,
    /// Strict policy demands what it gives, where it is there.
    Hardening,
    /// Something is slower or less is told without it.
    Extra,
}

/// How far a facility is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In full.
    Available,
    /// In part.
    Degraded,
    /// Not at all.
    Missing,
    /// It is there, and something above us refuses it.
    Refused,
    /// Nobody can tell, since another one is missing.
    Untried,
}

/// What was found of a facility.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// Which.
    pub facility: Facility,
    /// How far it is there.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What is lost so; empty where nothing is.
    pub why: String,
    /// Commands or settings that mend it, the best first; empty where nothing can.
    pub fix: Vec<String>,
}

/// Looks at this host, for the calling user. `ids` is whom a worker would be, `place` where its
/// groups would go. Call it while the process has one thread: the child of a thread among
/// others could wait for ever for a lock of one that it hasn't got.
#[must_use]
pub fn offers(ids: Ids, place: &Place) -> Vec<Offer> {
    let settings = Settings::of_host();
    let tried = trial::run(ids);
    let mut offers = vec![kernel::offer(), procfs::offer(&settings, &tried)];
    offers.push(privilege::offer(&settings));
    offers.push(devices());
    offers.push(filter::calls(&settings));
    offers.extend(namespaces::offers(&settings, &tried));
    offers.push(filter::seccomp(&tried));
    offers.push(cgroup::offer(place));
    offers.push(cgroup::pressure());
    offers.push(files::offer(ids));
    offers.extend(hardening::offers(&settings));
    offers.extend(passing::offers(&tried));
    offers.push(settings::ptrace(&settings));
    offers.push(container::offer(&settings));
    offers.sort_by_key(|offer| offer.facility);
    offers
}

/// The devices of every worker's root.
fn devices() -> Offer {
    let facility = Facility::Devices;
    match open_devices() {
        Ok(devices) => Offer::available(facility, format!("{} in /dev", devices.len())),
        Err(error) => {
            let why = "a worker's root needs null, zero, full and urandom";
            Offer::lacking(facility, State::Missing, format!("/dev: {error}"), why)
                .mended_by("umount what lies over /dev, or mount -t devtmpfs devtmpfs /dev")
        }
    }
}

/// Whether strict policy can run on a host with these offers.
#[must_use]
pub fn strict_can_run(offers: &[Offer]) -> bool {
    offers.iter().all(|offer| !offer.blocks())
}

impl Offer {
    /// It is there in full.
    #[must_use]
    pub fn available(facility: Facility, found: impl Into<String>) -> Offer {
        Offer {
            facility,
            state: State::Available,
            found: found.into(),
            why: String::new(),
            fix: Vec::new(),
        }
    }

    /// It isn't.
    #[must_use]
    pub fn lacking(
        facility: Facility,
        state: State,
        found: impl Into<String>,
        why: impl Into<String>,
    ) -> Offer {
        Offer {
            facility,
            state,
            found: found.into(),
            why: why.into(),
            fix: Vec::new(),
        }
    }

    /// Adds what mends it.
    #[must_use]
    pub fn mended_by(mut self, fix: impl Into<String>) -> Offer {
        self.fix.push(fix.into());
        self
    }

    /// Whether strict policy can't run for want of it. It demands hardening that the kernel
    /// offers, also where something else refuses it.
    #[must_use]
    pub fn blocks(&self) -> bool {
        match self.facility.need() {
            Need::Core => self.state != State::Available,
            Need::Hardening => self.state == State::Refused,
            Need::Extra => false,
        }
    }
}

impl Facility {
    /// The control that rests on it alone, if there is one of that name.
    #[must_use]
    pub fn control(self) -> Option<Control> {
        self.name().parse().ok()
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Need::Core => "core",
            Need::Hardening => "hardening",
            Need::Extra => "extra",
        })
    }
}

impl std::fmt::Display for Facility {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
