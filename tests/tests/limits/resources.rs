//! What policy sets for where workers compete holds, or is reported absent.

use cordon_supervisor::LoadError;
use cordon_supervisor::worker::LaunchError;
use cordon_tests::host::{builder, load, status, supervisor};
use cordon_tests::plugins::{Taker, fixture};
use cordon_tests::setting::skip;
use sandbox::cgroup::{Kind, Layout};
use sandbox::report::{Control, Enforcement, Finding};
use tempfile::TempDir;

const ALL: &str = "[resources]\nmemory_high = \"90%\"\ncpu_weight = 50\nio_weight = 50\n\
                   io_read = \"10MiB\"\nio_write = \"10MiB\"\n";

async fn found(policy: &str) -> Finding {
    let supervisor = supervisor(policy).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let report = status(&supervisor, &probe).report.unwrap();
    report.finding(Control::Resources).cloned().unwrap()
}

#[tokio::test]
async fn nothing_set_is_nothing_missing() {
    let found = found("").await;
    assert_eq!(found.enforcement, Enforcement::Enforced);
    assert_eq!(found.value, "policy sets none");
}

#[tokio::test]
async fn weight_of_the_processors_holds_everywhere() {
    let found = found("[resources]\ncpu_weight = 50").await;
    assert_eq!(found.enforcement, Enforcement::Enforced);
    assert_eq!(found.value, "cpu.weight 50");
}

#[tokio::test]
async fn what_the_host_lacks_is_named_and_refused_where_it_is_required() {
    let found = found(ALL).await;
    assert!(found.value.contains("cpu.weight 50"), "{found:?}");
    let v2 = Layout::detect().unwrap().kind() == Kind::V2;
    let high = if v2 {
        "memory.high 53 MiB"
    } else {
        "memory.high is absent"
    };
    assert!(found.value.contains(high), "{found:?}");
    let lacks = found.value.contains("is absent");
    assert_eq!(
        found.enforcement == Enforcement::Enforced,
        !lacks,
        "{found:?}"
    );

    let required = format!("{ALL}[confinement]\nrequire = [\"resources\"]");
    let supervisor = builder(&required).start().await.unwrap();
    let loaded = supervisor.load(&fixture("probe")).await;

    let unmet = |error: &LoadError| match error {
        LoadError::Launch {
            source: LaunchError::Confinement(unmet),
            ..
        } => unmet
            .findings
            .iter()
            .any(|one| one.control == Control::Resources),
        _ => false,
    };
    assert_eq!(loaded.as_ref().is_err_and(unmet), lacks, "{loaded:?}");
}

/// As far as this host has disks, and a controller for them.
#[tokio::test]
async fn bandwidth_is_that_of_the_disk_behind_a_folder_granted_for_writing() {
    let folder = TempDir::with_prefix("cordon-disk-").unwrap();
    let source = folder.path().display();
    let grant = format!(
        "[limits]\ndisk = \"1MiB\"\n[grants]\nfiles = [{{ path = \"/out\", source = \"{source}\", \
         access = \"write\" }}]"
    );
    let supervisor = supervisor(&format!("[resources]\nio_write = \"10MiB\"\n{grant}")).await;
    let taker = Taker::asking("files = [{ path = \"/out\", access = \"write\" }]");

    let taker = load(&supervisor, &taker.file).await;

    let report = status(&supervisor, &taker).report.unwrap();
    let found = report.finding(Control::Resources).unwrap();
    let device = rustix::fs::stat(folder.path()).unwrap().st_dev;
    let number = (rustix::fs::major(device), rustix::fs::minor(device));
    let disk = format!("/sys/dev/block/{}:{}", number.0, number.1);
    if !std::path::Path::new(&disk).exists() {
        return skip("bandwidth", "the temporary folder is on no disk");
    }
    if found.value.contains("is absent") {
        assert_eq!(found.enforcement, Enforcement::Absent, "{found:?}");
        return skip("bandwidth", "there is no controller for it");
    }
    assert!(
        found.value.contains("read unlimited, written 10485760 B/s"),
        "{found:?}"
    );
    assert_eq!(found.enforcement, Enforcement::Enforced);
}
