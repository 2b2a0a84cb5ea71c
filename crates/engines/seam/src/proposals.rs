//! WebAssembly beyond its first version, proposal by proposal: what an engine takes and what a module needs.

use wasmparser::{Validator, WasmFeatures};

use crate::{CompileError, Engine};

/// An addition to WebAssembly that some engines have and others lack.
#[derive(Debug)]
pub struct Proposal {
    /// The name of the proposal.
    pub name: &'static str,
    feature: WasmFeatures,
    /// A module that needs it and no other.
    probe: &'static [u8],
}

impl Proposal {
    /// Returns true if an engine takes it, found out by compiling a module that needs it.
    pub fn is_taken_by(&self, engine: &dyn Engine) -> bool {
        engine.compile(&self.probe.into(), &[]).is_ok()
    }

    /// Returns true if a module needs it: it is valid, but not without. `wasm` is valid with all proposals.
    fn is_needed_by(&self, wasm: &[u8]) -> bool {
        !is_valid(wasm, all().difference(self.feature))
    }
}

/// The proposals that a module needs and an engine lacks; none where the module is not valid at all.
pub fn lacking(engine: &dyn Engine, wasm: &[u8]) -> Vec<&'static str> {
    if !is_valid(wasm, all()) {
        return Vec::new();
    }
    let lacks = |proposal: &&Proposal| proposal.is_needed_by(wasm) && !proposal.is_taken_by(engine);
    PROPOSALS
        .iter()
        .filter(lacks)
        .map(|proposal| proposal.name)
        .collect()
}

/// An error of `engine` about a module, which names the proposals that are missing where that is what is wrong.
pub fn explain(engine: &dyn Engine, wasm: &[u8], error: CompileError) -> CompileError {
    let CompileError::Invalid(reason) = error else {
        return error;
    };
    let names = lacking(engine, wasm);
    if names.is_empty() {
        return CompileError::Invalid(reason);
    }
    CompileError::Proposals {
        engine: engine.name(),
        names,
    }
}

fn all() -> WasmFeatures {
    let proposals = PROPOSALS
        .iter()
        .fold(WasmFeatures::empty(), |all, proposal| all.union(proposal.feature));
    // Features that no proposal stands for: floats, and the host's own types.
    proposals
        .union(WasmFeatures::FLOATS)
        .union(WasmFeatures::GC_TYPES)
}

fn is_valid(wasm: &[u8], features: WasmFeatures) -> bool {
    Validator::new_with_features(features).validate_all(wasm).is_ok()
}

/// The proposals that engines differ in or that toolchains use, oldest first.
pub const PROPOSALS: &[Proposal] = &[
    Proposal {
        name: "mutable globals",
        feature: WasmFeatures::MUTABLE_GLOBAL,
        probe: b"\0asm\x01\0\0\0\x06\x06\x01\x7f\x01A\0\x0b\x07\x05\x01\x01g\x03\0",
    },
    Proposal {
        name: "sign extension",
        feature: WasmFeatures::SIGN_EXTENSION,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0a\x08\x01\x06\0A\0\xc0\x1a\x0b",
    },
    Proposal {
        name: "saturating conversions",
        feature: WasmFeatures::SATURATING_FLOAT_TO_INT,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0a\x0c\x01\x0a\0C\0\0\0\0\xfc\0\x1a\x0b",
    },
    Proposal {
        name: "multiple values",
        feature: WasmFeatures::MULTI_VALUE,
        probe: b"\0asm\x01\0\0\0\x01\x06\x01`\0\x02\x7f\x7f\x03\x02\x01\0\x0a\x08\x01\x06\0A\0A\0\x0b",
    },
    Proposal {
        name: "bulk memory",
        feature: WasmFeatures::BULK_MEMORY,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\x0a\x0d\x01\x0b\0A\0A\0A\0\xfc\x0b\0\x0b",
    },
    Proposal {
        name: "reference types",
        feature: WasmFeatures::REFERENCE_TYPES,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x04\x04\x01p\0\x01\x0a\x08\x01\x06\0\xfc\x10\0\x1a\x0b",
    },
    Proposal {
        name: "SIMD",
        feature: WasmFeatures::SIMD,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0a\x09\x01\x07\0A\0\xfd\x0f\x1a\x0b",
    },
    Proposal {
        name: "relaxed SIMD",
        feature: WasmFeatures::RELAXED_SIMD,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0a\x10\x01\x0e\0A\0\xfd\x0fA\0\xfd\x0f\xfd\x80\x02\x1a\x0b",
    },
    Proposal {
        name: "tail calls",
        feature: WasmFeatures::TAIL_CALL,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0a\x06\x01\x04\0\x12\0\x0b\0\x0b\x04name\x01\x04\x01\0\x01f",
    },
    Proposal {
        name: "extended constant expressions",
        feature: WasmFeatures::EXTENDED_CONST,
        probe: b"\0asm\x01\0\0\0\x06\x09\x01\x7f\0A\x01A\x02j\x0b",
    },
    Proposal {
        name: "threads",
        feature: WasmFeatures::THREADS,
        probe: b"\0asm\x01\0\0\0\x05\x04\x01\x03\x01\x01",
    },
    Proposal {
        name: "exceptions",
        feature: WasmFeatures::EXCEPTIONS,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0d\x03\x01\0\0\x0a\x0f\x01\x0d\0\x02@\x1f@\x01\x02\0\x08\0\x0b\x0b\x0b\0\x13\x04name\x03\x06\x01\0\x01\0\x01b\x0b\x04\x01\0\x01t",
    },
    Proposal {
        name: "legacy exceptions",
        feature: WasmFeatures::LEGACY_EXCEPTIONS,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0a\x08\x01\x06\0\x06@\x19\x0b\x0b",
    },
    Proposal {
        name: "typed function references",
        // Garbage collection includes them.
        feature: WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::GC),
        probe: b"\0asm\x01\0\0\0\x01\x09\x02`\0\0`\x01c\0\0\x03\x02\x01\x01\x0a\x04\x01\x02\0\x0b\0\x0b\x04name\x04\x04\x01\0\x01t",
    },
    Proposal {
        name: "garbage collection",
        feature: WasmFeatures::GC,
        probe: b"\0asm\x01\0\0\0\x01\x03\x01_\0",
    },
    Proposal {
        name: "64-bit memories",
        feature: WasmFeatures::MEMORY64,
        probe: b"\0asm\x01\0\0\0\x05\x03\x01\x04\x01",
    },
    Proposal {
        name: "several memories",
        feature: WasmFeatures::MULTI_MEMORY,
        probe: b"\0asm\x01\0\0\0\x05\x05\x02\0\x01\0\x01",
    },
    Proposal {
        name: "custom page sizes",
        feature: WasmFeatures::CUSTOM_PAGE_SIZES,
        probe: b"\0asm\x01\0\0\0\x05\x04\x01\x08\x01\0",
    },
    Proposal {
        name: "wide arithmetic",
        feature: WasmFeatures::WIDE_ARITHMETIC,
        probe: b"\0asm\x01\0\0\0\x01\x04\x01`\0\0\x03\x02\x01\0\x0a\x10\x01\x0e\0B\0B\0B\0B\0\xfc\x13\x1a\x1a\x0b",
    },
    Proposal {
        name: "stack switching",
        feature: WasmFeatures::STACK_SWITCHING,
        probe: b"\0asm\x01\0\0\0\x01\x06\x02`\0\0]\0\0\x0b\x04name\x04\x04\x01\0\x01f",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &[(&str, &str)] = &[
        (
            "mutable globals",
            r#"(module (global (export "g") (mut i32) (i32.const 0)))"#,
        ),
        (
            "sign extension",
            r#"(module (func (drop (i32.extend8_s (i32.const 0)))))"#,
        ),
        (
            "saturating conversions",
            r#"(module (func (drop (i32.trunc_sat_f32_s (f32.const 0)))))"#,
        ),
        (
            "multiple values",
            r#"(module (func (result i32 i32) i32.const 0 i32.const 0))"#,
        ),
        (
            "bulk memory",
            r#"(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))"#,
        ),
        (
            "reference types",
            r#"(module (table 1 funcref) (func (drop (table.size 0))))"#,
        ),
        ("SIMD", r#"(module (func (drop (i8x16.splat (i32.const 0)))))"#),
        (
            "relaxed SIMD",
            r#"(module (func (drop (i8x16.relaxed_swizzle (i8x16.splat (i32.const 0)) (i8x16.splat (i32.const 0))))))"#,
        ),
        ("tail calls", r#"(module (func $f (return_call $f)))"#),
        (
            "extended constant expressions",
            r#"(module (global i32 (i32.add (i32.const 1) (i32.const 2))))"#,
        ),
        ("threads", r#"(module (memory 1 1 shared))"#),
        (
            "exceptions",
            r#"(module (tag $t) (func (block $b (try_table (catch_all $b) (throw $t)))))"#,
        ),
        ("legacy exceptions", r#"(module (func try catch_all end))"#),
        (
            "typed function references",
            r#"(module (type $t (func)) (func (param (ref null $t))))"#,
        ),
        ("garbage collection", r#"(module (type (struct)))"#),
        ("64-bit memories", r#"(module (memory i64 1))"#),
        ("several memories", r#"(module (memory 1) (memory 1))"#),
        ("custom page sizes", r#"(module (memory 1 (pagesize 1)))"#),
        (
            "wide arithmetic",
            r#"(module (func i64.const 0 i64.const 0 i64.const 0 i64.const 0 i64.add128 drop drop))"#,
        ),
        ("stack switching", r#"(module (type $f (func)) (type (cont $f)))"#),
    ];

    fn builds_on(name: &str) -> &'static [&'static str] {
        match name {
            "relaxed SIMD" => &["SIMD"],
            "typed function references" => &["reference types"],
            "garbage collection" => &["typed function references"],
            _ => &[],
        }
    }

    #[test]
    fn each_probe_needs_its_proposal_and_what_that_builds_on() {
        assert_eq!(TEXTS.len(), PROPOSALS.len());
        for (proposal, (name, text)) in PROPOSALS.iter().zip(TEXTS) {
            assert_eq!(proposal.name, *name);
            assert_eq!(proposal.probe, wat::parse_str(text).unwrap(), "{name}");
            let needed = PROPOSALS
                .iter()
                .filter(|other| other.is_needed_by(proposal.probe));
            let needed: Vec<_> = needed.map(|other| other.name).collect();
            let mut expected = builds_on(name).to_vec();
            expected.push(name);
            assert_eq!(needed, expected);
        }
    }
}
