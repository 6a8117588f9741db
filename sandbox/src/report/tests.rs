use super::*;

fn full() -> Report {
    let mut report = Report::default();
    for control in Control::ALL {
        report.enforced(*control, "as it must be");
    }
    report
}

#[test]
fn full_report_meets_every_demand() {
    let demands = Demands {
        required: Control::ALL.iter().copied().collect(),
        ..Demands::default()
    };
    assert_eq!(full().unmet(&demands), []);
}

#[test]
fn missing_core_is_unmet_until_it_is_named() {
    for enforcement in [Enforcement::Degraded, Enforcement::Absent] {
        let mut report = full();
        report.add(Control::Cgroup, enforcement, false, "no delegation");
        assert_eq!(report.unmet(&Demands::default()), [Control::Cgroup]);
        let allowed = Demands {
            allow_degraded: [Control::Cgroup].into(),
            ..Demands::default()
        };
        assert_eq!(report.unmet(&allowed), []);
    }
    let unread = Report::default().unmet(&Demands::default());
    assert_eq!(unread, Control::ALL);
}

#[test]
fn hardening_is_demanded_where_it_is_offered_or_required() {
    let mut report = full();
    report.add(Control::Mdwe, Enforcement::Absent, false, "Linux 6.3");
    assert_eq!(report.unmet(&Demands::default()), []);
    let required = Demands {
        required: [Control::Mdwe].into(),
        ..Demands::default()
    };
    assert_eq!(report.unmet(&required), [Control::Mdwe]);
    report.add(Control::Mdwe, Enforcement::Absent, true, "left out");
    assert_eq!(report.unmet(&Demands::default()), [Control::Mdwe]);
}

#[test]
fn refusal_names_control_reason_and_option() {
    let mut report = full();
    report.add(Control::Cgroup, Enforcement::Absent, false, "no delegation");
    let error = report.meet(&Demands::default()).unwrap_err();
    assert_eq!(error.report, report);
    let text = error.to_string();
    for part in [
        "cgroup is absent (no delegation);",
        "--allow-degraded cgroup ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(full().meet(&Demands::default()), Ok(()));
    assert_eq!(Report::default().may_meet(&Demands::default()), Ok(()));
    assert_eq!(report.may_meet(&Demands::default()), Err(error));
    assert_eq!(
        Report::default()
            .meet(&Demands::default())
            .unwrap_err()
            .findings
            .len(),
        Control::ALL.len()
    );
}

#[test]
fn only_what_would_be_refused_is_conceded() {
    let allowed = Demands {
        allow_degraded: [Control::Cgroup, Control::Mdwe, Control::Root].into(),
        ..Demands::default()
    };
    let mut report = full();
    report.add(Control::Cgroup, Enforcement::Degraded, false, "rlimits");
    report.add(Control::Mdwe, Enforcement::Absent, false, "Linux 6.3");
    let conceded: Vec<Control> = report
        .conceded(&allowed)
        .iter()
        .map(|f| f.control)
        .collect();
    assert_eq!(conceded, [Control::Cgroup]);
}

#[test]
fn what_grants_depend_on_is_demanded_whatever_is_allowed() {
    let demands = Demands {
        allow_degraded: [Control::LandlockTcp, Control::Cgroup].into(),
        depended_on: [Control::LandlockTcp].into(),
        ..Demands::default()
    };
    let mut report = full();
    assert_eq!(report.unmet(&demands), []);
    let absent = Enforcement::Absent;
    report.add(Control::LandlockTcp, absent, false, "Linux 6.7");
    report.add(Control::Cgroup, absent, false, "no delegation");
    let unmet = report.meet(&demands).unwrap_err().to_string();
    assert!(
        unmet.ends_with("what mends it, what is granted depends on landlock-tcp"),
        "{unmet}"
    );
    let unread = Report::default().unmet(&demands);
    assert!(unread.contains(&Control::LandlockTcp) && !unread.contains(&Control::Cgroup));
}

#[test]
fn names_are_those_of_the_json() {
    for control in Control::ALL {
        assert_eq!(control.name().parse(), Ok(*control));
        let json = serde_json::to_string(control).unwrap();
        assert_eq!(json, format!("\"{}\"", control.name()));
    }
    assert!("namespace".parse::<Control>().is_err());
}
