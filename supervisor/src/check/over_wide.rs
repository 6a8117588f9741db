//! Grants that reach further than a plugin should: allowed, since the operator said so, and worth
//! a second look.

use std::path::Path;

use sandbox::policy::{Capability, FileAccess, FileGrant, Net, Policy};

/// Where hosts keep secrets, or sockets and files through which others can be steered.
const SECRETS: [&str; 12] = [
    "/dev",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/ssh",
    "/etc/ssl/private",
    "/home",
    "/proc",
    "/root",
    "/run",
    "/sys",
    "/var/lib",
    "/var/run",
];
/// What runs, or says what runs: whoever writes there has the host.
const CONTROLLING: [&str; 14] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/opt",
    "/proc",
    "/root",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib",
    "/var/spool",
];
/// Folders of a home that hold keys.
const KEY_FOLDERS: [&str; 5] = [".ssh", ".gnupg", ".aws", ".kube", ".docker"];
/// Parts of the names of variables that hold secrets.
const SECRET_WORDS: [&str; 6] = ["TOKEN", "SECRET", "PASSW", "KEY", "CREDENTIAL", "AUTH"];

/// Above these a plugin is no ordinary one.
const MANY_THREADS: u32 = 1024;
const MANY_FDS: u64 = 4096;
const MUCH_LOCKED: u64 = 64 << 20;

/// A sentence for each grant that is wider than what it is for is likely to need; `host_memory`
/// in bytes.
pub(super) fn over_wide(policy: &Policy, host_memory: u64) -> Vec<String> {
    let mut warnings: Vec<String> = policy.files.iter().flat_map(file).collect();
    let mut warn = |wide: bool, sentence: String| {
        if wide {
            warnings.push(sentence);
        }
    };
    warn(
        policy.net == Net::Host,
        "net: the host's network: it reaches whatever listens on this host or beyond, as far as \
         the ports that it was granted go"
            .into(),
    );
    warn(
        policy.capabilities.contains(&Capability::NetRaw),
        "capabilities: NET_RAW opens much of the kernel's network code to it".into(),
    );
    warn(
        policy.jit,
        "jit: memory that it wrote can become code, which makes any bug in it worse".into(),
    );
    warn(
        policy.processes,
        "processes: what it starts shares its limits, and outlives its calls".into(),
    );
    for name in policy.environment.keys() {
        let upper = name.to_ascii_uppercase();
        let secret = SECRET_WORDS.iter().any(|word| upper.contains(word));
        warn(secret, format!("env: {name} looks like a secret"));
    }
    warn(
        policy.memory > host_memory / 2,
        format!(
            "limits.heap: {} MiB is more than half of this host's memory",
            policy.memory >> 20
        ),
    );
    warn(
        policy.threads > MANY_THREADS,
        format!("limits.threads: {} is a lot", policy.threads),
    );
    warn(
        policy.fds > MANY_FDS,
        format!("limits.fds: {} is a lot", policy.fds),
    );
    warn(
        policy.locked_memory > MUCH_LOCKED,
        format!(
            "locked_memory: {} MiB can't be reclaimed from it",
            policy.locked_memory >> 20
        ),
    );
    warn(
        policy.realtime > 0,
        "realtime: its threads can starve others of their processor".into(),
    );
    warnings
}

fn file(grant: &FileGrant) -> Vec<String> {
    let (source, shown) = (grant.source.as_path(), grant.source.display());
    let mut warnings = Vec::new();
    let related = |place: &&str| source.starts_with(place) || Path::new(place).starts_with(source);
    let mut components = source.iter().filter_map(|part| part.to_str());
    if let Some(folder) = components.find(|part| KEY_FOLDERS.contains(part)) {
        warnings.push(format!("files: {shown}: {folder} holds keys"));
    } else if let Some(place) = SECRETS.iter().find(|place| related(place)) {
        warnings.push(format!(
            "files: {shown} reaches into {place}, where hosts keep secrets and sockets"
        ));
    }
    let writes = matches!(grant.access, FileAccess::Write { .. });
    if let Some(place) = CONTROLLING.iter().find(|place| writes && related(place)) {
        warnings.push(format!(
            "files: {shown} can be written: whoever writes to {place} decides what runs here"
        ));
    }
    warnings
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn ordinary() -> Policy {
        let manifest = "id = \"greet\"\nversion = \"1.0.0\"\nabi = \"1.0\"";
        let manifest = crate::manifest::Manifest::parse(Path::new("greet.toml"), manifest);
        let rules = crate::config::PolicyRules::default();
        let grants = crate::grants::intersect(&manifest.unwrap(), &rules).unwrap();
        crate::supervisor::confinement(&grants)
    }

    fn granted(source: &str, access: FileAccess) -> Vec<String> {
        let mut policy = ordinary();
        policy.files.push(FileGrant {
            source: source.into(),
            target: "/data".into(),
            access,
        });
        over_wide(&policy, 1 << 40)
    }

    #[test]
    fn ordinary_plugin_gets_no_warning() {
        assert_eq!(over_wide(&ordinary(), 1 << 40), Vec::<String>::new());
        let write = FileAccess::Write {
            create: true,
            delete: true,
        };
        assert_eq!(granted("/srv/greet", write), Vec::<String>::new());
        assert_eq!(
            granted("/usr/share/dict", FileAccess::Read),
            Vec::<String>::new()
        );
    }

    #[test]
    fn secrets_are_found_above_at_and_below() {
        for source in ["/", "/etc", "/etc/shadow", "/root/notes", "/srv/a/.ssh/id"] {
            let warnings = granted(source, FileAccess::Read);
            assert_eq!(warnings.len(), 1, "{source}: {warnings:?}");
        }
        assert_eq!(granted("/etcetera", FileAccess::Read), Vec::<String>::new());
    }

    #[test]
    fn writing_where_code_lies_is_warned_of() {
        let write = FileAccess::Write {
            create: false,
            delete: false,
        };
        let warnings = granted("/usr/lib/x", write);
        assert!(
            warnings[0].contains("decides what runs here"),
            "{warnings:?}"
        );
    }

    #[test]
    fn each_wide_grant_has_its_sentence() {
        type Change = fn(&mut Policy);
        let changes: [(Change, &str); 10] = [
            (|policy| policy.net = Net::Host, "net:"),
            (
                |policy| policy.capabilities = [Capability::NetRaw].into(),
                "capabilities:",
            ),
            (|policy| policy.jit = true, "jit:"),
            (|policy| policy.processes = true, "processes:"),
            (
                |policy| drop(policy.environment.insert("API_TOKEN".into(), String::new())),
                "env: API_TOKEN",
            ),
            (|policy| policy.memory = 1 << 40, "limits.heap:"),
            (|policy| policy.threads = 1025, "limits.threads:"),
            (|policy| policy.fds = 4097, "limits.fds:"),
            (|policy| policy.locked_memory = 1 << 30, "locked_memory:"),
            (|policy| policy.realtime = 1, "realtime:"),
        ];
        for (change, begins) in changes {
            let mut policy = ordinary();
            change(&mut policy);
            let warnings = over_wide(&policy, 1 << 40);
            assert!(
                matches!(&warnings[..], [only] if only.starts_with(begins)),
                "{begins} {warnings:?}"
            );
        }
    }
}
