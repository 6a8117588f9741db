//! What a program may decide about calls of which only some bits are known.
//!
//! Trying calls one by one proves nothing about a program from an untrusted hand: it
//! may allow `bpf` for one value of one argument. Here every word is a set of known
//! bits, both ways of a branch are followed unless those bits decide it, and since all
//! jumps lead forward, one pass over the program sees every path.

use super::program::{ARCH, Compare, NR, Op, Outcome, Program};

/// A set of calls: in each word of `seccomp_data` some bits are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls([Bits; 16]);

/// The 32-bit values that agree with `value` wherever `known` has a one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits {
    known: u32,
    value: u32,
}

impl Calls {
    /// Every call there is.
    pub(super) const ALL: Calls = Calls([Bits::ANY; 16]);

    pub(super) fn with_arch(mut self, arch: Bits) -> Calls {
        self.0[usize::from(ARCH)] = arch;
        self
    }

    pub(super) fn with_nr(mut self, nr: Bits) -> Calls {
        self.0[usize::from(NR)] = nr;
        self
    }

    /// Fixes the low half of an argument.
    pub(super) fn with_arg(mut self, arg: usize, low: Bits) -> Calls {
        self.0[4 + 2 * arg] = low;
        self
    }
}

impl Bits {
    pub(super) const ANY: Bits = Bits { known: 0, value: 0 };

    pub(super) const fn exactly(value: u32) -> Bits {
        Bits::masked(u32::MAX, value)
    }

    /// The values `v` with `v & mask == value & mask`.
    pub(super) const fn masked(mask: u32, value: u32) -> Bits {
        Bits {
            known: mask,
            value: value & mask,
        }
    }

    /// One of the values.
    pub(super) fn example(self) -> u32 {
        self.value
    }

    fn and(self, k: u32) -> Bits {
        Bits {
            known: self.known | !k,
            value: self.value & k,
        }
    }

    /// The smallest set of this form that holds both.
    fn join(self, other: Bits) -> Bits {
        let known = self.known & other.known & !(self.value ^ other.value);
        Bits {
            known,
            value: self.value & known,
        }
    }

    /// Whether the comparison (can hold, can fail) for some value of the set.
    fn compare(self, compare: Compare, k: u32) -> (bool, bool) {
        let (least, most) = (self.value, self.value | !self.known);
        match compare {
            Compare::Equal => (k & self.known == self.value, !(least == k && most == k)),
            Compare::AnyBit => (most & k != 0, least & k == 0),
            Compare::Greater | Compare::GreaterEqual => {
                (compare.holds(most, k), !compare.holds(least, k))
            }
        }
    }
}

impl Program {
    /// Whether the program can allow any of these calls. `false` is certain; `true` can
    /// be a false alarm, where paths meet that exclude each other.
    pub(super) fn may_allow(&self, calls: &Calls) -> bool {
        let ops = self.ops();
        // The accumulator on arrival at each instruction; `None`: never reached.
        let mut arrivals: Vec<Option<Bits>> = vec![None; ops.len()];
        arrivals[0] = Some(Bits::exactly(0));
        let mut furthest = 0;
        for (at, op) in ops.iter().enumerate() {
            if at > furthest {
                break;
            }
            let Some(accumulator) = arrivals[at] else {
                continue;
            };
            let mut arrive = |skip: usize, bits: Bits| {
                furthest = furthest.max(at + 1 + skip);
                let arrival = &mut arrivals[at + 1 + skip];
                *arrival = Some(arrival.map_or(bits, |earlier| earlier.join(bits)));
            };
            match *op {
                Op::Load(word) => arrive(0, calls.0[usize::from(word)]),
                Op::And(k) => arrive(0, accumulator.and(k)),
                Op::Jump(skip) => arrive(skip as usize, accumulator),
                Op::Branch {
                    compare,
                    k,
                    then,
                    otherwise,
                } => {
                    let (can_hold, can_fail) = accumulator.compare(compare, k);
                    if can_hold {
                        arrive(usize::from(then), accumulator);
                    }
                    if can_fail {
                        arrive(usize::from(otherwise), accumulator);
                    }
                }
                Op::Return(Outcome::Allow) => return true,
                Op::Return(_) => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_comparison_counts_every_value_of_the_set(
            known: u32, value: u32, sample: u32, k in prop_oneof![any::<u32>(), 0u32..8],
            compare in prop::sample::select(vec![
                Compare::Equal, Compare::Greater, Compare::GreaterEqual, Compare::AnyBit,
            ]),
            near: bool,
        ) {
            let member = (value & known) | (sample & !known);
            let k = if near { member } else { k };
            let bits = Bits::masked(known, value);
            let (can_hold, can_fail) = bits.compare(compare, k);
            let counted = if compare.holds(member, k) { can_hold } else { can_fail };
            prop_assert!(counted);
            prop_assert_eq!(bits.and(k).known & (member & k), bits.and(k).value);
        }

        #[test]
        fn a_join_holds_both(a: u32, b: u32, known: u32) {
            let joined = Bits::exactly(a).join(Bits::masked(known, b));
            prop_assert_eq!(a & joined.known, joined.value);
            prop_assert_eq!(b & known & joined.known, joined.value);
            prop_assert_eq!(joined.known & !known, 0);
        }
    }
}
