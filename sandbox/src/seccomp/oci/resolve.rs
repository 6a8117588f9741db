//! Names, conditions and circumstances of a document, resolved for one host.

use nix::errno::Errno;

use super::document::{ActionName, Argument, Circumstances, Comparison, Document, Entry};
use super::{OciError, OciProblem, Resolution, Resolved};
use crate::seccomp::arch::{Arch, known_elsewhere};
use crate::seccomp::profile::{Action, Condition, Op, Rule, Width};
use crate::support::Kernel;

/// What the rules of a document say, by number and in its order.
pub(super) struct Rules {
    pub(super) default: Action,
    pub(super) rules: Vec<(u32, Rule)>,
}

struct Resolver {
    arch: Arch,
    kernel: Kernel,
    resolved: Vec<Resolved>,
}

pub(super) fn resolve(
    document: Document,
    arch: Arch,
    kernel: Kernel,
) -> Result<(Rules, Vec<Resolved>), OciError> {
    let mut resolver = Resolver {
        arch,
        kernel,
        resolved: Vec::new(),
    };
    for (name, set) in [
        ("listenerPath", &document.listener_path),
        ("listenerMetadata", &document.listener_metadata),
    ] {
        if set.as_ref().is_some_and(|text| !text.is_empty()) {
            return Err(wrong(name, OciProblem::Listener));
        }
    }
    resolver.arches(&document)?;
    resolver.flags(document.flags.unwrap_or_default())?;
    let (name, errno) = (document.default_action, document.default_errno_ret);
    let default = resolver.action(("defaultAction", "defaultErrnoRet"), name, errno)?;
    let mut rules = Vec::new();
    for (at, entry) in document
        .syscalls
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        rules.extend(resolver.entry(&format!("syscalls[{at}]"), entry)?);
    }
    Ok((Rules { default, rules }, resolver.resolved))
}

impl Resolver {
    fn note(&mut self, field: impl Into<String>, resolution: Resolution) {
        self.resolved.push(Resolved {
            field: field.into(),
            resolution,
        });
    }

    fn arches(&mut self, document: &Document) -> Result<(), OciError> {
        let listed = document.architectures.iter().flatten();
        let listed = listed.map(|name| ("architectures", name));
        let entries = document.arch_map.iter().flatten();
        let mapped: Vec<_> = entries
            .flat_map(|entry| {
                let below = entry.sub_architectures.iter().flatten();
                std::iter::once(&entry.architecture).chain(below)
            })
            .map(|name| ("archMap", name))
            .collect();
        let listed: Vec<_> = listed.collect();
        if !listed.is_empty() && !mapped.is_empty() {
            return Err(wrong("archMap", OciProblem::TwoArchLists));
        }
        let all = [listed, mapped].concat();
        let native = format!("SCMP_ARCH_{}", self.arch.name().to_uppercase());
        let mut ours = all.is_empty();
        for (field, name) in all {
            if !SCMP_ARCHES.contains(&name.as_str()) {
                return Err(wrong(field, OciProblem::Arch(name.clone())));
            }
            if *name == native {
                ours = true;
            } else {
                self.note(field, Resolution::ForeignCalls(name.clone()));
            }
        }
        match ours {
            true => Ok(()),
            false => Err(wrong("architectures", OciProblem::NotFor(self.arch))),
        }
    }

    fn flags(&mut self, flags: Vec<String>) -> Result<(), OciError> {
        for flag in flags {
            let problem = match flag.as_str() {
                "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                    self.note("flags", Resolution::FlagAnyway(flag));
                    continue;
                }
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => OciProblem::SpecAllow,
                "SECCOMP_FILTER_FLAG_LOG" => OciProblem::LogFlag,
                _ => OciProblem::Flag(flag),
            };
            return Err(wrong("flags", problem));
        }
        Ok(())
    }

    /// An action and its errno, which are in these two fields.
    fn action(
        &mut self,
        (field, errno_field): (&str, &str),
        name: ActionName,
        errno: Option<u32>,
    ) -> Result<Action, OciError> {
        if errno.is_some() && name != ActionName::Errno {
            return Err(wrong(errno_field, OciProblem::ErrnoWithout));
        }
        let problem = match name {
            ActionName::Allow => return Ok(Action::Allow),
            ActionName::KillProcess => return Ok(Action::Kill),
            ActionName::KillThread => {
                self.note(field, Resolution::WholeWorker);
                return Ok(Action::Kill);
            }
            ActionName::Errno => {
                // As in the specification, EPERM where none is given.
                let number = errno.unwrap_or(Errno::EPERM as u32);
                let known = i32::try_from(number).map_or(Errno::UnknownErrno, Errno::from_raw);
                return match known {
                    Errno::UnknownErrno => Err(wrong(errno_field, OciProblem::Errno(number))),
                    errno => Ok(Action::of_errno(errno)),
                };
            }
            ActionName::Trap => OciProblem::Trap,
            ActionName::Trace => OciProblem::Trace,
            ActionName::Log => OciProblem::Log,
            ActionName::Notify => OciProblem::Listener,
        };
        Err(wrong(field, problem))
    }

    fn entry(&mut self, field: &str, entry: Entry) -> Result<Vec<(u32, Rule)>, OciError> {
        let named = format!("{field}.names");
        let names = match (entry.names, entry.name) {
            (Some(names), None) if !names.is_empty() => names,
            (None, Some(name)) => vec![name],
            _ => return Err(wrong(named, OciProblem::Names)),
        };
        let fields = (format!("{field}.action"), format!("{field}.errnoRet"));
        let action = self.action((&fields.0, &fields.1), entry.action, entry.errno_ret)?;
        let conditions = conditions(field, &entry.args.unwrap_or_default())?;
        let (includes, excludes) = (
            entry.includes.unwrap_or_default(),
            entry.excludes.unwrap_or_default(),
        );
        // Both are looked at, so that what is wrong in either is an error.
        let included = self.included(&format!("{field}.includes"), &includes)?;
        let excluded = self.excluded(&format!("{field}.excludes"), &excludes)?;
        let mut rules = Vec::new();
        for name in names {
            match self.arch.number(&name) {
                None if known_elsewhere(&name) => self.note(&named, Resolution::NoSuchCall(name)),
                None => return Err(wrong(named, OciProblem::Syscall(name))),
                Some(number) if included && !excluded => {
                    let rule = Rule {
                        conditions: conditions.clone(),
                        action,
                        reason: entry.comment.clone().unwrap_or_default(),
                        origin: field.to_owned(),
                    };
                    rules.push((number, rule));
                }
                Some(_) => {}
            }
        }
        Ok(rules)
    }

    /// Whether all that an entry wants is given.
    fn included(&mut self, field: &str, wanted: &Circumstances) -> Result<bool, OciError> {
        let here = self.is_here(field, wanted)?;
        let recent = self.is_recent(field, wanted)?;
        let caps = capabilities(field, wanted)?;
        if let Some(name) = caps.first() {
            let resolution = Resolution::WithoutCapability((*name).to_owned());
            self.note(format!("{field}.caps"), resolution);
        }
        if here == Some(false) {
            self.note(format!("{field}.arches"), Resolution::OtherArch);
        }
        if let Some((wanted, false)) = recent {
            self.note(
                format!("{field}.minKernel"),
                Resolution::OlderKernel(wanted),
            );
        }
        Ok(caps.is_empty() && here != Some(false) && recent.is_none_or(|(_, recent)| recent))
    }

    /// Whether anything that an entry excludes is given.
    fn excluded(&mut self, field: &str, unwanted: &Circumstances) -> Result<bool, OciError> {
        let here = self.is_here(field, unwanted)?;
        let recent = self.is_recent(field, unwanted)?;
        // No worker has any, so none excludes.
        capabilities(field, unwanted)?;
        if here == Some(true) {
            self.note(format!("{field}.arches"), Resolution::OtherArch);
        }
        if let Some((limit, true)) = recent {
            self.note(format!("{field}.minKernel"), Resolution::NewerKernel(limit));
        }
        Ok(here == Some(true) || recent.is_some_and(|(_, recent)| recent))
    }

    fn is_here(
        &self,
        field: &str,
        circumstances: &Circumstances,
    ) -> Result<Option<bool>, OciError> {
        let arches = circumstances.arches.as_deref().unwrap_or_default();
        if let Some(unknown) = arches
            .iter()
            .find(|name| !GO_ARCHES.contains(&name.as_str()))
        {
            let problem = OciProblem::Arch(unknown.clone());
            return Err(wrong(format!("{field}.arches"), problem));
        }
        let native = match self.arch {
            Arch::X86_64 => "amd64",
            Arch::Aarch64 => "arm64",
        };
        let listed = arches.iter().any(|name| name == native);
        Ok((!arches.is_empty()).then_some(listed))
    }

    fn is_recent(
        &self,
        field: &str,
        circumstances: &Circumstances,
    ) -> Result<Option<(Kernel, bool)>, OciError> {
        let Some(text) = &circumstances.min_kernel else {
            return Ok(None);
        };
        let number = |text: &str| text.parse::<u16>().ok().map(u32::from);
        let version = text.split_once('.').and_then(|(major, minor)| {
            let (major, minor) = (number(major)?, number(minor)?);
            Some(Kernel { major, minor })
        });
        match version {
            Some(wanted) => Ok(Some((wanted, self.kernel >= wanted))),
            None => Err(wrong(
                format!("{field}.minKernel"),
                OciProblem::Kernel(text.clone()),
            )),
        }
    }
}

fn wrong(field: impl Into<String>, problem: OciProblem) -> OciError {
    OciError::Field {
        field: field.into(),
        problem,
    }
}

fn capabilities<'a>(field: &str, listed: &'a Circumstances) -> Result<Vec<&'a str>, OciError> {
    let caps = listed.caps.iter().flatten();
    caps.map(|name| match name.parse::<caps::Capability>() {
        Ok(_) => Ok(name.as_str()),
        Err(_) => Err(wrong(
            format!("{field}.caps"),
            OciProblem::Capability(name.clone()),
        )),
    })
    .collect()
}

fn conditions(field: &str, args: &[Argument]) -> Result<Vec<Condition>, OciError> {
    let mut conditions: Vec<Condition> = Vec::new();
    for (at, argument) in args.iter().enumerate() {
        let refuse = |problem| Err(wrong(format!("{field}.args[{at}]"), problem));
        let (arg, first, second) = (argument.index, argument.value, argument.value_two);
        if arg > 5 {
            return refuse(OciProblem::Argument);
        }
        if conditions.iter().any(|earlier| earlier.arg == arg) {
            return refuse(OciProblem::SameArgument(arg));
        }
        let masked = argument.op == Comparison::MaskedEq;
        if masked && second & !first != 0 {
            return refuse(OciProblem::OutsideMask);
        }
        if !masked && second != 0 {
            return refuse(OciProblem::SecondValue);
        }
        let (op, value) = match argument.op {
            Comparison::Ne => (Op::Ne, first),
            Comparison::Lt => (Op::Lt, first),
            Comparison::Le => (Op::Le, first),
            Comparison::Eq => (Op::Eq, first),
            Comparison::Ge => (Op::Ge, first),
            Comparison::Gt => (Op::Gt, first),
            Comparison::MaskedEq => (Op::MaskedEq(first), second),
        };
        conditions.push(Condition {
            arg,
            width: Width::Long,
            op,
            value,
        });
    }
    Ok(conditions)
}

/// The names of seccomp_arch_add(3).
const SCMP_ARCHES: &[&str] = &[
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// Architectures as Docker's circumstances name them.
const GO_ARCHES: &[&str] = &[
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390", "s390x", "x32", "x86",
];
