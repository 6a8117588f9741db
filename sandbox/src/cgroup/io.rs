//! Bandwidth of block devices: `io` on v2, `blkio` on v1, each only where the host has it.

use rustix::io::Errno;

use super::directory::{Directory, FileError};
use super::groups::Groups;
use super::layout::Kind;
use super::limits::{Io, IoMax, LimitError};

/// Sets what is asked for, as far as there are files for it; what was set is for [`read`] to say.
pub(super) fn write(groups: &Groups, io: &Io) -> Result<(), FileError> {
    let Some(group) = groups.io() else {
        return Ok(());
    };
    let v2 = groups.kind() == Kind::V2;
    if let Some(weight) = io.weight {
        let file = if v2 { WEIGHT } else { WEIGHT_V1 };
        where_there_is(group.write(file, &weight.to_string()))?;
    }
    for max in &io.max {
        let (major, minor) = max.device;
        if v2 {
            let amount = |limit: Option<u64>| limit.map_or("max".into(), |limit| limit.to_string());
            let (read, write) = (amount(max.read), amount(max.write));
            let line = format!("{major}:{minor} rbps={read} wbps={write}");
            where_there_is(group.write(MAX, &line))?;
            continue;
        }
        for (file, limit) in [(READ_V1, max.read), (WRITE_V1, max.write)] {
            // 0 is no limit.
            let line = format!("{major}:{minor} {}", limit.unwrap_or(0));
            where_there_is(group.write(file, &line))?;
        }
    }
    Ok(())
}

/// Reads all of it back; `None` where the group has no controller for it.
pub(super) fn read(groups: &Groups) -> Result<Option<Io>, LimitError> {
    let Some(group) = groups.io() else {
        return Ok(None);
    };
    let v2 = groups.kind() == Kind::V2;
    let max = match v2 {
        true => lines(group, MAX)?.map(|text| parse(MAX, &text, device_v2)),
        false => match (lines(group, READ_V1)?, lines(group, WRITE_V1)?) {
            (Some(reads), Some(writes)) => Some(both(&reads, &writes)),
            _ => None,
        },
    };
    let Some(max) = max.transpose()? else {
        return Ok(None);
    };
    let file = if v2 { WEIGHT } else { WEIGHT_V1 };
    let weight = match lines(group, file)? {
        None => None,
        Some(text) => {
            let number = text
                .lines()
                .next()
                .and_then(|line| line.split(' ').next_back());
            let number = number.and_then(|number| number.parse().ok());
            Some(number.ok_or(LimitError::Unreadable { file, text })?)
        }
    };
    Ok(Some(Io { weight, max }))
}

const MAX: &str = "io.max";
const WEIGHT: &str = "io.weight";
const READ_V1: &str = "blkio.throttle.read_bps_device";
const WRITE_V1: &str = "blkio.throttle.write_bps_device";
/// The one scheduler that has weights, where it is in use.
const WEIGHT_V1: &str = "blkio.bfq.weight";

/// A file that isn't there stands for what this kernel hasn't got.
fn where_there_is(written: Result<(), FileError>) -> Result<(), FileError> {
    match written {
        Err(error) if error.errno == Errno::NOENT => Ok(()),
        written => written,
    }
}

fn lines(group: &Directory, file: &str) -> Result<Option<String>, FileError> {
    match group.read(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.errno == Errno::NOENT => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(
    file: &'static str,
    text: &str,
    line: impl Fn(&str) -> Option<IoMax>,
) -> Result<Vec<IoMax>, LimitError> {
    let lines = text.lines().map(|one| {
        line(one).ok_or_else(|| LimitError::Unreadable {
            file,
            text: text.to_owned(),
        })
    });
    let mut all = lines.collect::<Result<Vec<_>, _>>()?;
    all.sort();
    Ok(all)
}

/// `MAJOR:MINOR rbps=N wbps=max riops=max wiops=max`.
fn device_v2(line: &str) -> Option<IoMax> {
    let (device, limits) = line.split_once(' ')?;
    let mut max = IoMax {
        device: number(device)?,
        read: None,
        write: None,
    };
    for limit in limits.split(' ') {
        let (name, amount) = limit.split_once('=')?;
        let amount = match amount {
            "max" => None,
            number => Some(number.parse().ok()?),
        };
        match name {
            "rbps" => max.read = amount,
            "wbps" => max.write = amount,
            _ => {}
        }
    }
    Some(max)
}

/// `MAJOR:MINOR N` in each of two files.
fn both(reads: &str, writes: &str) -> Result<Vec<IoMax>, LimitError> {
    let one = |line: &str| {
        let (device, amount) = line.split_once(' ')?;
        Some((number(device)?, amount.parse::<u64>().ok()?))
    };
    let mut all = parse(READ_V1, reads, |line| {
        one(line).map(|(device, read)| IoMax {
            device,
            read: Some(read),
            write: None,
        })
    })?;
    for written in parse(WRITE_V1, writes, |line| {
        one(line).map(|(device, write)| IoMax {
            device,
            read: None,
            write: Some(write),
        })
    })? {
        match all.iter_mut().find(|known| known.device == written.device) {
            Some(known) => known.write = written.write,
            None => all.push(written),
        }
    }
    all.sort();
    Ok(all)
}

fn number(device: &str) -> Option<(u32, u32)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_device_are_read_from_either_kind_of_file() {
        let expected = [IoMax {
            device: (254, 0),
            read: Some(1 << 20),
            write: None,
        }];
        let v2 = "254:0 rbps=1048576 wbps=max riops=max wiops=max\n";
        assert_eq!(parse(MAX, v2, device_v2).unwrap(), expected);
        assert_eq!(both("254:0 1048576\n", "").unwrap(), expected);
        assert_eq!(parse(MAX, "", device_v2).unwrap(), []);
        parse(MAX, "254 rbps=1\n", device_v2).unwrap_err();
    }
}
