//! What a process takes upon itself can't be given back: each test runs in a process of its
//! own, which is this binary again.

#![allow(clippy::unwrap_used)] // A failed assumption fails the test.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{getppid, test_kill_process};
use sandbox::hardening::{self, Taken};
use sandbox::landlock::{Access, Canary, Restricted, Rule, Ruleset, SCOPES_ABI, TCP_ABI};
use sandbox::policy::TcpPorts;
use sandbox::sys::keyring;
use sandbox::sys::prctl::{Misfeature, core_cookie};

/// Says that this is the throw-away process.
const VARIABLE: &str = "CORDON_TEST_THROWAWAY";

fn throwaway(test: &str, work: impl FnOnce()) {
    if std::env::var_os(VARIABLE).is_some() {
        return work();
    }
    // Once restricted, it can't remove what it made.
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env(VARIABLE, "1");
    command.env("TMPDIR", scratch.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

/// Restricts this thread to reading the host's libraries and to `rules`.
fn restrict(rules: impl IntoIterator<Item = (PathBuf, Access)>, tcp: TcpPorts) -> u32 {
    let read = Access::Read { execute: false };
    let libraries = ["/lib", "/usr"].map(|path| (fs::canonicalize(path).unwrap(), read));
    let rules = libraries.into_iter().chain(rules);
    let ruleset = Ruleset {
        files: rules.map(|(path, access)| Rule { path, access }).collect(),
        tcp,
    };
    rustix::thread::set_no_new_privs(true).unwrap();
    let canary = Canary::hatch(&ruleset).unwrap();
    let files = Restricted::Abi {
        abi: 1,
        tcp: false,
        scopes: false,
    };
    let error = canary.prove(files).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPROTO), "the canary sings");
    let restricted = ruleset.restrict_self().unwrap();
    canary.prove(restricted).unwrap();
    match restricted {
        Restricted::Abi { abi, .. } => abi,
        other => panic!("every kernel that Cordon runs on has Landlock: {other:?}"),
    }
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

const DENIED: Option<ErrorKind> = Some(ErrorKind::PermissionDenied);
/// What a move to another folder is refused with: programs copy then.
const ELSEWHERE: Option<ErrorKind> = Some(ErrorKind::CrossesDevices);

/// A folder with a file, a folder, and a file in that.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "old").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("folder/file"), "old").unwrap();
    folder
}

#[test]
fn reading_leaves_reading() {
    throwaway("reading_leaves_reading", || {
        let (granted, other) = (tree(), tree());
        let path = granted.path();
        let read = Access::Read { execute: false };

        restrict([(path.to_owned(), read)], TcpPorts::default());

        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "old");
        assert_eq!(fs::read_dir(path).unwrap().count(), 2);
        assert_eq!(kind(fs::read(other.path().join("file"))), DENIED);
        assert_eq!(kind(fs::read_dir(other.path())), DENIED);
        assert_eq!(kind(fs::write(path.join("file"), "new")), DENIED);
        assert_eq!(kind(File::create(path.join("more"))), DENIED);
        assert_eq!(kind(fs::remove_file(path.join("file"))), DENIED);
        let program = fs::canonicalize("/bin/true").unwrap();
        assert_eq!(kind(Command::new(program).status()), DENIED);
    });
}

#[test]
fn executing_is_granted_apart() {
    throwaway("executing_is_granted_apart", || {
        let execute = Access::Read { execute: true };

        restrict([("/usr".into(), execute)], TcpPorts::default());

        let program = fs::canonicalize("/bin/true").unwrap();
        assert!(Command::new(program).status().unwrap().success());
    });
}

#[test]
fn writing_comes_with_making_and_removing_only_as_granted() {
    let test = "writing_comes_with_making_and_removing_only_as_granted";
    throwaway(test, || {
        for (create, delete) in [(false, false), (true, false), (false, true), (true, true)] {
            // The restriction is this thread's.
            let case = std::thread::spawn(move || writes(create, delete));
            case.join().unwrap();
        }
    });
}

fn writes(create: bool, delete: bool) {
    let granted = tree();
    let at = |name: &str| granted.path().join(name);
    let denied_unless = |granted: bool| if granted { None } else { DENIED };
    let write = Access::Write { create, delete };

    restrict([(granted.path().to_owned(), write)], TcpPorts::default());

    fs::write(at("file"), "new").unwrap();
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "new");
    assert_eq!(kind(File::create(at("more"))), denied_unless(create));
    assert_eq!(kind(fs::create_dir(at("folders"))), denied_unless(create));
    // What others might follow, or wait for, is never granted.
    assert_eq!(kind(symlink("/etc", at("link"))), DENIED);
    assert_eq!(kind(UnixListener::bind(at("socket"))), DENIED);
    let moved = kind(fs::rename(at("folder/file"), at("moved")));
    match create && delete {
        true => assert_eq!(moved, None),
        false => assert!(moved == DENIED || moved == ELSEWHERE, "{moved:?}"),
    }
    assert_eq!(kind(fs::remove_file(at("file"))), denied_unless(delete));
}

#[test]
fn scratch_is_for_everything_but_devices_and_programs() {
    throwaway("scratch_is_for_everything_but_devices_and_programs", || {
        let granted = tree();
        let at = |name: &str| granted.path().join(name);
        fs::copy("/bin/true", at("program")).unwrap();

        restrict(
            [(granted.path().to_owned(), Access::Scratch)],
            TcpPorts::default(),
        );

        fs::write(at("more"), "new").unwrap();
        symlink("/etc", at("link")).unwrap();
        UnixListener::bind(at("socket")).unwrap();
        fs::rename(at("folder/file"), at("moved")).unwrap();
        fs::remove_dir(at("folder")).unwrap();
        assert_eq!(kind(Command::new(at("program")).status()), DENIED);
        let device = rustix::fs::mknodat(
            rustix::fs::CWD,
            at("device"),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::RUSR,
            rustix::fs::makedev(1, 3),
        );
        assert_eq!(device.unwrap_err(), Errno::ACCESS);
    });
}

#[test]
fn device_is_read_and_written() {
    throwaway("device_is_read_and_written", || {
        let device = Path::new("/dev/null");

        restrict([(device.to_owned(), Access::Device)], TcpPorts::default());

        fs::write(device, "nothing").unwrap();
        assert_eq!(fs::read(device).unwrap(), b"");
        assert_eq!(kind(File::open("/dev/zero")), DENIED);
    });
}

#[test]
fn granted_ports_are_had_and_the_next_ones_not() {
    throwaway("granted_ports_are_had_and_the_next_ones_not", || {
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = there.local_addr().unwrap().port();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = free.local_addr().unwrap().port();
        drop(free);
        let tcp = TcpPorts {
            bind: [bound].into(),
            connect: [port].into(),
        };

        let abi = restrict([], tcp);

        TcpStream::connect(("127.0.0.1", port)).unwrap();
        TcpListener::bind(("127.0.0.1", bound)).unwrap();
        let refused = if abi >= TCP_ABI { DENIED } else { None };
        assert_eq!(
            kind(TcpStream::connect(other.local_addr().unwrap())),
            refused
        );
        assert_eq!(kind(TcpListener::bind(("127.0.0.1", bound ^ 1))), refused);
        assert_eq!(kind(TcpListener::bind("127.0.0.1:0")), refused);
    });
}

#[test]
fn signals_and_abstract_sockets_stay_inside() {
    throwaway("signals_and_abstract_sockets_stay_inside", || {
        let name = format!("cordon-test-{}", std::process::id());
        let outside = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&outside).unwrap();
        UnixStream::connect_addr(&outside).unwrap();

        let abi = restrict([], TcpPorts::default());

        let inside = SocketAddr::from_abstract_name(name + "-own").unwrap();
        let _own = UnixListener::bind_addr(&inside).unwrap();
        UnixStream::connect_addr(&inside).unwrap();
        test_kill_process(rustix::process::getpid()).unwrap();
        let parent = test_kill_process(getppid().unwrap());
        let stranger = UnixStream::connect_addr(&outside);
        if abi >= SCOPES_ABI {
            assert_eq!(parent, Err(Errno::PERM));
            assert_eq!(kind(stranger), DENIED);
        } else {
            assert_eq!((parent, kind(stranger)), (Ok(()), None));
        }
    });
}

#[test]
fn rule_for_what_isnt_there_is_an_error() {
    let ruleset = Ruleset {
        files: vec![Rule {
            path: "/nowhere".into(),
            access: Access::Scratch,
        }],
        tcp: TcpPorts::default(),
    };
    assert_eq!(kind(ruleset.restrict_self()), Some(ErrorKind::NotFound));
}

#[test]
fn mdwe_is_proven_where_it_holds_and_only_there() {
    throwaway("mdwe_is_proven_where_it_holds_and_only_there", || {
        let error = hardening::prove_mdwe().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADE));
        match hardening::refuse_written_code() {
            Taken::Held => hardening::prove_mdwe().unwrap(),
            taken => assert_eq!(taken, Taken::NotOffered),
        }
    });
}

#[test]
fn joined_keyring_is_another() {
    throwaway("joined_keyring_is_another", || {
        let before = keyring::session().unwrap();
        assert_eq!(hardening::join_keyring().unwrap(), Taken::Held);
        assert_ne!(keyring::session().unwrap(), before);
    });
}

#[test]
fn speculation_is_off_for_good_where_a_process_can_have_it_so() {
    throwaway(
        "speculation_is_off_for_good_where_a_process_can_have_it_so",
        || {
            hardening::disable_speculation().unwrap();
            for misfeature in [Misfeature::StoreBypass, Misfeature::IndirectBranch] {
                let told = misfeature.speculation();
                assert!(!told.is_ok_and(|told| told.controllable() && !told.force_disabled()));
            }
        },
    );
}

#[test]
fn core_cookie_is_had_or_not_offered() {
    throwaway(
        "core_cookie_is_had_or_not_offered",
        || match hardening::take_core_cookie() {
            Taken::Held => assert_ne!(core_cookie(0).unwrap(), 0),
            taken => assert_eq!(taken, Taken::NotOffered),
        },
    );
}
