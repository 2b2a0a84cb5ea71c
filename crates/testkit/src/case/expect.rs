//! Comparing what came with what must come.

use anyhow::{Context, Result, bail, ensure};

use super::{Expect, Upstream};
use crate::Record;
use crate::client::{Fields, Outcome, values};

/// Compares an outcome.
pub(super) fn response(expect: &Expect, outcome: &Outcome) -> Result<()> {
    let response = match outcome {
        Outcome::Reset if expect.reset => return Ok(()),
        Outcome::Reset => bail!("closed before a whole response had come"),
        Outcome::Response(response) if expect.reset => {
            bail!("a whole response where none was expected:\n{response:?}")
        }
        Outcome::Response(response) => response,
    };
    let compared = || {
        if let Some(status) = expect.status {
            ensure!(
                response.status == status,
                "status {} instead of {status}",
                response.status
            );
        }
        fields("header", &response.headers, &expect.headers, &expect.no_headers)?;
        fields(
            "trailer",
            &response.trailers,
            &expect.trailers,
            &expect.no_trailers,
        )?;
        let both: Fields = response
            .headers
            .iter()
            .chain(&response.trailers)
            .cloned()
            .collect();
        fields("header or trailer", &both, &expect.anywhere, &[])?;
        body(expect.body.as_deref(), &response.body)
    };
    compared().with_context(|| format!("{response:?}"))
}

/// Compares what arrived upstream.
pub(super) fn arrived(expect: &Upstream, record: &Record) -> Result<()> {
    let compared = || {
        fields("header", &record.headers, &expect.headers, &expect.no_headers)?;
        fields("trailer", &record.trailers, &expect.trailers, &expect.no_trailers)?;
        body(expect.body.as_deref(), &record.body)
    };
    compared().with_context(|| format!("what arrived upstream: {record:?}"))
}

fn fields(kind: &str, seen: &Fields, wanted: &[(String, Vec<u8>)], unwanted: &[String]) -> Result<()> {
    for (name, value) in wanted {
        let found = values(seen, name);
        ensure!(
            found.contains(&value.as_slice()),
            "no {kind} `{name}: {}`, but {:?}",
            value.escape_ascii(),
            found
                .iter()
                .map(|value| value.escape_ascii().to_string())
                .collect::<Vec<_>>(),
        );
        // A line that is expected n times must be there n times.
        let times = |all: &[&[u8]]| all.iter().filter(|other| **other == value.as_slice()).count();
        let expected: Vec<&[u8]> = wanted
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, v)| v.as_slice())
            .collect();
        ensure!(
            times(&found) >= times(&expected),
            "{kind} `{name}` fewer times than expected"
        );
    }
    for name in unwanted {
        ensure!(values(seen, name).is_empty(), "a {kind} `{name}`");
    }
    Ok(())
}

fn body(wanted: Option<&[u8]>, seen: &[u8]) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let (wanted, seen) = (String::from_utf8_lossy(wanted), String::from_utf8_lossy(seen));
    let seen = seen.trim_end_matches('\n');
    if wanted == seen {
        return Ok(());
    }
    let (mut left, mut right) = (wanted.lines(), seen.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => bail!("the body differs in its line ends"),
            (a, b) if a == b => {}
            (a, b) => bail!(
                "the body has\n    {}\ninstead of\n    {}",
                b.unwrap_or("(end)"),
                a.unwrap_or("(end)")
            ),
        }
    }
}
