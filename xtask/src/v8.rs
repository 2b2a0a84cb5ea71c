//! `cargo xtask v8`: the library through which Weir runs V8.
//!
//! V8 comes from Debian's `libnode`. Where the packages are installed they are used as they are; else, since Debian's Node.js
//! cannot stand beside another vendor's, they are unpacked into a folder of their own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{setup, sh};

/// The files that are unpacked: the library, its headers, and the libraries that it needs and that a system may lack.
const PACKAGES: &str =
    "libnode108 libnode-dev libuv1 libuv1-dev libc-ares2 libbrotli1 libnghttp2-14 libicu72";

/// The folder of the library's sources.
const SOURCES: &str = "crates/engines/v8/shim";

/// Makes the library and prints where it is.
pub fn run() -> Result<()> {
    let library = library()?;
    println!("{}", library.display());
    println!(
        "Put it beside `weir` or `wasm.so`, in /usr/lib/weir, or name it with WEIR_V8_LIB. It needs Debian's libnode{}.",
        if is_installed() {
            ""
        } else {
            ", which lies in `root` beside it"
        }
    );
    Ok(())
}

/// The library, made anew where its sources have changed.
pub fn library() -> Result<PathBuf> {
    let folder = sh::root().join("target/v8");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let library = folder.join("libweir_v8.so");
    let sources = sh::root().join(SOURCES);
    if sh::is_newer(
        &library,
        &["weir_v8.cc", "weir_v8.h"].map(|name| sources.join(name)),
    ) {
        return Ok(library);
    }
    setup::debian("c++", "g++")?;
    let unpacked = if is_installed() {
        None
    } else {
        Some(unpack(&folder)?)
    };
    compile(&sources.join("weir_v8.cc"), &library, unpacked.as_deref())?;
    Ok(library)
}

/// Returns true if Debian's own packages are installed.
fn is_installed() -> bool {
    Path::new("/usr/include/node/v8.h").is_file() && !libraries(Path::new("/usr/lib")).is_empty()
}

/// Folders that `libnode.so` lies in, below one: Debian has one for each architecture.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.join("libnode.so").exists())
        .collect()
}

/// Unpacks the packages, and gives the folder that they lie in.
fn unpack(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.join("usr/include/node/v8.h").is_file() {
        return Ok(root);
    }
    if !setup::on_path("apt-get") || !setup::on_path("dpkg") {
        bail!(
            "V8 is taken from Debian's libnode-dev, and this is no Debian: install Node.js's headers and libnode.so"
        );
    }
    let packages = folder.join("packages");
    std::fs::create_dir_all(&packages).with_context(|| format!("cannot create {}", packages.display()))?;
    let download = || {
        let mut download = sh::command("apt-get", "download -q");
        download.args(PACKAGES.split_whitespace()).current_dir(&packages);
        sh::run(download)
    };
    if download().is_err() {
        // The lists of a new machine may be old.
        sh::run(sh::command("apt-get", "update -q"))?;
        download()?;
    }
    for entry in std::fs::read_dir(&packages)? {
        let mut extract = sh::command("dpkg", "-x");
        extract.arg(entry?.path()).arg(&root);
        sh::run(extract)?;
    }
    Ok(root)
}

fn compile(source: &Path, library: &Path, unpacked: Option<&Path>) -> Result<()> {
    let usr = unpacked.unwrap_or(Path::new("/")).join("usr");
    let libraries = libraries(&usr.join("lib"));
    let Some(node) = libraries.first() else {
        bail!("there is no libnode.so below {}", usr.join("lib").display());
    };
    let mut build = sh::command(
        "c++",
        "-std=c++17 -O2 -fPIC -shared -fno-exceptions -fno-rtti -Wall -Wextra -Werror -Wno-unused-parameter",
    );
    for include in ["include/node", "include"] {
        build.arg("-isystem").arg(usr.join(include));
    }
    // Written elsewhere first: a process may have the old one open.
    let new = library.with_extension("new");
    build
        .arg("-o")
        .arg(&new)
        .arg(source)
        .arg("-L")
        .arg(node)
        .arg("-lnode");
    if unpacked.is_some() {
        let below = node
            .strip_prefix(library.parent().unwrap_or(Path::new("/")))
            .unwrap_or(node);
        // Found by what it needs as well, so in the older of the two ways.
        build.arg(format!(
            "-Wl,--disable-new-dtags,-rpath,$ORIGIN/{}",
            below.display()
        ));
        build.arg("-Wl,--allow-shlib-undefined");
    }
    sh::run(build)?;
    std::fs::rename(&new, library).with_context(|| format!("cannot write {}", library.display()))
}
