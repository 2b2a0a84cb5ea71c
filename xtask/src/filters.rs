//! `cargo xtask filters`: the modules of other languages and the firewall, with toolchains from packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{guests, setup, sh};

/// Arguments of `cargo xtask filters`.
#[derive(clap::Args)]
pub struct Args {
    /// Run the tests of these modules afterwards, in both proxies.
    #[arg(long)]
    test: bool,
}

/// A source that is a filter, and the name of its module.
type Filter = (&'static str, &'static str);

/// Filters in C++, built by clang and once more by emscripten.
const CPP: [Filter; 2] = [
    ("filters/examples/cpp/tour.cc", "cpp"),
    ("sdk/cpp/tests/hostcalls.cc", "hostcalls-cpp"),
];

/// Filters in Zig.
const ZIG: [Filter; 2] = [
    ("filters/examples/zig/tour.zig", "zig"),
    ("sdk/zig/tests/hostcalls.zig", "hostcalls-zig"),
];

/// Builds the filter of every language and the firewall: `filters/target/languages/*.wasm`.
pub fn run(args: &Args) -> Result<()> {
    let folder = sh::root().join("filters/target/languages");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    rust(&folder)?;
    go(&folder, "filters/examples/go", "go", "")?;
    // Coraza asks for a temporary folder without the tag.
    go(&folder, "filters/coraza", "coraza", "no_fs_access")?;
    assemblyscript(&folder)?;
    for filter in CPP {
        clang(&folder, filter)?;
        emscripten(&folder, filter)?;
    }
    for filter in ZIG {
        zig(&folder, filter)?;
    }
    sizes(&folder)?;
    if !args.test {
        return Ok(());
    }
    crate::test::prepare()?;
    // Compiled before the tests, which do not wait for minutes: the modules are then in the cache of all tests.
    let mut check = sh::command(
        sh::target_dir().join("debug/weir"),
        "check filters/coraza/coraza.yaml --code-cache",
    );
    check.arg(sh::root().join("target/code-cache"));
    sh::run(check)?;
    let mut tests = sh::cargo("test --workspace --test languages --test firewall");
    tests.env("WEIR_LANGUAGES", &folder);
    sh::run(tests)
}

fn rust(folder: &Path) -> Result<()> {
    guests::build_filters()?;
    let module = sh::root().join("filters/target/wasm32-wasip1/release/tour.wasm");
    std::fs::copy(&module, folder.join("rust.wasm"))
        .with_context(|| format!("cannot copy {}", module.display()))?;
    Ok(())
}

/// With the SDK, and all else that the module of `source` names, from the Go module proxy.
fn go(folder: &Path, source: &str, module: &str, tags: &str) -> Result<()> {
    let mut build = sh::command(
        setup::any_go()?,
        "build -buildmode=c-shared -trimpath -ldflags=-s",
    );
    build.args(["-tags", tags, "-o"]);
    build.arg(folder.join(format!("{module}.wasm"))).arg(".");
    build.current_dir(sh::root().join(source));
    build.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local")]);
    sh::run(build)
}

/// With the SDK and the compiler from npm.
fn assemblyscript(folder: &Path) -> Result<()> {
    setup::debian("npm", "npm")?;
    let source = sh::root().join("filters/examples/assemblyscript");
    let mut install = sh::command("npm", "ci --silent --no-audit --no-fund");
    install.current_dir(&source);
    sh::run(install)?;
    let mut build = sh::command("npm", "run --silent build -- -b");
    build.arg(folder.join("assemblyscript.wasm")).current_dir(&source);
    sh::run(build)
}

/// With Debian's clang and the SDK of `sdk/cpp`.
fn clang(folder: &Path, (source, module): Filter) -> Result<()> {
    for (program, package) in [("clang++-19", "clang-19"), ("wasm-ld-19", "lld-19")] {
        setup::debian(program, package)?;
    }
    for (file, package) in [
        ("/usr/lib/wasm32-wasi/libc.a", "wasi-libc"),
        (
            "/usr/lib/llvm-19/lib/wasm32-wasi/libc++.a",
            "libc++-19-dev-wasm32",
        ),
        (
            "/usr/lib/llvm-19/lib/wasm32-wasi/libc++abi.a",
            "libc++abi-19-dev-wasm32",
        ),
        (
            "/usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a",
            "libclang-rt-19-dev-wasm32",
        ),
    ] {
        if !Path::new(file).is_file() {
            setup::debian_package(package)?;
        }
    }
    let mut build = sh::command(
        "clang++-19",
        "--target=wasm32-wasi -mexec-model=reactor -std=c++20 -O2 -flto -fno-exceptions -fno-rtti \
         -Wall -Wextra -Werror -Isdk/cpp -Wl,--strip-debug -o",
    );
    build.arg(folder.join(format!("{module}.wasm"))).arg(source);
    sh::run(build)
}

/// With Debian's emscripten, which the official SDK is built with.
fn emscripten(folder: &Path, (source, module): Filter) -> Result<()> {
    setup::debian("em++", "emscripten")?;
    let mut build = sh::command(
        "em++",
        "--no-entry -std=c++20 -O2 -fno-exceptions -fno-rtti -sSTANDALONE_WASM -sALLOW_MEMORY_GROWTH \
         -sERROR_ON_UNDEFINED_SYMBOLS=0 -sWARN_ON_UNDEFINED_SYMBOLS=0 -Isdk/cpp -o",
    );
    build
        .arg(folder.join(format!("{module}-emscripten.wasm")))
        .arg(source);
    sh::run(build)
}

/// With PyPI's `ziglang` and the SDK of `sdk/zig`.
fn zig(folder: &Path, (source, module): Filter) -> Result<()> {
    let packages = setup::zig()?;
    let mut build = sh::command(
        "python3",
        "-m ziglang build-exe -target wasm32-freestanding -fno-entry -rdynamic -OReleaseSmall --dep proxy_wasm",
    );
    build.env("PYTHONPATH", packages).args([
        format!("-Mroot={source}"),
        "-Mproxy_wasm=sdk/zig/proxy_wasm.zig".to_owned(),
        format!("-femit-bin={}", folder.join(format!("{module}.wasm")).display()),
    ]);
    sh::run(build)
}

/// Prints what was built, with sizes in bytes.
fn sizes(folder: &Path) -> Result<()> {
    let mut modules: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    modules.retain(|path| path.extension().is_some_and(|kind| kind == "wasm"));
    modules.sort();
    for module in modules {
        println!("{:>10} {}", module.metadata()?.len(), module.display());
    }
    Ok(())
}
