//! `cargo xtask matrix-ats`: filters beside other plugins of Traffic Server, in rules and in `plugin.config`, in every order.

use anyhow::Result;

use crate::{setup, sh, test};

/// Tests every pair of a plugin and a filter; CI tests those of rules, and one of `plugin.config`.
pub fn run() -> Result<()> {
    setup::ats_plugins()?;
    test::prepare()?;
    let mut matrix = sh::cargo("test --workspace --test ats_matrix -- --nocapture");
    matrix.env("WEIR_ATS_MATRIX", "all");
    sh::run(matrix)
}
