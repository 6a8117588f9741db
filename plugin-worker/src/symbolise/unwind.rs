//! From function to caller: by the tables for unwinding where they are, else by the frame
//! pointer, else by what on the stack can be a return address.

use std::collections::BTreeMap;

use addr2line::gimli::{
    CfaRule, Encoding, EvaluationResult, Expression, Format, Location, RegisterRule, Value,
};
use sandbox::trace::{
    DWARF_FRAME_POINTER, DWARF_RETURN_ADDRESS, DWARF_STACK_POINTER, MAX_PLACES, Question,
};

use super::library::{Libraries, Slice};

/// The most operations of an expression in a table.
const MAX_OPERATIONS: u32 = 256;
/// The size of an address.
const WORD: u64 = size_of::<u64>() as u64;

/// A function that was under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) ip: u64,
    /// Whether `ip` is where a call returns to, or where the thread was.
    returns: bool,
    pub(super) guessed: bool,
}

/// A walk from the innermost function outwards.
pub(super) struct Walk<'a> {
    question: &'a Question,
    registers: BTreeMap<u16, u64>,
    step: Step,
    sp: u64,
}

/// A caller, and its registers.
struct Caller {
    ip: u64,
    sp: u64,
    registers: BTreeMap<u16, u64>,
    guessed: bool,
}

impl Step {
    /// The address to look up: the call that returns there may be a function's last instruction.
    pub(super) fn lookup(self) -> u64 {
        self.ip.saturating_sub(u64::from(self.returns))
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(question: &'a Question) -> Walk<'a> {
        Walk {
            question,
            registers: question.registers.iter().copied().collect(),
            step: Step {
                ip: question.top.ip,
                returns: false,
                guessed: false,
            },
            sp: question.top.sp,
        }
    }

    /// The functions, the innermost first; those of the worker's own program are left out but
    /// for the first.
    pub(super) fn steps(mut self, libraries: &mut Libraries<'_>) -> Vec<Step> {
        let mut steps = vec![self.step];
        while steps.len() < MAX_PLACES && !libraries.is_ours(self.step.ip) {
            let Some(caller) = self.caller(libraries) else {
                break;
            };
            self.step = Step {
                ip: caller.ip,
                returns: true,
                guessed: caller.guessed,
            };
            (self.sp, self.registers) = (caller.sp, caller.registers);
            steps.push(self.step);
        }
        steps
    }

    fn caller(&self, libraries: &mut Libraries<'_>) -> Option<Caller> {
        match self.by_table(libraries) {
            Some(Some(caller)) if libraries.is_code(caller.ip) => Some(caller),
            // The tables say that this is the outermost.
            Some(None) => None,
            _ => self
                .by_frame_pointer(libraries)
                .or_else(|| self.by_stack(libraries)),
        }
    }

    /// `None` where no table tells, `Some(None)` where one says that there is no caller.
    fn by_table(&self, libraries: &mut Libraries<'_>) -> Option<Option<Caller>> {
        libraries.row(self.step.lookup(), |section, row| {
            let evaluate =
                |expression: Expression<Slice>, initial| self.evaluate(expression, initial);
            let cfa = match row.cfa() {
                CfaRule::RegisterAndOffset { register, offset } => {
                    self.register(register.0)?.checked_add_signed(*offset)?
                }
                CfaRule::Expression(expression) => evaluate(expression.get(section).ok()?, None)?,
            };
            // Every caller's frame lies further up.
            if cfa < self.sp || (cfa == self.sp && self.step.returns) {
                return None;
            }
            let mut registers = self.registers.clone();
            let mut ip = self.register(DWARF_RETURN_ADDRESS);
            for (register, rule) in row.registers() {
                let value = match rule {
                    RegisterRule::Undefined => None,
                    RegisterRule::Offset(offset) => self.load(cfa.checked_add_signed(*offset)?),
                    RegisterRule::ValOffset(offset) => cfa.checked_add_signed(*offset),
                    RegisterRule::Register(other) => self.register(other.0),
                    RegisterRule::Expression(expression) => {
                        let at = evaluate(expression.get(section).ok()?, Some(cfa));
                        at.and_then(|at| self.load(at))
                    }
                    RegisterRule::ValExpression(expression) => {
                        evaluate(expression.get(section).ok()?, Some(cfa))
                    }
                    _ => continue,
                };
                if register.0 == DWARF_RETURN_ADDRESS {
                    if *rule == RegisterRule::Undefined {
                        return Some(None);
                    }
                    ip = value;
                }
                match value {
                    Some(value) => registers.insert(register.0, value),
                    None => registers.remove(&register.0),
                };
            }
            // An expression may have set it, at a signal's frame.
            let sp = match registers.get(&DWARF_STACK_POINTER) {
                Some(sp) if Some(sp) != self.registers.get(&DWARF_STACK_POINTER) => *sp,
                _ => cfa,
            };
            registers.insert(DWARF_STACK_POINTER, sp);
            Some(match ip? {
                0 => None,
                ip => Some(Caller {
                    ip,
                    sp,
                    registers,
                    guessed: false,
                }),
            })
        })
    }

    fn by_frame_pointer(&self, libraries: &mut Libraries<'_>) -> Option<Caller> {
        let frame = self.register(DWARF_FRAME_POINTER)?;
        if frame < self.sp || frame % WORD != 0 {
            return None;
        }
        let ip = self.load(frame.checked_add(WORD)?)?;
        let outer = self.load(frame)?;
        libraries
            .follows_call(ip)
            .then(|| self.guess(ip, frame + 2 * WORD, Some(outer)))
    }

    fn by_stack(&self, libraries: &mut Libraries<'_>) -> Option<Caller> {
        let start = self.sp.max(self.question.stack_start);
        let mut at = start.checked_next_multiple_of(WORD)?;
        while let Some(word) = self.load(at) {
            if libraries.follows_call(word) {
                // Where there are frame pointers, the caller's lies below the return address.
                let below = at.checked_sub(WORD).and_then(|below| self.load(below));
                let frame = below.filter(|frame| *frame > at && self.load(*frame).is_some());
                let frame = frame.or_else(|| self.register(DWARF_FRAME_POINTER));
                return Some(self.guess(word, at + WORD, frame));
            }
            at = at.checked_add(WORD)?;
        }
        None
    }

    fn guess(&self, ip: u64, sp: u64, frame: Option<u64>) -> Caller {
        let mut registers = self.registers.clone();
        registers.insert(DWARF_STACK_POINTER, sp);
        if let Some(frame) = frame {
            registers.insert(DWARF_FRAME_POINTER, frame);
        }
        Caller {
            ip,
            sp,
            registers,
            guessed: true,
        }
    }

    fn register(&self, number: u16) -> Option<u64> {
        match number {
            DWARF_STACK_POINTER => Some(self.sp),
            _ => self.registers.get(&number).copied(),
        }
    }

    /// A word of the stack.
    fn load(&self, address: u64) -> Option<u64> {
        let start = usize::try_from(address.checked_sub(self.question.stack_start)?).ok()?;
        let word = self
            .question
            .stack
            .get(start..start.checked_add(WORD as usize)?)?;
        Some(u64::from_le_bytes(word.try_into().ok()?))
    }

    fn evaluate(&self, expression: Expression<Slice>, initial: Option<u64>) -> Option<u64> {
        let encoding = Encoding {
            address_size: WORD as u8,
            format: Format::Dwarf32,
            version: 4,
        };
        let mut evaluation = expression.evaluation(encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().ok()?;
        for _ in 0..MAX_OPERATIONS {
            result = match result {
                EvaluationResult::Complete => {
                    return match evaluation.as_result().first()?.location {
                        Location::Address { address } => Some(address),
                        _ => None,
                    };
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    let word = Value::Generic(self.load(address)?);
                    evaluation.resume_with_memory(word).ok()?
                }
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = Value::Generic(self.register(register.0)?);
                    evaluation.resume_with_register(value).ok()?
                }
                _ => return None,
            };
        }
        None
    }
}
