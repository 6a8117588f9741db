//! Limits: what is in force, and what happens beyond it.

use sandbox::cgroup::{CpuMax, Kind, LeafError, LimitError, Limits};

use super::{MIB, TestParent, limits, probe};

#[test]
fn limits_are_in_force_as_read_back() {
    let parent = TestParent::new();
    let limits = Limits {
        memory_max: 32 * MIB + 1,
        memory_high: Some(24 * MIB),
        pids_max: 7,
        cpu_max: CpuMax {
            quota_us: 50_000,
            period_us: 200_000,
        },
        cpu_weight: Some(37),
    };

    let leaf = parent.0.leaf("worker", &limits).unwrap();

    let applied = leaf.applied();
    assert_eq!(applied.memory_max, 32 * MIB);
    assert_eq!(applied.swap_max.unwrap_or(0), 0);
    assert_eq!(applied.pids_max, 7);
    assert_eq!(applied.cpu_max, limits.cpu_max);
    assert_eq!(applied.cpu_weight, 37);
    let v2 = applied.kind == Kind::V2;
    assert_eq!(applied.memory_high, v2.then_some(24 * MIB));
    assert_eq!(applied.oom_group, v2);
    assert_eq!(&probe(&leaf).read_limits().unwrap(), applied);
}

#[test]
fn limit_that_does_not_take_is_detected() {
    let parent = TestParent::new();
    // The kernel accepts it and holds its own maximum, which is no limit at all.
    let limits = Limits {
        memory_max: 1 << 63,
        ..limits()
    };

    let error = parent.0.leaf("worker", &limits).unwrap_err();

    let LeafError::Limit(LimitError::NotApplied { limit, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(limit, "memory_max");
    parent.assert_empty();
}

#[test]
fn invalid_limit_is_an_error_and_leaves_nothing() {
    let parent = TestParent::new();
    let cpu_max = CpuMax {
        quota_us: 100,
        period_us: 100,
    };

    let error = parent
        .0
        .leaf(
            "worker",
            &Limits {
                cpu_max,
                ..limits()
            },
        )
        .unwrap_err();

    assert!(
        matches!(error, LeafError::Limit(_) | LeafError::File(_)),
        "{error}"
    );
    parent.assert_empty();
}
