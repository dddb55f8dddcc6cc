//! What it would cost to compile a module, estimated before it is tried.
//!
//! Compiling cannot be interrupted, and 16 MiB can be made to take hours and all memory there is:
//! the compiler's time grows with the square of some things (branches of a function, locals times
//! branches, how deep loops lie in each other), and each function and type has a price. A module
//! with a JavaScript engine inside, the largest that anybody has a use for, costs half of what is
//! allowed; what is refused here is refused on every machine.
//!
//! A unit is about what an octet of ordinary code costs, some 0.1 to 0.6 microseconds. The weights
//! were measured with modules that are extreme in one of these ways each.

use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// Most that a module may cost. At this price one took 355 MiB of memory while it was compiled.
const MODULE_MAX: u64 = 128_000_000;

/// Most that one function may cost. The compiler holds one at a time in memory.
const FUNCTION_MAX: u64 = 8_000_000;

/// What the smallest function costs.
const FUNCTION: u64 = 2_000;

/// What a type costs: those of one module are compared with each other.
const TYPE: u64 = 5_000;

/// What anything else that is declared costs, but a custom section, which costs nothing.
const DECLARATION: u64 = 1_000;

/// What is too dear about a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooDear {
    /// One function.
    #[error("its function {function} is too large or branches too much to be compiled")]
    Function {
        /// Counted over all functions that it defines, from 0.
        function: usize,
    },
    /// All in all.
    #[error("it has too many functions, types or branches to be compiled")]
    Module,
}

/// Refuses a module that costs too much. What does not parse costs nothing: the compiler, which
/// will not get further, says what is wrong.
pub(super) fn check(bytes: &[u8]) -> Result<(), TooDear> {
    let mut spent: u64 = 0;
    let mut functions = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else {
            return Ok(());
        };
        let cost = if let Payload::CodeSectionEntry(body) = payload {
            let Some(cost) = function_cost(&body).ok() else {
                return Ok(());
            };
            if cost > FUNCTION_MAX {
                let function = functions;
                return Err(TooDear::Function { function });
            }
            functions += 1;
            cost
        } else {
            declared(&payload)
        };
        spent = spent.saturating_add(cost);
        if spent > MODULE_MAX {
            return Err(TooDear::Module);
        }
    }
    Ok(())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "custom sections cost nothing, and the rest the engine refuses"
)]
/// What a section's declarations cost. Every one takes an octet at least, so that no count is
/// believed that the section cannot hold.
fn declared(payload: &Payload<'_>) -> u64 {
    let (count, each) = match payload {
        Payload::TypeSection(section) => (section.count(), TYPE),
        Payload::ComponentTypeSection(section) => (section.count(), TYPE),
        Payload::CoreTypeSection(section) => (section.count(), TYPE),
        Payload::ImportSection(section) => (section.count(), DECLARATION),
        Payload::TableSection(section) => (section.count(), DECLARATION),
        Payload::MemorySection(section) => (section.count(), DECLARATION),
        Payload::GlobalSection(section) => (section.count(), DECLARATION),
        Payload::ExportSection(section) => (section.count(), DECLARATION),
        Payload::ElementSection(section) => (section.count(), DECLARATION),
        Payload::DataSection(section) => (section.count(), DECLARATION),
        Payload::InstanceSection(section) => (section.count(), DECLARATION),
        Payload::ComponentInstanceSection(section) => (section.count(), DECLARATION),
        Payload::ComponentAliasSection(section) => (section.count(), DECLARATION),
        Payload::ComponentCanonicalSection(section) => (section.count(), DECLARATION),
        Payload::ComponentExportSection(section) => (section.count(), DECLARATION),
        Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => (1, FUNCTION),
        _ => return 0,
    };
    u64::from(count) * each
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other operators go on straight"
)]
fn function_cost(body: &FunctionBody<'_>) -> wasmparser::Result<u64> {
    let mut locals: u64 = 0;
    for group in body.get_locals_reader()? {
        let (count, _) = group?;
        locals += u64::from(count);
    }
    let range = body.range();
    let mut cost = FUNCTION + (range.end - range.start);
    let mut branches: u64 = 0;
    // Whether each block that is open is a loop, and how many are.
    let mut open: Vec<Block> = Vec::new();
    let mut loops: u64 = 0;
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Block { .. } => open.push(Block::Plain),
            Operator::If { .. } => open.push(Block::Plain),
            Operator::Loop { .. } => {
                loops += 1;
                cost += loops * loops / 128;
                open.push(Block::Loop);
            }
            Operator::End => {
                if open.pop() == Some(Block::Loop) {
                    loops -= 1;
                }
                continue;
            }
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } => {}
            Operator::BrTable { targets } => branches += u64::from(targets.len()) / 8,
            _ => continue,
        }
        branches += 1;
        cost += open.len() as u64 / 128;
        if cost > FUNCTION_MAX {
            return Ok(cost);
        }
    }
    // A function without a branch has one block.
    let blocks = branches + 1;
    Ok(cost + 3 * locals * blocks + branches * branches / 32)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Plain,
    Loop,
}
