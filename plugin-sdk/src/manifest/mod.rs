//! The manifest, written as TOML at compile time.
//!
//! [`make_plugin!`](crate::make_plugin) passes each entry of its `limits` and `requires` to the
//! function of that name here. What breaks the rules of a manifest is a compile error.
//!
//! ```
//! use plugin_sdk::manifest::{Limits, Manifest};
//!
//! const MANIFEST: Manifest =
//!     Manifest::new("greet", "1.0.0").description("Says \"hello\"").limits(Limits::new().threads(1));
//! const TOML: [u8; MANIFEST.len()] = MANIFEST.render();
//!
//! assert_eq!(
//!     str::from_utf8(&TOML).unwrap(),
//!     r#"id = "greet"
//! version = "1.0.0"
//! abi = "1.0"
//! description = "Says \"hello\""
//! concurrency = "serial"
//! [limits]
//! threads = 1
//! "#
//! );
//! ```
//!
//! ```compile_fail,E0080
//! # use plugin_sdk::manifest::Manifest;
//! const NO_ID: Manifest = Manifest::new("Not An Id", "1.0.0");
//! ```

mod requests;
mod rules;
mod toml;

pub use requests::{File, Limits, Requires};

use toml::Toml;

/// A manifest under construction. The functions are `const` and panic on what breaks a rule.
#[derive(Debug, Clone, Copy)]
pub struct Manifest {
    id: &'static str,
    version: &'static str,
    author: Option<&'static str>,
    description: Option<&'static str>,
    concurrency: Calls,
    methods: &'static [&'static str],
    hooks: &'static [Hook],
    requires: Requires,
    limits: Limits,
    dependencies: &'static [(&'static str, &'static str)],
    metadata: &'static [(&'static str, &'static str)],
}

#[derive(Debug, Clone, Copy)]
enum Calls {
    Serial,
    Threadsafe,
    Pool(u32),
}

/// A hook and its place in the order: lower priorities run first, 0 to 999.
#[derive(Debug, Clone, Copy)]
pub struct Hook {
    /// Name of the event.
    pub name: &'static str,
    /// 0–99 critical, 100–199 high, 200–299 normal, 300–399 low, from 400 cleanup.
    pub priority: u32,
}

impl Manifest {
    /// A manifest that asks for nothing. `id` is `[a-z0-9][a-z0-9._-]{0,63}`, `version` a semantic
    /// version.
    #[must_use]
    pub const fn new(id: &'static str, version: &'static str) -> Self {
        assert!(
            rules::is_id(id),
            "id: up to 64 of [a-z0-9._-], beginning with [a-z0-9]"
        );
        assert!(rules::is_semver(version), "version: not a semantic version");
        Self {
            id,
            version,
            author: None,
            description: None,
            concurrency: Calls::Serial,
            methods: &[],
            hooks: &[],
            requires: Requires::new(),
            limits: Limits::new(),
            dependencies: &[],
            metadata: &[],
        }
    }

    /// Who made it; at most 256 bytes.
    #[must_use]
    pub const fn author(mut self, author: &'static str) -> Self {
        assert!(author.len() <= 256, "author: more than 256 bytes");
        self.author = Some(author);
        self
    }

    /// What it does; at most 256 bytes.
    #[must_use]
    pub const fn description(mut self, description: &'static str) -> Self {
        assert!(description.len() <= 256, "description: more than 256 bytes");
        self.description = Some(description);
        self
    }

    /// One call at a time; the default.
    #[must_use]
    pub const fn serial(mut self) -> Self {
        self.concurrency = Calls::Serial;
        self
    }

    /// Several calls of one instance at once.
    #[must_use]
    pub const fn threadsafe(mut self) -> Self {
        self.concurrency = Calls::Threadsafe;
        self
    }

    /// So many instances in workers of their own, each with one call at a time.
    #[must_use]
    pub const fn pool(mut self, workers: u32) -> Self {
        assert!(workers > 0, "concurrency: a pool of no workers");
        self.concurrency = Calls::Pool(workers);
        self
    }

    /// Names of the methods; each once.
    #[must_use]
    pub const fn methods(mut self, methods: &'static [&'static str]) -> Self {
        let mut i = 0;
        while i < methods.len() {
            assert!(
                rules::is_name(methods[i]),
                "methods: a name is 1 to 64 printable ASCII characters"
            );
            assert!(
                !rules::among(methods[i], methods, i),
                "methods: a name occurs twice"
            );
            i += 1;
        }
        self.methods = methods;
        self
    }

    /// The hooks; each name once.
    #[must_use]
    pub const fn hooks(mut self, hooks: &'static [Hook]) -> Self {
        let mut i = 0;
        while i < hooks.len() {
            assert!(
                rules::is_name(hooks[i].name),
                "hooks: a name is 1 to 64 printable ASCII characters"
            );
            assert!(hooks[i].priority <= 999, "hooks: a priority is 0 to 999");
            let mut before = 0;
            while before < i {
                assert!(
                    !rules::equal(hooks[before].name, hooks[i].name),
                    "hooks: a name occurs twice"
                );
                before += 1;
            }
            i += 1;
        }
        self.hooks = hooks;
        self
    }

    /// What it needs of the host.
    #[must_use]
    pub const fn requires(mut self, requires: Requires) -> Self {
        self.requires = requires;
        self
    }

    /// What it means to stay below.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Plugins it needs: id and semantic version requirement.
    #[must_use]
    pub const fn dependencies(
        mut self,
        dependencies: &'static [(&'static str, &'static str)],
    ) -> Self {
        let mut i = 0;
        while i < dependencies.len() {
            assert!(
                rules::is_id(dependencies[i].0),
                "dependencies: not a plugin's id"
            );
            i += 1;
        }
        assert!(
            rules::keys_differ(dependencies),
            "dependencies: an id occurs twice"
        );
        self.dependencies = dependencies;
        self
    }

    /// Anything else, key and value.
    #[must_use]
    pub const fn metadata(mut self, metadata: &'static [(&'static str, &'static str)]) -> Self {
        assert!(rules::keys_differ(metadata), "metadata: a key occurs twice");
        self.metadata = metadata;
        self
    }

    /// Bytes of the TOML text.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a manifest is never empty")]
    pub const fn len(&self) -> usize {
        let mut counter = Toml::<0>::new();
        self.write(&mut counter);
        counter.len()
    }

    /// The TOML text; `N` is [`Self::len`].
    #[must_use]
    pub const fn render<const N: usize>(&self) -> [u8; N] {
        let mut toml = Toml::<N>::new();
        self.write(&mut toml);
        toml.finish()
    }

    const fn write<const N: usize>(&self, toml: &mut Toml<N>) {
        toml.string("id", Some(self.id));
        toml.string("version", Some(self.version));
        const { assert!(crate::abi::MAJOR == 1 && crate::abi::MINOR == 0) };
        toml.string("abi", Some("1.0"));
        toml.string("author", self.author);
        toml.string("description", self.description);
        match self.concurrency {
            Calls::Serial => toml.string("concurrency", Some("serial")),
            Calls::Threadsafe => toml.string("concurrency", Some("threadsafe")),
            Calls::Pool(workers) => toml.pool("concurrency", workers),
        }
        toml.strings("methods", self.methods);
        let mut i = 0;
        while i < self.hooks.len() {
            toml.header("[[hooks]]");
            toml.string("name", Some(self.hooks[i].name));
            toml.number("priority", Some(self.hooks[i].priority));
            i += 1;
        }
        self.requires.write(toml);
        self.limits.write(toml);
        toml.pairs("[dependencies]", self.dependencies);
        toml.pairs("[metadata]", self.metadata);
    }
}
