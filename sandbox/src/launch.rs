//! What supervisor and launcher say to each other, and how a launch can fail.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::ceiling::{Ceiling, CeilingError};
use crate::cgroup::{Applied, Directories, Events};
use crate::files::open::OpenError;
use crate::plan::{ImageKey, Plan};
use crate::seccomp::Program;

/// From the supervisor to the launcher. One SEQPACKET message each, fds beside it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// The first message. Fds: the supervisor's pidfd, the worker's program, the lock on the
    /// uid range unless the ceiling's is empty, then the libraries of `base` in their order.
    Start {
        /// What the launcher may be made to do at most.
        ceiling: Ceiling,
        /// Sonames of the worker's own loader and libraries.
        base: Vec<String>,
        /// The filter of every init.
        init_filter: Program,
    },
    /// Builds an image, unless it is there. Fds: the files in their order.
    Image {
        /// Its name.
        key: ImageKey,
        /// File names in the image's one flat folder.
        files: Vec<String>,
    },
    /// Launches a worker. Fds: its IPC socket, its stdout, its stderr.
    Launch {
        /// Chosen by the supervisor, comes back in every answer.
        id: u64,
        /// What to build.
        plan: Box<Plan>,
    },
    /// Kills a worker; the answer is [`Answer::Gone`].
    Kill {
        /// As in [`Request::Launch`].
        id: u64,
    },
    /// Forgets an image; workers that run from it keep theirs.
    Evict {
        /// Its name.
        key: ImageKey,
    },
}

/// From the launcher to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The launcher is up.
    Started {
        /// Why no cgroup can be made, where the ceiling lets workers do without.
        without_cgroup: Option<String>,
    },
    /// It can't start.
    Refused(String),
    /// The image is there.
    Image(ImageKey),
    /// The image couldn't be built.
    ImageFailed(ImageKey, Failure),
    /// Worker exec'ed. Fds: init's pidfd, the pipe of init's report, then the cgroup's
    /// directories.
    Launched {
        /// As in [`Request::Launch`].
        id: u64,
        /// Its cgroup; nothing where it has none.
        group: Option<Group>,
        /// When each step was done, in nanoseconds of `CLOCK_MONOTONIC`.
        stages: Vec<Stage>,
    },
    /// No worker came of it, and nothing of it is left.
    LaunchFailed(u64, Failure),
    /// Every process of the worker is gone, and so are its groups unless the kernel refused
    /// to remove them for seconds.
    Gone {
        /// As in [`Request::Launch`].
        id: u64,
        /// What the kernel counted over the worker's life; `None` where the group's files
        /// couldn't be read any more.
        events: Option<Events>,
    },
}

/// The cgroup of a worker, described.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Limits as read back.
    pub applied: Applied,
    /// What the directory fds are.
    pub directories: Directories,
}

/// One finished step of a launch.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Stage {
    /// The step.
    pub step: Step,
    /// When it was done, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
}

/// The first step of a launch that failed.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("launch failed at {step}: {cause}{}", hint(*step, cause))]
pub struct Failure {
    /// Where.
    pub step: Step,
    /// Why.
    pub cause: Cause,
}

/// Why a step failed.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
pub enum Cause {
    /// What the kernel answered.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Errno(i32),
    /// The plan asks for more than the launcher may do.
    #[error("{0}")]
    Ceiling(#[from] CeilingError),
    /// Something that policy grants can't be had.
    #[error("{0}")]
    File(#[from] OpenError),
    /// What a limit group answered.
    #[error("{0}")]
    Cgroup(String),
    /// The process ended without a word.
    #[error("the process ended before it was ready")]
    Vanished,
    /// More of a resource than the launcher can give.
    #[error(
        "RLIMIT_{name}: {granted} is granted, and the launcher itself may have {own}; raise it \
         where Cordon is started (systemd: Limit{name}=, else {} in /etc/security/limits.conf), \
         or give Cordon CAP_SYS_RESOURCE", name.to_lowercase()
    )]
    Limit {
        /// Its name in getrlimit(2), without `RLIMIT_`.
        name: String,
        /// What the plan has.
        granted: u64,
        /// The launcher's own hard limit.
        own: u64,
    },
    /// The request doesn't fit the launcher's state.
    #[error("{0}")]
    Request(String),
}

impl Failure {
    /// The kernel's answer to a step.
    #[must_use]
    pub fn errno(step: Step, error: &std::io::Error) -> Failure {
        Failure {
            step,
            cause: Cause::Errno(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The steps of a launch in their order (ARCHITECTURE.md, "A launch").
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u32)]
        pub enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            /// All of them, in order.
            pub const ALL: &'static [Step] = &[$(Step::$name,)*];

            /// What a person reads.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Step::$name => $text,)* }
            }
        }
    };
}

steps! {
    /// Receiving the request with its fds.
    Request = "receive the request",
    /// Checking the plan against the ceiling.
    Ceiling = "check against the ceiling",
    /// Making the image.
    Image = "build the image",
    /// Making the worker's groups, writing limits, reading them back.
    Cgroup = "make the cgroup",
    /// Opening and cloning what is granted, with its owners mapped.
    OpenFiles = "open the granted files",
    /// Cloning the detached mounts.
    CloneMounts = "clone the mounts",
    /// Making init in its namespaces.
    Clone = "clone init into its namespaces",
    /// Joining the groups that clone3 can't place a process into.
    CgroupAttach = "join the cgroup",
    /// Writing uid and gid maps.
    IdMaps = "write the id maps",
    /// Resource limits above the launcher's own.
    RaiseLimits = "raise the resource limits",
    /// Init waits for the maps.
    Release = "wait for the release",
    /// A session of its own, default signals.
    Session = "start a session",
    /// Group list, gid and uid.
    Ids = "set ids",
    /// Dying with the launcher.
    ParentWatch = "watch the launcher",
    /// The cgroup namespace, after every group is joined.
    CgroupNamespace = "unshare the cgroup namespace",
    /// Private propagation.
    Propagation = "make mounts private",
    /// The new root's tmpfs.
    RootMount = "make the root",
    /// The plugin's and the worker's images.
    AttachImages = "attach the images",
    /// null, zero, full, urandom.
    Devices = "attach the devices",
    /// The private /tmp.
    Tmp = "mount /tmp",
    /// Granted files at their targets.
    AttachFiles = "attach the granted files",
    /// Changing the root and detaching the old one.
    Pivot = "pivot the root",
    /// Host name.
    Hostname = "set the host name",
    /// The loopback of its own network.
    Loopback = "bring the loopback up",
    /// The one user namespace left, or none.
    NamespaceLimit = "limit user namespaces",
    /// Making the worker.
    Fork = "fork the worker",
    /// The worker's nested user namespace.
    NestedUser = "enter the nested user namespace",
    /// Bounding set, securebits.
    SealCapabilities = "seal the capabilities",
    /// The three sets of the thread.
    DropCapabilities = "drop the capabilities",
    /// A further unshare must fail.
    ProveConfined = "prove that no namespace can be made",
    /// Closing what the worker may not have.
    FdSweep = "sweep the fds",
    /// Executing the worker.
    Exec = "execute the worker",
    /// Duplicating what the supervisor gets of it.
    HandOver = "hand the worker to the supervisor",
    /// Reading the lockdown.
    ReadLockdown = "read the lockdown",
    /// Resource limits.
    Rlimits = "set resource limits",
    /// no_new_privs.
    NoNewPrivs = "set no_new_privs",
    /// Undumpable.
    Undumpable = "become undumpable",
    /// A session keyring of its own.
    Keyring = "join a session keyring",
    /// What the processor speculates.
    Speculation = "restrict speculation",
    /// Memory-deny-write-execute.
    Mdwe = "refuse to make memory executable",
    /// Acts that Landlock is to refuse go through before it is there.
    HatchCanary = "try what Landlock will refuse",
    /// Landlock.
    Landlock = "restrict itself by Landlock",
    /// The same acts are refused.
    ProveLandlock = "prove that Landlock refuses",
    /// The filter.
    Seccomp = "install the seccomp filter",
}

impl Step {
    /// The step of a number that came over a pipe or a socket.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Step> {
        Step::ALL.get(number as usize).copied()
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What to do where fds run out.
pub const OPEN_FILES_HINT: &str =
    " (raise the open-file limit: `ulimit -n`, with systemd LimitNOFILE=)";

/// What a person can do about the failures that hosts really have.
fn hint(step: Step, cause: &Cause) -> &'static str {
    let Cause::Errno(errno) = cause else {
        return "";
    };
    match (step, *errno) {
        (_, libc::EMFILE | libc::ENFILE) => OPEN_FILES_HINT,
        (Step::Clone, libc::EPERM) => {
            " (are user namespaces allowed? see sysctl kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns)"
        }
        (Step::Clone, libc::ENOSPC) => " (raise sysctl user.max_user_namespaces)",
        (Step::Clone, libc::EAGAIN) => " (too many processes on this host, or of this user)",
        (Step::NamespaceLimit, libc::EROFS | libc::EACCES) => {
            " (/proc/sys is read-only: run Cordon outside the container, or mount /proc anew)"
        }
        (Step::CgroupAttach, libc::EBUSY) => " (a group with children can't hold processes)",
        (Step::Seccomp, libc::EBUSY) => " (a listener is installed already: nested sandboxes)",
        (Step::RootMount | Step::Image, libc::ENOSYS) => " (Linux 6.1 or newer is needed)",
        _ => "",
    }
}

/// A message with the fds that came beside it.
pub struct Message<T> {
    /// The message.
    pub body: T,
    /// In the order that the message's documentation gives.
    pub fds: Vec<OwnedFd>,
}
