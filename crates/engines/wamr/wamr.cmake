# How WAMR is built beyond what the crate wamrx-sys offers as features. Cargo does not see that this file changes: after a
# change, `cargo clean --package wamrx-sys`. CMake reads it as a toolchain file, for which
# `.cargo/config.toml` names it.

# Code that was compiled ahead of time is loaded; what compiles it is a library of its own (`compiler`).
set(WAMR_BUILD_AOT 1)

# A module's memory is as large as the module says, whether or not WAMR believes that it needs less.
set(WAMR_BUILD_SHRUNK_MEMORY 0)

# SIMDe, with which the interpreter does SIMD, is Debian's (`libsimde-dev`), not one that CMake would fetch.
set(FETCHCONTENT_SOURCE_DIR_SIMDE /usr/include CACHE PATH "where simde lies")
