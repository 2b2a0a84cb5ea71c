//! The tables in Markdown, the page that holds them, and the plot.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::Mode;
use super::figures::Figures;
use crate::bench::report::{self, Row};
use crate::sh;

/// The page, from the repository's root, and what stands around the tables in it.
const PAGE: &str = "docs/engines.md";
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench-engines` -->\n";
const END: &str = "<!-- end of figures -->\n";
const PLOT: &str = "docs/engines.svg";

/// The subject of the drawing: the three filters.
const DRAWN: [&str; 3] = ["header filter, us", "body of 64 KiB, us", "rule engine, us"];

/// Both tables.
pub fn tables(figures: &Figures, rows: &[Row]) -> String {
    let labels: Vec<String> = Mode::ALL.iter().map(|mode| mode.label()).collect();
    let mut text = format!(
        "\n| | {} |\n|---|{}\n",
        labels.join(" | "),
        "---|".repeat(labels.len())
    );
    for (index, name) in figures.names.iter().enumerate() {
        let cell = |mode: usize| {
            figures.of(mode, index).map_or_else(
                || "-".to_owned(),
                |[median, least, most]| format!("{} ({}-{})", short(median), short(least), short(most)),
            )
        };
        let cells: Vec<String> = (0..Mode::ALL.len()).map(cell).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text + &report::table("header filter in", rows)
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Renews the tables of the page, and the plot.
pub fn write(tables: &str, figures: &Figures) -> Result<()> {
    let path = sh::root().join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let parts = page
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("{PAGE} has no place for figures: {BEGIN}{END}"))?;
    std::fs::write(&path, format!("{before}{BEGIN}{tables}\n{END}{after}"))
        .with_context(|| format!("cannot write {PAGE}"))?;
    std::fs::write(sh::root().join(PLOT), plot(figures)).with_context(|| format!("cannot write {PLOT}"))
}

/// Bars for each filter, as long as the runtime takes next to the quickest one; beyond ten times on a scale of powers.
fn plot(figures: &Figures) -> String {
    const ROW: usize = 22;
    const LEFT: usize = 150;
    const WIDTH: f64 = 420.0;
    let mut body = String::new();
    let mut y = 24;
    for name in DRAWN {
        let Some(index) = figures.names.iter().position(|known| known == name) else {
            continue;
        };
        let medians: Vec<Option<f64>> = (0..Mode::ALL.len())
            .map(|mode| figures.of(mode, index).map(|[median, ..]| median))
            .collect();
        let least = medians.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let most = medians.iter().flatten().copied().fold(least, f64::max);
        let _ = writeln!(body, r#"<text x="8" y="{y}" font-weight="bold">{name}</text>"#);
        y += 8;
        for (mode, median) in Mode::ALL.iter().zip(&medians) {
            let Some(median) = median else {
                continue;
            };
            // A bar of one unit stands for the quickest; each tenfold adds as much as the scale has room for.
            let decades = (most / least).log10().max(1.0);
            let length = WIDTH * ((median / least).log10() + 0.15) / (decades + 0.15);
            let middle = y + 14;
            let _ = writeln!(
                body,
                r##"<text x="{}" y="{middle}" text-anchor="end">{}</text><rect x="{LEFT}" y="{y}" width="{length:.0}" height="16" fill="#4a7ab5"/><text x="{:.0}" y="{middle}">{} ({:.1} x)</text>"##,
                LEFT - 8,
                mode.label(),
                length + LEFT as f64 + 6.0,
                short(*median),
                median / least
            );
            y += ROW;
        }
        y += 26;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{y}\" font-family=\"sans-serif\" \
         font-size=\"13\"><title>Time of one request in each filter, by runtime; logarithmic</title>\n\
         <rect width=\"720\" height=\"{y}\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_measurement() {
        let figures = Figures {
            names: DRAWN.map(str::to_owned).to_vec(),
            // The last two modes have no figure of the last name.
            samples: vec![
                vec![vec![1.0, 2.0, 300.0]; 3],
                vec![vec![20.5]; 3],
                vec![vec![3.0]; 3],
                vec![vec![4.0]; 2],
                vec![],
            ],
        };
        let tables = tables(&figures, &[]);
        assert!(
            tables.contains("| header filter, us | 2.00 (1.00-300) | 20.5 (20.5-20.5) |"),
            "{tables}"
        );
        assert!(
            tables.contains(
                "| rule engine, us | 2.00 (1.00-300) | 20.5 (20.5-20.5) | 3.00 (3.00-3.00) | - | - |"
            ),
            "{tables}"
        );
        let plot = plot(&figures);
        assert!(plot.contains(">20.5 (10.2 x)</text>"), "{plot}");
        assert_eq!(plot.matches("<rect x=").count(), 4 + 4 + 3);
    }
}
