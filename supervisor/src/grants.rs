//! What a plugin gets: manifest ∩ policy. The manifest asks, the operator's policy bounds.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::config::PolicyRules;
use crate::limits::{Limits, TooMuch};
use crate::manifest::{
    Capability, Concurrency, EnvName, FileAccess, Hook, Manifest, Net, PluginId,
};
use crate::units::ByteSize;

/// All that a plugin is granted. What isn't named here it doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// Resource limits.
    pub limits: Limits,
    /// Files and folders of the host.
    pub files: Vec<FileAccess>,
    /// Size of its private `/tmp`, if it has one. Part of the disk limit.
    pub tmp: Option<ByteSize>,
    /// Network.
    pub net: Net,
    /// Environment variables of the host that it sees.
    pub env: BTreeSet<EnvName>,
    /// Whether it may start processes.
    pub processes: bool,
    /// Whether it may make memory executable.
    pub jit: bool,
    /// Capabilities over its own network namespace.
    pub capabilities: BTreeSet<Capability>,
    /// How many calls it takes at once.
    pub concurrency: Concurrency,
    /// The hooks it is called for.
    pub hooks: Vec<Hook>,
}

/// One thing that a plugin asks for and policy doesn't allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excess {
    /// The manifest's field.
    pub field: String,
    /// What the plugin asks for.
    pub asked: String,
    /// What policy allows.
    pub allowed: String,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: asks {}, policy allows {}",
            self.field, self.asked, self.allowed
        )
    }
}

/// A plugin that asks for more than policy allows; it isn't loaded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("plugin {plugin} asks for more than policy allows: {}", list(excess))]
pub struct Refused {
    /// The plugin.
    pub plugin: PluginId,
    /// Every excess, at least one.
    pub excess: Vec<Excess>,
}

/// What `manifest` gets under `rules`, or every excess.
pub fn intersect(manifest: &Manifest, rules: &PolicyRules) -> Result<Grants, Refused> {
    let mut excess = ungrantable(manifest);
    let limits = rules
        .limits
        .narrowed(&manifest.limits)
        .unwrap_or_else(|too_much| {
            excess.extend(too_much.into_iter().map(Excess::from));
            rules.limits.clone()
        });
    let asked = &manifest.requires;
    let disk = limits.disk.declared();
    if let Some(tmp) = asked.tmp.filter(|&tmp| tmp > disk) {
        excess.push(Excess::new(
            "requires.tmp",
            tmp,
            format_args!("{disk} (limits.disk)"),
        ));
    }
    for name in asked.env.difference(&rules.env) {
        excess.push(Excess::new("requires.env", name, names(&rules.env)));
    }
    if !excess.is_empty() {
        return Err(Refused {
            plugin: manifest.id.clone(),
            excess,
        });
    }
    Ok(Grants {
        limits,
        files: Vec::new(),
        tmp: asked.tmp.filter(|&tmp| tmp > ByteSize::bytes(0)),
        net: Net::Isolated,
        env: asked.env.clone(),
        processes: false,
        jit: false,
        capabilities: BTreeSet::new(),
        concurrency: manifest.concurrency,
        hooks: manifest.hooks.clone(),
    })
}

/// What no policy has a rule for: files, network, processes, executable memory, capabilities.
fn ungrantable(manifest: &Manifest) -> Vec<Excess> {
    let asked = &manifest.requires;
    let mut excess = Vec::new();
    for (index, file) in asked.files.iter().enumerate() {
        excess.push(Excess::new(
            format_args!("requires.files[{index}]"),
            file,
            "none",
        ));
    }
    if asked.net > Net::Isolated {
        excess.push(Excess::new("requires.net", asked.net, Net::Isolated));
    }
    if asked.processes {
        excess.push(Excess::new("requires.processes", true, false));
    }
    if asked.jit {
        excess.push(Excess::new("requires.jit", true, false));
    }
    for capability in &asked.capabilities {
        excess.push(Excess::new("requires.capabilities", capability, "none"));
    }
    excess
}

impl Excess {
    fn new(field: impl fmt::Display, asked: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self {
            field: field.to_string(),
            asked: asked.to_string(),
            allowed: allowed.to_string(),
        }
    }
}

impl From<TooMuch> for Excess {
    fn from(much: TooMuch) -> Self {
        Self::new(
            format_args!("limits.{}", much.name),
            much.asked,
            much.allowed,
        )
    }
}

fn names(env: &BTreeSet<EnvName>) -> String {
    if env.is_empty() {
        return "none".to_owned();
    }
    env.iter()
        .map(EnvName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn list(excess: &[Excess]) -> String {
    excess
        .iter()
        .map(Excess::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Policy;

    fn grant(manifest: &str, policy: &str) -> Result<Grants, Refused> {
        let manifest = format!("id = \"greet\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n{manifest}");
        let manifest = Manifest::parse(Path::new("greet.toml"), &manifest).unwrap();
        intersect(
            &manifest,
            Policy::parse(Path::new("policy.toml"), policy)
                .unwrap()
                .rules(&manifest.id),
        )
    }

    #[test]
    fn asking_for_nothing_gives_the_defaults_and_no_reach() {
        let grants = grant("", "").unwrap();
        assert_eq!(grants.limits, Limits::default());
        assert_eq!(
            (
                grants.files.len(),
                grants.env.len(),
                grants.capabilities.len()
            ),
            (0, 0, 0)
        );
        assert_eq!(
            (grants.tmp, grants.net, grants.processes, grants.jit),
            (None, Net::Isolated, false, false)
        );
    }

    #[test]
    fn every_excess_is_listed_with_its_field() {
        let refused = grant(
            "[limits]\nheap = \"1GiB\"\nfds = 33\n[requires]\n\
             files = [{ path = \"/etc/hosts\", access = \"read\" }]\ntmp = \"1MiB\"\nnet = \"full\"\nenv = [\"HOME\"]\n\
             processes = true\njit = true\ncapabilities = [\"NET_RAW\"]",
            "[limits]\nheap = \"64MiB\"\n[grants]\nenv = [\"LANG\"]",
        )
        .unwrap_err();
        let shown: Vec<_> = refused.excess.iter().map(Excess::to_string).collect();
        assert_eq!(
            shown,
            [
                "requires.files[0]: asks read of /etc/hosts, policy allows none",
                "requires.net: asks full, policy allows isolated",
                "requires.processes: asks true, policy allows false",
                "requires.jit: asks true, policy allows false",
                "requires.capabilities: asks NET_RAW, policy allows none",
                "limits.heap: asks 1 GiB, policy allows 64 MiB",
                "limits.fds: asks 33, policy allows 32",
                "requires.tmp: asks 1 MiB, policy allows 0 B (limits.disk)",
                "requires.env: asks HOME, policy allows LANG",
            ]
        );
        assert!(
            refused
                .to_string()
                .starts_with("plugin greet asks for more than policy allows: requires.files[0]")
        );
    }

    #[test]
    fn what_policy_allows_is_granted() {
        let grants = grant(
            "[requires]\ntmp = \"1MiB\"\nenv = [\"LANG\"]\n[limits]\nheap = \"16MiB\"",
            "[limits]\ndisk = \"2MiB\"\n[plugin.greet.grants]\nenv = [\"LANG\", \"TZ\"]",
        )
        .unwrap();
        assert_eq!(grants.tmp, Some(ByteSize::mib(1)));
        assert_eq!(grants.env.len(), 1);
        assert_eq!(grants.limits.heap.hard(), ByteSize::mib(20));
    }

    #[test]
    fn a_tmp_must_fit_the_disk_that_the_plugin_itself_asks_for() {
        let refused = grant(
            "[requires]\ntmp = \"2MiB\"\n[limits]\ndisk = \"1MiB\"",
            "[limits]\ndisk = \"4MiB\"",
        );
        assert_eq!(
            refused.unwrap_err().excess[0].allowed,
            "1 MiB (limits.disk)"
        );
    }

    proptest! {
        #[test]
        fn no_manifest_gets_more_than_policy_has(heap in 4u64..2048, allowed in 4u64..2048, threads in 1u64..20) {
            let granted = grant(
                &format!("[limits]\nheap = \"{heap}MiB\"\nthreads = {threads}"),
                &format!("[limits]\nheap = \"{allowed}MiB\""),
            );
            prop_assert_eq!(granted.is_ok(), heap <= allowed && threads <= 4);
            if let Ok(grants) = granted {
                prop_assert_eq!(grants.limits.heap.declared(), ByteSize::mib(heap));
                prop_assert!(grants.limits.heap.hard().as_u64() <= (ByteSize::mib(allowed).as_u64() * 5).div_ceil(4));
            }
        }
    }
}
