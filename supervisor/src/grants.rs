//! What a plugin gets: manifest ∩ policy. The manifest asks, the operator's policy bounds.

use std::collections::BTreeSet;
use std::fmt;

use sandbox::policy::{self, FileGrant};
use serde::Serialize;
use thiserror::Error;

use crate::config::{FileRule, Grantable, Network, PolicyRules};
use crate::limits::{Limits, TooMuch};
use crate::manifest::{
    Access, Capability, Concurrency, EnvName, FileAccess, Hook, Manifest, Net, Nice, PluginId,
    Realtime, Requires, TcpPorts,
};
use crate::units::ByteSize;

/// All that a plugin is granted. What isn't named here it doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// Resource limits.
    pub limits: Limits,
    /// Files and folders of the host, and where the plugin sees them.
    pub files: Vec<FileGrant>,
    /// Size of its private `/tmp`, if it has one. Part of the disk limit.
    pub tmp: Option<ByteSize>,
    /// Network.
    pub net: Network,
    /// TCP ports in that network.
    pub tcp: TcpPorts,
    /// Environment variables of the host that it sees.
    pub env: BTreeSet<EnvName>,
    /// Whether it may start processes.
    pub processes: bool,
    /// Whether it may make memory executable.
    pub jit: bool,
    /// Capabilities over its own network namespace.
    pub capabilities: BTreeSet<Capability>,
    /// Memory that it may lock.
    pub locked_memory: ByteSize,
    /// The lowest nice value that it may set; none means that it can't lower it at all.
    pub nice: Option<Nice>,
    /// The highest real-time priority that it may set, if any.
    pub realtime: Option<Realtime>,
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
#[error(
    "plugin {plugin} asks for more than policy allows: {}",
    sentence(excess)
)]
pub struct Refused {
    /// The plugin.
    pub plugin: PluginId,
    /// Every excess, at least one.
    pub excess: Vec<Excess>,
}

/// What `manifest` gets under `rules`, or every excess.
pub fn intersect(manifest: &Manifest, rules: &PolicyRules) -> Result<Grants, Refused> {
    let mut excess = Vec::new();
    let limits = rules
        .limits
        .narrowed(&manifest.limits)
        .unwrap_or_else(|too_much| {
            excess.extend(too_much.into_iter().map(Excess::from));
            rules.limits.clone()
        });
    let (asked, most) = (&manifest.requires, &rules.grants);
    let disk = limits.disk.declared();
    let files = files(&asked.files, &most.files, disk, &mut excess);
    if let Some(tmp) = asked.tmp.filter(|&tmp| tmp > disk) {
        let allowed = format_args!("{disk} (limits.disk)");
        excess.push(Excess::new("requires.tmp", tmp, allowed));
    }
    let net = network(asked, most.net, &mut excess);
    sets(asked, most, &mut excess);
    amounts(asked, most, &mut excess);
    if !excess.is_empty() {
        return Err(Refused {
            plugin: manifest.id.clone(),
            excess,
        });
    }
    Ok(Grants {
        limits,
        files,
        tmp: asked.tmp.filter(|&tmp| tmp > ByteSize::bytes(0)),
        net,
        tcp: asked.tcp.clone(),
        env: asked.env.clone(),
        processes: asked.processes,
        jit: asked.jit,
        capabilities: asked.capabilities.clone(),
        locked_memory: asked.locked_memory.unwrap_or_default(),
        nice: asked.nice,
        realtime: asked.realtime,
        concurrency: manifest.concurrency,
        hooks: manifest.hooks.clone(),
    })
}

/// Each file asked for, by the rule that covers and allows it.
fn files(
    asked: &[FileAccess],
    rules: &[FileRule],
    disk: ByteSize,
    excess: &mut Vec<Excess>,
) -> Vec<FileGrant> {
    let mut granted = Vec::new();
    for (index, file) in asked.iter().enumerate() {
        let field = format!("requires.files[{index}]");
        let writes = file.access != Access::Read;
        match rules
            .iter()
            .filter_map(|rule| narrowed(rule, file))
            .max_by_key(|(depth, _)| *depth)
        {
            None => excess.push(Excess::new(field, file, covering(rules, file))),
            Some(_) if writes && disk == ByteSize::bytes(0) => {
                let allowed = format_args!("{disk} of writing (limits.disk)");
                excess.push(Excess::new(field, file, allowed));
            }
            Some((_, grant)) => granted.push(grant),
        }
    }
    granted
}

/// What `rule` grants of `asked`, with the length of the rule's path; nothing, if it doesn't
/// cover it or allows less. An overlay isn't less than writing, and writing no overlay: one
/// keeps what is written, the other doesn't.
fn narrowed(rule: &FileRule, asked: &FileAccess) -> Option<(usize, FileGrant)> {
    let below = asked
        .path
        .as_path()
        .strip_prefix(rule.path.as_path())
        .ok()?;
    let access = match (asked.access, rule.access) {
        (Access::Read, _) => policy::FileAccess::Read,
        (Access::Write, most @ policy::FileAccess::Write { .. })
        | (Access::Overlay, most @ policy::FileAccess::Overlay(_)) => most,
        (Access::Write | Access::Overlay, _) => return None,
    };
    // Joining an empty path would end the source in a slash, which a file's must not.
    let source = match below.as_os_str().is_empty() {
        true => rule.source.as_path().to_owned(),
        false => rule.source.as_path().join(below),
    };
    let depth = rule.path.as_path().components().count();
    let target = asked.path.as_path().to_owned();
    Some((
        depth,
        FileGrant {
            source,
            target,
            access,
        },
    ))
}

/// What policy allows where `asked` is, in words.
fn covering(rules: &[FileRule], asked: &FileAccess) -> String {
    let covers = |rule: &&FileRule| asked.path.as_path().starts_with(rule.path.as_path());
    let word = |rule: &FileRule| {
        let access = match rule.access {
            policy::FileAccess::Read => Access::Read,
            policy::FileAccess::Write { .. } => Access::Write,
            policy::FileAccess::Overlay(_) => Access::Overlay,
        };
        format!("{access} of {}", rule.path)
    };
    list(rules.iter().filter(covers).map(word))
}

fn network(asked: &Requires, most: Network, excess: &mut Vec<Excess>) -> Network {
    let net = match asked.net {
        Net::Isolated => Network::Isolated,
        Net::Full => Network::Full,
        Net::Restricted => {
            let allowed = format_args!("{most}; {}", Network::RESTRICTED);
            excess.push(Excess::new("requires.net", asked.net, allowed));
            return Network::Isolated;
        }
    };
    if net > most {
        excess.push(Excess::new("requires.net", net, most));
    }
    net
}

/// Fields of which each element is asked for by itself.
fn sets(asked: &Requires, most: &Grantable, excess: &mut Vec<Excess>) {
    beyond("requires.tcp.bind", &asked.tcp.bind, &most.tcp.bind, excess);
    let (connect, allowed) = (&asked.tcp.connect, &most.tcp.connect);
    beyond("requires.tcp.connect", connect, allowed, excess);
    beyond("requires.env", &asked.env, &most.env, excess);
    let (capabilities, allowed) = (&asked.capabilities, &most.capabilities);
    beyond("requires.capabilities", capabilities, allowed, excess);
}

fn beyond<T: Ord + fmt::Display>(
    field: &str,
    asked: &BTreeSet<T>,
    most: &BTreeSet<T>,
    excess: &mut Vec<Excess>,
) {
    let allowed = || list(most.iter().map(T::to_string));
    excess.extend(
        asked
            .difference(most)
            .map(|element| Excess::new(field, element, allowed())),
    );
}

/// Fields of which there is more and less.
fn amounts(asked: &Requires, most: &Grantable, excess: &mut Vec<Excess>) {
    let none = || "none".to_owned();
    if asked.processes && !most.processes {
        excess.push(Excess::new("requires.processes", true, false));
    }
    if asked.jit && !most.jit {
        excess.push(Excess::new("requires.jit", true, false));
    }
    if let Some(size) = asked
        .locked_memory
        .filter(|&size| size > most.locked_memory)
    {
        excess.push(Excess::new(
            "requires.locked_memory",
            size,
            most.locked_memory,
        ));
    }
    if let Some(nice) = asked
        .nice
        .filter(|nice| nice.rlimit() > most.nice.map_or(0, Nice::rlimit))
    {
        let allowed = most.nice.map_or_else(none, |nice| nice.to_string());
        excess.push(Excess::new("requires.nice", nice, allowed));
    }
    if let Some(priority) = asked
        .realtime
        .filter(|&priority| Some(priority) > most.realtime)
    {
        let allowed = most
            .realtime
            .map_or_else(none, |priority| priority.to_string());
        excess.push(Excess::new("requires.realtime", priority, allowed));
    }
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

fn sentence(excess: &[Excess]) -> String {
    let each: Vec<String> = excess.iter().map(Excess::to_string).collect();
    each.join("; ")
}

/// `items` separated by commas, or `none`.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.is_empty() {
        true => "none".to_owned(),
        false => items.join(", "),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
