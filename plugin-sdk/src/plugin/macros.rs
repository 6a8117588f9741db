//! `make_plugin!`.

/// Makes a plugin of a type: its manifest, its table, and the one export.
///
/// Once per crate, which is a `cdylib`. Entries are optional but for `plugin` and `id`, keep this
/// order, and each ends with a comma:
///
/// | Entry | Meaning |
/// |---|---|
/// | `plugin: Type` | the instance |
/// | `id: "…"` | `[a-z0-9][a-z0-9._-]{0,63}` |
/// | `version: "…"` | semantic version; the crate's by default |
/// | `author: "…"`, `description: "…"` | at most 256 bytes |
/// | `concurrency: serial` | or `pool(n)`, `threadsafe`; with the last, functions take `&self` |
/// | `init: path` | `fn(&Context, config: &[u8]) -> Result<Type, E>`; [`Default`] otherwise |
/// | `shutdown: path` | `fn(&mut self, &Context) -> Result<(), E>` |
/// | `methods: { "name" => path, … }` | `fn(&mut self, &Context, payload: &[u8]) -> Result<T, E>` |
/// | `hooks: { "name" at 200 => path, … }` | `fn(&mut self, &Context, payload: &[u8]) -> Result<Verdict, E>` |
/// | `snapshot: { schema: 1, save: path, restore: path }` | `fn(&mut self, &Context) -> Result<T, E>`, `fn(&mut self, &Context, schema: u32, state: &[u8]) -> Result<(), E>` |
/// | `health: path` | `fn(&mut self, &Context) -> Result<T, E>` |
/// | `requires: { … }` | functions of [`Requires`](crate::manifest::Requires), as in `tmp: "16MiB"` |
/// | `limits: { … }` | functions of [`Limits`](crate::manifest::Limits), as in `heap: "20MB"` |
/// | `dependencies: { "id" => ">=1", … }`, `metadata: { "key" => "value", … }` | |
///
/// `T` is anything that [`AsRef<[u8]>`](AsRef) is for, `E` anything that turns into an
/// [`Error`](crate::Error); `&self` will do where `&mut self` stands.
///
/// ```
/// use plugin_sdk::{Context, Error, Verdict, make_plugin};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl Counter {
///     fn add(&mut self, _: &Context<'_>, payload: &[u8]) -> Result<String, Error> {
///         self.0 += str::from_utf8(payload)?.parse::<u64>()?;
///         Ok(self.0.to_string())
///     }
///
///     fn guard(&self, context: &Context<'_>, _: &[u8]) -> Result<Verdict, Error> {
///         Ok(if context.user() == "root" { Verdict::Reject("not for root".into()) } else { Verdict::Continue })
///     }
///
///     fn save(&self, _: &Context<'_>) -> Result<[u8; 8], Error> {
///         Ok(self.0.to_le_bytes())
///     }
///
///     fn restore(&mut self, _: &Context<'_>, schema: u32, state: &[u8]) -> Result<(), Error> {
///         let 1 = schema else { return Err(Error::unsupported(format!("schema {schema}"))) };
///         self.0 = u64::from_le_bytes(state.try_into()?);
///         Ok(())
///     }
/// }
///
/// make_plugin! {
///     plugin: Counter,
///     id: "counter",
///     description: "Adds up",
///     methods: { "add" => Counter::add },
///     hooks: { "request" at 50 => Counter::guard },
///     snapshot: { schema: 1, save: Counter::save, restore: Counter::restore },
///     limits: { heap: "10MB", threads: 1 },
/// }
/// # fn main() {
/// let host = plugin_sdk::testing::Host::new();
/// let counter = host.create::<Counter>(b"").unwrap();
/// assert_eq!(counter.call("add", b"2").unwrap(), b"2");
/// assert_eq!(counter.call("add", b"3").unwrap(), b"5");
/// # }
/// ```
#[macro_export]
macro_rules! make_plugin {
    (
        plugin: $plugin:ty,
        id: $id:expr,
        $(version: $version:expr,)?
        $(author: $author:expr,)?
        $(description: $description:expr,)?
        $(concurrency: $concurrency:ident $(($workers:expr))?,)?
        $(init: $init:path,)?
        $(shutdown: $shutdown:path,)?
        $(methods: { $($method:literal => $call:path),+ $(,)? },)?
        $(hooks: { $($hook:literal at $priority:literal => $decide:path),+ $(,)? },)?
        $(snapshot: { schema: $schema:expr, save: $save:path, restore: $restore:path $(,)? },)?
        $(health: $health:path,)?
        $(requires: { $($require:ident: $required:expr),+ $(,)? },)?
        $(limits: { $($limit:ident: $limited:expr),+ $(,)? },)?
        $(dependencies: { $($dependency:expr => $range:expr),+ $(,)? },)?
        $(metadata: { $($key:expr => $value:expr),+ $(,)? },)?
    ) => {
        impl $crate::Plugin for $plugin {
            type Concurrency = $crate::__plugin_part!(concurrency $($concurrency)?);

            const MANIFEST: &'static str = {
                const MANIFEST: $crate::manifest::Manifest =
                    $crate::manifest::Manifest::new($id, $crate::__plugin_part!(version $($version)?))
                        $(.author($author))?
                        $(.description($description))?
                        $(.$concurrency($($workers)?))?
                        $(.methods(&[$($method),+]))?
                        $(.hooks(&[$($crate::manifest::Hook { name: $hook, priority: $priority }),+]))?
                        $(.requires($crate::manifest::Requires::new()$(.$require($required))+))?
                        $(.limits($crate::manifest::Limits::new()$(.$limit($limited))+))?
                        $(.dependencies(&[$(($dependency, $range)),+]))?
                        $(.metadata(&[$(($key, $value)),+]))?;
                const TEXT: [u8; MANIFEST.len()] = MANIFEST.render();
                match ::core::str::from_utf8(&TEXT) {
                    ::core::result::Result::Ok(text) => text,
                    ::core::result::Result::Err(_) => ::core::unreachable!(),
                }
            };

            const OFFERS: $crate::plugin::Offers = $crate::plugin::Offers {
                methods: $crate::__plugin_part!(given $($($method)+)?),
                hooks: $crate::__plugin_part!(given $($($hook)+)?),
                snapshot: $crate::__plugin_part!(given $($schema)?),
                health: $crate::__plugin_part!(given $($health)?),
            };

            fn create(
                context: &$crate::Context<'_>,
                config: &[u8],
            ) -> ::core::result::Result<Self, $crate::Error> {
                $crate::__plugin_part!(create context, config $(, $init)?)
            }

            $(fn call(
                plugin: $crate::plugin::Handle<'_, Self>,
                context: &$crate::Context<'_>,
                method: &str,
                payload: &[u8],
                reply: &mut $crate::plugin::Reply<'_>,
            ) -> ::core::result::Result<(), $crate::Error> {
                match method {
                    $($method => $crate::plugin::answer(reply, $call(plugin, context, payload)),)+
                    _ => ::core::result::Result::Err($crate::Error::no_method(method)),
                }
            })?

            $(fn hook(
                plugin: $crate::plugin::Handle<'_, Self>,
                context: &$crate::Context<'_>,
                name: &str,
                payload: &[u8],
            ) -> ::core::result::Result<$crate::Verdict, $crate::Error> {
                match name {
                    $($hook => $decide(plugin, context, payload).map_err(::core::convert::Into::into),)+
                    _ => ::core::result::Result::Err($crate::Error::no_method(name)),
                }
            })?

            $(fn snapshot(
                plugin: $crate::plugin::Handle<'_, Self>,
                context: &$crate::Context<'_>,
                state: &mut $crate::plugin::Reply<'_>,
            ) -> ::core::result::Result<u32, $crate::Error> {
                $crate::plugin::answer(state, $save(plugin, context)).map(|()| $schema)
            }

            fn restore(
                plugin: $crate::plugin::Handle<'_, Self>,
                context: &$crate::Context<'_>,
                schema: u32,
                state: &[u8],
            ) -> ::core::result::Result<(), $crate::Error> {
                $restore(plugin, context, schema, state).map_err(::core::convert::Into::into)
            })?

            $(fn health(
                plugin: $crate::plugin::Handle<'_, Self>,
                context: &$crate::Context<'_>,
                detail: &mut $crate::plugin::Reply<'_>,
            ) -> ::core::result::Result<(), $crate::Error> {
                $crate::plugin::answer(detail, $health(plugin, context))
            })?

            $(fn shutdown(
                plugin: $crate::plugin::Handle<'_, Self>,
                context: &$crate::Context<'_>,
            ) -> ::core::result::Result<(), $crate::Error> {
                $shutdown(plugin, context).map_err(::core::convert::Into::into)
            })?
        }

        $crate::__export_plugin!($plugin);
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "make_plugin! takes, in this order and each with a comma behind it: plugin, id, version, author, \
             description, concurrency, init, shutdown, methods, hooks, snapshot, health, requires, limits, \
             dependencies, metadata; only the first two have to be there"
        );
    };
}

/// Parts of [`make_plugin!`] that depend on whether an entry is given.
#[doc(hidden)]
#[macro_export]
macro_rules! __plugin_part {
    (concurrency) => {
        $crate::plugin::Serial
    };
    (concurrency serial) => {
        $crate::plugin::Serial
    };
    (concurrency pool) => {
        $crate::plugin::Serial
    };
    (concurrency threadsafe) => {
        $crate::plugin::Threadsafe
    };
    (version) => {
        ::core::env!("CARGO_PKG_VERSION")
    };
    (version $version:expr) => {
        $version
    };
    (given) => {
        false
    };
    (given $($entry:tt)+) => {
        true
    };
    (create $context:ident, $config:ident) => {{
        let _: (&$crate::Context<'_>, &[u8]) = ($context, $config);
        ::core::result::Result::Ok(<Self as ::core::default::Default>::default())
    }};
    (create $context:ident, $config:ident, $init:path) => {
        $init($context, $config).map_err(::core::convert::Into::into)
    };
}
