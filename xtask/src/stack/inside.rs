//! Jumps into a row of instructions of the same function: where a loop is entered behind what is too much.

use std::collections::BTreeSet;

/// Registers and places on the stack that hold an address computed from the program counter, inside of the function.
#[derive(Debug, Default)]
pub(super) struct Inside(BTreeSet<String>);

impl Inside {
    /// Follows an instruction: its name and its operands, the target first but in stores.
    pub(super) fn note(&mut self, name: &str, operands: &[&str]) {
        let [first, rest @ ..] = operands else { return };
        if rest.is_empty() {
            return;
        }
        let from_here = name == "adr" || name.starts_with("add") && rest.contains(&"pc");
        match name {
            "str" => self.set(&rest.join(", "), self.0.contains(*first)),
            "ldr" => self.set(first, self.0.contains(&rest.join(", "))),
            // The target is an operand as well.
            "add" | "adds" | "orr" if rest.len() == 1 && self.0.contains(*first) => {}
            _ => self.set(first, from_here || rest.iter().any(|operand| self.0.contains(*operand))),
        }
    }

    /// A jump to what this register holds stays inside of the function.
    pub(super) fn contains(&self, register: &str) -> bool {
        self.0.contains(register)
    }

    fn set(&mut self, place: &str, is_inside: bool) {
        if is_inside {
            self.0.insert(place.to_owned());
        } else {
            self.0.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(instructions: &[&str]) -> Inside {
        let mut inside = Inside::default();
        for instruction in instructions {
            let (name, operands) = instruction.split_once(' ').unwrap();
            inside.note(name, &operands.split(", ").collect::<Vec<_>>());
        }
        inside
    }

    #[test]
    fn an_address_from_the_program_counter_is_followed_through_sums_and_the_stack() {
        assert!(after(&["addw sb, pc, #0x10", "add r8, sb", "orr r8, r8, #1"]).contains("r8"));
        assert!(after(&["adr r3, #4", "adds r2, r2, r3", "adds r2, #1"]).contains("r2"));
        assert!(after(&["adr r3, #4", "str r3, [sp, #0x38]", "movs r3, #1", "ldr r2, [sp, #0x38]"]).contains("r2"));
    }

    #[test]
    fn what_comes_from_elsewhere_is_not_inside() {
        assert!(!after(&["adr r3, #4", "ldr r3, [r0]"]).contains("r3"));
        assert!(!after(&["adr r3, #4", "str r3, [sp, #8]", "str r0, [sp, #8]", "ldr r3, [sp, #8]"]).contains("r3"));
        assert!(!after(&["adr r3, #4", "mov r2, r4"]).contains("r2"));
    }
}
