//! What a manifest asks for: `requires` and `limits`.

use super::rules::{self, DURATION, SHARE, SIZE};
use super::toml::Toml;

/// A file or folder that a plugin needs.
#[derive(Debug, Clone, Copy)]
pub struct File {
    pub(super) path: &'static str,
    pub(super) access: &'static str,
}

impl File {
    /// To be read.
    #[must_use]
    pub const fn read(path: &'static str) -> Self {
        assert!(
            rules::is_absolute(path),
            "requires.files: not an absolute path"
        );
        Self {
            path,
            access: "read",
        }
    }

    /// To be read and written.
    #[must_use]
    pub const fn write(path: &'static str) -> Self {
        assert!(
            rules::is_absolute(path),
            "requires.files: not an absolute path"
        );
        Self {
            path,
            access: "write",
        }
    }

    /// To be read and written, while what is written vanishes with the worker.
    #[must_use]
    pub const fn overlay(path: &'static str) -> Self {
        assert!(
            rules::is_absolute(path),
            "requires.files: not an absolute path"
        );
        Self {
            path,
            access: "overlay",
        }
    }
}

/// The `requires` of a manifest: a request, which the operator's policy grants or refuses.
#[derive(Debug, Clone, Copy)]
pub struct Requires {
    files: &'static [File],
    tmp: Option<&'static str>,
    net: Option<&'static str>,
    bind: &'static [u16],
    connect: &'static [u16],
    env: &'static [&'static str],
    processes: Option<bool>,
    jit: Option<bool>,
    capabilities: &'static [&'static str],
    locked_memory: Option<&'static str>,
    nice: Option<i8>,
    realtime: Option<u8>,
}

impl Requires {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            files: &[],
            tmp: None,
            net: None,
            bind: &[],
            connect: &[],
            env: &[],
            processes: None,
            jit: None,
            capabilities: &[],
            locked_memory: None,
            nice: None,
            realtime: None,
        }
    }

    /// Files and folders of the host.
    #[must_use]
    pub const fn files(mut self, files: &'static [File]) -> Self {
        self.files = files;
        self
    }

    /// A private `/tmp` of this size, as in `"16MiB"`.
    #[must_use]
    pub const fn tmp(mut self, size: &'static str) -> Self {
        assert!(
            rules::is_quantity(size, SIZE),
            "requires.tmp: a number with B, kB, MB, GB, KiB, MiB or GiB"
        );
        self.tmp = Some(size);
        self
    }

    /// `"isolated"` (the default), `"restricted"` or `"full"`.
    #[must_use]
    pub const fn net(mut self, net: &'static str) -> Self {
        let known = ["isolated", "restricted", "full"];
        assert!(
            rules::among(net, &known, known.len()),
            "requires.net: isolated, restricted or full"
        );
        self.net = Some(net);
        self
    }

    /// TCP ports to listen on, in that network.
    #[must_use]
    pub const fn bind(mut self, ports: &'static [u16]) -> Self {
        assert!(
            rules::are_ports(ports),
            "requires.tcp.bind: each from 1 to 65535, and once"
        );
        self.bind = ports;
        self
    }

    /// TCP ports to connect to, in that network.
    #[must_use]
    pub const fn connect(mut self, ports: &'static [u16]) -> Self {
        assert!(
            rules::are_ports(ports),
            "requires.tcp.connect: each from 1 to 65535, and once"
        );
        self.connect = ports;
        self
    }

    /// Environment variables, by name.
    #[must_use]
    pub const fn env(mut self, names: &'static [&'static str]) -> Self {
        self.env = names;
        self
    }

    /// Whether it starts processes.
    #[must_use]
    pub const fn processes(mut self, processes: bool) -> Self {
        self.processes = Some(processes);
        self
    }

    /// Whether it makes code at run time.
    #[must_use]
    pub const fn jit(mut self, jit: bool) -> Self {
        self.jit = Some(jit);
        self
    }

    /// Capabilities over a network of its own: `"NET_BIND_SERVICE"`, `"NET_RAW"`.
    #[must_use]
    pub const fn capabilities(mut self, names: &'static [&'static str]) -> Self {
        let known = ["NET_BIND_SERVICE", "NET_RAW"];
        let mut i = 0;
        while i < names.len() {
            assert!(
                rules::among(names[i], &known, known.len()) && !rules::among(names[i], names, i),
                "requires.capabilities: NET_BIND_SERVICE or NET_RAW, each once"
            );
            i += 1;
        }
        self.capabilities = names;
        self
    }

    /// Memory that it locks, as in `"64KiB"`.
    #[must_use]
    pub const fn locked_memory(mut self, size: &'static str) -> Self {
        assert!(
            rules::is_quantity(size, SIZE),
            "requires.locked_memory: a number with B, kB, MB, GB, KiB, MiB or GiB"
        );
        self.locked_memory = Some(size);
        self
    }

    /// The lowest nice value that it sets itself, -20 to 19.
    #[must_use]
    pub const fn nice(mut self, lowest: i8) -> Self {
        assert!(-20 <= lowest && lowest <= 19, "requires.nice: -20 to 19");
        self.nice = Some(lowest);
        self
    }

    /// The highest real-time priority that it sets itself, 1 to 99.
    #[must_use]
    pub const fn realtime(mut self, highest: u8) -> Self {
        assert!(1 <= highest && highest <= 99, "requires.realtime: 1 to 99");
        self.realtime = Some(highest);
        self
    }

    pub(super) const fn write<const N: usize>(&self, toml: &mut Toml<N>) {
        toml.table("[requires]");
        toml.files("files", self.files);
        toml.string("tmp", self.tmp);
        toml.string("net", self.net);
        toml.ports("tcp.bind", self.bind);
        toml.ports("tcp.connect", self.connect);
        toml.strings("env", self.env);
        toml.boolean("processes", self.processes);
        toml.boolean("jit", self.jit);
        toml.strings("capabilities", self.capabilities);
        toml.string("locked_memory", self.locked_memory);
        if let Some(nice) = self.nice {
            toml.integer("nice", nice as i32);
        }
        if let Some(realtime) = self.realtime {
            toml.integer("realtime", realtime as i32);
        }
    }
}

impl Default for Requires {
    fn default() -> Self {
        Self::new()
    }
}

/// The `limits` of a manifest: what the plugin means to stay below. Policy bounds it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    heap: Option<&'static str>,
    cpu: Option<&'static str>,
    cpu_share: Option<&'static str>,
    threads: Option<u32>,
    fds: Option<u32>,
    connections: Option<u32>,
    disk: Option<&'static str>,
    log: Option<&'static str>,
    messages: Option<u32>,
}

impl Limits {
    /// Those of policy.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            heap: None,
            cpu: None,
            cpu_share: None,
            threads: None,
            fds: None,
            connections: None,
            disk: None,
            log: None,
            messages: None,
        }
    }

    /// Memory, as in `"50MB"`.
    #[must_use]
    pub const fn heap(mut self, size: &'static str) -> Self {
        assert!(
            rules::is_quantity(size, SIZE),
            "limits.heap: a number with B, kB, MB, GB, KiB, MiB or GiB"
        );
        self.heap = Some(size);
        self
    }

    /// CPU time per call, as in `"1000ms"`.
    #[must_use]
    pub const fn cpu(mut self, time: &'static str) -> Self {
        assert!(
            rules::is_quantity(time, DURATION),
            "limits.cpu: a number with us, ms or s"
        );
        self.cpu = Some(time);
        self
    }

    /// Share of the processors, of one core, as in `"50%"`.
    #[must_use]
    pub const fn cpu_share(mut self, share: &'static str) -> Self {
        assert!(
            rules::is_quantity(share, SHARE),
            "limits.cpu_share: a number with %"
        );
        self.cpu_share = Some(share);
        self
    }

    /// Threads, the first included.
    #[must_use]
    pub const fn threads(mut self, threads: u32) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Open file descriptors.
    #[must_use]
    pub const fn fds(mut self, fds: u32) -> Self {
        self.fds = Some(fds);
        self
    }

    /// Network connections.
    #[must_use]
    pub const fn connections(mut self, connections: u32) -> Self {
        self.connections = Some(connections);
        self
    }

    /// Bytes in writable places, as in `"16MiB"`.
    #[must_use]
    pub const fn disk(mut self, size: &'static str) -> Self {
        assert!(
            rules::is_quantity(size, SIZE),
            "limits.disk: a number with B, kB, MB, GB, KiB, MiB or GiB"
        );
        self.disk = Some(size);
        self
    }

    /// Log, stdout and stderr per minute, as in `"1MiB"`.
    #[must_use]
    pub const fn log(mut self, size: &'static str) -> Self {
        assert!(
            rules::is_quantity(size, SIZE),
            "limits.log: a number with B, kB, MB, GB, KiB, MiB or GiB"
        );
        self.log = Some(size);
        self
    }

    /// Host calls per minute.
    #[must_use]
    pub const fn messages(mut self, messages: u32) -> Self {
        self.messages = Some(messages);
        self
    }

    pub(super) const fn write<const N: usize>(&self, toml: &mut Toml<N>) {
        toml.table("[limits]");
        toml.string("heap", self.heap);
        toml.string("cpu", self.cpu);
        toml.string("cpu_share", self.cpu_share);
        toml.number("threads", self.threads);
        toml.number("fds", self.fds);
        toml.number("connections", self.connections);
        toml.string("disk", self.disk);
        toml.string("log", self.log);
        toml.number("messages", self.messages);
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
