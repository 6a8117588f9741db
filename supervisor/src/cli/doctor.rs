//! `cordon doctor`: what this host offers, and what mends what is missing.

use std::path::PathBuf;
use std::process::ExitCode;

use cordon_supervisor::doctor::examine;
use sandbox::support::{Kernel, Offer, State, strict_can_run};
use serde_json::json;

use super::exit::Code;
use super::{Failure, Format, print, table};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The cgroup to try the workers' in, as /proc/self/cgroup names it.
    #[arg(long, value_name = "GROUP")]
    cgroup_parent: Option<PathBuf>,
}

/// Looks, prints, and exits with 0 where strict policy can run, else with 10.
pub(super) fn doctor(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let offers = examine(arguments.cgroup_parent.as_deref());
    match arguments.format {
        Format::Json => print::json(&json!({
            "kernel": Kernel::release(),
            "uid": rustix::process::geteuid().as_raw(),
            "strict": strict_can_run(&offers),
            "offers": offers.iter().map(as_json).collect::<Vec<_>>(),
        }))?,
        Format::Table => print::text(as_table(&offers) + &mends(&offers) + &verdict(&offers))?,
    };
    let code = match strict_can_run(&offers) {
        true => Code::Ok,
        false => Code::NoSandbox,
    };
    Ok(code.into())
}

fn as_json(offer: &Offer) -> serde_json::Value {
    json!({
        "facility": offer.facility,
        "need": offer.facility.need(),
        "state": offer.state,
        "found": offer.found,
        "why": offer.why,
        "fix": offer.fix,
    })
}

fn as_table(offers: &[Offer]) -> String {
    let rows: Vec<Vec<String>> = offers
        .iter()
        .map(|offer| {
            vec![
                mark(offer).to_owned(),
                offer.facility.to_string(),
                offer.facility.need().to_string(),
                offer.found.clone(),
            ]
        })
        .collect();
    table::render(&["", "FACILITY", "NEED", "FOUND"], &rows)
}

/// Whether it is there, missing, or missing where nothing goes without it.
fn mark(offer: &Offer) -> &'static str {
    match offer.state {
        State::Available => "ok",
        _ if offer.blocks() => "NO",
        _ => "--",
    }
}

fn mends(offers: &[Offer]) -> String {
    let mut text = String::new();
    let lacking = offers
        .iter()
        .filter(|offer| offer.state != State::Available);
    let (first, then): (Vec<_>, Vec<_>) = lacking.partition(|offer| offer.blocks());
    for offer in first.into_iter().chain(then) {
        text += &format!("\n{} {}: {}\n", mark(offer), offer.facility, offer.why);
        for (index, fix) in offer.fix.iter().enumerate() {
            let or = if index == 0 { "   " } else { "or " };
            text += &format!("     {or}{fix}\n");
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("\nTo mend:\n{text}"),
    }
}

fn verdict(offers: &[Offer]) -> String {
    let blocking: Vec<&str> = offers
        .iter()
        .filter(|offer| offer.blocks())
        .map(|offer| offer.facility.name())
        .collect();
    match blocking.is_empty() {
        true => "\nStrict policy can run here.\n".to_owned(),
        false => format!("\nStrict policy can't run here: {}.\n", blocking.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::support::Facility;

    #[test]
    fn what_blocks_is_mended_first_and_named_last() {
        let offers = [
            Offer::available(Facility::Kernel, "Linux 6.1"),
            Offer::lacking(Facility::Mdwe, State::Missing, "none", "less").mended_by("newer"),
            Offer::lacking(Facility::Cgroup, State::Missing, "refused", "no limits")
                .mended_by("this")
                .mended_by("that"),
        ];
        let mends = mends(&offers);
        assert_eq!(
            mends,
            "\nTo mend:\n\nNO cgroup: no limits\n        this\n     or that\n\n-- mdwe: less\n        newer\n"
        );
        assert_eq!(
            verdict(&offers),
            "\nStrict policy can't run here: cgroup.\n"
        );
        assert_eq!(verdict(&offers[..2]), "\nStrict policy can run here.\n");
        assert!(super::mends(&offers[..1]).is_empty());
    }
}
