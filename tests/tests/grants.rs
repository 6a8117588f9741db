//! What a plugin asks for, and what policy makes of it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use cordon_tests::command::{Cordon, Finished, Invocation};
use cordon_tests::plugins::{example, fixture};
use cordon_tests::workspace;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandbox::support::Kernel;
use serde_json::Value;
use tempfile::TempDir;

const MANIFEST: &str = "id = \"grantee\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";

/// IPPROTO_ICMP.
const ICMP: i64 = 1;

#[test]
fn inspect_shows_what_is_asked_and_what_is_granted() {
    let asks = Asks::new(
        "files = [{ path = \"/data/a\", access = \"read\" }]\ntcp = { bind = [80] }",
        "files = [{ path = \"/data\", source = \"/srv\" }]\ntcp = { bind = [80, 81] }",
    );

    let table = asks.inspect("table");
    let object: Value = serde_json::from_slice(&asks.inspect("json").stdout).unwrap();

    let text = String::from_utf8(table.stdout).unwrap();
    for line in [
        "files: read of /data/a",
        "tcp.bind: 80",
        "all that it asks for",
        "/data/a is /srv/a of the host",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(object["granted"]["files"][0]["source"], "/srv/a");
    assert_eq!(object["granted"]["tcp"]["bind"], serde_json::json!([80]));
    assert_eq!(object["excess"], Value::Null);
}

#[test]
fn inspect_shows_what_is_refused() {
    let asks = Asks::new("net = \"full\"\nnice = -1", "nice = 0");

    let table = asks.inspect("table");
    let object: Value = serde_json::from_slice(&asks.inspect("json").stdout).unwrap();

    let text = String::from_utf8(table.stdout).unwrap();
    for excess in [
        "requires.net: asks full, policy allows isolated",
        "requires.nice: asks -1, policy allows 0",
    ] {
        assert!(text.contains(excess), "{excess}: {text}");
    }
    assert_eq!(object["excess"][0]["field"], "requires.net");
    assert_eq!(object["granted"], Value::Null);
}

#[test]
fn restricted_network_is_refused_to_plugin_and_policy() {
    let later = "comes later; until then it is refused, not approximated";
    for (asked, granted, field) in [
        ("net = \"restricted\"", "net = \"full\"", "requires.net: "),
        ("", "net = \"restricted\"", "policy, grants.net: "),
    ] {
        let refused = Asks::new(asked, granted).run();

        assert_eq!(refused.status.code(), Some(5), "{refused}");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains(field) && text.contains(later), "{refused}");
    }
}

#[test]
fn capability_binds_a_port_below_1024_in_a_network_of_its_own() {
    let own = Port::occupied(80);
    let ports = "tcp = { bind = [80, 81], connect = [80] }";
    let both = format!("{ports}\ncapabilities = [\"NET_BIND_SERVICE\"]");

    let granted = Asks::new(&both, &both);
    let without = Asks::new(ports, ports);

    assert_eq!(granted.outcome("bind", 80), "ok");
    assert_eq!(without.outcome("bind", 80), "EACCES");
    drop(own);
}

#[test]
fn capability_that_was_not_granted_is_not_there() {
    let bind = "tcp = { bind = [80] }\ncapabilities = [\"NET_BIND_SERVICE\"]";
    let raw = "capabilities = [\"NET_RAW\"]";

    assert_eq!(Asks::new(bind, bind).unfiltered("raw", ICMP), "EPERM");
    assert_eq!(Asks::new(raw, raw).outcome("raw", ICMP), "ok");
}

#[test]
fn worker_with_a_capability_makes_no_user_namespace() {
    let raw = "capabilities = [\"NET_RAW\"]";

    assert_eq!(
        Asks::new(raw, raw).unfiltered("user-namespace", 0),
        "ENOSPC"
    );
}

#[test]
fn report_of_a_worker_with_a_capability_names_it_and_the_nesting_that_it_costs() {
    let raw = "capabilities = [\"NET_RAW\"]";
    let asks = Asks::new(raw, raw);

    let object = asks.object();
    let refused = asks.and("[confinement]\nrequire = [\"nesting\"]").report();

    let found = |control: &str| finding(&object, control);
    assert_eq!(found("nesting").0, "absent");
    let sets = "CAP_NET_RAW in all five sets, by grant";
    assert_eq!(found("capabilities"), ("enforced", sets));
    assert_eq!(object["conceded"], serde_json::json!(["nesting"]));
    assert_eq!(refused.status.code(), Some(10), "{refused}");
    let sentence = String::from_utf8_lossy(&refused.stderr);
    assert!(sentence.contains("nesting is absent"), "{refused}");
}

#[test]
fn loopback_is_up_only_where_a_port_or_a_capability_is_granted() {
    let port = "tcp = { connect = [9] }";

    let none = Asks::new("", "");

    // ABI 4 of Landlock came with Linux 6.7.
    let has_ports = Kernel::running() >= Kernel { major: 6, minor: 7 };
    let refused = if has_ports { "EACCES" } else { "ENETUNREACH" };
    assert_eq!(none.unfiltered("connect", 9), refused);
    let without = Cordon::without(["seccomp", "landlock-tcp"]);
    assert_eq!(none.outcome_of(&without, "connect", 9), "ENETUNREACH");
    assert_eq!(Asks::new(port, port).outcome("connect", 9), "ECONNREFUSED");
}

#[test]
fn isolated_network_has_neither_the_hosts_ports_nor_its_abstract_sockets() {
    let (port, name) = (Port::any(), Abstract::new());
    let number = port.number();
    let ports = format!("tcp = {{ connect = [{number}] }}");

    let isolated = Asks::new(&ports, &ports);

    assert_eq!(isolated.outcome("connect", number), "ECONNREFUSED");
    assert_eq!(isolated.unfiltered("abstract", name.number), "ECONNREFUSED");
    let without = Cordon::without(["seccomp", "landlock", "net"]);
    assert_eq!(isolated.outcome_of(&without, "connect", number), "ok");
    assert_eq!(isolated.outcome_of(&without, "abstract", name.number), "ok");
}

#[test]
fn full_network_is_the_hosts_with_the_ports_granted_and_no_capability_over_it() {
    let (port, other, name) = (Port::any(), Port::any(), Abstract::new());
    let number = port.number();
    let ports = format!("net = \"full\"\ntcp = {{ bind = [80], connect = [{number}] }}");

    let full = Asks::new(&ports, &ports);

    assert_eq!(full.outcome("connect", number), "ok");
    assert_eq!(full.outcome("connect", other.number()), "EACCES");
    assert_eq!(full.outcome("bind", 80), "EACCES");
    assert_eq!(full.outcome("udp", number), "EPERM");
    assert_eq!(full.unfiltered("raw", ICMP), "EPERM");
    assert_eq!(full.unfiltered("abstract", name.number), "EPERM");
    let without = Cordon::without(["seccomp", "landlock-tcp", "landlock-scopes"]);
    let open = |act, number| full.outcome_of(&without, act, number);
    assert_eq!(open("connect", other.number()), "ok");
    assert_eq!(open("udp", number), "ok");
    assert_eq!(open("abstract", name.number), "ok");
}

#[test]
fn report_of_a_worker_in_the_hosts_network_says_so() {
    let object = Asks::new("net = \"full\"", "net = \"full\"").object();

    let (state, value) = finding(&object, "namespaces");
    assert_eq!(state, "degraded");
    assert!(value.contains("the network is the host's"), "{value}");
    assert_eq!(object["conceded"], serde_json::json!(["namespaces"]));
}

#[test]
fn port_is_granted_by_its_number_whatever_capability_there_is() {
    let asked = "tcp = { bind = [80] }\ncapabilities = [\"NET_BIND_SERVICE\"]";
    let asks = Asks::new(asked, asked);

    assert_eq!(asks.outcome("bind", 80), "ok");
    assert_eq!(asks.outcome("bind", 81), "EACCES");
    let without = Cordon::without(["landlock-tcp"]);
    assert_eq!(asks.outcome_of(&without, "bind", 81), "ok");
}

#[test]
fn memory_is_locked_up_to_the_grant_and_not_a_page_further() {
    let page = i64::try_from(rustix::param::page_size()).unwrap();
    let locked = format!("locked_memory = \"{}B\"", 16 * page);
    let asks = Asks::new(&locked, &locked);

    assert_eq!(asks.outcome("lock", 16 * page), "ok");
    assert_eq!(asks.outcome("lock", 17 * page), "ENOMEM");
    // Whoever may lock nothing at all is told so.
    assert_eq!(Asks::new("", "").unfiltered("lock", page), "EPERM");
}

#[test]
fn nice_value_goes_down_to_the_grant_and_no_further() {
    let nice = "nice = -5";
    let asks = Asks::new(nice, nice);

    if !may_raise(Resource::Nice, 25) {
        return asks.lacks("RLIMIT_NICE: 25 is granted");
    }
    assert_eq!(asks.outcome("nice", -5), "ok");
    assert_eq!(asks.outcome("nice", -6), "EACCES");
    assert_eq!(Asks::new("", "").unfiltered("nice", -1), "EACCES");
}

#[test]
fn real_time_priority_is_limited_to_the_grant() {
    let realtime = "realtime = 10";
    let asks = Asks::new(realtime, realtime);

    if !may_raise(Resource::Rtprio, 10) {
        return asks.lacks("RLIMIT_RTPRIO: 10 is granted");
    }
    // Groups of v1 have no real-time budget unless somebody gives them one: sched(7).
    let v1 = Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists();
    let granted = if v1 { "EPERM" } else { "ok" };
    assert_eq!(asks.outcome("realtime", 10), granted);
    assert_eq!(asks.outcome("realtime", 11), "EPERM");
    assert_eq!(Asks::new("", "").unfiltered("realtime", 1), "EPERM");
}

#[test]
fn granted_processes_are_forked_and_run_granted_programs() {
    use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
    if statfs("/bin/true").unwrap().filesystem_type() == OVERLAYFS_SUPER_MAGIC {
        println!("skipped: a program on an overlay, as in the VM, can't be id-mapped");
        return;
    }
    let program = "files = [{ path = \"/program\", access = \"read\" }]";
    let of_host = "files = [{ path = \"/program\", source = \"/bin/true\", access = \"read\" }]";
    let both = |files: &str| format!("processes = true\n{files}");
    let limits = "[limits]\nthreads = 4\n";

    let granted = Asks::new(&both(program), &both(of_host)).and(limits);
    let without = Asks::new(program, of_host);

    assert_eq!(granted.outcome("fork", 0), "ok");
    assert_eq!(granted.outcome("spawn", 0), "ok");
    assert_eq!(without.outcome("fork", 0), "EPERM");
    assert_eq!(without.outcome("spawn", 0), "EPERM");
}

#[test]
fn granted_executable_memory_is_written_and_run() {
    let jit = "jit = true";

    assert_eq!(Asks::new(jit, jit).outcome("jit", 0), "ok");
    assert_eq!(Asks::new("", "").outcome("jit", 0), "EPERM");
}

#[test]
fn port80_serves_a_page_on_its_own_network() {
    let policy = workspace().join("examples/port80/policy.toml");
    let policy = ["--policy", policy.to_str().unwrap()];
    let host = Port::occupied(80);

    let cordon = Cordon::normal();
    let run = || cordon.run(&example("port80")).call("serve", "a page");
    let granted = run().options(&policy).report();
    let refused = run().finish();

    let page = "HTTP/1.0 200 OK\\r\nContent-Type: text/plain\\r\n\\r\na page";
    assert_eq!(granted.reply(), page);
    let denied = granted.violations.by_kind.get("denied-syscall");
    assert_eq!(denied, None, "{granted:?}");
    assert_eq!(refused.status.code(), Some(5), "{refused}");
    let sentence = String::from_utf8_lossy(&refused.stderr);
    for field in ["requires.tcp.bind: asks 80", "requires.capabilities: asks"] {
        assert!(sentence.contains(field), "{refused}");
    }
    drop(host);
}

/// What a report says of a control: how far it holds, and the value.
fn finding<'a>(report: &'a Value, control: &str) -> (&'a str, &'a str) {
    let findings = report["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|finding| finding["control"] == control)
        .unwrap_or_else(|| panic!("no {control} in {report}"));
    let text = |field: &str| found[field].as_str().unwrap();
    (text("enforcement"), text("value"))
}

/// Whether this process could raise a limit as high, and so whatever it starts.
fn may_raise(resource: Resource, to: u64) -> bool {
    let limit = getrlimit(resource);
    let wanted = Rlimit {
        current: limit.current,
        maximum: Some(to),
    };
    limit.maximum.is_none_or(|own| own >= to) || setrlimit(resource, wanted).is_ok()
}

/// A port of the host's loopback that somebody listens on.
struct Port(TcpListener);

impl Port {
    fn any() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn number(&self) -> i64 {
        self.0.local_addr().unwrap().port().into()
    }

    /// By this test, or by whoever was first.
    fn occupied(number: u16) -> Option<Self> {
        TcpListener::bind(("127.0.0.1", number)).ok().map(Self)
    }
}

/// An abstract socket of the host that somebody listens on.
struct Abstract {
    number: i64,
    _listener: UnixListener,
}

impl Abstract {
    fn new() -> Self {
        static MADE: AtomicU16 = AtomicU16::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let number = (i64::from(std::process::id()) << 16) + i64::from(made);
        let name = format!("cordon-test-{number}");
        let address = SocketAddr::from_abstract_name(name).unwrap();
        Self {
            number,
            _listener: UnixListener::bind_addr(&address).unwrap(),
        }
    }
}

/// A plugin that asks, and a policy that grants.
struct Asks {
    _folder: TempDir,
    plugin: PathBuf,
    policy: PathBuf,
}

impl Asks {
    fn new(requires: &str, grants: &str) -> Self {
        let folder = TempDir::with_prefix("cordon-grants-").unwrap();
        let path = |name: &str| folder.path().join(name);
        let (plugin, policy) = (path("libgrantee.so"), path("policy.toml"));
        fs::copy(fixture("grantee"), &plugin).unwrap();
        let manifest = format!("{MANIFEST}[requires]\n{requires}");
        fs::write(path("grantee.toml"), manifest).unwrap();
        fs::write(&policy, format!("[grants]\n{grants}\n")).unwrap();
        Self {
            _folder: folder,
            plugin,
            policy,
        }
    }

    /// With more in the policy.
    fn and(self, policy: &str) -> Self {
        let text = fs::read_to_string(&self.policy).unwrap();
        fs::write(&self.policy, text + policy).unwrap();
        self
    }

    fn inspect(&self, format: &str) -> Finished {
        let inspected = Cordon::normal().inspect(&self.plugin);
        let finished = self.finish(inspected.options(&["--format", format]));
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        finished
    }

    fn report(&self) -> Finished {
        let report = Cordon::normal().confinement(&self.plugin);
        self.finish(report.options(&["--format", "json"]))
    }

    /// The report of a worker that policy is content with.
    fn object(&self) -> Value {
        let report = self.report();
        assert_eq!(report.status.code(), Some(0), "{report}");
        serde_json::from_slice(&report.stdout).unwrap()
    }

    fn run(&self) -> Finished {
        self.finish(Cordon::normal().run(&self.plugin).call("m", ""))
    }

    fn finish(&self, command: Invocation) -> Finished {
        let policy = self.policy.to_str().unwrap();
        command.options(&["--policy", policy]).finish()
    }

    /// How an act of the plugin ends.
    fn outcome(&self, act: &str, number: i64) -> String {
        self.outcome_of(&Cordon::normal(), act, number)
    }

    /// How it would end were it not for the filter, which refuses first.
    fn unfiltered(&self, act: &str, number: i64) -> String {
        self.outcome_of(&Cordon::without(["seccomp"]), act, number)
    }

    fn outcome_of(&self, cordon: &Cordon, act: &str, number: i64) -> String {
        let policy = ["--policy", self.policy.to_str().unwrap()];
        let run = cordon.run(&self.plugin).call(act, &number.to_string());
        let report = run.options(&policy).report();
        match report.reply() {
            "" => panic!("{act}: {report:?}"),
            reply => reply.to_owned(),
        }
    }

    /// The launcher can't give what was granted, and says what.
    fn lacks(&self, sentence: &str) {
        let refused = self.run();
        assert_eq!(refused.status.code(), Some(10), "{refused}");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains(sentence), "{refused}");
    }
}
