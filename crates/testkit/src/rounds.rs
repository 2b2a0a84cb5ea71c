//! How long tests with random guests run.

/// Rounds of a test whose guest makes random hostcalls: `usual`, unless the environment variable `WEIR_RANDOM_ROUNDS` says
/// otherwise. A hundred take minutes.
pub fn random_rounds(usual: usize) -> usize {
    let rounds = std::env::var("WEIR_RANDOM_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}
