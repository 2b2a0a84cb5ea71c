//! The program compiles, and nothing that a module makes it do reaches the process that wants the code.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasm_encoder::{
    BlockType, CodeSection, Function, FunctionSection, InstructionSink, Module, TypeSection, ValType,
};
use weir_compiler::{CompilerBounds, Compiling, OutOfProcess, Program};
use weir_engine::{CompileError, Engine, Wasm};
use weir_engine_wasmtime::{Interruption, WasmtimeConfig, WasmtimeEngine};

const PROGRAM: Program = Program::At(env!("CARGO_BIN_EXE_weir-compiler"));

const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

/// Wasmtime with its compiler in a process of its own.
fn wasmtime(config: &WasmtimeConfig, compiling: Compiling) -> OutOfProcess {
    let engine = Arc::new(WasmtimeEngine::new(config).unwrap());
    OutOfProcess::new(engine, config.code_settings(), compiling)
}

fn compiled(program: Program, bounds: CompilerBounds, wasm: &[u8]) -> Result<(), CompileError> {
    let compiling = Compiling {
        program,
        bounds,
        in_process: 1 << 20,
    };
    let engine = wasmtime(&WasmtimeConfig::default(), compiling);
    Engine::compile(&engine, &wasm.into(), &[]).map(drop)
}

fn refusal(program: Program, bounds: CompilerBounds, wasm: &[u8]) -> String {
    compiled(program, bounds, wasm).unwrap_err().to_string()
}

/// A module of a few kilobytes that takes a compiler gigabytes: loops in loops, each of which may change all locals.
fn loops(depth: usize, locals: u32) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut body = Function::new([(locals, ValType::I32)]);
    let mut code: InstructionSink<'_> = body.instructions();
    for _ in 0..depth {
        code.loop_(BlockType::Empty);
    }
    for local in 1..=locals {
        code.local_get(local)
            .local_get(local - 1)
            .i32_add()
            .local_set(local);
    }
    for _ in 0..depth {
        code.local_get(locals).br_if(0).end();
    }
    code.end();
    let mut bodies = CodeSection::new();
    bodies.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&bodies);
    module.finish()
}

/// A program that does what the script says, as long as the folder is there. The compiler in it may be the child of the
/// script, not of the process that wants the code.
fn script(folder: &tempfile::TempDir, text: &str) -> Program {
    let file: PathBuf = folder.path().join("compiler");
    fs::write(&file, format!("#!/bin/sh\nunset WEIR_COMPILER_PARENT\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    Program::At(file.to_str().unwrap().to_owned().leak())
}

#[test]
fn code_is_made_for_the_settings_of_the_engine() {
    let compiling = Compiling {
        program: PROGRAM,
        bounds: CompilerBounds::default(),
        in_process: 0,
    };
    for interruption in [Interruption::Epochs, Interruption::Fuel] {
        let config = WasmtimeConfig {
            interruption,
            ..WasmtimeConfig::default()
        };
        Engine::compile(&wasmtime(&config, compiling), &Wasm::from(&loops(3, 3)), &[]).unwrap();
    }
}

#[test]
fn invalid_modules_are_refused_in_the_runtimes_words() {
    let refused = compiled(PROGRAM, CompilerBounds::default(), b"\0asm\x01\0\0\0\x01").unwrap_err();
    assert!(matches!(refused, CompileError::Invalid(_)), "{refused:?}");
    let here = WasmtimeEngine::new(&WasmtimeConfig::default()).unwrap();
    let expected = Engine::compile(&here, &b"\0asm\x01\0\0\0\x01"[..].into(), &[])
        .err()
        .unwrap();
    assert_eq!(refused.to_string(), expected.to_string());
}

#[test]
fn a_module_that_takes_too_long_ends_with_the_bound() {
    let bounds = CompilerBounds {
        cpu_time: Duration::from_secs(1),
        ..CompilerBounds::default()
    };
    let refused = refusal(PROGRAM, bounds, &loops(1000, 1000));
    let expected = "wasmtime's compiler: it used all CPU time that compiling a module may take (`compiler.cpu_time` = 1 s; \
                    used: ";
    assert!(refused.starts_with(expected), "{refused}");
}

#[test]
fn a_module_that_takes_too_much_memory_ends_with_the_bound() {
    let bounds = CompilerBounds {
        memory: 64 << 20,
        ..CompilerBounds::default()
    };
    let refused = refusal(PROGRAM, bounds, &loops(1000, 1000));
    let expected = "wasmtime's compiler: it needed more memory than compiling a module may take (`compiler.memory` = 64 \
                    MiB; used: ";
    assert!(refused.starts_with(expected), "{refused}");
    compiled(PROGRAM, bounds, &loops(10, 10)).unwrap();
}

#[test]
fn a_program_that_is_killed_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let killed = script(&folder, "kill -KILL $$");
    let refused = refusal(killed, CompilerBounds::default(), EMPTY);
    let expected =
        "wasmtime's compiler: it was killed, perhaps because the machine ran out of memory (used: ";
    assert!(refused.starts_with(expected), "{refused}");
}

#[test]
fn answers_that_are_no_code_for_the_module_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = refusal(script(&folder, "echo garbage"), CompilerBounds::default(), EMPTY);
    let file = folder.path().join("compiler");
    assert_eq!(
        garbage,
        format!(
            "the compiler cannot be used: {}: it gives no code: damaged: it does not begin like code; make it again (`cargo \
             build --release --package weir-compiler`), or name another with WEIR_COMPILER",
            file.display()
        )
    );
    // Code, but of another module.
    let program = env!("CARGO_BIN_EXE_weir-compiler");
    let other = format!("printf '\\0asm\\1\\0\\0\\0\\0\\2\\1x' | {program} \"$@\"");
    let other = refusal(script(&folder, &other), CompilerBounds::default(), EMPTY);
    assert!(other.contains("it gives code for something else; "), "{other}");
    // Code, but cut.
    let cut = format!("{program} \"$@\" | head -c 1000");
    let cut = refusal(script(&folder, &cut), CompilerBounds::default(), EMPTY);
    assert!(
        cut.contains("it gives no code: damaged: its checksum is wrong; "),
        "{cut}"
    );
}

#[test]
fn a_program_of_another_version_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_weir-compiler");
    let older = script(&folder, &format!("shift; exec {program} 0 \"$@\""));
    let refused = refusal(older, CompilerBounds::default(), EMPTY);
    assert!(
        refused.contains("its interface is 1, the server asks for 0; "),
        "{refused}"
    );
    let other = script(
        &folder,
        &format!("exec {program} \"$1\" \"$2\" fuel \"$4\" \"$5\" \"$6\""),
    );
    let refused = refusal(other, CompilerBounds::default(), EMPTY);
    assert!(refused.contains("it makes other code ("), "{refused}");
}

#[test]
fn without_the_program_small_modules_are_compiled_here() {
    let nowhere = Program::At("/nowhere/weir-compiler");
    compiled(nowhere, CompilerBounds::default(), EMPTY).unwrap();
    let mut large = EMPTY.to_vec();
    // A custom section of a MiB without a name.
    large.extend([0, 0x81, 0x80, 0x40, 0]);
    large.resize(large.len() + (1 << 20), 0);
    let refused = refusal(nowhere, CompilerBounds::default(), &large);
    assert_eq!(
        refused,
        "the module has 1.0 MiB, and modules that are compiled inside the server may have 1 MiB (`compiler.in_process`)"
    );
    compiled(PROGRAM, CompilerBounds::default(), &large).unwrap();
}

#[test]
fn the_process_gives_way_and_keeps_no_files_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    // The module comes when the process has been looked at: its files and its niceness. It has inherited the files 3 and 9.
    let text = format!(
        r#"cd {folder} && exec 3<&0 9</dev/null
        (for _ in $(seq 1000); do [ -e seen ] && break; sleep 0.01; done; cat <&3) | {program} "$@" &
        for _ in $(seq 1000); do [ "$(cut -d' ' -f19 /proc/$!/stat)" = 19 ] && nice=19 && break; sleep 0.01; done
        ls /proc/$!/fd > list; echo "$nice" >> list; mv list seen
        wait $!"#,
        folder = folder.path().display(),
        program = env!("CARGO_BIN_EXE_weir-compiler"),
    );
    compiled(script(&folder, &text), CompilerBounds::default(), EMPTY).unwrap();
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert_eq!(seen, "0\n1\n2\n19\n");
}
